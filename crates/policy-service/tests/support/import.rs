//! Imports through several services: one whose rows are sent when the test says so, and one that wants its turn meanwhile.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};
use testkit::deadline::eventually;

use super::{TOKEN, program::Program};

/// How long the first rows may take.
const SOON: Duration = Duration::from_secs(45);
/// Rows of one change and one more.
pub const ROWS: usize = 20_001;

/// An import under way.
pub struct Stream(TcpStream);

impl Stream {
    /// Begins an import at the service with this URL.
    pub fn begin(url: &str) -> Self {
        let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
        let head = format!(
            "POST /v1/import HTTP/1.1\r\nhost: service\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\
             content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        Self(stream)
    }

    /// Sends rows.
    pub fn send(&mut self, rows: &str) {
        self.0.write_all(format!("{:x}\r\n{rows}\r\n", rows.len()).as_bytes()).unwrap();
    }

    /// Ends the body. Returns status and body of the answer.
    pub fn end(mut self) -> (u16, Value) {
        // A service that has answered already may have closed.
        let _ = self.0.write_all(b"0\r\n\r\n");
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = body.get(body.find('{').unwrap_or(0)..=body.rfind('}').unwrap_or(0)).unwrap_or_default();
        (status, serde_json::from_str(body).unwrap_or_default())
    }
}

pub fn row(number: usize, owner: &str) -> String {
    format!("{{\"kind\":\"application\",\"id\":\"app-{number}\",\"owner\":\"{owner}\"}}\n")
}

pub async fn owners(program: &Program) -> Vec<String> {
    let mut found = Vec::new();
    for id in [0, ROWS - 1, ROWS] {
        let request = program.client.get(format!("{}/v1/applications/app-{id}", program.url)).bearer_auth(TOKEN);
        let row: Value = request.send().await.unwrap().json().await.unwrap();
        found.push(row["owner"].as_str().unwrap_or_default().to_owned());
    }
    found
}

/// Waits until an import of `ROWS` rows has written all but the last, which waits for its change. A slow service needs
/// several changes for that.
pub async fn is_begun(program: &Program, owner: &str) {
    let url = format!("{}/v1/applications/app-{}", program.url, ROWS - 2);
    let look = async || {
        let answer = program.client.get(&url).bearer_auth(TOKEN).send().await.unwrap();
        let text = answer.text().await.unwrap();
        if text.contains(&format!("\"owner\":\"{owner}\"")) { Ok(()) } else { Err(text) }
    };
    eventually("the first rows", SOON, look).await.unwrap();
}

/// Imports three rows, and again for as long as another import is under way.
pub fn import(program: &Program, owner: &str) -> tokio::task::JoinHandle<(u16, Value)> {
    let rows: String = [0, ROWS - 1, ROWS].map(|number| row(number, owner)).concat();
    let request = program.client.post(format!("{}/v1/import", program.url)).bearer_auth(TOKEN);
    let request = request.header("content-type", "application/x-ndjson").body(rows);
    tokio::spawn(async move {
        loop {
            let answer = request.try_clone().unwrap().send().await.unwrap();
            if answer.status() != reqwest::StatusCode::SERVICE_UNAVAILABLE {
                return (answer.status().as_u16(), answer.json().await.unwrap_or_default());
            }
        }
    })
}

/// An import that one service takes is not mixed with one that comes to the other meanwhile.
pub async fn imports_do_not_mix(one: &Program, other: &Program) {
    let mut first = Stream::begin(&one.url);
    first.send(&(0..ROWS).map(|number| row(number, "alice")).collect::<String>());
    is_begun(other, "alice").await;

    let second = import(other, "bob");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(!second.is_finished(), "the first import has not ended");
    // Single changes do not wait.
    let (status, body) = other.post("/v1/applications", json!({"id": "beside"})).await;
    assert_eq!(status, 201, "{body}");

    first.send(&row(ROWS, "alice"));
    let (status, answer) = first.end();
    assert_eq!((status, &answer["counts"]["applications"]["made"]), (200, &json!(ROWS + 1)), "{answer}");
    let (status, answer) = second.await.unwrap();
    assert_eq!((status, &answer["counts"]["applications"]["changed"]), (200, &json!(3)), "{answer}");
    assert_eq!(owners(one).await, ["bob", "bob", "bob"]);
}
