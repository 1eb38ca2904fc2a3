//! The format of the table: groups of cases, as the JSON files contain them.

use std::collections::BTreeMap;

use keygate::{config::Fact, digest::Digest};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::text::{self, Bytes};

/// The value that a dishonest client sends in every identity header.
pub const FORGED: &str = "forged-by-the-client";

/// One configuration, one policy, and requests.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What the cases have in common.
    pub name: String,
    /// Fields of the plugin configuration that differ from the minimal one.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// The first page of the policy, without the fields that every page has. Absent: no policy has ever arrived.
    pub policy: Option<Map<String, Value>>,
    /// Whether the policy was last confirmed longer ago than `expire_after_ms`.
    #[serde(default)]
    pub expired: bool,
    /// Defaults for all requests of the group.
    #[serde(default)]
    pub request: Request,
    /// The reason why these cases cannot run with a real Envoy.
    pub native: Option<String>,
    pub cases: Vec<Case>,
}

/// One request and its expected result.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The property that must hold.
    pub name: String,
    #[serde(default)]
    pub request: Request,
    pub expect: Expect,
    /// The reason why this case cannot run with a real Envoy.
    pub native: Option<String>,
    /// The reason why this case cannot run over HTTP/1.
    pub not_http1: Option<String>,
}

/// A request. Absent fields come from the group, then from [`Sent`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub method: Option<String>,
    pub authority: Option<String>,
    pub path: Option<Bytes>,
    /// The request has no `:path`.
    #[serde(default)]
    pub no_path: bool,
    /// The value of `x-api-key`.
    pub key: Option<Bytes>,
    /// More headers, in order.
    #[serde(default)]
    pub headers: Vec<(String, Bytes)>,
    pub address: Option<String>,
    /// The host does not know the client's address.
    #[serde(default)]
    pub no_address: bool,
    /// Metadata of the route: namespace, key, value.
    pub route: Option<[String; 3]>,
    /// The request is sent as given, without forged identity headers.
    #[serde(default)]
    pub honest: bool,
}

/// The expectation: `allowed`, a reason, or a full [`Expectation`].
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Expect {
    Reason(String),
    More(Box<Expectation>),
}

/// The expected result.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The annotated reason: `allowed`, or why not.
    pub reason: String,
    /// Whether the request passes. Absent: if the reason is `allowed`.
    pub passes: Option<bool>,
    /// The counter. Absent: `allowed` or `denied.<reason>`.
    pub counted: Option<String>,
    /// Whether the credential stays in the request.
    #[serde(default)]
    pub credential_kept: bool,
    /// `:path` afterwards. Absent: unchanged.
    pub path: Option<Bytes>,
    /// Values of headers afterwards. An empty list: the header is removed.
    #[serde(default)]
    pub headers: BTreeMap<String, Vec<Bytes>>,
    /// Facts in filter state. Null: the fact is absent.
    #[serde(default)]
    pub annotations: BTreeMap<String, Option<String>>,
    /// Status of the reply. Absent: the default for the reason.
    pub status: Option<u16>,
    /// Message of a gRPC reply. Absent: the default for the reason.
    pub message: Option<String>,
    /// `grpc-status` of the reply. Absent: it is not a gRPC reply.
    pub grpc_status: Option<u8>,
    /// Headers of the reply. Null: the header is absent.
    #[serde(default)]
    pub reply_headers: BTreeMap<String, Option<String>>,
    /// The whole body of the reply.
    pub body: Option<Value>,
}

impl Case {
    /// The expectation in full.
    pub fn expectation(&self) -> Expectation {
        match &self.expect {
            Expect::Reason(reason) => Expectation { reason: reason.clone(), ..Expectation::default() },
            Expect::More(more) => Expectation::clone(more),
        }
    }
}

/// A request as it is sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub method: String,
    pub authority: String,
    pub path: Option<Vec<u8>>,
    /// In order, without pseudo headers.
    pub headers: Vec<(String, Vec<u8>)>,
    pub address: Option<String>,
    pub route: Option<[String; 3]>,
}

