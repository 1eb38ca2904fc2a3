//! Claims and what they prove.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use openidconnect::{ClientId, ClientSecret, IssuerUrl, RedirectUrl};
use serde_json::json;

use super::*;

fn provider(subject: &str) -> Provider {
    Provider {
        issuer: IssuerUrl::new("https://id.example.com".to_owned()).unwrap(),
        client_id: ClientId::new("keygate".to_owned()),
        client_secret: ClientSecret::new("secret".to_owned()),
        redirect: RedirectUrl::new("https://keygate.example.com/console/callback".to_owned()).unwrap(),
        subject_claim: subject.to_owned(),
        role_claim: "role".to_owned(),
        scopes: None,
    }
}

fn read(subject: &str, claims: Value) -> Result<(String, Role), Refusal> {
    let Value::Object(claims) = claims else { panic!("{claims}") };
    principal(&claims, &provider(subject)).map(|principal| (principal.subject, principal.role))
}

#[test]
fn a_person_has_the_subject_and_the_role_of_its_claims() {
    for (role, expected) in [
        (json!("administrator"), Role::Administrator),
        (json!("auditor"), Role::Auditor),
        (json!(["publisher"]), Role::Publisher),
        (json!(["offline_access", "operator", 7, null]), Role::Operator),
        (json!(["subscriber", "subscriber"]), Role::Subscriber),
    ] {
        let read = read("sub", json!({"sub": "alice", "role": role}));
        assert_eq!(read, Ok(("oidc:alice".to_owned(), expected)), "{role}");
    }
    for (name, claims) in [
        ("email", json!({"sub": "1", "email": "ä@example.com", "email_verified": true, "role": "auditor"})),
        ("preferred_username", json!({"sub": "1", "preferred_username": "ä@example.com", "role": "auditor"})),
    ] {
        assert_eq!(read(name, claims), Ok(("oidc:ä@example.com".to_owned(), Role::Auditor)));
    }
}

#[test]
fn what_is_missing_or_unknown_refuses() {
    let no = |name: &str| Refusal::NoClaim(name.to_owned());
    for (claims, expected) in [
        (json!({"role": "auditor"}), no("sub")),
        (json!({"sub": null, "role": "auditor"}), no("sub")),
        (json!({"sub": "alice"}), no("role")),
        (json!({"sub": "alice", "role": null}), no("role")),
    ] {
        assert_eq!(read("sub", claims.clone()), Err(expected), "{claims}");
    }
    for role in [
        json!(""),
        json!("root"),
        json!("Administrator"),
        json!("administrator "),
        json!("oidc:administrator"),
        json!(["administrator", "auditor"]),
        json!(["root"]),
        json!([]),
        json!([["administrator"]]),
        json!(true),
        json!({"administrator": true}),
        json!("r".repeat(10_000)),
    ] {
        let Err(Refusal::UnknownRole { found, .. }) = read("sub", json!({"sub": "alice", "role": role})) else {
            panic!("{role}")
        };
        assert!(found.len() < 200, "{found}");
    }
    for subject in [json!(""), json!(7), json!(["a"]), json!(" a"), json!("a\n"), json!("a".repeat(252))] {
        let read = read("sub", json!({"sub": subject, "role": "auditor"}));
        assert!(matches!(read, Err(Refusal::BadSubject { .. })), "{subject}: {read:?}");
    }
    assert!(read("sub", json!({"sub": "a".repeat(251), "role": "auditor"})).is_ok());
    for verified in [json!(false), json!(null), json!("yes")] {
        let claims = json!({"email": "a@example.com", "email_verified": verified, "role": "auditor"});
        assert_eq!(read("email", claims), Err(Refusal::Unverified));
    }
}
