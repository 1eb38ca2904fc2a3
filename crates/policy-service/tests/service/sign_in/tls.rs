//! An identity provider that is asked by https, with a certificate of a root of its own.

use std::fs;

use policy_service::{
    metrics::Metrics,
    server::{
        self, Door,
        tls::{Files, Tls},
    },
};
use tokio_util::sync::CancellationToken;

use super::{CLIENT_ID, CLIENT_SECRET, PUBLIC, begin, complete, faulty::Behaviour, faulty::Faulty, me, parameter};
use crate::support::{browser::Browser, certificates::Root, program::Program};

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_asked_over_tls_and_must_have_a_known_root() {
    let (root, directory) = (Root::new(), tempfile::tempdir().unwrap());
    root.write_pair(directory.path());
    let bundle = directory.path().join("roots.pem");
    fs::write(&bundle, root.pem()).unwrap();
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let faulty = Faulty::at(&format!("https://{}", listener.local_addr().unwrap()));
    let files = Files { certificate: directory.path().join("tls.crt"), key: directory.path().join("tls.key") };
    let door = Door { listener, router: faulty.router(), tls: Some(Tls::open(files).unwrap()) };
    tokio::spawn(server::serve_all(vec![door], Metrics::new().unwrap(), CancellationToken::new()));

    let issuer = faulty.issuer();
    let arguments = ["serve", "--public-url", PUBLIC, "--oidc-issuer", &issuer, "--oidc-client-id", CLIENT_ID];
    let mut known = Program::command(&arguments);
    let secret = directory.path().join("client-secret");
    fs::write(&secret, format!("{CLIENT_SECRET}\n")).unwrap();
    known.variable("POLICY_OIDC_CLIENT_SECRET_FILE", secret.to_str());
    known.variable("SSL_CERT_FILE", bundle.to_str());
    let known = known.start();
    let mut browser = Browser::new();
    let address = begin(&mut browser, &known.url).await;
    faulty.behave(&parameter(&address, "nonce"), Behaviour::default());
    let state = parameter(&address, "state");
    complete(&mut browser, &known.url, &format!("code=a-code-of-a-test&state={state}")).await.expect(200);
    assert_eq!(me(&mut browser, &known.url).await.expect(200).json()["subject"], "oidc:alice");
    let log = known.logs("a person signed in").await;
    assert!(log.contains("actor=\"oidc:alice\"") && log.contains("by=\"oidc\""), "{log}");
    let session = browser.cookies.values().next().unwrap();
    for secret in [CLIENT_SECRET, "a-code-of-a-test", "an-access-token", &state, session] {
        assert!(!known.log().contains(secret), "{}", known.log());
    }

    let mut unknown = Program::command(&arguments);
    unknown.variable("POLICY_OIDC_CLIENT_SECRET", Some(CLIENT_SECRET));
    let others = directory.path().join("others.pem");
    fs::write(&others, Root::new().pem()).unwrap();
    unknown.variable("SSL_CERT_FILE", others.to_str());
    let unknown = unknown.start();
    Browser::new().get(&format!("{}/console/sign-in", unknown.url)).await.expect(502);
    let line = unknown.logs("the identity provider cannot be used").await;
    assert!(line.to_lowercase().contains("certificate"), "{line}");

    // What a provider of https names must be https.
    faulty.behave(
        "",
        Behaviour {
            document: serde_json::json!({"token_endpoint": issuer.replace("https", "http")}),
            ..Behaviour::default()
        },
    );
    let mut misled = Program::command(&arguments);
    misled.variable("POLICY_OIDC_CLIENT_SECRET", Some(CLIENT_SECRET)).variable("SSL_CERT_FILE", bundle.to_str());
    let misled = misled.start();
    Browser::new().get(&format!("{}/console/sign-in", misled.url)).await.expect(502);
    misled.logs("names an address that is not https").await;
}
