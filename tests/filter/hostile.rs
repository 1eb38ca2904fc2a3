//! Requests that attack a service or the filter. Each is refused, none kills the VM, and none leaves a trace of itself.

use serde_json::json;

use crate::{
    host::{Outcome, Request},
    policy::*,
};

fn hostile() -> Vec<(&'static str, Request)> {
    let path = "/payments/1.0";
    let get = || Request::get(path);
    let many =
        |count: usize, name: &str| (0..count).fold(get(), |request, n| request.header(name, format!("key number {n}")));
    vec![
        ("bytes that are no text", get().header("x-api-key", b"\xff\xfe\x80key")),
        ("a NUL in the key", get().header("x-api-key", b"a\0b")),
        ("8 KiB of key", get().key("k".repeat(8192))),
        ("64 KiB of key", get().key("k".repeat(65536))),
        ("a thousand keys", many(1000, "x-api-key")),
        ("a thousand headers of no meaning", many(1000, "x-other")),
        ("no path", get().without(":path").key("a key")),
        ("no authority", get().without(":authority").key("a key")),
        ("no method", get().without(":method").key("a key")),
        ("nothing at all", get().without(":path").without(":authority").without(":method").without(":scheme")),
        ("CONNECT", Request::method("CONNECT", "").without(":path").key("a key")),
        ("an empty path", Request::get("").key("a key")),
        ("a path of bytes", Request::get(b"/payments/1.0/\xff\xfe")),
        ("a path of escapes", Request::get("/payments/1.0/%ff%fe%00?apikey=x")),
        ("a half escape", Request::get("/payments/1.0/%")),
        ("a star", Request::method("OPTIONS", "*")),
        ("an absolute form", Request::get("http://api.example.com/payments/1.0")),
        ("64 KiB of path", Request::get(format!("/payments/1.0/{}", "a/".repeat(32_768)))),
        ("64 KiB of query", Request::get(format!("/payments/1.0?{}", "a=b&".repeat(16_384)))),
        ("a broken query", Request::get("/payments/1.0?apikey=%zz&apikey&=&&&apikey=%")),
        ("a query of bytes", Request::get(b"/payments/1.0?apikey=\xff\xff")),
        ("a fragment", Request::get("/payments/1.0#?apikey=x")),
        ("a host of bytes", get().with(":authority", b"\xff\xff")),
        ("a host without end", get().host(&"a.".repeat(8192))),
        ("a host of colons", get().host(":::::")),
        ("a digest for a key", get().key(sha256(PRODUCTION_KEY))),
        ("the key with a blank inside", get().header("x-api-key", "production-key -of-app-1")),
        ("another case", get().key(PRODUCTION_KEY.to_uppercase())),
        ("the key and a NUL", get().header("x-api-key", format!("{PRODUCTION_KEY}\0"))),
        ("an empty property for the address", get().from("")),
        ("no address", get().without_property(&["source", "address"])),
        ("an address of bytes", get().property(&["source", "address"], b"\xff\xff")),
        ("emojis", get().header("x-api-key", "🔑🔑🔑")),
        ("forged facts", get().header("x-application-id", "app-1").header("x-key-type", "SANDBOX")),
        ("trailing commas", get().header("authorization", "Bearer ,Bearer ,")),
    ]
}

#[test]
fn hostile_requests_are_refused_and_the_filter_lives() {
    let sources = json!([
        {"header": "x-api-key"}, {"header": "apikey"}, {"query": "apikey"}, {"header": "authorization", "scheme": "Bearer"},
        {"cookie": "api_key"}, {"basic": "password"}, {"basic": "username"}
    ]);
    for ambiguous in ["reject", "first"] {
        let changes = [("credential_sources", sources.clone()), ("ambiguous_credentials", json!(ambiguous))];
        let (mut envoy, _service) = running_with(configuration(changes), &Page::demo(1));
        for (name, request) in hostile() {
            let exchange = envoy.worker(1).request(request);
            assert!(matches!(exchange.outcome, Outcome::Refused(_)), "{name}: {}", exchange.verdict());
            for header in ["x-api-key", "apikey", "authorization"] {
                assert_eq!(exchange.headers.first(header), None, "{name}: {header}");
            }
            let good = envoy.worker(1).request(Request::get("/payments/1.0").key(PRODUCTION_KEY));
            assert_eq!(good.verdict(), "allowed", "after {name}");
        }
    }
}

#[test]
fn credentials_of_every_shape_are_refused_and_never_repeated() {
    let sources =
        json!([{"header": "authorization", "scheme": "Bearer"}, {"cookie": "api_key"}, {"basic": "password"}]);
    let (mut envoy, _service) = running_with(configuration([("credential_sources", sources)]), &Page::demo(1));
    let cases: [(&str, &[u8], &str); 14] = [
        ("authorization", b"Bearer", "401 credential_missing"),
        ("authorization", b"Bearer ", "401 credential_missing"),
        ("authorization", b"Bearer wrong-bearer-key", "401 key_unknown"),
        ("authorization", b"bEARER production-key-of-app-1", "allowed"),
        ("authorization", b"Basic", "401 credential_missing"),
        ("authorization", b"Basic ====", "401 credential_malformed"),
        ("authorization", b"Basic \xff\xff", "401 credential_malformed"),
        ("authorization", b"Basic bm8gY29sb24=", "401 credential_malformed"),
        ("authorization", b"Digest something-else", "401 credential_missing"),
        ("authorization", b"\xff\xff\xff\xff\xff\xff", "401 credential_missing"),
        ("cookie", b"api_key=wrong-cookie-key", "401 key_unknown"),
        ("cookie", b"api_key=\"production-key-of-app-1\"; other=1", "allowed"),
        ("cookie", b";;;=;api_key;api_key=", "401 credential_missing"),
        ("cookie", b"\xff\xff=\xff; api_key=\xff\xff\xff\xff\xff\xff", "401 key_unknown"),
    ];
    for (name, value, verdict) in cases {
        let request = Request::get("/payments/1.0").header(name, value).secret(value);
        let exchange = envoy.worker(1).request(request);
        assert_eq!(exchange.verdict(), verdict, "{name}: {}", String::from_utf8_lossy(value));
    }
}

#[test]
fn refusals_do_not_fill_the_log() {
    let (mut envoy, _service) = running(&Page::demo(1));
    let before = envoy.log(crate::host::LogLevel::Info).len();
    for (_, request) in hostile() {
        envoy.worker(1).request(request);
    }
    assert_eq!(envoy.log(crate::host::LogLevel::Info).len(), before, "a client cannot write to the log");
}
