//! The faults of a sign-in, as a table of cases. None of them signs anybody in.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use policy_service::auth::secret::mac;
use serde_json::{Value, json};

use super::{
    CLIENT_SECRET, PUBLIC, SESSION, TICKET, arguments, begin, complete,
    faulty::{Behaviour, Faulty},
    me, parameter, service,
};
use crate::support::{
    Answer, Service, TOKEN,
    browser::{Browser, set_cookies},
    send,
};

/// A sign-in with a good answer of the provider, which behaves so.
async fn sign_in(faulty: &Faulty, service: &Service, behaviour: Behaviour) -> (Browser, Answer) {
    let mut browser = Browser::new();
    let address = begin(&mut browser, &service.url).await;
    faulty.behave(&parameter(&address, "nonce"), behaviour);
    let query = format!("code=a-code&state={}", parameter(&address, "state"));
    let answer = complete(&mut browser, &service.url, &query).await;
    (browser, answer)
}

fn claims(claims: Value) -> Behaviour {
    Behaviour { claims, ..Behaviour::default() }
}

#[tokio::test]
async fn a_good_answer_signs_in() {
    let faulty = Faulty::start().await;
    let service = service(arguments(&faulty.issuer())).await;
    let mut browser = Browser::new();
    let answer = browser.get(&format!("{}/console/sign-in", service.url)).await.expect(303);
    let address = answer.header("location").to_owned();
    assert!(address.starts_with(&format!("{}/auth?of=tenant&", faulty.issuer())), "{address}");
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "keygate"),
        ("redirect_uri", &format!("{PUBLIC}/console/callback")),
        ("scope", "openid profile email"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(parameter(&address, name), value, "{address}");
    }
    let [ticket] = set_cookies(&answer)[..] else { panic!("{:?}", answer.headers) };
    for attribute in
        ["__Host-keygate-sign-in=", "; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/", "; Max-Age=600"]
    {
        assert!(ticket.contains(attribute), "{ticket}");
    }
    assert_eq!(answer.header("cache-control"), "no-store");

    faulty.behave(&parameter(&address, "nonce"), Behaviour::default());
    let query = format!("code=a-code&state={}", parameter(&address, "state"));
    let answer = complete(&mut browser, &service.url, &query).await.expect(200);
    assert!(answer.text.contains("http-equiv=\"refresh\" content=\"0;url=/prefix/console\""), "{}", answer.text);
    assert!(!answer.text.contains("a-code") && !answer.text.contains(&parameter(&address, "state")));
    assert_eq!((answer.header("referrer-policy"), answer.header("cache-control")), ("no-referrer", "no-store"));
    let cookies = set_cookies(&answer).join("\n");
    for attribute in ["__Host-keygate-session=kgs_", "; HttpOnly", "; SameSite=Strict", "; Secure", "; Path=/"] {
        assert!(cookies.contains(attribute), "{cookies}");
    }
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), [SESSION], "the sign-in is over");
    let said = me(&mut browser, &service.url).await.expect(200).json();
    assert_eq!((&said["subject"], &said["role"]), (&json!("oidc:alice"), &json!("publisher")));

    // The client proves itself by Basic, with its secret escaped, and the code's verifier is that of its challenge.
    let (body, headers) = faulty.0.lock().unwrap().posted[0].clone();
    let basic = headers["authorization"].to_str().unwrap();
    assert!(basic.starts_with("Basic ") && !body.contains("client_secret"), "{body}");
    let form = |name| parameter(&format!("http://form/?{body}"), name);
    assert_eq!((form("grant_type").as_str(), form("code").as_str()), ("authorization_code", "a-code"));
    let verifier = openidconnect::PkceCodeVerifier::new(form("code_verifier"));
    let challenge = openidconnect::PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    assert_eq!(parameter(&address, "code_challenge"), challenge.as_str());

    // What a change makes belongs to the person.
    let page = browser.get(&format!("{}/console", service.url)).await.expect(200);
    let csrf = page.text.split("name=\"csrf-token\" content=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let request = browser.client.post(format!("{}/v1/apis", service.url)).json(&json!({"match": [{"path": "/a"}]}));
    let made = browser.send(request.header("x-csrf-token", &csrf)).await.expect(201).json();
    assert_eq!(made["owner"], "oidc:alice");
    let sign_out = format!("{}/console/sign-out", service.url);
    browser.submit(&sign_out, &[("csrf_token", &csrf)]).await.expect(303);
    let audit = service.get("/v1/audit").await.json();
    assert_eq!((audit["items"].as_array().unwrap().len(), &audit["items"][0]["actor"]), (1, &json!("oidc:alice")));
}

