//! Tests of what a valid configuration means.

use std::time::Duration;

use super::{config, with, with_policy};
use crate::{
    config::{
        Ambiguous, ApiSource, BasicPart, Config, CredentialSource, Emergency, FIELDS, Fact, Forward, Mode,
        OnPolicyUnavailable, PolicySource, Replies, ReplyFormat, ReplyOverride, UnknownApi, UsageReports, WhenAbsent,
        fields, json,
    },
    digest::Digest,
    reason::Reason,
};

fn header(name: &str) -> CredentialSource {
    CredentialSource::Header { name: name.to_owned() }
}

/// The contract's defaults, written out a second time by hand.
fn defaults() -> Config {
    let text = |text: &str| text.to_owned();
    Config {
        policy: PolicySource {
            cluster: text("c"),
            authority: text("c"),
            name: None,
            instance: None,
            path: text("/v1/policy"),
            headers: vec![],
            authorization: None,
            refresh_interval: Duration::from_secs(5),
            long_poll: Some(Duration::from_secs(25)),
            timeout: Duration::from_secs(5),
            stale_after: Duration::from_secs(60),
            expire_after: Some(Duration::from_secs(3600)),
            startup_hold: Duration::from_secs(1),
            close_streams: false,
            max_bytes: 1 << 30,
            max_removed_percent: 90,
        },
        credential_sources: vec![
            header("x-api-key"),
            header("apikey"),
            CredentialSource::Query { name: text("apikey") },
        ],
        ambiguous_credentials: Ambiguous::Reject,
        api: ApiSource::Match,
        unknown_api: UnknownApi::Deny,
        allow_preflight: false,
        forward: Forward {
            credential: false,
            headers: vec![
                (Fact::ApplicationId, text("x-application-id")),
                (Fact::KeyId, text("x-key-id")),
                (Fact::KeyType, text("x-key-type")),
            ],
        },
        annotate: vec![Fact::Reason],
        replies: Replies { format: ReplyFormat::Wso2, realm: text("keygate"), overrides: Vec::new() },
        mode: Mode::Enforce,
        on_policy_unavailable: OnPolicyUnavailable::Deny,
        emergency: Emergency::default(),
        usage: None,
    }
}

/// Checks that `json` means the defaults after `change`.
fn check(json: &str, change: impl FnOnce(&mut Config)) {
    let mut expected = defaults();
    change(&mut expected);
    assert_eq!(config(json).as_ref(), Ok(&expected), "{json}");
}

