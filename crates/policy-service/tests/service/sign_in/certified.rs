//! Sign-in at oidc-provider, a certified provider in Node (`tools/need oidc-provider`). One process serves all cases.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::json;

use super::{CLIENT_ID, CLIENT_SECRET, PUBLIC, TICKET, arguments, begin, complete, me, parameter, service};
use crate::support::{Service, browser::Browser};
use policy_service::cli::SignIn;

/// The provider's process, which ends with the test.
struct Certified {
    child: Child,
    issuer: String,
}

impl Drop for Certified {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

impl Certified {
    fn start() -> Self {
        let root = root();
        let manifest = fs::read_to_string(root.join("tests/oidc-provider/package.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        let version = manifest["dependencies"]["oidc-provider"].as_str().unwrap();
        let folder = root.join(format!(".tools/oidc-provider-{version}"));
        assert!(folder.join("checked").exists(), "{} is missing; run tools/need oidc-provider", folder.display());
        let accounts = json!({
            "alice": {"role": "publisher", "email": "alice@example.com", "email_verified": true},
            "bob": {"role": "subscriber", "email": "bob@example.com", "email_verified": false},
            "list": {"role": ["staff", "auditor"]},
            "root": {"role": "root"},
            "none": {},
        });
        let client = |id: &str, method: &str| {
            json!({"client_id": id, "client_secret": CLIENT_SECRET, "token_endpoint_auth_method": method,
                   "redirect_uris": [format!("{PUBLIC}/console/callback")], "response_types": ["code"],
                   "grant_types": ["authorization_code"]})
        };
        let clients = json!([client(CLIENT_ID, "client_secret_basic")]);
        let mut command = Command::new("node");
        command.arg(root.join("tests/oidc-provider/provider.mjs")).env("OIDC_PROVIDER", folder);
        command.env("ACCOUNTS", accounts.to_string()).env("CLIENTS", clients.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        testkit::process::die_with_parent(&mut command);
        let mut child = command.spawn().expect("node; tools/need node");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let issuer = lines.next().expect("the provider's first line").unwrap();
        assert!(issuer.starts_with("http://127.0.0.1:"), "{issuer}");
        // It may go on writing.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, issuer }
    }

    /// Signs `account` in at the provider. Returns the query with which it leads back.
    async fn answer(&self, browser: &mut Browser, address: &str, account: &str) -> String {
        let mut address = address.to_owned();
        for _ in 0..10 {
            if let Some(query) = address.strip_prefix(&format!("{PUBLIC}/console/callback?")) {
                return query.to_owned();
            }
            let request = browser.client.get(&address).header("x-account", account);
            let answer = browser.send(request).await;
            let next = answer.header("location").to_owned();
            assert!([302, 303].contains(&answer.status), "{address}: {} {}", answer.status, answer.text);
            address = if next.starts_with('/') { format!("{}{next}", self.issuer) } else { next };
        }
        panic!("it leads nowhere: {address}");
    }
}

/// A sign-in of `account` from its begin to its end.
async fn sign_in(certified: &Certified, service: &Service, account: &str) -> (Browser, u16, String) {
    let (mut browser, mut there) = (Browser::new(), Browser::new());
    let address = begin(&mut browser, &service.url).await;
    let query = certified.answer(&mut there, &address, account).await;
    let answer = complete(&mut browser, &service.url, &query).await;
    (browser, answer.status, answer.text)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_at_a_certified_provider() {
    let certified = Certified::start();
    let at = || arguments(&certified.issuer);
    let service = self::service(at()).await;
    let url = service.url.clone();

    for (account, expected) in [("alice", Some("publisher")), ("list", Some("auditor")), ("root", None), ("none", None)]
    {
        let (mut browser, status, text) = sign_in(&certified, &service, account).await;
        let said = me(&mut browser, &url).await;
        match expected {
            Some(role) => {
                assert_eq!(status, 200, "{account}: {text}");
                let said = said.expect(200).json();
                assert_eq!((&said["subject"], &said["role"]), (&json!(format!("oidc:{account}")), &json!(role)));
            }
            None => {
                assert_eq!((status, said.status), (403, 401), "{account}: {text}");
                assert!(text.contains("names no role") && browser.cookies.is_empty(), "{text}");
            }
        }
    }

    // The person refuses.
    let (browser, status, text) = sign_in(&certified, &service, "nobody").await;
    assert!(status == 403 && text.contains("access_denied") && browser.cookies.is_empty(), "{text}");

    // A code works once, and a sign-in is completed once: with the ticket and a fresh code for it, too.
    let (mut browser, mut there) = (Browser::new(), Browser::new());
    let address = begin(&mut browser, &url).await;
    let ticket = browser.cookies[TICKET].clone();
    let query = certified.answer(&mut there, &address, "alice").await;
    // In another browser, and in one without the cookie.
    let mut other = Browser::new();
    begin(&mut other, &url).await;
    complete(&mut other, &url, &query).await.expect(400);
    complete(&mut Browser::new(), &url, &query).await.expect(400);
    complete(&mut browser, &url, &query).await.expect(200);
    for (name, query, status) in [
        ("a replayed code", query, 403),
        ("a replayed state", certified.answer(&mut there, &address, "alice").await, 400),
    ] {
        let mut again = Browser::new();
        again.cookies.insert(TICKET.to_owned(), ticket.clone());
        let answer = complete(&mut again, &url, &query).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text);
        assert!(again.cookies.is_empty(), "{name}");
    }
    // A code of another sign-in: its verifier and its nonce are others.
    let (mut mine, mut theirs) = (Browser::new(), Browser::new());
    let state = parameter(&begin(&mut mine, &url).await, "state");
    let address = begin(&mut theirs, &url).await;
    let code = certified.answer(&mut there, &address, "alice").await;
    let code = parameter(&format!("http://query/?{code}"), "code");
    let query = format!("code={code}&state={state}&iss={}", certified.issuer);
    let answer = complete(&mut mine, &url, &query).await;
    assert!(answer.status == 403 && answer.text.contains("invalid_grant"), "{}", answer.text);
    // This provider names itself in its answers, so an answer without its name is none of it.
    let mut unnamed = Browser::new();
    let address = begin(&mut unnamed, &url).await;
    let query = certified.answer(&mut there, &address, "alice").await;
    let query = query.split('&').filter(|part| !part.starts_with("iss=")).collect::<Vec<_>>().join("&");
    complete(&mut unnamed, &url, &query).await.expect(403);

    // Its keys are replaced.
    reqwest::get(format!("{}/test/rotate", certified.issuer)).await.unwrap();
    let (mut browser, status, text) = sign_in(&certified, &service, "alice").await;
    assert_eq!((status, me(&mut browser, &url).await.status), (200, 200), "{text}");

    // The subject is another claim, the secret is wrong, the scope is the operator's.
    let some = |text: &str| Some(text.to_owned());
    let by_email = self::service(SignIn { oidc_subject_claim: some("email"), ..at() }).await;
    let (mut browser, status, text) = sign_in(&certified, &by_email, "alice").await;
    assert_eq!(status, 200, "{text}");
    let said = me(&mut browser, &by_email.url).await.expect(200).json();
    assert_eq!(said["subject"], "oidc:alice@example.com");
    assert_eq!(sign_in(&certified, &by_email, "bob").await.1, 403, "an address that is not verified");
    let wrong = self::service(SignIn { oidc_client_secret: some("wrong"), ..at() }).await;
    assert_eq!(sign_in(&certified, &wrong, "alice").await.1, 502);
    let without = self::service(SignIn { oidc_scopes: some("openid email"), ..at() }).await;
    assert_eq!(sign_in(&certified, &without, "alice").await.1, 403, "no role without its scope");
}
