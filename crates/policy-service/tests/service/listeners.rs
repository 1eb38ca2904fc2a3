//! Two listeners: the routes of each, and their shared budget of connections.

use std::time::Duration;

use crate::support::{TOKEN, browser::Browser, program::Program, send};
use reqwest::Method;
use serde_json::json;
use tokio::{net::TcpStream, time};

/// The address of the feed's listener, from the log.
async fn feed_of(service: &Program) -> String {
    let line = service.logs("listening for gateways").await;
    format!("http://{}", line.split("address=").nth(1).unwrap().split(' ').next().unwrap())
}

#[tokio::test]
async fn each_listener_has_its_routes_and_no_others() {
    let service = Program::command(&["serve", "--feed-listen", "127.0.0.1:0"]).start();
    service.seed().await;
    let feed = feed_of(&service).await;
    let report = json!({"format": 1, "batch": "b-1"});
    for (method, path, is_gateway, body, managing, feeding) in [
        (Method::GET, "/v1/policy", true, None, 404, 200),
        (Method::POST, "/v1/policy", true, None, 404, 405),
        (Method::POST, "/v1/usage", true, Some(&report), 404, 200),
        (Method::GET, "/v1/usage", false, None, 404, 200),
        (Method::GET, "/healthz", false, None, 200, 200),
        (Method::GET, "/healthz/write", false, None, 200, 404),
        (Method::GET, "/openapi.json", false, None, 200, 404),
        (Method::GET, "/metrics", false, None, 200, 404),
        (Method::GET, "/v1/apis", false, None, 200, 404),
        (Method::GET, "/v1/keys/k-1", false, None, 200, 404),
        (Method::POST, "/v1/subscriptions/s-1/block", false, None, 200, 404),
        (Method::GET, "/nothing", false, None, 404, 404),
    ] {
        for (url, status) in [(&service.url, managing), (&feed, feeding)] {
            let request = service.client.request(method.clone(), format!("{url}{path}"));
            let request = match is_gateway {
                true => request.basic_auth("gw", Some("secret")),
                false => request.bearer_auth(TOKEN),
            };
            let request = match body {
                Some(body) => request.json(body),
                None => request,
            };
            let answer = request.send().await.unwrap();
            assert!(answer.headers().contains_key("x-request-id"), "{path}");
            assert_eq!(answer.status(), status, "{method} {url}{path}: {}", answer.text().await.unwrap());
        }
    }
    // A change through one listener wakes a poll that the other one holds.
    let get = async |path: String, wait: &str| {
        let request =
            service.client.get(format!("{feed}{path}")).basic_auth("gw", Some("secret")).header("prefer", wait);
        request.send().await.unwrap().json::<serde_json::Value>().await.unwrap()
    };
    let poll = get("/v1/policy".to_owned(), "wait=0").await["poll"].as_str().unwrap().to_owned();
    let (page, (status, _)) = tokio::join!(get(poll, "wait=20"), async {
        time::sleep(Duration::from_millis(200)).await;
        service.post("/v1/plans", json!({"id": "gold"})).await
    });
    assert_eq!((status, page["plans"][0]["id"].as_str()), (201, Some("gold")));
}

/// Usage is read at the listener of the gateways. Whoever asks at the other one is told so, and the console has it there.
#[tokio::test]
async fn usage_that_is_served_elsewhere_says_where() {
    let service = Program::command(&["serve", "--feed-listen", "127.0.0.1:0"]).start();
    service.seed().await;
    let feed = feed_of(&service).await;
    let hour = crate::support::act().now / 3_600 * 3_600;
    let count = json!({"hour": hour, "application": "app-1", "api": "api-1", "outcome": "allowed", "requests": 471});
    let report = json!({"format": 1, "batch": "b-1", "counts": [count]});
    let request = service.client.post(format!("{feed}/v1/usage")).basic_auth("gw", Some("secret")).json(&report);
    send(request).await.expect(200);
    let read = async |url: &str| send(service.client.get(format!("{url}/v1/usage")).bearer_auth(TOKEN)).await;
    assert_eq!(read(&feed).await.expect(200).json()["items"][0]["requests"], 471);
    let answer = read(&service.url).await.expect_problem(404, None).json();
    let detail = answer["detail"].as_str().unwrap();
    assert!(detail.starts_with("/v1/usage is served at another address, that of --feed-listen"), "{detail}");
    let mut browser = Browser::new();
    browser.submit(&format!("{}/console/sign-in", service.url), &[("token", TOKEN)]).await.expect(303);
    let page = browser.get(&format!("{}/console/usage?days=1", service.url)).await.expect(200);
    assert!(page.text.contains("471 allowed, 0 refused"), "{}", page.text);
}

#[tokio::test]
async fn without_a_listener_of_its_own_the_feed_is_served_beside_management() {
    let service = Program::start();
    assert!(!service.log().contains("listening for gateways"));
    assert!(service.policy("/v1/policy").await["revision"].is_number());
    assert_eq!(service.get("/healthz").await.0, 200);
}

/// 264 descriptors leave 200 connections for both listeners. Strangers open more than that on each, and keep them open.
#[tokio::test]
async fn both_listeners_share_one_budget_of_connections() {
    let mut command = Program::command(&["serve", "--feed-listen", "127.0.0.1:0"]);
    let service = command.limit_descriptors(264).start();
    service.seed().await;
    let feed = feed_of(&service).await;
    let addresses = [service.url.trim_start_matches("http://"), feed.trim_start_matches("http://")];
    let mut held = Vec::new();
    for number in 0..600 {
        held.push(TcpStream::connect(addresses[number % 2]).await.unwrap());
    }
    for _ in 0..20 {
        for url in [&service.url, &feed] {
            let answer = crate::support::client().get(format!("{url}/healthz")).send().await.unwrap();
            assert_eq!(answer.status(), 200);
        }
    }
    let open = std::fs::read_dir(format!("/proc/{}/fd", service.id())).unwrap().count();
    assert!(open < 264, "{open}");
    assert!(!service.log().contains("could not be accepted"), "{}", service.log());
}