#[test]
fn a_missing_field_has_the_contracts_default() {
    check(&with(""), |_| {});
    check("\n\t {\"policy\"\r\n:{\"cluster\":\"c\"}}\n", |_| {});
    check(&with(r#", "forward": {}, "replies": {}, "emergency": {}"#), |_| {});
}

#[test]
fn every_field_of_the_table_is_read_and_its_default_changes_nothing() {
    for field in FIELDS {
        let WhenAbsent::Json(default) = field.default else { continue };
        assert!(json::parse(default).is_ok(), "{}", field.path);
        let json = match field.path.split_once('.') {
            Some(("policy", name)) => with_policy(&format!(r#", "{name}": {default}"#)),
            Some((outer, name)) => with(&format!(r#", "{outer}": {{"{name}": {default}}}"#)),
            None => with(&format!(r#", "{}": {default}"#, field.path)),
        };
        check(&json, |_| {});
    }
}

#[test]
fn the_table_has_each_field_once_and_no_field_lies_inside_another() {
    for (index, field) in FIELDS.iter().enumerate() {
        assert!(field.meaning.ends_with('.'), "{}", field.path);
        for other in &FIELDS[index + 1..] {
            assert_ne!(field.path, other.path);
            assert!(!other.path.starts_with(&format!("{}.", field.path)), "{}", other.path);
            assert!(!field.path.starts_with(&format!("{}.", other.path)), "{}", field.path);
        }
    }
    assert_eq!(fields::names("emergency"), ["deny_keys", "allow_keys"]);
    assert_eq!(fields::names("emerge"), [""; 0]);
    assert_eq!(fields::names("")[..3], ["policy", "credential_sources", "ambiguous_credentials"]);
}

#[test]
fn the_contracts_example_is_accepted() {
    let digest = "0123456789abcdef".repeat(4);
    let json = r#"{
  "policy": {
    "cluster": "policy-service",
    "authority": "policy-service",
    "path": "/v1/policy",
    "headers": {"x-gateway": "edge-1"},
    "credentials": {"client_id": "gateway-1", "client_secret": {"env": "SECRET"}},
    "refresh_interval_ms": 5000,
    "long_poll_ms": 25000,
    "timeout_ms": 5000,
    "stale_after_ms": 60000,
    "expire_after_ms": 3600000,
    "startup_hold_ms": 1000,
    "max_bytes": 1073741824,
    "max_removed_percent": 90
  },
  "credential_sources": [{"header": "x-api-key"}, {"header": "apikey"}, {"query": "apikey"},
                         {"header": "authorization", "scheme": "Bearer"}, {"cookie": "api_key"},
                         {"basic": "password"}],
  "ambiguous_credentials": "reject",
  "api": {"fixed": "payments-1.0"},
  "unknown_api": "deny",
  "allow_preflight": false,
  "forward": {"credential": false, "application_id": "x-application-id", "key_id": "x-key-id",
              "key_type": "x-key-type", "application_name": null, "owner": null, "api_id": null, "plan": null},
  "annotate": ["reason"],
  "replies": {"format": "wso2", "realm": "keygate", "overrides": {"subscription_blocked": {"status": 403}}},
  "mode": "enforce",
  "on_policy_unavailable": "deny",
  "emergency": {"deny_keys": ["<sha256 hex>"], "allow_keys": ["<sha256 hex>"]}
}"#
    .replace("<sha256 hex>", &digest);
    let digest = Digest::from_hex(&digest).unwrap();
    check(&json, |config| {
        config.policy.cluster = "policy-service".into();
        config.policy.authority = "policy-service".into();
        config.policy.headers = vec![("x-gateway".into(), "edge-1".into())];
        config.policy.authorization = Some("Basic Z2F0ZXdheS0xOmZyb20tZW52".into());
        config.credential_sources.extend([
            CredentialSource::Scheme { name: "authorization".into(), scheme: "Bearer".into() },
            CredentialSource::Cookie { name: "api_key".into() },
            CredentialSource::Basic { part: BasicPart::Password },
        ]);
        config.api = ApiSource::Fixed("payments-1.0".into());
        let change = ReplyOverride { status: Some(403), ..Default::default() };
        config.replies.overrides = vec![(Reason::SubscriptionBlocked, change)];
        config.emergency = Emergency { deny_keys: vec![digest], allow_keys: vec![digest] };
    });
}

#[test]
fn usage_is_reported_only_if_it_is_configured() {
    let reports = |path: &str, ms| Some(UsageReports { path: path.to_owned(), interval: Duration::from_millis(ms) });
    check(&with(r#", "usage": {}"#), |c| c.usage = reports("/v1/usage", 60_000));
    check(&with(r#", "usage": {"path": "/x/usage"}"#), |c| c.usage = reports("/x/usage", 60_000));
    check(&with(r#", "usage": {"interval_ms": 1000}"#), |c| c.usage = reports("/v1/usage", 1_000));
    check(&with(r#", "usage": {"interval_ms": 3600000}"#), |c| c.usage = reports("/v1/usage", 3_600_000));
}

#[test]
fn durations_and_shares_reach_to_their_bounds() {
    let ms = Duration::from_millis;
    check(&with_policy(r#", "refresh_interval_ms": 100"#), |c| c.policy.refresh_interval = ms(100));
    check(&with_policy(r#", "refresh_interval_ms": 2592000000, "expire_after_ms": 0"#), |c| {
        c.policy.refresh_interval = ms(2_592_000_000);
        c.policy.expire_after = None;
    });
    check(&with_policy(r#", "timeout_ms": 1"#), |c| c.policy.timeout = ms(1));
    check(&with_policy(r#", "stale_after_ms": 0"#), |c| c.policy.stale_after = ms(0));
    check(&with_policy(r#", "startup_hold_ms": 0"#), |c| c.policy.startup_hold = ms(0));
    check(&with_policy(r#", "expire_after_ms": 0"#), |c| c.policy.expire_after = None);
    // The policy expires before it counts as stale. The operator may choose so.
    check(&with_policy(r#", "expire_after_ms": 35000"#), |c| c.policy.expire_after = Some(ms(35_000)));
    check(&with_policy(r#", "long_poll_ms": 0"#), |c| c.policy.long_poll = None);
    check(&with_policy(r#", "long_poll_ms": 1"#), |c| c.policy.long_poll = Some(ms(1_000)));
    check(&with_policy(r#", "long_poll_ms": 2000"#), |c| c.policy.long_poll = Some(ms(2_000)));
    check(&with_policy(r#", "long_poll_ms": 2001"#), |c| c.policy.long_poll = Some(ms(3_000)));
    check(&with_policy(r#", "long_poll_ms": 2592000000, "expire_after_ms": 0"#), |c| {
        c.policy.long_poll = Some(ms(2_592_000_000));
        c.policy.expire_after = None;
    });
    check(&with_policy(r#", "close_streams": true"#), |c| c.policy.close_streams = true);
    check(&with_policy(r#", "max_bytes": 1"#), |c| c.policy.max_bytes = 1);
    check(&with_policy(r#", "max_bytes": 17179869184"#), |c| c.policy.max_bytes = 17_179_869_184);
    check(&with_policy(r#", "max_removed_percent": 0"#), |c| c.policy.max_removed_percent = 0);
    check(&with_policy(r#", "max_removed_percent": 100"#), |c| c.policy.max_removed_percent = 100);
}

#[test]
fn the_feed_can_be_anywhere_and_any_cluster_named() {
    let cluster = "outbound|8080||policy.ns.svc.cluster.local";
    check(&format!(r#"{{"policy": {{"cluster": "{cluster}"}}}}"#), |c| {
        c.policy.cluster = cluster.into();
        c.policy.authority = "policy.ns.svc.cluster.local:8080".into();
    });
    check(r#"{"policy": {"cluster": "httproute/ns/policy/rule/0", "authority": "policy"}}"#, |c| {
        c.policy.cluster = "httproute/ns/policy/rule/0".into();
        c.policy.authority = "policy".into();
    });
    check(r#"{"policy": {"cluster": "die Richtlinie", "authority": "policy:8085"}}"#, |c| {
        c.policy.cluster = "die Richtlinie".into();
        c.policy.authority = "policy:8085".into();
    });
    let longest = "a-9".repeat(21) + "z";
    check(&with_policy(&format!(r#", "name": "{longest}""#)), |c| c.policy.name = Some(longest.clone()));
    check(&with_policy(r#", "path": "\/a%20b?c=\u0064""#), |c| c.policy.path = "/a%20b?c=d".into());
}

#[test]
fn secrets_come_from_the_text_or_from_the_environment() {
    let cases = [
        (r#""Basic x""#, "Basic x"),
        (r#""\u00e4\ud83d\ude00""#, "ä😀"),
        (r#"{"env": "SECRET"}"#, "from-env"),
        (r#"{"env": "SECRET_LINE"}"#, "from-env"),
        (r#"{"env": "SECRET_CRLF"}"#, "from-env"),
    ];
    for (given, value) in cases {
        check(&with_policy(&format!(r#", "headers": {{"Authorization": {given}, "X-B": "b"}}"#)), |config| {
            config.policy.headers = vec![("authorization".into(), value.into()), ("x-b".into(), "b".into())];
        });
    }
    // The output of `printf 'id:<secret>' | base64`.
    let cases = [
        (r#""id""#, r#""a:b c""#, "Basic aWQ6YTpiIGM="),
        (r#""id""#, r#"" ""#, "Basic aWQ6IA=="),
        (r#""id""#, r#""ä""#, "Basic aWQ6w6Q="),
        (r#""id""#, r#"{"env": "BLANKS"}"#, "Basic aWQ6IGZyb20tZW52IA=="),
        (r#"{"env": "SECRET"}"#, r#""x""#, "Basic ZnJvbS1lbnY6eA=="),
    ];
    for (id, secret, value) in cases {
        let credentials = format!(r#", "credentials": {{"client_id": {id}, "client_secret": {secret}}}"#);
        check(&with_policy(&credentials), |config| config.policy.authorization = Some(value.into()));
    }
}

#[test]
fn header_names_lose_their_case_and_other_names_keep_it() {
    let sources = r#", "credential_sources": [{"header": "X-Key"}, {"scheme": "Token", "header": "X-KEY"},
        {"query": "Key"}, {"query": "key ä&="}, {"cookie": "Key"}, {"cookie": "key"}, {"basic": "username"}]"#;
    check(&with(sources), |config| {
        config.credential_sources = vec![
            header("x-key"),
            CredentialSource::Scheme { name: "x-key".into(), scheme: "Token".into() },
            CredentialSource::Query { name: "Key".into() },
            CredentialSource::Query { name: "key ä&=".into() },
            CredentialSource::Cookie { name: "Key".into() },
            CredentialSource::Cookie { name: "key".into() },
            CredentialSource::Basic { part: BasicPart::Username },
        ];
    });
    check(&with(r#", "forward": {"credential": true, "key_id": null, "owner": "X-Owner", "plan": "X-Key-Id"}"#), |c| {
        c.forward.credential = true;
        c.forward.headers.remove(1);
        c.forward.headers.extend([(Fact::Owner, "x-owner".into()), (Fact::Plan, "x-key-id".into())]);
    });
}

/// Otherwise a header that the configuration accepts would be neither removed from requests nor set.
#[test]
fn every_field_of_forward_is_a_fact_and_is_read() {
    let all: Vec<_> = fields::names("forward").into_iter().filter(|name| *name != "credential").collect();
    let fields: Vec<_> = all.iter().map(|fact| format!(r#""{fact}": "X-{fact}""#)).collect();
    check(&with(&format!(r#", "forward": {{{}}}"#, fields.join(", "))), |c| {
        let fact = |name: &str| *Fact::ALL.iter().find(|fact| fact.as_str() == name).unwrap();
        c.forward.headers = all.iter().map(|name| (fact(name), format!("x-{name}"))).collect();
    });
}

#[test]
fn each_choice_has_its_documented_name() {
    check(&with(r#", "ambiguous_credentials": "first""#), |c| c.ambiguous_credentials = Ambiguous::First);
    check(&with(r#", "unknown_api": "allow""#), |c| c.unknown_api = UnknownApi::Allow);
    check(&with(r#", "allow_preflight": true"#), |c| c.allow_preflight = true);
    check(&with(r#", "mode": "shadow""#), |c| c.mode = Mode::Shadow);
    check(&with(r#", "on_policy_unavailable": "allow""#), |c| c.on_policy_unavailable = OnPolicyUnavailable::Allow);
    check(&with(r#", "api": {"route_metadata": ["a.b", "c"]}"#), |c| {
        c.api = ApiSource::RouteMetadata { namespace: "a.b".into(), key: "c".into() };
    });
    check(&with(r#", "replies": {"format": "choreo", "realm": "a b"}"#), |c| {
        c.replies.format = ReplyFormat::Choreo;
        c.replies.realm = "a b".into();
    });
    check(&with(r#", "replies": {"format": "problem"}"#), |c| c.replies.format = ReplyFormat::Problem);
}

#[test]
fn reason_is_always_annotated() {
    check(&with(r#", "annotate": []"#), |_| {});
    check(&with(r#", "annotate": ["plan", "owner"]"#), |c| c.annotate = vec![Fact::Reason, Fact::Plan, Fact::Owner]);
    check(&with(r#", "annotate": ["plan", "reason"]"#), |c| c.annotate = vec![Fact::Plan, Fact::Reason]);
    let names: Vec<String> = Fact::ALL.iter().map(|fact| format!("\"{}\"", fact.as_str())).collect();
    check(&with(&format!(r#", "annotate": [{}]"#, names.join(","))), |c| c.annotate = Fact::ALL.to_vec());
}

#[test]
fn every_reason_can_be_overridden() {
    for reason in Reason::ALL {
        let change = r#"{"status": 599, "message": "m", "description": ""}"#;
        let json = with(&format!(r#", "replies": {{"overrides": {{"{}": {change}}}}}"#, reason.as_str()));
        check(&json, |config| {
            let change = ReplyOverride { status: Some(599), message: Some("m".into()), description: Some("".into()) };
            config.replies.overrides = vec![(*reason, change)];
        });
    }
    check(&with(r#", "replies": {"overrides": {"key_denied": {}}}"#), |config| {
        config.replies.overrides = vec![(Reason::KeyDenied, ReplyOverride::default())];
    });
}

#[test]
fn emergency_digests_are_sorted_and_unique() {
    let (low, high) = ("0a".repeat(32), "FF".repeat(32));
    let json = format!(r#", "emergency": {{"deny_keys": ["{high}", "{low}", "{}"]}}"#, high.to_lowercase());
    check(&with(&json), |config| config.emergency.deny_keys = vec![Digest([10; 32]), Digest([255; 32])]);
}

#[test]
fn the_largest_lists_fit_into_the_largest_configuration() {
    let digests: Vec<String> = (0..1_000u32).map(|n| format!("\n      \"{n:064x}\"")).collect();
    let list = digests.join(",");
    let headers: Vec<String> = (0..16).map(|n| format!("\"{n:0256}\": \"{}\"", "x".repeat(4_096))).collect();
    let change = format!(r#"{{"message": "{0}", "description": "{0}"}}"#, "x".repeat(1_024));
    let overrides: Vec<String> =
        Reason::ALL.iter().map(|reason| format!("\"{}\": {change}", reason.as_str())).collect();
    let json = format!(
        r#"{{"policy": {{"cluster": "c", "headers": {{{}}}}}, "replies": {{"overrides": {{{}}}}},
            "emergency": {{"deny_keys": [{list}], "allow_keys": [{list}]}}}}"#,
        headers.join(","),
        overrides.join(","),
    );
    let config = config(&json).unwrap();
    assert_eq!((config.emergency.deny_keys.len(), config.emergency.allow_keys.len()), (1_000, 1_000));
    assert_eq!(config.policy.headers.len(), 16);
}

#[test]
fn a_fact_that_is_null_or_false_is_left_out() {
    let headers = |value: &str| {
        let json = format!(r#"{{"policy": {{"cluster": "c"}}, "forward": {{"key_id": {value}, "owner": {value}}}}}"#);
        crate::config::parse(json.as_bytes(), &|_| None).unwrap().forward.headers
    };
    let names = |value: &str| headers(value).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    assert_eq!(names("null"), ["x-application-id", "x-key-type"]);
    assert_eq!(names("false"), names("null"));
}
