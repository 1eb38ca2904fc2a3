//! The plugin configuration that reads keys where the other product reads them, as a note for the person.

use serde_json::{Value, json};

/// A place of a key in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Header(String),
    /// A header with this scheme before the key.
    Scheme(String, &'static str),
    Query(String),
    Cookie(String),
}

/// Which API a request belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiOf {
    /// By the matches of the rows.
    Match,
    /// This one.
    Fixed(String),
    /// The one that the route's metadata names.
    RouteMetadata,
}

/// What differs from keygate's own defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    pub sources: Vec<Source>,
    pub api: ApiOf,
    /// The header that tells the upstream which application called.
    pub application_header: Option<String>,
    /// The header that tells the upstream which key was used.
    pub key_header: Option<String>,
    /// Whether the upstream sees the key.
    pub shows_credential: bool,
}

/// The namespace and key of the metadata by which a route names its API.
pub const ROUTE_METADATA: [&str; 2] = ["keygate", "api"];

impl Plugin {
    /// The configuration, for a first run in shadow mode.
    pub fn text(&self) -> String {
        let source = |source: &Source| match source {
            Source::Header(name) => json!({ "header": name }),
            Source::Scheme(name, scheme) => json!({ "header": name, "scheme": scheme }),
            Source::Query(name) => json!({ "query": name }),
            Source::Cookie(name) => json!({ "cookie": name }),
        };
        let sources: Vec<String> = self.sources.iter().map(|place| source(place).to_string()).collect();
        // As the examples in `envoy/` have them. The secret is in a variable of Envoy.
        let credentials = json!({ "client_id": "gateway-1", "client_secret": { "env": "POLICY_CLIENT_SECRET" } });
        let mut lines = vec![
            field("policy", &json!({ "cluster": "policy-service", "credentials": credentials })),
            format!("  \"credential_sources\": [{}]", sources.join(", ")),
            field("ambiguous_credentials", &json!("first")),
        ];
        match &self.api {
            ApiOf::Match => {}
            ApiOf::Fixed(id) => lines.push(field("api", &json!({ "fixed": id }))),
            ApiOf::RouteMetadata => lines.push(field("api", &json!({ "route_metadata": ROUTE_METADATA }))),
        }
        let forward = json!({
            "application_id": self.application_header,
            "key_id": self.key_header,
            "key_type": null,
            "credential": self.shows_credential,
        });
        lines.push(field("forward", &forward));
        lines.push(field("mode", &json!("shadow")));
        format!("{{\n{}\n}}", lines.join(",\n"))
    }
}

fn field(name: &str, value: &Value) -> String {
    format!("  \"{name}\": {value}")
}