#[tokio::test]
async fn a_sign_in_goes_on_to_the_page_that_was_asked_for() {
    let faulty = Faulty::start().await;
    let service = service(arguments(&faulty.issuer())).await;
    for (place, expected) in [
        ("/console/apis?q=a%20b", "/prefix/console/apis?q=a%20b"),
        ("https://example.com/console", "/prefix/console"),
        ("/console/sign-out", "/prefix/console"),
    ] {
        let mut browser = Browser::new();
        let sign_in = format!("{}/console/sign-in", service.url);
        let sign_in = reqwest::Url::parse_with_params(&sign_in, [("place", place)]).unwrap();
        let address = browser.get(sign_in.as_str()).await.expect(303).header("location").to_owned();
        assert!(!address.contains("console%2Fapis"), "the identity provider does not learn it: {address}");
        faulty.behave(&parameter(&address, "nonce"), Behaviour::default());
        let query = format!("code=a-code&state={}", parameter(&address, "state"));
        let answer = complete(&mut browser, &service.url, &query).await.expect(200);
        assert!(answer.text.contains(&format!("content=\"0;url={expected}\"")), "{place}: {}", answer.text);
        assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), [SESSION], "nothing else is kept");
    }
}

#[tokio::test]
async fn what_a_provider_may_do_signs_in() {
    let faulty = Faulty::start().await;
    let service = service(arguments(&faulty.issuer())).await;
    let info = |info: Value| Behaviour { info, claims: json!({"role": null}), ..Behaviour::default() };
    for (behaviour, role) in [
        (Behaviour::default(), "publisher"),
        (claims(json!({"role": ["a", "operator"]})), "operator"),
        (claims(json!({"aud": ["keygate"], "azp": "keygate", "email": "a@b", "updated_at": 7})), "publisher"),
        (claims(json!({"email_verified": "true", "updated_at": "2026-01-01T00:00:00.000Z"})), "publisher"),
        (Behaviour { header: json!({"kid": null, "typ": null}), ..Behaviour::default() }, "publisher"),
        (info(json!({"sub": "alice", "role": "auditor"})), "auditor"),
        // The ID token wins.
        (Behaviour { claims: Value::Null, ..info(json!({"sub": "alice", "role": "auditor"})) }, "publisher"),
    ] {
        // The discovery document of a service says whether there is userinfo.
        let service = match behaviour.info.is_null() {
            true => &service,
            false => {
                faulty.behave("", behaviour.clone());
                &self::service(arguments(&faulty.issuer())).await
            }
        };
        let (mut browser, answer) = sign_in(&faulty, service, behaviour.clone()).await;
        assert_eq!(answer.status, 200, "{behaviour:?}: {}", answer.text);
        assert_eq!(me(&mut browser, &service.url).await.expect(200).json()["role"], role, "{behaviour:?}");
    }
    // A provider that takes the secret only in the body gets it there.
    faulty.behave(
        "",
        Behaviour {
            document: json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]}),
            ..Behaviour::default()
        },
    );
    let service = self::service(arguments(&faulty.issuer())).await;
    sign_in(&faulty, &service, Behaviour::default()).await.1.expect(200);
    let (body, headers) = faulty.0.lock().unwrap().posted.last().unwrap().clone();
    assert!(!headers.contains_key("authorization"));
    assert_eq!(parameter(&format!("http://form/?{body}"), "client_secret"), CLIENT_SECRET);
}

