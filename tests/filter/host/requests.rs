//! Requests: as tests write them, as the host stores them, and their results.

use std::{collections::BTreeMap, fmt};

use super::headers::Headers;

/// The head of a request.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) headers: Headers,
    pub(super) properties: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) secrets: Vec<Vec<u8>>,
}

impl Request {
    /// A GET of this path on `api.example.com`, from 192.0.2.1.
    pub fn get(path: impl AsRef<[u8]>) -> Self {
        Self::method("GET", path)
    }

    /// The same with another method.
    pub fn method(method: &str, path: impl AsRef<[u8]>) -> Self {
        let bare = Self { headers: Headers::default(), properties: BTreeMap::new(), secrets: Vec::new() };
        bare.header(":method", method)
            .header(":scheme", "http")
            .header(":authority", "api.example.com")
            .header(":path", path)
            .from("192.0.2.1:40000")
    }

    /// Adds a header line.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Removes all lines with this name.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Sets the only line with this name.
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.replace(name, value);
        self
    }

    /// Sets the host.
    pub fn host(self, authority: &str) -> Self {
        self.with(":authority", authority)
    }

    /// Sets this key in `x-api-key`. From now on the key is a secret.
    pub fn key(self, key: impl AsRef<[u8]>) -> Self {
        self.secret(key.as_ref()).header("x-api-key", key)
    }

    /// These bytes are in this request and must not appear anywhere else.
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secrets.push(secret.as_ref().to_vec());
        self
    }

    /// Sets the client's address, `ip:port`, as `source.address` has it.
    pub fn from(self, address: &str) -> Self {
        self.property(&["source", "address"], address)
    }

    /// Sets a property that the filter may read.
    pub fn property(mut self, path: &[&str], value: impl AsRef<[u8]>) -> Self {
        self.properties.insert(path.join("\0").into_bytes(), value.as_ref().to_vec());
        self
    }

    /// Removes a property.
    pub fn without_property(mut self, path: &[&str]) -> Self {
        self.properties.remove(path.join("\0").as_bytes());
        self
    }
}

/// The host's side of one request.
pub struct Stream {
    pub root: u32,
    pub headers: Headers,
    pub properties: BTreeMap<Vec<u8>, Vec<u8>>,
    /// `wasm.…` → value.
    pub filter_state: BTreeMap<String, Vec<u8>>,
    /// Whether the request's headers can be read: only until the request goes on.
    pub readable: bool,
    /// How often a change of the request's headers made the route be chosen again.
    pub route_choices: u32,
    pub phase: Phase,
    pub reply: Option<Reply>,
}

/// The state of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Deciding,
    Paused,
    Passed,
    Refused,
    /// The client went away.
    Aborted,
}

/// A local response in its ABI form.
pub struct LocalReply<'a> {
    pub status: u32,
    pub details: &'a [u8],
    pub body: &'a [u8],
    pub headers: Headers,
    pub grpc_status: i32,
}

/// A refusal as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u32,
    /// Response code details, for the access log only.
    pub details: String,
    pub headers: Headers,
    pub body: Vec<u8>,
    /// `grpc-status` of a trailers-only reply to a gRPC request.
    pub grpc_status: Option<u32>,
    /// The status before Envoy converted the reply to gRPC.
    pub http_status: u32,
}

impl Stream {
    pub fn new(root: u32, request: Request) -> Self {
        Self {
            root,
            headers: request.headers,
            properties: request.properties,
            filter_state: BTreeMap::new(),
            readable: true,
            route_choices: 0,
            phase: Phase::Deciding,
            reply: None,
        }
    }

    /// Envoy's `sendLocalReply`: a reply to HEAD loses its body, a reply to gRPC has trailers only.
    pub fn local_reply(&self, raw: LocalReply<'_>) -> Reply {
        let mut reply = Reply {
            status: raw.status,
            details: String::from_utf8_lossy(raw.details).into_owned(),
            headers: raw.headers,
            body: raw.body.to_vec(),
            grpc_status: None,
            http_status: raw.status,
        };
        let content_type = self.headers.first("content-type").unwrap_or_default();
        // With parameters (`;`) it is an ordinary request for Envoy, and the filter makes the gRPC reply.
        let grpc =
            content_type.strip_prefix(b"application/grpc").is_some_and(|rest| rest.is_empty() || rest[0] == b'+');
        reply.grpc_status = reply.headers.text("grpc-status").and_then(|status| status.parse().ok());
        if grpc {
            let code = u32::try_from(raw.grpc_status).ok().filter(|code| *code <= 16);
            let code = code.unwrap_or_else(|| grpc_code(raw.status));
            reply.status = 200;
            reply.grpc_status = Some(code);
            reply.headers.replace("content-type", "application/grpc");
            reply.headers.replace("grpc-message", &reply.body);
            reply.body.clear();
        } else if self.headers.first(":method") == Some(b"HEAD") {
            reply.body.clear();
        }
        reply
    }
}

/// Envoy's `httpToGrpcStatus`.
fn grpc_code(status: u32) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// The state or the result of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The request went upstream.
    Passed,
    /// The client got this reply.
    Refused(Reply),
    /// The request waits. The ticket identifies it.
    Held(u32),
    /// The client went away while the request waited.
    Aborted,
    /// The VM is dead: Envoy answers 503 with an empty body.
    Dead(String),
}

/// A request and its result.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub outcome: Outcome,
    /// The request's headers afterwards, as the upstream and the access log see them.
    pub headers: Headers,
    /// `wasm.…` → value.
    pub filter_state: BTreeMap<String, Vec<u8>>,
    /// How often the route was chosen again.
    pub route_choices: u32,
}

impl Exchange {
    /// One annotated fact, as text.
    pub fn fact(&self, name: &str) -> Option<String> {
        let value = self.filter_state.get(&format!("wasm.keygate.{name}"))?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// The result in a few words: `allowed`, `passed <reason>`, `held`, `<status> <reason>`, `dead`.
    pub fn verdict(&self) -> String {
        match &self.outcome {
            Outcome::Passed => match self.fact("reason").as_deref() {
                Some("allowed") => "allowed".to_owned(),
                reason => format!("passed {}", reason.unwrap_or("without a reason")),
            },
            Outcome::Refused(reply) => {
                format!("{} {}", reply.status, reply.details.strip_prefix("keygate_").unwrap_or(&reply.details))
            }
            Outcome::Held(_) => "held".to_owned(),
            Outcome::Aborted => "aborted".to_owned(),
            Outcome::Dead(_) => "dead".to_owned(),
        }
    }

    /// The refusal.
    #[track_caller]
    pub fn reply(&self) -> &Reply {
        match &self.outcome {
            Outcome::Refused(reply) => reply,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// The ticket of a request that waits.
    #[track_caller]
    pub fn ticket(&self) -> u32 {
        match &self.outcome {
            Outcome::Held(ticket) => *ticket,
            other => panic!("not held: {other:?}"),
        }
    }
}

impl Reply {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.headers, String::from_utf8_lossy(&self.body))
    }
}
