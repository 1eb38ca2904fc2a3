//! Sessions that begin with a token: what they prove, what a change needs, and what ends them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Answer, Options, Service, TOKEN,
    browser::{Browser, set_cookies},
    program::Program,
    send,
};
use policy_service::cli::SignIn;
use reqwest::Method;

const COOKIE: &str = "keygate-session";

/// A browser that signed in with a token, and the CSRF token of its session.
async fn signed_in(url: &str, token: &str) -> (Browser, String) {
    let mut browser = Browser::new();
    let request = browser.client.post(format!("{url}/console/sign-in")).json(&json!({"token": token}));
    let answer = browser.send(request).await.expect(200);
    let csrf = answer.json()["csrf_token"].as_str().unwrap().to_owned();
    (browser, csrf)
}

async fn make(service: &Service, body: Value) -> (String, String) {
    let made = service.post("/v1/tokens", body).await.expect(201).json();
    (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
}

async fn me(service: &Service, browser: &mut Browser) -> Answer {
    browser.get(&format!("{}/v1/me", service.url)).await
}

#[tokio::test]
async fn a_session_has_the_rights_of_its_token() {
    let service = Service::start().await;
    for role in ["administrator", "operator", "auditor", "publisher", "subscriber"] {
        let (_, token) = make(&service, json!({"role": role, "subject": "team é", "expires_in": 600})).await;
        let (mut browser, _) = signed_in(&service.url, &token).await;
        let answer = me(&service, &mut browser).await.expect(200);
        let (said, expires_at) = (answer.json(), answer.json()["expires_at"].as_i64().unwrap());
        assert_eq!(said, json!({"subject": "team é", "role": role, "expires_at": expires_at}));
        assert_eq!(answer.header("cache-control"), "no-store");
        let tokens = browser.get(&format!("{}/v1/tokens", service.url)).await.status;
        assert_eq!(tokens == 200, ["administrator", "operator", "auditor"].contains(&role), "{role}: {tokens}");
        let feed = browser.get(&format!("{}/v1/policy", service.url)).await;
        assert_eq!(feed.status, 401, "a person is no gateway");
    }
    let (mut browser, _) = signed_in(&service.url, TOKEN).await;
    let said = me(&service, &mut browser).await.expect(200).json();
    let expires_at = said["expires_at"].as_i64().unwrap();
    assert_eq!(said, json!({"subject": "administrator", "role": "administrator", "expires_at": expires_at}));
    let lasts = expires_at - policy_service::clock::unix_seconds();
    assert!((12 * 3_600 - 60..=12 * 3_600).contains(&lasts), "{lasts}");
}

#[tokio::test]
async fn a_form_is_answered_with_pages_that_load_nothing() {
    let service = Service::start().await;
    let mut browser = Browser::new();
    let console = format!("{}/console", service.url);
    let page = browser.get(&console).await.expect(200);
    assert!(page.text.contains("action=\"/console/sign-in\"") && page.text.contains("type=\"password\""));
    assert!(!page.text.contains("identity provider"), "there is none: {}", page.text);
    let provider = browser.get(&format!("{console}/sign-in")).await.expect(303);
    assert_eq!(provider.header("location"), "/console");

    let wrong = browser.submit(&format!("{console}/sign-in"), &[("token", "<wrong>")]).await.expect(401);
    assert!(wrong.text.contains("This is not a valid token") && !wrong.text.contains("wrong>"), "{}", wrong.text);
    assert!(browser.cookies.is_empty() && !wrong.header("www-authenticate").is_empty());

    let answer = browser.submit(&format!("{console}/sign-in"), &[("token", TOKEN)]).await.expect(303);
    assert_eq!(answer.header("location"), "/console");
    let [cookie] = set_cookies(&answer)[..] else { panic!("{:?}", answer.headers) };
    for attribute in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=43200"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(cookie.starts_with("keygate-session=kgs_") && !cookie.contains("Domain") && !cookie.contains("Secure"));
    let page = browser.get(&console).await.expect(200);
    assert!(page.text.contains("<bdi>administrator</bdi>"), "{}", page.text);
    for answer in [&page, &wrong, &answer] {
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"));
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "same-origin"),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.header(name), value);
        }
    }
}