#[tokio::test]
async fn an_id_token_that_does_not_prove_is_refused() {
    let faulty = Faulty::start().await;
    let service = service(arguments(&faulty.issuer())).await;
    let now = policy_service::clock::unix_seconds();
    let answer = |answer: Value| Behaviour { answer, ..Behaviour::default() };
    let header = |header: Value| Behaviour { header, ..Behaviour::default() };
    let none = json!({"alg": "none", "kid": null});
    for (name, behaviour) in [
        ("another audience", claims(json!({"aud": "another"}))),
        ("no audience", claims(json!({"aud": null}))),
        ("a further audience", claims(json!({"aud": ["keygate", "another"], "azp": "keygate"}))),
        ("expired", claims(json!({"exp": now - 1}))),
        ("no expiry", claims(json!({"exp": null}))),
        ("another issuer", claims(json!({"iss": "https://id.example.com"}))),
        ("almost the issuer", claims(json!({"iss": format!("{}/", faulty.issuer())}))),
        ("no issuer", claims(json!({"iss": null}))),
        ("another nonce", claims(json!({"nonce": "another"}))),
        ("no nonce", claims(json!({"nonce": null}))),
        ("another access token", claims(json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}))),
        ("a forged signature", Behaviour { forged: true, ..Behaviour::default() }),
        ("no signature", Behaviour { unsigned: true, ..Behaviour::default() }),
        ("alg none", Behaviour { unsigned: true, header: none.clone(), ..Behaviour::default() }),
        ("alg none with a signature", header(none)),
        ("alg of the client's secret", header(json!({"alg": "HS256"}))),
        ("another alg of the key", header(json!({"alg": "RS256"}))),
        ("an unknown alg", header(json!({"alg": "XS999"}))),
        ("an unknown key", header(json!({"kid": "unknown"}))),
        ("no token", answer(json!({"id_token": null}))),
        ("a token that is none", answer(json!({"id_token": "a.b.c"}))),
        ("no role", claims(json!({"role": null}))),
        ("an unknown role", claims(json!({"role": "root"}))),
        ("roles in a text", claims(json!({"role": "publisher operator"}))),
        ("an unusable subject", claims(json!({"sub": "a\nb"}))),
        ("no subject", claims(json!({"sub": null}))),
    ] {
        let (mut browser, answer) = sign_in(&faulty, &service, behaviour).await;
        let is_no_answer =
            ["a token that is none", "no subject", "no expiry", "no issuer", "an unknown alg"].contains(&name);
        let expected = if is_no_answer { [403, 502] } else { [403, 403] };
        assert!(expected.contains(&answer.status), "{name}: {} {}", answer.status, answer.text);
        assert!(browser.cookies.is_empty(), "{name}: {:?}", browser.cookies);
        assert_eq!(me(&mut browser, &service.url).await.status, 401, "{name}");
        assert!(!answer.text.contains("root"), "{}", answer.text);
    }
    let sessions: i64 =
        sqlx::query_scalar("SELECT count(*) FROM session").fetch_one(&mut service.connection().await).await.unwrap();
    assert_eq!(sessions, 0);
    sign_in(&faulty, &service, Behaviour::default()).await.1.expect(200);
}

#[tokio::test]
async fn userinfo_of_another_person_is_refused() {
    let faulty = Faulty::start().await;
    for (info, status) in [
        (json!({"sub": "mallory", "role": "administrator"}), 403),
        (json!({"role": "administrator"}), 502),
        (json!({"sub": "alice"}), 403),
        (json!({"sub": "alice", "role": "root"}), 403),
        (json!([]), 502),
    ] {
        let behaviour = Behaviour { info: info.clone(), claims: json!({"role": null}), ..Behaviour::default() };
        faulty.behave("", behaviour.clone());
        let service = service(arguments(&faulty.issuer())).await;
        let (browser, answer) = sign_in(&faulty, &service, behaviour).await;
        assert_eq!(answer.status, status, "{info}: {}", answer.text);
        assert!(browser.cookies.is_empty());
    }
}

