//! No secret leaks: keys in every source, the gateway's credentials, digests, the administrator's token. They are sent
//! and configured in every place that takes them, and then searched for in all output of Envoy, the filter and the
//! policy service.

use std::{fs, time::Duration};

use keygate_e2e::{
    Options, Stack,
    deadline::eventually,
    envoy::Envoy,
    http::{self, Ask},
    policy_service::{ADMIN_TOKEN, GATEWAY_SECRET},
    ports,
    stack::Policy,
    story::{self, Expected, ORDERS},
    workers::Workers,
};
use serde_json::Value;

const SEEN_WITHIN: Duration = Duration::from_secs(6);
const REACHES: Expected = Expected::Reaches("production");

/// A value of `policy.headers`, which is in Envoy's configuration in clear.
const HEADER: &str = "header-secret-4711-of-the-gateway";
/// Keys in clear with their digests, as `printf %s KEY | sha256sum` prints them.
const DENIED: (&str, &str) =
    ("emergency-denied-key-0815", "259bceb0a29bbdeadcd3142e34640b49c9a05ee1cf5adb130e5eeef442083e84");
const ALLOWED: (&str, &str) =
    ("emergency-allowed-key-0816", "693ba4323dba97b23f85b743735e423b2df345f4287e173cb9fc872d53a704c1");

/// Requests with this key in each source, each in a different form.
fn in_every_source(key: &str) -> Vec<Ask> {
    let basic = |user: &str, password: &str| format!("Basic {}", base64(&format!("{user}:{password}")));
    vec![
        Ask::get(ORDERS).key(key),
        Ask::get(ORDERS).header("apikey", key),
        Ask::get(format!("{ORDERS}?a=1&apikey={key}&b=2")),
        Ask::get(ORDERS).header("authorization", format!("Bearer {key}")),
        Ask::get(ORDERS).header("authorization", basic("somebody", key)),
        Ask::get(ORDERS).header("cookie", format!("a=1; api_key={key}; b=2")),
        Ask::new("POST", ORDERS).header("content-type", "application/grpc").key(key),
        Ask::new("HEAD", ORDERS).key(key),
        // Requests without an API, with a refused path, and with a second key.
        Ask::get(format!("/nowhere?apikey={key}")),
        Ask::get(format!("{ORDERS}/%252e?apikey={key}")),
        Ask::get(ORDERS).key(key).header("apikey", "another-key-beside-it-4712"),
        Ask::get(ORDERS).key(&format!("{key}{}", "x".repeat(4096))),
    ]
}

pub fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = |chunk: &[u8]| {
        let number = chunk.iter().chain(&[0; 2]).take(3).fold(0, |number, byte| number << 8 | usize::from(*byte));
        let digit = move |at: usize| if at <= chunk.len() { DIGITS[number >> (18 - 6 * at) & 63] as char } else { '=' };
        (0..4).map(digit).collect::<String>()
    };
    text.as_bytes().chunks(3).map(digits).collect()
}