#[tokio::test]
async fn a_change_with_a_session_needs_its_csrf_token() {
    let service = Service::start().await;
    let (mut browser, csrf) = signed_in(&service.url, TOKEN).await;
    let (_, other) = signed_in(&service.url, TOKEN).await;
    let body = json!({"id": "app"});
    for (number, given) in [None, Some(""), Some("wrong"), Some(other.as_str())].into_iter().enumerate() {
        for (method, path) in [
            (Method::POST, "/v1/applications"),
            (Method::PUT, "/v1/applications/app"),
            (Method::DELETE, "/v1/applications/app"),
            (Method::POST, "/v1/keys/lookup"),
            (Method::POST, "/v1/explain"),
            (Method::POST, "/v1/tokens"),
        ] {
            let request = browser.client.request(method.clone(), format!("{}{path}", service.url)).json(&body);
            let request = given.into_iter().fold(request, |request, given| request.header("x-csrf-token", given));
            let request = request.header("idempotency-key", format!("key-{number}"));
            let problem = browser.send(request).await.expect_problem(403, None).json();
            assert!(problem["detail"].as_str().unwrap().contains("x-csrf-token"), "{method} {path}: {problem}");
        }
    }
    assert_eq!(service.revision().await, 0, "nothing was changed");
    let request = browser.client.post(format!("{}/v1/applications", service.url)).json(&body);
    browser.send(request.header("x-csrf-token", &csrf)).await.expect(201);
    let entry = service.get("/v1/audit?kind=application").await.json();
    assert_eq!(entry["items"][0]["actor"], "administrator");
    // A token in the header needs no other: no page of another site can send it.
    let request = browser.client.delete(format!("{}/v1/applications/app", service.url)).bearer_auth(TOKEN);
    browser.send(request).await.expect(204);
    let request = browser.client.get(format!("{}/v1/me", service.url)).bearer_auth("wrong");
    browser.send(request).await.expect_problem(401, None);
}