impl Group {
    /// The request of a case, as it is sent.
    pub fn sent(&self, case: &Case) -> Sent {
        let (ours, theirs) = (&self.request, &case.request);
        let key = theirs.key.as_ref().or(ours.key.as_ref());
        let mut headers: Vec<(String, Vec<u8>)> =
            key.map(|key| ("x-api-key".to_owned(), key.0.clone())).into_iter().collect();
        headers.extend(ours.headers.iter().chain(&theirs.headers).map(|(name, value)| (name.clone(), value.0.clone())));
        if !ours.honest && !theirs.honest {
            for name in ["x-application-id", "x-key-id"] {
                headers.push((name.to_owned(), FORGED.as_bytes().to_vec()));
            }
            headers.push(("x-key-type".to_owned(), b"SANDBOX".to_vec()));
        }
        let path = theirs.path.as_ref().or(ours.path.as_ref()).map_or(b"/api".to_vec(), |path| path.0.clone());
        let pick = |ours: &Option<String>, theirs: &Option<String>, or: &str| {
            theirs.as_ref().or(ours.as_ref()).map_or_else(|| or.to_owned(), Clone::clone)
        };
        Sent {
            method: pick(&ours.method, &theirs.method, "GET"),
            authority: pick(&ours.authority, &theirs.authority, "gateway.test"),
            path: (!theirs.no_path).then_some(path),
            headers,
            address: (!theirs.no_address).then(|| pick(&ours.address, &theirs.address, "127.0.0.1")),
            route: theirs.route.clone().or_else(|| ours.route.clone()),
        }
    }

    /// The plugin configuration. `policy` says where the policy comes from.
    pub fn configuration(&self, policy: &Value) -> Value {
        let mut config = resolve(&Value::Object(self.config.clone()), 0);
        let mut source = policy.as_object().expect("an object").clone();
        source.extend(config.get("policy").and_then(Value::as_object).cloned().unwrap_or_default());
        config["policy"] = Value::Object(source);
        if config.get("annotate").is_none() {
            config["annotate"] = Fact::ALL.iter().map(|fact| fact.as_str()).collect();
        }
        config
    }

    /// The policy's page at this time.
    pub fn page(&self, now: u64) -> Option<Value> {
        let mut page = json!({"format": 1, "revision": 7});
        for (name, value) in self.policy.as_ref()? {
            page[name] = resolve(value, now);
        }
        for (index, row) in page.get_mut("keys").and_then(Value::as_array_mut).into_iter().flatten().enumerate() {
            let row = row.as_object_mut().expect("a row of `keys` is an object");
            if let Some(key) = row.remove("key") {
                let key = text::read(&key).expect("a key's bytes");
                row.insert("sha256".to_owned(), json!(Digest::of(&key).to_hex()));
                row.entry("id").or_insert(json!(format!("k{index}")));
            }
        }
        Some(page)
    }

    /// All keys of the policy and of `emergency`, in clear.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        let rows = self.policy.as_ref().and_then(|page| page.get("keys")?.as_array().cloned()).unwrap_or_default();
        let mut keys: Vec<_> = rows.iter().filter_map(|row| text::read(row.get("key")?)).collect();
        clear_texts(&Value::Object(self.config.clone()), &mut keys);
        keys
    }

    /// The row of `keys` with this id.
    pub fn key_row(&self, id: &str) -> Option<Value> {
        self.page(u64::from(u32::MAX))?.get("keys")?.as_array()?.iter().find(|row| row["id"] == id).cloned()
    }
}

/// Replaces `{"now": …}` and `{"sha256": …}` by their values, at any depth.
fn resolve(value: &Value, now: u64) -> Value {
    match value {
        Value::Object(fields) if fields.len() == 1 && fields.contains_key("now") => {
            json!(i64::try_from(now).expect("a time") + fields["now"].as_i64().expect("seconds"))
        }
        Value::Object(fields) if fields.len() == 1 && fields.contains_key("sha256") => {
            json!(Digest::of(&text::read(&fields["sha256"]).expect("bytes")).to_hex())
        }
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), resolve(value, now))).collect(),
        Value::Array(values) => values.iter().map(|value| resolve(value, now)).collect(),
        other => other.clone(),
    }
}

fn clear_texts(value: &Value, keys: &mut Vec<Vec<u8>>) {
    match value {
        Value::Object(fields) if fields.len() == 1 => keys.extend(fields.get("sha256").and_then(text::read)),
        _ => {}
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|value| clear_texts(value, keys)),
        Value::Array(values) => values.iter().for_each(|value| clear_texts(value, keys)),
        _ => {}
    }
}