#[tokio::test]
async fn an_answer_belongs_to_one_sign_in_of_one_browser() {
    let faulty = Faulty::start().await;
    let service = service(arguments(&faulty.issuer())).await;
    let url = &service.url;
    let (mut victim, mut attacker) = (Browser::new(), Browser::new());
    let address = begin(&mut victim, url).await;
    let (state, nonce) = (parameter(&address, "state"), parameter(&address, "nonce"));
    let other = parameter(&begin(&mut attacker, url).await, "state");
    faulty.behave(&nonce, Behaviour::default());

    let mut stranger = Browser::new();
    complete(&mut stranger, url, &format!("code=c&state={state}")).await.expect(400);
    complete(&mut attacker, url, &format!("code=c&state={state}")).await.expect(400);
    for query in [
        format!("code=c&state={other}"),
        "code=c&state=".to_owned(),
        "code=c".to_owned(),
        format!("code=c&state={state}&state={state}"),
        format!("code=c&state={other}&state={state}"),
        format!("code=c&state={nonce}"),
        String::new(),
    ] {
        complete(&mut victim, url, &query).await.expect(400);
        assert!(victim.cookies.contains_key(TICKET), "{query}: another site does not end a sign-in");
    }
    assert!(faulty.0.lock().unwrap().posted.is_empty(), "the provider was not asked");

    // What is wrong in the answer itself ends the sign-in.
    for (query, status) in [
        ("", 400),
        ("&code=", 400),
        ("&code=a&code=b", 400),
        (&format!("&code={}", "x".repeat(4_097)), 400),
        ("&code=c&iss=https%3A%2F%2Fid.example.com", 403),
        ("&error=access_denied&error_description=%3Cscript%3E", 403),
        ("&error=%3Cscript%3Ealert(1)%3C/script%3E", 403),
        ("&error=access_denied&code=c", 403),
    ] {
        let mut browser = Browser::new();
        let state = parameter(&begin(&mut browser, url).await, "state");
        let answer = complete(&mut browser, url, &format!("state={state}{query}")).await.expect(status);
        assert!(browser.cookies.is_empty() && !answer.text.contains("<script"), "{query}: {}", answer.text);
    }
    assert!(faulty.0.lock().unwrap().posted.is_empty(), "the provider was not asked");

    let ticket = victim.cookies[TICKET].clone();
    complete(&mut victim, url, &format!("code=c&state={state}&iss={}", faulty.issuer())).await.expect(200);
    // With the ticket and a fresh code of the provider: the sign-in was completed, here and on every replica.
    let mut again = Browser::new();
    again.cookies.insert(TICKET.to_owned(), ticket);
    complete(&mut again, url, &format!("code=fresh&state={state}")).await.expect(400);
    assert!(again.cookies.is_empty());
    complete(&mut victim, url, &format!("code=c&state={state}")).await.expect(400);
    me(&mut victim, url).await.expect(200);
}