#[tokio::test]
async fn what_a_page_of_another_site_sends_is_refused() {
    let service = Service::start().await;
    let sign_in = format!("{}/console/sign-in", service.url);
    for (name, value) in
        [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.example.com")]
    {
        let mut stranger = Browser::new();
        let request = stranger.client.post(&sign_in).form(&[("token", TOKEN)]).header(name, value);
        stranger.send(request).await.expect(403);
        let request = stranger.client.post(&sign_in).json(&json!({"token": TOKEN})).header(name, value);
        stranger.send(request).await.expect_problem(403, None);
        assert!(stranger.cookies.is_empty(), "{name}");

        let (mut browser, csrf) = signed_in(&service.url, TOKEN).await;
        let request = browser.client.post(format!("{}/console/sign-out", service.url)).header(name, value);
        browser.send(request.header("x-csrf-token", csrf)).await.expect(403);
        me(&service, &mut browser).await.expect(200);
    }
    let request = Browser::new().client.post(&sign_in).form(&[("token", TOKEN)]);
    send(request.header("origin", &service.url)).await.expect(303);
}

#[tokio::test]
async fn a_session_ends_at_the_sign_out() {
    let service = Service::start().await;
    let sign_out = format!("{}/console/sign-out", service.url);
    for is_form in [true, false] {
        let (mut browser, csrf) = signed_in(&service.url, TOKEN).await;
        let stolen = browser.cookies.clone();
        for wrong in ["", "0000"] {
            browser.submit(&sign_out, &[("csrf_token", wrong)]).await.expect(403);
        }
        browser.submit(&sign_out, &[("csrf_token", &csrf), ("csrf_token", "x")]).await.expect(403);
        me(&service, &mut browser).await.expect(200);
        let answer = if is_form {
            browser.submit(&sign_out, &[("csrf_token", &csrf)]).await.expect(303)
        } else {
            browser.send(browser.client.post(&sign_out).header("x-csrf-token", &csrf)).await.expect(204)
        };
        assert!(set_cookies(&answer)[0].contains("Max-Age=0") && browser.cookies.is_empty());
        browser.cookies = stolen;
        let problem = me(&service, &mut browser).await.expect_problem(401, None).json();
        assert!(problem["detail"].as_str().unwrap().contains("sign in again"), "{problem}");
        // Who is signed out already is told the same.
        browser.submit(&sign_out, &[("csrf_token", &csrf)]).await.expect(303);
    }
}

#[tokio::test]
async fn a_session_ends_with_its_token_its_time_or_without_use() {
    let service = Service::start().await;
    let (id, token) = make(&service, json!({"role": "auditor", "subject": "a"})).await;
    let (mut browser, _) = signed_in(&service.url, &token).await;
    let (mut other, _) = signed_in(&service.url, TOKEN).await;
    service.delete(&format!("/v1/tokens/{id}")).await.expect(204);
    me(&service, &mut browser).await.expect_problem(401, None);
    me(&service, &mut other).await.expect(200);

    let (_, token) = make(&service, json!({"role": "auditor", "subject": "b", "expires_in": 600})).await;
    let mut connection = service.connection().await;
    for (change, status) in [
        ("used_at = used_at - 29 * 60", 200),
        ("used_at = used_at - 30 * 60", 401),
        ("expires_at = unixepoch() + 30", 200),
        ("expires_at = unixepoch()", 401),
        ("role = 'root'", 500),
    ] {
        let (mut browser, _) = signed_in(&service.url, &token).await;
        let statement = format!("UPDATE session SET {change} WHERE subject = 'b'");
        sqlx::query(&statement).execute(&mut connection).await.unwrap();
        assert_eq!(me(&service, &mut browser).await.status, status, "{change}");
        sqlx::query("DELETE FROM session WHERE subject = 'b'").execute(&mut connection).await.unwrap();
    }
}

#[tokio::test]
async fn a_use_is_noted_now_and_then() {
    let service = Service::start().await;
    let (mut browser, _) = signed_in(&service.url, TOKEN).await;
    let mut connection = service.connection().await;
    let ago = "SELECT unixepoch() - used_at FROM session";
    for (passed, is_noted) in [(290, false), (310, true)] {
        let statement = format!("UPDATE session SET used_at = unixepoch() - {passed}");
        sqlx::query(&statement).execute(&mut connection).await.unwrap();
        me(&service, &mut browser).await.expect(200);
        let noted = async || {
            let ago: i64 = sqlx::query_scalar(ago).fetch_one(&mut connection).await.unwrap();
            if ago < 60 { Ok(()) } else { Err(ago) }
        };
        let within = if is_noted { Duration::from_secs(20) } else { Duration::from_millis(300) };
        let seen = testkit::deadline::eventually("a noted use".to_owned(), within, noted).await;
        assert_eq!(seen.is_ok(), is_noted, "{passed}");
    }
}

#[tokio::test]
async fn a_subject_has_a_few_sessions_and_the_oldest_goes() {
    let service = Service::start().await;
    let mut connection = service.connection().await;
    let mut browsers = Vec::new();
    for number in 0..17_i64 {
        browsers.push(signed_in(&service.url, TOKEN).await.0);
        let older = "UPDATE session SET created_at = ? WHERE created_at > 1000";
        sqlx::query(older).bind(number).execute(&mut connection).await.unwrap();
    }
    for (number, browser) in browsers.iter_mut().enumerate() {
        assert_eq!(me(&service, browser).await.status, if number == 0 { 401 } else { 200 }, "{number}");
    }
    // A second sign-in in the same browser replaces its session.
    let browser = browsers.last_mut().unwrap();
    browser.submit(&format!("{}/console/sign-in", service.url), &[("token", TOKEN)]).await.expect(303);
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM session").fetch_one(&mut connection).await.unwrap();
    assert_eq!(count, 15 + 1, "one made room, and one was replaced");
}

#[tokio::test]
async fn a_cookie_that_is_no_session_proves_nothing() {
    let service = Service::start().await;
    let (browser, _) = signed_in(&service.url, TOKEN).await;
    let good = browser.cookies[COOKIE].clone();
    let stored: String =
        sqlx::query_scalar("SELECT secret FROM session").fetch_one(&mut service.connection().await).await.unwrap();
    assert!(!good.contains(&stored));
    for cookie in [
        String::new(),
        format!("{COOKIE}="),
        format!("{COOKIE}={stored}"),
        format!("{COOKIE}={TOKEN}"),
        format!("{COOKIE}={}", good.to_uppercase()),
        format!("__Host-{COOKIE}={good}"),
        format!("{COOKIE}={good}; {COOKIE}={good}"),
        format!("{COOKIE}=x; {COOKIE}={good}"),
        format!("keygate-sign-in={good}"),
    ] {
        let request = service.request(Method::GET, "/v1/me").header("cookie", &cookie);
        send(request).await.expect_problem(401, None);
    }
    send(service.request(Method::GET, "/v1/me").header("cookie", format!("a=b; {COOKIE}={good}; c"))).await.expect(200);
}

#[tokio::test]
async fn bodies_that_are_no_sign_in_are_refused() {
    let service = Service::start().await;
    let sign_in = format!("{}/console/sign-in", service.url);
    let client = Browser::new().client;
    for (body, status, field) in [
        (json!({}), 422, Some("token")),
        (json!({"token": 7}), 422, Some("token")),
        (json!({"token": TOKEN, "to": "https://evil.example.com"}), 422, Some("to")),
        (json!({"token": ""}), 401, None),
        (json!({"token": "x".repeat(1_025)}), 401, None),
        (json!({"token": "secret"}), 401, None),
    ] {
        send(client.post(&sign_in).json(&body)).await.expect_problem(status, field);
    }
    // A form is answered with a page.
    for form in [&[("tokens", TOKEN)][..], &[("token", TOKEN), ("token", TOKEN)]] {
        let page = send(client.post(&sign_in).form(form)).await.expect(422);
        assert!(
            page.header("content-type").starts_with("text/html") && page.text.contains("expected one field `token`")
        );
    }
    send(client.put(&sign_in).json(&json!({"token": TOKEN}))).await.expect_problem(405, None);
    // No address chooses where a sign-in leads.
    let answer = send(client.post(format!("{sign_in}?to=https://evil.example.com")).form(&[("token", TOKEN)])).await;
    assert_eq!(answer.expect(303).header("location"), "/console");
}

#[tokio::test]
async fn no_console_no_session() {
    let arguments: &SignIn = Box::leak(Box::new(SignIn { console: false, ..SignIn::default() }));
    let service = Service::with(Options { sign_in: Some(arguments), ..Options::default() }).await;
    let client = Browser::new().client;
    for path in policy_service::signin::PATHS.into_iter().chain(["/console", "/console/apis", "/console/static/x"]) {
        send(client.get(format!("{}{path}", service.url))).await.expect_problem(404, None);
    }
    let answer = send(client.post(format!("{}/console/sign-in", service.url)).json(&json!({"token": TOKEN}))).await;
    answer.expect_problem(404, None);
}

/// Nobody may choose a subject that the identity provider or the service itself gives.
#[tokio::test]
async fn a_token_has_no_subject_that_is_kept_for_others() {
    let service = Service::start().await;
    for subject in ["service", "import", "oidc:", "oidc:alice"] {
        let body = json!({"role": "auditor", "subject": subject});
        service.post("/v1/tokens", body).await.expect_problem(422, Some("subject"));
    }
    for subject in ["oidc", "Service", "services"] {
        service.post("/v1/tokens", json!({"role": "auditor", "subject": subject})).await.expect(201);
    }
    // One that an earlier version stored proves nothing any more.
    let (_, token) = make(&service, json!({"role": "auditor", "subject": "earlier"})).await;
    let mut connection = service.connection().await;
    for (subject, status) in [("oidc:alice", 401), ("import", 401), ("earlier", 200)] {
        let statement = "UPDATE token SET subject = ? WHERE subject NOT IN ('oidc', 'Service', 'services')";
        sqlx::query(statement).bind(subject).execute(&mut connection).await.unwrap();
        let request = service.request(Method::GET, "/v1/me").bearer_auth(&token);
        assert_eq!(send(request).await.status, status, "{subject}");
    }
}

/// Two services on one database, one of which is started again with another administrator's token.
#[tokio::test]
async fn each_replica_knows_a_session_until_it_ends() {
    let one = Program::start();
    let other = one.another(&["serve"]).start();
    let (mut browser, csrf) = signed_in(&one.url, TOKEN).await;
    let me =
        async |browser: &mut Browser, service: &Program| browser.get(&format!("{}/v1/me", service.url)).await.status;
    assert_eq!((me(&mut browser, &one).await, me(&mut browser, &other).await), (200, 200));
    let mut prepared = one.another(&["serve"]);
    let changed = prepared.variable("POLICY_ADMIN_TOKEN", Some("another-administrators-token")).start();
    assert_eq!(me(&mut browser, &changed).await, 401, "the token that it came from is gone");
    let off = one.another(&["serve", "--console", "off"]).start();
    assert_eq!(me(&mut browser, &off).await, 401);
    let stolen = browser.cookies.clone();
    browser.submit(&format!("{}/console/sign-out", other.url), &[("csrf_token", &csrf)]).await.expect(303);
    browser.cookies = stolen;
    assert_eq!((me(&mut browser, &one).await, me(&mut browser, &other).await), (401, 401));

    let wrong =
        Browser::new().client.post(format!("{}/console/sign-in", one.url)).json(&json!({"token": "a-wrong-one"}));
    send(wrong).await.expect_problem(401, None);
    let log = format!("{}{}", one.log(), other.log());
    for line in ["a person signed in", "a person signed out", "reason=\"the token is wrong\""] {
        assert!(log.contains(line), "{line}: {log}");
    }
    let secrets = [browser.cookies[COOKIE].as_str(), &csrf, TOKEN, "a-wrong-one"];
    assert!(secrets.iter().all(|secret| !log.contains(secret)), "{log}");
    let audit = send(one.client.get(format!("{}/v1/audit", one.url)).bearer_auth(TOKEN)).await.json();
    assert_eq!(audit["items"], json!([]), "a sign-in changes nothing");
}

/// A backup has the sessions of its time, and some of these people have signed out since.
#[tokio::test]
async fn a_restore_brings_no_session_back() {
    let one = Program::start();
    let (mut browser, csrf) = signed_in(&one.url, TOKEN).await;
    let stolen = browser.cookies.clone();
    let run = |arguments: &[&str]| {
        let (succeeded, output) = one.another(arguments).run();
        assert!(succeeded, "{arguments:?}: {output}");
    };
    run(&["backup", "copy.db"]);
    browser.submit(&format!("{}/console/sign-out", one.url), &[("csrf_token", &csrf)]).await.expect(303);
    run(&["restore", "copy.db"]);
    run(&["restore", "--database", "sqlite:new.db", "copy.db"]);
    let new = one.another(&["serve", "--database", "sqlite:new.db"]).start();
    for service in [&one, &new] {
        browser.cookies = stolen.clone();
        browser.get(&format!("{}/v1/me", service.url)).await.expect_problem(401, None);
        let (mut browser, _) = signed_in(&service.url, TOKEN).await;
        browser.get(&format!("{}/v1/me", service.url)).await.expect(200);
    }
}

/// The pages are no part of the OpenAPI document, so no test of its operations walks over them.
#[test]
fn each_path_of_a_sign_in_is_told() {
    let document = include_str!("../../../../docs/policy-service.md");
    for path in policy_service::signin::PATHS {
        let told = ["`", " "].iter().any(|end| document.contains(&format!("{path}{end}")));
        assert!(told, "docs/policy-service.md does not tell of {path}");
    }
}

/// Half a configuration ends the start with a clear error.
#[test]
fn half_a_configuration_does_not_start() {
    for (arguments, expected) in [
        (&["--oidc-issuer", "https://id.example.com"][..], "--oidc-client-id (POLICY_OIDC_CLIENT_ID)"),
        (&["--oidc-client-id", "keygate"], "--oidc-issuer (POLICY_OIDC_ISSUER)"),
        (&["--console", "off", "--oidc-client-id", "keygate"], "--oidc-issuer (POLICY_OIDC_ISSUER)"),
        (&["--public-url", "keygate"], "--public-url (POLICY_PUBLIC_URL)"),
    ] {
        let (succeeded, output) = Program::command(&[&["serve"], arguments].concat()).run();
        assert!(!succeeded && output.contains(expected), "{arguments:?}: {output}");
    }
    let mut prepared = Program::command(&["serve"]);
    prepared.variable("POLICY_OIDC_CLIENT_SECRET", Some("a-secret-of-a-client"));
    let (succeeded, output) = prepared.run();
    assert!(!succeeded && output.contains("POLICY_OIDC_CLIENT_SECRET needs"), "{output}");
    assert!(!output.contains("a-secret-of-a-client"), "{output}");
}