fn options() -> Options {
    let sources = r#"[{"header": "x-api-key"}, {"header": "apikey"}, {"query": "apikey"}]"#;
    let all = r#"[{"header": "x-api-key"}, {"header": "apikey"}, {"query": "apikey"}, {"cookie": "api_key"},
                                              {"header": "authorization", "scheme": "Bearer"}, {"basic": "password"}]"#;
    let emergency = format!(
        r#""emergency": {{"deny_keys": ["{}"], "allow_keys": ["{}"]}}, "mode": "enforce""#,
        DENIED.1, ALLOWED.1
    );
    Options::default()
        .edit(sources, all)
        .edit(r#""mode": "enforce""#, emergency)
        .edit(r#""path": "/v1/policy","#, format!(r#""path": "/v1/policy", "headers": {{"x-gateway": "{HEADER}"}},"#))
}

/// The secrets that were found in this output.
fn found(place: &str, said: &str, secrets: &[String]) -> Vec<String> {
    secrets
        .iter()
        .filter(|secret| said.contains(secret.as_str()))
        .map(|secret| format!("{secret} in {place}"))
        .collect()
}

async fn digest(policy: &keygate_e2e::policy_service::PolicyService, application: &str) -> Vec<String> {
    let answer = policy.call(Ask::get("/v1/keys?limit=100")).await.unwrap().json();
    let keys = answer["items"].as_array().unwrap().clone();
    let of_application = |key: &&Value| key["application"] == application;
    keys.iter().filter(of_application).map(|key| key["sha256"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn no_output_contains_a_secret() {
    let (mut stack, keys) = story::stage("secrets", options()).await.unwrap();
    let envoy = stack.envoy().unwrap();
    http::send(envoy.admin(), &Ask::new("POST", "/logging?wasm=trace")).await.unwrap();
    let mut workers = Workers::connect(envoy).await.unwrap();
    let good = Ask::get(ORDERS).key(&keys.production);
    eventually("the policy", SEEN_WITHIN, async || workers.expect(&good, REACHES).await).await.unwrap();

    let mut secrets: Vec<String> =
        [&keys.production, &keys.sandbox, &keys.partner, &keys.visitor].map(Clone::clone).into();
    secrets.extend(["never-given-out-4713", DENIED.0, ALLOWED.0].map(str::to_owned));
    let mut said = String::new();
    let (mut allowed, mut refused) = (0, 0);
    for secret in secrets.clone() {
        for ask in in_every_source(&secret) {
            for (_, answer) in workers.send(&ask).await.unwrap() {
                if answer.status == 200 && answer.header("grpc-status").is_none() {
                    allowed += 1
                } else {
                    refused += 1
                }
                said.push_str(&format!("{:?} {}\n", answer.headers, answer.body));
            }
        }
    }
    assert!(allowed > 50 && refused > 50, "{allowed} allowed, {refused} refused: not every source is looked at");
    // The upstream echoes the request, so its answers show whether a secret reaches it.
    secrets.extend(secrets.clone().iter().map(|key| base64(&format!("somebody:{key}"))));
    secrets.extend(["another-key-beside-it-4712", GATEWAY_SECRET, HEADER].map(str::to_owned));
    secrets.push(base64(&format!("gateway-1:{GATEWAY_SECRET}")));
    secrets.push(ADMIN_TOKEN.to_owned());
    secrets.extend([DENIED.1, ALLOWED.1].map(str::to_owned));
    for application in ["shop", "partner", "visitor"] {
        secrets.extend(digest(stack.policy().unwrap(), application).await);
    }
    let mut leaks = found("a reply, or what reached the upstream", &said, &secrets);

    // Faults are logged: a service that is down, and one that no longer knows the gateway.
    stack.policy_mut().unwrap().kill().await;
    let envoy = stack.envoy().unwrap();
    eventually("a failure in the log", SEEN_WITHIN, async || {
        let log = envoy.log();
        if log.contains("was not refreshed") { Ok(()) } else { Err(log) }
    })
    .await
    .unwrap();
    stack.policy_mut().unwrap().restart().await.unwrap();
    let policy = stack.policy().unwrap();
    for (name, value) in
        [("authorization", "Bearer wrong-token-4714"), ("authorization", "Basic d3Jvbmc6c2VjcmV0LTQ3MTU=")]
    {
        for path in ["/v1/policy", "/v1/keys"] {
            let answer = http::send(policy.address(), &Ask::get(path).header(name, value)).await.unwrap();
            assert_eq!(answer.status, 401);
            leaks.extend(found(path, &answer.to_string(), &["wrong-token-4714".to_owned(), "secret-4715".to_owned()]));
        }
    }
    let envoy = stack.envoy().unwrap();
    for path in ["/stats", "/stats/prometheus", "/clusters", "/listeners?format=json", "/server_info", "/runtime"] {
        let answer = http::send(envoy.admin(), &Ask::get(path)).await.unwrap();
        leaks.extend(found(&format!("Envoy's {path}"), &answer.body, &secrets));
    }
    assert!(envoy.log().contains("[vm->host]"), "the log is as loud as it can be");
    assert!(!envoy.access_log().is_empty());
    for file in ["envoy.log", "access.log", "policy-service.log"] {
        let text = String::from_utf8_lossy(&fs::read(stack.folder().join(file)).unwrap()).into_owned();
        leaks.extend(found(file, &text, &secrets));
    }
    // The service's database has digests, but neither keys nor credentials in clear.
    let is_digest = |secret: &&String| secret.len() == 64;
    let clear: Vec<String> = secrets.iter().filter(|secret| !is_digest(secret)).cloned().collect();
    for file in fs::read_dir(stack.folder()).unwrap().map(|entry| entry.unwrap().path()) {
        if file.file_name().unwrap().to_string_lossy().starts_with("policy.db") {
            leaks.extend(found("the database", &String::from_utf8_lossy(&fs::read(&file).unwrap()), &clear));
        }
    }
    assert!(leaks.is_empty(), "{leaks:#?}");

    // Envoy shows its configuration to everyone who can reach its admin interface (SECURITY.md). That includes the
    // values in it, but not the values of the environment.
    let dump = http::send(envoy.admin(), &Ask::get("/config_dump")).await.unwrap().body;
    assert!(dump.contains(HEADER), "SECURITY.md says so");
    assert!(!dump.contains(GATEWAY_SECRET), "a secret from the environment is in the configuration");
    stack.stop().await;
}

#[tokio::test]
async fn a_configuration_that_is_refused_is_refused_without_its_secrets() {
    let credentials = r#"{"client_id": "gateway-1", "client_secret": {"env": "POLICY_CLIENT_SECRET"}}"#;
    let cases = [
        ("list", r#"{"client_id": "id-secret-1", "client_secret": ["a-secret-1"]}"#.to_owned()),
        ("variable", r#"{"client_id": "id-secret-2", "client_secret": {"env": "a-secret-2"}}"#.to_owned()),
        ("field", r#"{"client_id": "id-secret-3", "client_secrt": "a-secret-3"}"#.to_owned()),
        ("syntax", r#"{"client_id": "id-secret-4", "client_secret": "a-secret-4}"#.to_owned()),
        ("break", r#"{"client_id": "id-secret-5\n", "client_secret": "a-secret-5\r\n"}"#.to_owned()),
        ("headers", format!(r#"{credentials}, "headers": {{"x-secret-6": "a-secret-6\n"}}"#)),
        ("both", format!(r#"{credentials}, "headers": {{"authorization": "a-secret-7"}}"#)),
    ];
    let cases = cases.into_iter().map(|(name, text)| (name, credentials, text));
    let digests = r#""emergency": {"deny_keys": ["a-secret-8"], "allow_keys": ["a-secret-9"]}, "mode": "enforce""#;
    let digests = ("digests", r#""mode": "enforce""#, digests.to_owned());
    for (name, from, to) in cases.chain([digests]) {
        let nobody = ([127, 0, 0, 1], ports::free().unwrap()).into();
        let options = Options { policy: Policy::At(nobody), ..Options::default() }.edit(from, to);
        let stack = Stack::prepare(&format!("secrets-{name}"), options).await.unwrap();
        let args = ["--mode", "validate", "--component-log-level", "wasm:trace"];
        let (status, log) = Envoy::refuse(stack.folder(), &stack.config().unwrap(), &args).await.unwrap();
        assert!(!status.success(), "{name}: {log}");
        assert!(log.contains("configuration is refused"), "{name}: {log}");
        assert!(!log.contains("secret-"), "{name}: {log}");
    }
}