/// The time stands in the ticket, and everything else follows from both. With another time it is another sign-in.
#[tokio::test]
async fn a_sign_in_that_took_too_long_is_over() {
    let faulty = Faulty::start().await;
    let service = service(arguments(&faulty.issuer())).await;
    for (moved, status) in [(0, 200), (-500, 200), (-601, 400), (90, 400), (i64::MAX / 2, 400)] {
        let mut browser = Browser::new();
        let state = parameter(&begin(&mut browser, &service.url).await, "state");
        let (secret, begun) = browser.cookies[TICKET].split_once('.').unwrap();
        let time = (begun.parse::<i64>().unwrap() + moved).to_string();
        let derived = |label| URL_SAFE_NO_PAD.encode(mac(secret, label, time.as_bytes()));
        assert_eq!(derived("state") == state, moved == 0);
        faulty.behave(&derived("nonce"), Behaviour::default());
        let (ticket, moved_state) = (format!("{secret}.{time}"), derived("state"));
        browser.cookies.insert(TICKET.to_owned(), ticket);
        if moved != 0 {
            complete(&mut browser, &service.url, &format!("code=c&state={state}")).await.expect(400);
        }
        let answer = complete(&mut browser, &service.url, &format!("code=c&state={moved_state}")).await;
        assert_eq!(answer.status, status, "{moved}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_new_key_of_the_provider_is_fetched_when_a_token_needs_it() {
    let faulty = Faulty::start().await;
    let service = service(arguments(&faulty.issuer())).await;
    let count = |path: &str| faulty.0.lock().unwrap().asked.iter().filter(|asked| *asked == path).count();
    for _ in 0..3 {
        sign_in(&faulty, &service, Behaviour::default()).await.1.expect(200);
    }
    assert_eq!((count("document"), count("keys")), (1, 1), "what is known is not asked again");
    faulty.rotate("second");
    sign_in(&faulty, &service, Behaviour::default()).await.1.expect(200);
    faulty.rotate("second");
    sign_in(&faulty, &service, Behaviour::default()).await.1.expect(200);
    assert_eq!((count("document"), count("keys")), (3, 3), "another key of the same name, too");
}

#[tokio::test]
async fn a_provider_that_cannot_be_used_delays_nobody_else() {
    let away = "http://127.0.0.1:1";
    let document = |document: Value| Behaviour { document, ..Behaviour::default() };
    let silent = |path| Behaviour { silent: Some(path), ..Behaviour::default() };
    let large = |path| Behaviour { large: Some(path), ..Behaviour::default() };
    let mut cases = tokio::task::JoinSet::new();
    for (name, behaviour) in [
        ("a silent document", Some(silent("document"))),
        ("silent keys", Some(silent("keys"))),
        ("away", None),
        ("a large document", Some(large("document"))),
        ("large keys", Some(large("keys"))),
        ("another issuer", Some(document(json!({"issuer": "http://127.0.0.1:2"})))),
        ("no token endpoint", Some(document(json!({"token_endpoint": null})))),
        ("no keys", Some(document(json!({"jwks_uri": null})))),
    ] {
        cases.spawn(async move {
            let faulty = Faulty::start().await;
            faulty.behave("", behaviour.clone().unwrap_or_default());
            let issuer = if behaviour.is_none() { away.to_owned() } else { faulty.issuer() };
            let service = service(arguments(&issuer)).await;
            let mut browser = Browser::new();
            let begun = Instant::now();
            let url = format!("{}/console/sign-in", service.url);
            let asked = async {
                let answer = browser.get(&url).await;
                (answer, begun.elapsed())
            };
            let ((answer, took), others) = tokio::join!(asked, async {
                service.get("/healthz").await.expect(200);
                let token = Browser::new().client.post(&url).json(&json!({"token": TOKEN}));
                send(token).await.expect(200);
                begun.elapsed()
            });
            assert_eq!(answer.status, 502, "{name}: {}", answer.text);
            assert!(browser.cookies.is_empty() && took < Duration::from_secs(30), "{name}: {took:?}");
            assert!(others < took || !name.contains("silent"), "{name}: {others:?} {took:?}");
            assert!(answer.text.contains("Try again later") && !answer.text.contains("127.0.0.1"), "{}", answer.text);
        });
        // Two cases wait for an answer side by side. More at once would keep this thread busy for longer than they wait.
        if cases.len() == 2 {
            cases.join_next().await.unwrap().unwrap();
        }
    }
    for (name, behaviour) in [
        ("a silent token endpoint", silent("token")),
        ("a large token", large("token")),
        ("a failing token endpoint", Behaviour { status: Some(500), ..Behaviour::default() }),
        ("no answer of the protocol", Behaviour { answer: json!({"access_token": null}), ..Behaviour::default() }),
    ] {
        cases.spawn(async move {
            let faulty = Faulty::start().await;
            let service = service(arguments(&faulty.issuer())).await;
            let (browser, answer) = sign_in(&faulty, &service, behaviour).await;
            assert_eq!(answer.status, 502, "{name}: {}", answer.text);
            assert!(browser.cookies.is_empty());
        });
    }
    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
}

#[tokio::test]
async fn a_provider_that_was_away_signs_in_when_it_is_back() {
    let faulty = Faulty::start().await;
    let service = service(arguments(&faulty.issuer())).await;
    faulty.behave("", Behaviour { large: Some("document"), ..Behaviour::default() });
    Browser::new().get(&format!("{}/console/sign-in", service.url)).await.expect(502);
    faulty.behave("", Behaviour::default());
    let deadline = Instant::now() + Duration::from_secs(10);
    while Browser::new().get(&format!("{}/console/sign-in", service.url)).await.status != 303 {
        assert!(Instant::now() < deadline, "it stays away");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    sign_in(&faulty, &service, Behaviour::default()).await.1.expect(200);
}

#[tokio::test]
async fn an_error_of_the_token_endpoint_is_a_refusal() {
    let faulty = Faulty::start().await;
    let service = service(arguments(&faulty.issuer())).await;
    let behaviour = Behaviour {
        status: Some(400),
        answer: json!({"error": "invalid_grant", "error_description": "<b>used</b>", "access_token": null, "id_token": null}),
        ..Behaviour::default()
    };
    let (browser, answer) = sign_in(&faulty, &service, behaviour).await;
    assert!(answer.status == 403 && answer.text.contains("invalid_grant"), "{}", answer.text);
    assert!(!answer.text.contains("used") && browser.cookies.is_empty());
    // This is a fault of the configuration, and not of the person.
    for error in ["invalid_client", "unauthorized_client", "<b>"] {
        let answer = json!({"error": error, "access_token": null, "id_token": null});
        let behaviour = Behaviour { status: Some(401), answer, ..Behaviour::default() };
        let (browser, answer) = sign_in(&faulty, &service, behaviour).await;
        assert!(answer.status == 502 && browser.cookies.is_empty(), "{error}: {}", answer.text);
    }
}

/// A session belongs to the configuration under which it began.
#[tokio::test]
async fn a_session_ends_when_its_provider_is_replaced() {
    let faulty = Faulty::start().await;
    let first = service(arguments(&faulty.issuer())).await;
    let (mut browser, answer) = sign_in(&faulty, &first, Behaviour::default()).await;
    answer.expect(200);
    let other = |change: fn(&mut policy_service::cli::SignIn)| {
        let mut arguments = arguments(&faulty.issuer());
        change(&mut arguments);
        arguments
    };
    let stored: Vec<(String, String)> = sqlx::query_as("SELECT secret, configured FROM session")
        .fetch_all(&mut first.connection().await)
        .await
        .unwrap();
    let same = other(|_| ());
    for (arguments, status) in [
        (same, 200),
        (other(|it| it.oidc_issuer = Some("https://id.example.com".to_owned())), 401),
        (other(|it| it.oidc_client_id = Some("another".to_owned())), 401),
        (other(|it| it.oidc_role_claim = Some("groups".to_owned())), 401),
        (
            other(|it| {
                *it = policy_service::cli::SignIn {
                    console: true,
                    public_url: it.public_url.clone(),
                    ..Default::default()
                }
            }),
            401,
        ),
    ] {
        let second = service(arguments).await;
        let insert = "INSERT INTO session SELECT ?, 'publisher', 'oidc:alice', NULL, ?, unixepoch(), unixepoch(), unixepoch() + 60";
        let (secret, configured) = stored[0].clone();
        sqlx::query(insert).bind(secret).bind(configured).execute(&mut second.connection().await).await.unwrap();
        assert_eq!(me(&mut browser, &second.url).await.status, status);
    }
}

/// Wrong answers are guesses: from the eleventh in a minute each waits a second.
#[tokio::test]
async fn answers_of_nobody_wait() {
    let faulty = Faulty::start().await;
    let service = service(arguments(&faulty.issuer())).await;
    let begun = Instant::now();
    for _ in 0..11 {
        complete(&mut Browser::new(), &service.url, "code=c&state=s").await.expect(400);
    }
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    let begun = Instant::now();
    service.get("/v1/me").await.expect(200);
    assert!(begun.elapsed() < Duration::from_secs(1));
}
