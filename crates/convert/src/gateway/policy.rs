//! A SecurityPolicy: its targets, its Secrets, and the places of keys.

use super::{ROUTES, resource::Resource};
use crate::{
    draft::Draft,
    finding::Spot,
    plugin::Source,
    yaml::{At, Object},
};

/// A SecurityPolicy with `apiKeyAuth`.
pub struct Policy {
    pub namespace: String,
    pub name: String,
    pub targets: Vec<Target>,
    /// Namespace and name, with the place that names them.
    pub secrets: Vec<(String, String, Spot, String)>,
    pub sources: Vec<Source>,
    pub header: Option<String>,
    pub sanitizes: bool,
}

/// What a policy is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `HTTPRoute`, `GRPCRoute` or `Gateway`.
    pub kind: String,
    pub name: String,
    /// A rule of a route, or a listener of a Gateway.
    pub section: Option<String>,
    pub spot: Spot,
    pub at: String,
}

impl Policy {
    /// Reads a policy; `None` if it has no `apiKeyAuth`.
    pub fn read(draft: &mut Draft<'_>, mut resource: Resource<'_>) -> Option<Self> {
        let mut spec = resource.fields.take(&["spec"])?.object(draft)?;
        let auth = spec.take(&["apiKeyAuth"]);
        let Some(auth) = auth else {
            let why = "it has no apiKeyAuth";
            resource.at.lose(draft, "a SecurityPolicy", why, "leave it in place beside keygate");
            return None;
        };
        let mut auth = auth.object(draft)?;
        let mut targets = Vec::new();
        for at in spec.list(draft, &["targetRefs"]).into_iter().chain(spec.take(&["targetRef"])) {
            targets.extend(Target::read(draft, &at));
        }
        if let Some(at) = spec.take(&["targetSelectors"]) {
            let why = "labels choose the targets while the cluster runs";
            at.lose(draft, "targetSelectors", why, "name the routes in targetRefs, and convert again");
        }
        let mut secrets = Vec::new();
        for at in auth.list(draft, &["credentialRefs"]) {
            let Some(mut fields) = at.object(draft) else { continue };
            let name = fields.text(draft, &["name"]);
            let namespace = fields.text(draft, &["namespace"]).unwrap_or(&resource.namespace).to_owned();
            fields.ignore(&["group", "kind"]);
            lose_unknown(draft, fields);
            if namespace != resource.namespace {
                let why = "Envoy Gateway takes a Secret of another namespace only with a ReferenceGrant";
                at.lose(draft, "the check of that grant", why, "make sure that the policy is accepted today");
            }
            match name {
                Some(name) => secrets.push((namespace, name.to_owned(), at.spot(), at.path.clone())),
                None => at.refuse(draft, "the name of a Secret"),
            }
        }
        let mut sources = Vec::new();
        for at in auth.list(draft, &["extractFrom"]) {
            read_places(draft, &at, &mut sources);
        }
        let header = auth.text(draft, &["forwardClientIDHeader"]).map(str::to_lowercase);
        let sanitizes = auth.truth(draft, &["sanitize"]).unwrap_or_default();
        lose_unknown(draft, auth);
        lose_others(draft, spec);
        let Resource { namespace, name, .. } = resource;
        Some(Self { namespace, name, targets, secrets, sources, header, sanitizes })
    }
}

fn lose_unknown(draft: &mut Draft<'_>, fields: Object<'_>) {
    fields.lose_rest(draft, "the converter does not know it", "look it up in Envoy Gateway's reference of APIKeyAuth");
}

/// What a policy asks for beside keys goes on to work in a policy of its own.
fn lose_others(draft: &mut Draft<'_>, mut spec: Object<'_>) {
    for (name, at) in spec.rest() {
        let what = format!("{name} of the policy");
        match name {
            "authorization" => {
                let why = "a key's permitted_ips and deny policies of keygate are not the same rules";
                let instead = "keep the SecurityPolicy without apiKeyAuth; it then decides before or after keygate";
                at.lose(draft, what, why, instead);
            }
            _ => at.lose(draft, what, "it is not about API keys", "keep the SecurityPolicy without apiKeyAuth"),
        }
    }
}

fn read_places(draft: &mut Draft<'_>, at: &At<'_>, sources: &mut Vec<Source>) {
    let Some(mut fields) = at.object(draft) else { return };
    let mut is_empty = true;
    for name in ["headers", "params", "cookies"] {
        for text in fields.texts(draft, &[name]).unwrap_or_default() {
            is_empty = false;
            match name {
                "headers" => {
                    let header = text.to_lowercase();
                    // Envoy cuts `Bearer ` off any header.
                    sources.push(Source::Scheme(header.clone(), "Bearer"));
                    sources.push(Source::Header(header));
                }
                "params" => sources.push(Source::Query(text.to_owned())),
                _ => sources.push(Source::Cookie(text.to_owned())),
            }
        }
    }
    lose_unknown(draft, fields);
    if is_empty {
        at.refuse(draft, "one of headers, params and cookies, with a name");
    }
}

impl Target {
    fn read(draft: &mut Draft<'_>, at: &At<'_>) -> Option<Self> {
        let mut fields = at.object(draft)?;
        let group = fields.text(draft, &["group"]).unwrap_or_default();
        let kind = fields.text(draft, &["kind"]).unwrap_or_default().to_owned();
        let name = fields.text(draft, &["name"]).unwrap_or_default().to_owned();
        let section = fields.text(draft, &["sectionName"]).map(str::to_owned);
        fields.ignore(&["namespace"]);
        lose_unknown(draft, fields);
        if name.is_empty() || group != ROUTES || !matches!(kind.as_str(), "HTTPRoute" | "GRPCRoute" | "Gateway") {
            at.refuse(draft, "the name of an HTTPRoute, a GRPCRoute or a Gateway of gateway.networking.k8s.io");
            return None;
        }
        Some(Self { kind, name, section, spot: at.spot(), at: at.path.clone() })
    }
}
