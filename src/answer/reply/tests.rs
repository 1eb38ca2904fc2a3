//! Tests of every refusal in every response shape.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::config::ReplyOverride;

const FORMATS: [ReplyFormat; 3] = [ReplyFormat::Wso2, ReplyFormat::Choreo, ReplyFormat::Problem];

fn replies(format: ReplyFormat) -> Replies {
    Replies { format, ..Replies::default() }
}

fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    reply.headers.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
}

#[test]
fn every_refusal_says_the_same_in_every_shape() {
    for &reason in Reason::ALL {
        let (code, status, message) = reason.defaults();
        for format in FORMATS {
            let reply = refuse(reason, &replies(format), ReplyKind::Http, Duration::from_secs(5), Details::default());
            let body: Value = serde_json::from_slice(&reply.body).unwrap();
            let fields: &[(&str, Value)] = match format {
                ReplyFormat::Wso2 => &[("code", code.into()), ("message", message.into())],
                ReplyFormat::Choreo => &[("code", code.into()), ("error_message", message.into())],
                ReplyFormat::Problem => {
                    &[("title", message.into()), ("status", status.into()), ("reason", reason.as_str().into())]
                }
            };
            for (name, value) in fields {
                assert_eq!(&body[name], value, "{reason:?} {format:?} {name}");
            }
            assert_eq!((reply.status, reply.grpc_status), (status, None), "{reason:?}");
            assert_eq!(reply.details, format!("keygate_{}", reason.as_str()));
            assert_eq!(header(&reply, "www-authenticate").is_some(), status == 401, "{reason:?}");
            assert_eq!(header(&reply, "retry-after").is_some(), [429, 503].contains(&status), "{reason:?}");
            assert_eq!(header(&reply, "content-type"), Some(format.content_type()));
        }
        let reply =
            refuse(reason, &replies(ReplyFormat::Wso2), ReplyKind::Grpc, Duration::from_secs(5), Details::default());
        let grpc = [(400, 3), (401, 16), (403, 7), (404, 12), (429, 8), (503, 14)];
        let expected = grpc.iter().find(|(http, _)| *http == status).map(|(_, grpc)| *grpc);
        assert_eq!(reply.grpc_status, expected, "{reason:?}");
        assert_eq!(reply.body, message.as_bytes());
        assert_eq!(header(&reply, "content-type"), None, "the host says what a gRPC answer is");
        let reply = refuse(
            reason,
            &replies(ReplyFormat::Wso2),
            ReplyKind::GrpcWithParameters,
            Duration::from_secs(5),
            Details::default(),
        );
        assert_eq!((reply.status, reply.grpc_status, &*reply.body), (200, None, &b""[..]), "{reason:?}");
        assert_eq!(header(&reply, "grpc-status"), expected.map(|status| status.to_string()).as_deref());
        assert_eq!(header(&reply, "grpc-message"), Some(message));
        assert_eq!(header(&reply, "content-type"), Some("application/grpc"));
    }
}

#[test]
fn names_are_unique_and_read_back() {
    let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for &reason in Reason::ALL {
        assert_eq!(Reason::parse(reason.as_str()), Some(reason));
    }
    assert_eq!(Reason::parse("allowed"), None, "what is annotated on allow is no reason");
    assert!(Reason::ALL.is_sorted(), "the order is that of the decision");
}

#[test]
fn retry_after_is_in_whole_seconds_rounded_up_and_never_zero() {
    for (millis, expected) in
        [(0, "1"), (1, "1"), (999, "1"), (1000, "1"), (1001, "2"), (5000, "5"), (2_592_000_000, "2592000")]
    {
        let reply = refuse(
            Reason::ApiBlocked,
            &Replies::default(),
            ReplyKind::Http,
            Duration::from_millis(millis),
            Details::default(),
        );
        assert_eq!(header(&reply, "retry-after"), Some(expected), "{millis}");
    }
}

#[test]
fn texts_of_an_operator_stay_texts() {
    let hostile = "\"},{\"code\":\"0\" \\ \u{7} größe </script>";
    let change =
        ReplyOverride { status: Some(418), message: Some(hostile.to_owned()), description: Some(hostile.to_owned()) };
    for format in FORMATS {
        let mut replies = replies(format);
        replies.overrides.push((Reason::KeyUnknown, change.clone()));
        let reply = refuse(Reason::KeyUnknown, &replies, ReplyKind::Http, Duration::ZERO, Details::default());
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        let texts = body.as_object().unwrap().values().filter(|value| *value == hostile).count();
        assert_eq!((reply.status, texts), (418, 2), "{body}");
        assert_eq!(
            refuse(Reason::KeyRevoked, &replies, ReplyKind::Http, Duration::ZERO, Details::default()).status,
            401,
            "others are not changed"
        );
    }
}

#[test]
fn any_text_of_an_operator_makes_a_valid_grpc_message_header() {
    for (message, expected) in
        [("No", "No"), ("100 %", "100 %25"), ("größe\r\n", "gr%C3%B6%C3%9Fe%0D%0A"), ("~ \u{7f}", "~ %7F")]
    {
        assert_eq!(grpc_message(message), expected);
    }
}

#[test]
fn a_status_without_a_word_in_grpc_is_unknown() {
    for (status, expected) in [(402, 2), (418, 2), (500, 2), (501, 2), (502, 14), (504, 14), (599, 2)] {
        assert_eq!(grpc_status(status), expected, "{status}");
    }
}

