//! Configurations of sign-in, whole and half.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn whole() -> SignIn {
    let some = |text: &str| Some(text.to_owned());
    SignIn {
        console: true,
        public_url: some("https://keygate.example.com"),
        oidc_issuer: some("https://id.example.com/realms/one"),
        oidc_client_id: some("keygate"),
        oidc_client_secret: some("a secret of the client"),
        ..SignIn::default()
    }
}

#[test]
fn a_whole_configuration_is_taken() {
    let settings = Settings::new(&whole(), false).unwrap();
    let provider = settings.provider.as_ref().unwrap();
    assert_eq!(provider.redirect.as_str(), "https://keygate.example.com/console/callback");
    assert_eq!((provider.subject_claim.as_str(), provider.role_claim.as_str()), ("sub", "role"));
    assert!(settings.is_secure && settings.prefix().is_empty());
    assert!(!format!("{settings:?}").contains("a secret"), "{settings:?}");
    assert!(!format!("{:?}", whole()).contains("a secret"));

    let none = Settings::new(&SignIn { console: true, ..SignIn::default() }, true).unwrap();
    assert!(none.is_secure && none.provider.is_none());
    let empty = SignIn { oidc_issuer: Some(String::new()), public_url: Some(" ".to_owned()), ..SignIn::default() };
    assert!(Settings::new(&empty, false).unwrap().provider.is_none(), "an empty value is none");
}

#[test]
fn an_address_is_read_with_its_path() {
    for (public, callback, prefix, is_secure) in [
        ("http://127.0.0.1:8085", "http://127.0.0.1:8085/console/callback", "", false),
        ("https://example.com/keygate", "https://example.com/keygate/console/callback", "/keygate", true),
        ("https://example.com/keygate/", "https://example.com/keygate/console/callback", "/keygate", true),
    ] {
        let settings = Settings::new(&SignIn { public_url: Some(public.to_owned()), ..whole() }, true).unwrap();
        assert_eq!(settings.provider.as_ref().unwrap().redirect.as_str(), callback);
        assert_eq!((settings.prefix(), settings.is_secure), (prefix, is_secure), "{public}");
    }
}

#[test]
fn half_a_configuration_is_refused_by_what_it_lacks() {
    type Change = fn(&mut SignIn);
    let cases: [(Change, &str); 16] = [
        (|it| it.oidc_issuer = None, "--oidc-client-id (POLICY_OIDC_CLIENT_ID) needs --oidc-issuer"),
        (|it| it.oidc_client_id = None, "--oidc-issuer (POLICY_OIDC_ISSUER) needs --oidc-client-id"),
        (|it| it.oidc_client_secret = None, "needs POLICY_OIDC_CLIENT_SECRET"),
        (|it| it.oidc_client_secret = Some(String::new()), "needs POLICY_OIDC_CLIENT_SECRET"),
        (|it| it.public_url = None, "needs --public-url (POLICY_PUBLIC_URL)"),
        (
            |it| *it = SignIn { oidc_role_claim: Some("groups".to_owned()), ..SignIn::default() },
            "--oidc-role-claim (POLICY_OIDC_ROLE_CLAIM) needs --oidc-issuer",
        ),
        (|it| it.oidc_issuer = Some("id.example.com".to_owned()), "--oidc-issuer"),
        (|it| it.oidc_issuer = Some("http://id.example.com".to_owned()), "http only on this machine"),
        (|it| it.oidc_issuer = Some("https://id.example.com/?a".to_owned()), "--oidc-issuer"),
        (|it| it.oidc_issuer = Some("https://a:b@id.example.com".to_owned()), "--oidc-issuer"),
        (|it| it.public_url = Some("keygate.example.com".to_owned()), "--public-url"),
        (|it| it.public_url = Some("ftp://keygate.example.com".to_owned()), "--public-url"),
        (|it| it.public_url = Some("https://keygate.example.com/#a".to_owned()), "--public-url"),
        (|it| it.oidc_subject_claim = Some("a b".to_owned()), "--oidc-subject-claim"),
        (|it| it.oidc_role_claim = Some("r".repeat(257)), "--oidc-role-claim"),
        (|it| it.oidc_scopes = Some("profile".to_owned()), "--oidc-scopes"),
    ];
    for (change, expected) in cases {
        let mut arguments = whole();
        change(&mut arguments);
        let error = Settings::new(&arguments, false).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("a secret"), "{error}: expected {expected}");
    }
}
