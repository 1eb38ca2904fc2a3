//! Compares keygate with Envoy's native `envoy.filters.http.api_key_auth` where both have the same feature: keys in
//! headers, query and cookies, hidden from the upstream, and the client's name forwarded. The same requests go through
//! both. Every difference is listed here with its reason. The test fails if there is one more or one less.

use serde_json::{Value, json};

use crate::{
    cases::table::Group,
    gateway::{Gateway, Listener, keygate},
    servers::{Feed, Page, got},
    wire,
};

/// The result of a request as one line: the request that the upstream received, or the status of the refusal.
fn seen(answer: &wire::Answer) -> String {
    let Some(got) = got(answer) else { return answer.status.to_string() };
    let shown = ["x-api-key", "authorization", "cookie", "x-application-id"];
    let mut headers = got.headers.iter().filter(|(name, _)| shown.contains(&&**name)).collect::<Vec<_>>();
    headers.sort();
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!(" {name}={}", value.escape_ascii().to_string().replace('\\', "")))
        .collect();
    format!("{}{headers}", String::from_utf8_lossy(&got.target))
}

/// The target and headers of a request. Where the two filters differ, also the result of keygate, the result of the
/// native filter, and the reason.
struct Pair {
    name: &'static str,
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    differs: Option<[&'static str; 3]>,
}

const fn pair(name: &'static str, target: &'static str, headers: &'static [(&'static str, &'static str)]) -> Pair {
    Pair { name, target, headers, differs: None }
}

impl Pair {
    const fn differs(self, keygate: &'static str, native: &'static str, why: &'static str) -> Self {
        Self { differs: Some([keygate, native, why]), ..self }
    }
}

#[rustfmt::skip]
const PAIRS: &[Pair] = &[
    pair("a key in the header", "/api?a=1", &[("x-api-key", "good-key")]),
    pair("a key in the query", "/api?apikey=good-key", &[]),
    pair("a key in a cookie", "/api", &[("cookie", "api_key=good-key")]),
    pair("a key behind Bearer", "/api", &[("authorization", "Bearer good-key")]),
    pair("no key", "/api", &[]),
    pair("an unknown key", "/api", &[("x-api-key", "nobodys")]),
    pair("a key in a header's other case", "/api", &[("X-API-Key", "good-key")]),
    pair("the name of the query in another case", "/api?ApiKey=good-key", &[]),
    pair("a forged client", "/api", &[("x-api-key", "good-key"), ("x-application-id", "me")]),
    pair("an empty header and a key in the query", "/api?apikey=good-key", &[("x-api-key", "")]),
    pair("the same key in header and query", "/api?apikey=good-key", &[("x-api-key", "good-key")]),
    pair("other arguments", "/api?b=2&apikey=good-key&a=1", &[])
        .differs("/api?b=2&a=1 x-application-id=one", "/api?a=1&b=2 x-application-id=one", "the native filter sorts the arguments; keygate keeps their order"),
    pair("other arguments with escapes", "/api?b=%41%2f&apikey=good-key&a=+", &[])
        .differs("/api?b=%41%2f&a=+ x-application-id=one", "/api?a=+&b=A/ x-application-id=one", "the native filter writes them anew, decoded; keygate keeps their bytes"),
    pair("an argument without a value", "/api?b&apikey=good-key", &[])
        .differs("/api?b x-application-id=one", "/api?b= x-application-id=one", "the native filter writes them anew"),
    pair("an argument twice", "/api?b=1&apikey=good-key&b=2", &[]),
    pair("the key twice in the query", "/api?apikey=good-key&apikey=good-key", &[]),
    pair("an escaped key in the query", "/api?apikey=good%2Dkey", &[]),
    pair("an escaped name in the query", "/api?%61pikey=good-key", &[]),
    pair("other cookies", "/api", &[("cookie", "a=1; api_key=good-key; b=2")]),
    pair("a cookie in quotes", "/api", &[("cookie", "api_key=\"good-key\"")]),
    pair("a known and an unknown key", "/api?apikey=nobodys", &[("x-api-key", "good-key")])
        .differs("401", "/api x-application-id=one", "the native filter takes the first source that holds anything; keygate refuses several keys, unless it is told to take the first"),
    pair("an unknown and a known key", "/api?apikey=good-key", &[("x-api-key", "nobodys")]),
    pair("two known keys", "/api?apikey=second-key", &[("x-api-key", "good-key")])
        .differs("401", "/api x-application-id=one", "the same"),
    pair("two keys in one header", "/api", &[("x-api-key", "good-key"), ("x-api-key", "second-key")])
        .differs("401", "/api x-application-id=one", "the same, within one header"),
    pair("Bearer in lower case", "/api", &[("authorization", "bearer good-key")])
        .differs("/api x-application-id=one", "401", "schemes ignore case (RFC 9110, 11.1)"),
    pair("a key behind Bearer in x-api-key", "/api", &[("x-api-key", "Bearer good-key")])
        .differs("401", "/api x-application-id=one", "the native filter strips the scheme in every header; keygate where the source has one"),
    pair("a key without Bearer in authorization", "/api", &[("authorization", "good-key")])
        .differs("401", "/api x-application-id=one", "the native filter takes a header with and without the scheme; keygate as the source says"),
    pair("another scheme beside a key", "/api", &[("authorization", "Basic dTpw"), ("x-api-key", "good-key")])
        .differs("/api authorization=Basic dTpw x-application-id=one", "/api x-application-id=one", "what is no credential of keygate's stays; the native filter hides every header that is a source"),
    pair("blanks around a key", "/api", &[("x-api-key", "  good-key  ")]),
];

#[tokio::test]
async fn every_difference_from_the_native_filter_has_a_reason() {
    let group: Group = serde_json::from_value(json!({"name": "differential", "cases": [],
        "config": {"credential_sources": [{"header": "x-api-key"}, {"header": "authorization", "scheme": "Bearer"}, {"query": "apikey"}, {"cookie": "api_key"}],
                   "forward": {"application_id": "x-application-id", "key_id": null, "key_type": null}},
        "policy": {
            "apis": [{"id": "api", "match": [{"path": "/"}], "subscription_required": false}],
            "applications": [{"id": "one"}, {"id": "two"}],
            "keys": [{"key": "good-key", "application": "one"}, {"key": "second-key", "application": "two"}]}}))
    .unwrap();
    let feed = Feed::start().await;
    feed.put("/page", Page::Always(group.page(0).unwrap()));
    let native = json!({"name": "envoy.filters.http.api_key_auth", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
        "credentials": [{"key": "good-key", "client": "one"}, {"key": "second-key", "client": "two"}],
        "key_sources": [{"header": "x-api-key"}, {"header": "authorization"}, {"query": "apikey"}, {"cookie": "api_key"}],
        "forwarding": {"header": "x-application-id", "hide_credentials": true}}});
    let ours = keygate(&group.configuration(&json!({"cluster": "policy", "path": "/page"})));
    let listener = |filter: Value| Listener { filters: vec![filter], ..Listener::default() };
    let gateway = Gateway::start("cases-differential", feed, &[listener(ours), listener(native)]).await;
    gateway.applied(1).await;

    let mut wrong = Vec::new();
    for pair in PAIRS {
        let mut headers: Vec<(&str, &[u8])> = vec![("host", b"gateway.test"), ("connection", b"close")];
        headers.extend(pair.headers.iter().map(|(name, value)| (*name, value.as_bytes())));
        let request = wire::head("GET", pair.target.as_bytes(), &headers);
        let [keygate, native] = [
            seen(&wire::send(gateway.addresses[0], &request).await),
            seen(&wire::send(gateway.addresses[1], &request).await),
        ];
        let right = match pair.differs {
            None => keygate == native,
            Some([ours, theirs, _]) => keygate == ours && native == theirs && ours != theirs,
        };
        if !right {
            wrong.push(format!("{}:\n  keygate: {keygate}\n  native:  {native}", pair.name));
        }
        if let Some([_, _, why]) = pair.differs {
            println!("{}: keygate: {keygate}; native: {native}: {why}", pair.name);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