#[test]
fn a_reply_over_a_limit_names_the_limit_and_the_time_to_retry() {
    use crate::limit::{LimitOwner, Refusal};
    let remaining = Remaining { limit: 5000, remaining: 0, reset: 17 };
    let over = Taking {
        refusal: Some(Refusal { level: LimitOwner::Subscription, retry_after: 42 }),
        remaining: Some(remaining),
    };
    let says = |reply: &Reply| {
        ["retry-after", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"]
            .map(|name| header(reply, name).map(str::to_owned))
    };
    let all = ["42", "5000", "0", "17"].map(|value| Some(value.to_owned()));
    for reason in [Reason::BurstExceeded, Reason::QuotaExceeded, Reason::ApplicationQuotaExceeded] {
        for kind in [ReplyKind::Http, ReplyKind::Grpc, ReplyKind::GrpcWithParameters] {
            let reply = refuse(
                reason,
                &Replies::default(),
                kind,
                Duration::from_secs(5),
                Details { limits: over, ..Details::default() },
            );
            assert_eq!(says(&reply), all, "{reason:?} {kind:?}");
        }
    }
    // The request is within its limits and is refused for another reason. The reply says nothing of the limits.
    let within = Taking { refusal: None, remaining: Some(remaining) };
    let reply = refuse(
        Reason::PolicyUnavailable,
        &Replies::default(),
        ReplyKind::Http,
        Duration::from_secs(5),
        Details { limits: within, ..Details::default() },
    );
    assert_eq!(says(&reply), [Some("5".to_owned()), None, None, None]);
}

#[test]
fn no_refusal_is_stored_by_a_cache() {
    for &reason in Reason::ALL {
        for kind in [ReplyKind::Http, ReplyKind::Grpc, ReplyKind::GrpcWithParameters] {
            let reply = refuse(reason, &Replies::default(), kind, Duration::from_secs(5), Details::default());
            assert_eq!(header(&reply, "cache-control"), Some("no-store"), "{reason:?} {kind:?}");
        }
    }
}

#[test]
fn a_problem_names_its_occurrence_by_a_uuid_and_by_nothing_else() {
    let problem = || {
        refuse(
            Reason::KeyUnknown,
            &replies(ReplyFormat::Problem),
            ReplyKind::Http,
            Duration::from_secs(5),
            Details::default(),
        )
    };
    for id in ["0b7e0c3a-1f2d-4c5b-8a9e-0123456789ab", "0B7E0C3A-1F2D-4C5B-8A9E-0123456789AB"] {
        let mut reply = problem();
        name_instance(&mut reply, id.as_bytes());
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body["instance"], format!("urn:uuid:{id}"));
        assert_eq!(body["reason"], "key_unknown");
    }
    for id in [
        "",
        "a",
        "0b7e0c3a1f2d4c5b8a9e0123456789ab",
        "0b7e0c3a-1f2d-4c5b-8a9e-0123456789a",
        "0b7e0c3a-1f2d-4c5b-8a9e-0123456789abc",
        "0b7e0c3a-1f2d-4c5b-8a9e-0123456789ag",
        "0b7e0c3a-1f2d-4c5b-8a9e\"0123456789ab",
        "0b7e0c3a_1f2d-4c5b-8a9e-0123456789ab",
        "{b7e0c3a-1f2d-4c5b-8a9e-0123456789a}",
        " b7e0c3a-1f2d-4c5b-8a9e-0123456789ab",
    ] {
        let mut reply = problem();
        name_instance(&mut reply, id.as_bytes());
        assert_eq!(reply, problem(), "{id}");
    }
}

#[test]
fn times_are_written_as_dates() {
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_767_225_599, "2025-12-31T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (253_402_300_799, "9999-12-31T23:59:59Z"),
        (u64::MAX, "9999-12-31T23:59:59Z"),
    ] {
        assert_eq!(rfc3339(seconds), expected, "{seconds}");
    }
}

#[test]
fn a_block_says_until_when_and_what_the_policy_says() {
    let until = Some(1_767_225_599);
    let note = Some("Pay \"invoice\" 7");
    for (until, note, more) in [
        (None, None, ""),
        (until, None, " (until 2025-12-31T23:59:59Z)"),
        (None, note, ": Pay \"invoice\" 7"),
        (until, note, " (until 2025-12-31T23:59:59Z): Pay \"invoice\" 7"),
    ] {
        let details = Details { until, note, ..Details::default() };
        assert_eq!(details.are_usual(), more.is_empty());
        for format in FORMATS {
            let text = |details| {
                let reply =
                    refuse(Reason::SubscriptionBlocked, &replies(format), ReplyKind::Http, Duration::ZERO, details);
                serde_json::from_slice::<Value>(&reply.body).unwrap()
            };
            let (usual, body) = (text(Details::default()), text(details));
            let name = match format {
                ReplyFormat::Wso2 => "description",
                ReplyFormat::Choreo => "error_description",
                ReplyFormat::Problem => "detail",
            };
            assert_eq!(body[name], format!("{}{more}", usual[name].as_str().unwrap()), "{format:?}");
            let problem = format == ReplyFormat::Problem;
            let expected = until.filter(|_| problem).map(|_| "2025-12-31T23:59:59Z");
            assert_eq!(body.get("until").and_then(Value::as_str), expected, "{format:?}");
            assert_eq!(body.get("note").and_then(Value::as_str), note.filter(|_| problem), "{format:?}");
        }
    }
}
