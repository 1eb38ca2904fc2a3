//! Writes one log line for each accepted change: who made it, from which address, what it did, and which revision it
//! made.
//!
//! A line contains ids and states, and no other content of a row. Keys and tokens are never in a path, so they are
//! never in a line.

use std::net::{IpAddr, Ipv4Addr};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, Method, header},
    middleware::Next,
    response::Response,
};
use percent_encoding::percent_decode_str;

use crate::{guesses::Peer, metrics::Metrics};
use management::port::Actor;

/// What the handler of a change tells the log.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Who made the change.
    pub actor: Actor,
    /// The revision that the change made; `None` if nothing changed.
    pub revision: Option<i64>,
    /// The state of the resulting row.
    pub state: Option<String>,
    /// Whether the answer was stored for repetition.
    pub is_stored: bool,
}

/// Logs and counts an accepted change.
pub async fn log(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let accepted = response.extensions().get::<Accepted>();
    if let Some(Accepted { actor, revision: Some(revision), state, .. }) = accepted {
        let Deed { action, kind, id } = Deed::of(&method, &path, response.headers().get(header::LOCATION));
        metrics.count_change(kind, action);
        let (actor, role, state) = (actor.subject(), actor.role(), state.as_deref());
        tracing::info!(actor, role, %address, action, kind, id, state, revision, "a change was accepted");
    }
    response
}

/// What a request did, in the words of the interface.
#[derive(Debug, PartialEq, Eq)]
struct Deed<'p> {
    action: &'p str,
    kind: &'p str,
    id: String,
}

impl<'p> Deed<'p> {
    /// Derives the words from the request. `made` is the `location` of a new row.
    fn of(method: &Method, path: &'p str, made: Option<&HeaderValue>) -> Self {
        let path = path.trim_start_matches("/v1/");
        // Credentials stand below the gateways.
        let path = path.strip_prefix("gateways/").filter(|rest| rest.starts_with("credentials")).unwrap_or(path);
        let mut parts = path.split('/');
        let (list, id, last) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let (action, list) = match last {
            None if ["import", "restore"].contains(&list) => (list, "policy"),
            Some("keys") => ("issue", "keys"),
            Some(action) => (action, list),
            None if method == Method::PUT => ("replace", list),
            None if method == Method::DELETE => ("delete", list),
            None => ("create", list),
        };
        let kind = match list {
            "apis" => "api",
            "deny-policies" => "deny_policy",
            "credentials" => "gateway_credential",
            others => others.trim_end_matches('s'),
        };
        let made = made.and_then(|place| place.to_str().ok()?.rsplit('/').next());
        let id = percent_decode_str(made.or(id).unwrap_or_default()).decode_utf8_lossy().into_owned();
        Self { action, kind, id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_its_words() {
        for (method, path, made, action, kind, id) in [
            (Method::POST, "/v1/apis", Some("/v1/apis/a%2Fb"), "create", "api", "a/b"),
            (Method::POST, "/v1/deny-policies", Some("/v1/deny-policies/d"), "create", "deny_policy", "d"),
            (Method::POST, "/v1/applications/app/keys", Some("/v1/keys/k"), "issue", "key", "k"),
            (Method::POST, "/v1/keys/k/regenerate", Some("/v1/keys/k2"), "regenerate", "key", "k2"),
            (Method::POST, "/v1/keys/k/revoke", None, "revoke", "key", "k"),
            (Method::POST, "/v1/subscriptions/s/block", None, "block", "subscription", "s"),
            (Method::POST, "/v1/applications/app/unblock", None, "unblock", "application", "app"),
            (Method::POST, "/v1/restore", None, "restore", "policy", ""),
            (
                Method::POST,
                "/v1/gateways/credentials",
                Some("/v1/gateways/credentials/c"),
                "create",
                "gateway_credential",
                "c",
            ),
            (Method::DELETE, "/v1/gateways/credentials/c", None, "delete", "gateway_credential", "c"),
            (Method::DELETE, "/v1/gateways/g", None, "delete", "gateway", "g"),
            (Method::DELETE, "/v1/tokens/t", None, "delete", "token", "t"),
            (Method::PUT, "/v1/plans/p", None, "replace", "plan", "p"),
            (Method::DELETE, "/v1/plans/%C3%A4", None, "delete", "plan", "ä"),
        ] {
            let made = made.map(HeaderValue::from_static);
            let deed = Deed::of(&method, path, made.as_ref());
            assert_eq!(deed, Deed { action, kind, id: id.to_owned() }, "{method} {path}");
        }
    }
}
