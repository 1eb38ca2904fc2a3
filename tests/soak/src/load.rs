//! The load: a closed loop over a few connections. Each sends a request, has the answer judged, pauses and sends the
//! next. Half of the requests are about recent changes, the others about anything.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use fastrand::Rng;
use keygate_e2e::http::{self, Ask, Connection};
use serde_json::Value;
use tokio::{sync::watch, time::timeout};

use crate::{
    book::Book,
    policy::{self, APIS, Caller, Fact, KeyType, Subject},
    verdict::Answer,
};

/// Number of connections. With four workers, nearly always each worker has some.
const CONNECTIONS: usize = 16;
/// Requests per connection. The kernel may give the next connection to another worker.
const REQUESTS_PER_CONNECTION: usize = 200;
/// How long to wait for an answer. Nothing that the filter or Envoy does takes so long.
const HUNG: Duration = Duration::from_secs(10);
/// Pause before the next attempt if a connection is refused.
const AGAIN: Duration = Duration::from_millis(20);

/// The target and the size of the load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub address: SocketAddr,
    /// Number of applications.
    pub applications: usize,
    /// Requests per second, approximately. Fewer if answers take longer.
    pub rate: u32,
}

/// Sends requests until `ended`.
pub async fn run(book: Arc<Book>, load: Load, seed: u64, ended: watch::Receiver<bool>) {
    let mut rng = Rng::with_seed(seed);
    let clients = (0..CONNECTIONS).map(|_| tokio::spawn(ask_on(Arc::clone(&book), load, rng.fork(), ended.clone())));
    for client in clients.collect::<Vec<_>>() {
        // The panic of a client was printed to standard error. Its answers are missing in the count.
        let _ = client.await;
    }
}

/// Sends one request for each of `subjects`.
pub async fn ask_all(book: Arc<Book>, address: SocketAddr, subjects: Vec<Subject>) {
    let each = subjects.len().div_ceil(CONNECTIONS).max(1);
    let clients = subjects.chunks(each).map(|part| {
        let (book, part) = (Arc::clone(&book), part.to_vec());
        tokio::spawn(async move {
            let mut left = part.into_iter();
            while left.len() > 0 {
                ask_over_one(&book, address, &mut left, Duration::ZERO).await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        let _ = client.await;
    }
}

async fn ask_on(book: Arc<Book>, load: Load, mut rng: Rng, ended: watch::Receiver<bool>) {
    let connections = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
    let pause = Duration::from_secs(1).saturating_mul(connections).checked_div(load.rate).unwrap_or_default();
    while !*ended.borrow() {
        let chosen = Arc::clone(&book);
        let mut rng = rng.fork();
        let mut subjects = std::iter::from_fn(|| Some(choose(&chosen, load.applications, &mut rng)))
            .take(REQUESTS_PER_CONNECTION)
            .take_while(|_| !*ended.borrow());
        ask_over_one(&book, load.address, &mut subjects, pause).await;
    }
}

/// Sends requests over one connection, until there are no more subjects or the connection ends.
async fn ask_over_one(book: &Book, address: SocketAddr, subjects: &mut impl Iterator<Item = Subject>, pause: Duration) {
    let Ok(mut connection) = Connection::open(address).await else {
        // Connection refused: the first request counts as not answered.
        if let Some(subject) = subjects.next() {
            let now = book.now();
            book.open().judge(subject, now, now, &Answer::Broken);
        }
        return tokio::time::sleep(AGAIN).await;
    };
    // Check the connection before taking a subject. Otherwise the subject would be lost with an ended connection.
    while !connection.is_closed() {
        let Some(subject) = subjects.next() else { return };
        let start = book.now();
        let (answer, may_go_on) = ask(&mut connection, subject).await;
        let end = book.now();
        book.open().judge(subject, start, end, &answer);
        if !may_go_on {
            return;
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

/// Sends one request. Returns the answer, and whether the connection can be used again.
async fn ask(connection: &mut Connection, subject: Subject) -> (Answer, bool) {
    let mut ask = Ask::get(policy::path(subject.api));
    if let Some(key) = subject.caller.key() {
        ask = ask.key(&key);
    }
    match timeout(HUNG, connection.send(&ask)).await {
        Err(_) => (Answer::Nothing, false),
        Ok(Err(_)) => (Answer::Broken, false),
        Ok(Ok(answer)) => (read(&answer, subject), answer.header("connection") != Some("close")),
    }
}

/// Interprets an answer.
fn read(answer: &http::Answer, subject: Subject) -> Answer {
    if let Some(code) = answer.code() {
        return Answer::Refused(code);
    }
    match answer.status.as_u16() {
        200 => Answer::Reached { as_itself: is_itself(&answer.json(), subject) },
        503 if answer.body.is_empty() => Answer::DeadVm,
        status => Answer::Foreign(status),
    }
}

/// Whether the echoing upstream saw the caller's own identity, at the right endpoint, and no credential.
fn is_itself(echo: &Value, subject: Subject) -> bool {
    let Caller::Application(application, key_type) = subject.caller else { return false };
    let header = |name: &str| echo.pointer(&format!("/headers/{name}/0")).and_then(Value::as_str);
    let endpoint = match key_type {
        KeyType::Production => "production",
        KeyType::Sandbox => "sandbox",
    };
    header("x-application-id") == Some(&policy::application_id(application))
        && header("x-key-id") == Some(&policy::key_id(application, key_type))
        && header("x-key-type") == Some(key_type.name())
        && header("x-api-key").is_none()
        && echo.get("endpoint").and_then(Value::as_str) == Some(endpoint)
}

/// Half of the time a subject of a recent change, otherwise any subject, sometimes with an unknown key or without a
/// key.
fn choose(book: &Book, applications: usize, rng: &mut Rng) -> Subject {
    let anything =
        Subject { caller: Caller::Application(rng.usize(..applications), key_type(rng)), api: rng.usize(..APIS) };
    match rng.u8(..40) {
        0 => return Subject { caller: Caller::Stranger(rng.u32(..)), ..anything },
        1 => return Subject { caller: Caller::Nobody, ..anything },
        2..20 => return anything,
        _ => {}
    }
    let recent = {
        let open = book.open();
        rng.choice(open.recent.iter()).copied()
    };
    match recent {
        None => anything,
        Some(Fact::Api(api)) => Subject { api, ..anything },
        Some(Fact::Application(application) | Fact::DenyPolicy(application)) => {
            Subject { caller: Caller::Application(application, key_type(rng)), ..anything }
        }
        Some(Fact::Subscription(application, api)) => {
            Subject { caller: Caller::Application(application, key_type(rng)), api }
        }
        Some(Fact::Key(application, key_type)) => {
            Subject { caller: Caller::Application(application, key_type), ..anything }
        }
    }
}

fn key_type(rng: &mut Rng) -> KeyType {
    if rng.bool() { KeyType::Production } else { KeyType::Sandbox }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_its_own_identity_at_its_own_endpoint_without_the_credential_counts() {
        let subject = Subject { caller: Caller::Application(7, KeyType::Sandbox), api: 0 };
        let right = json!({"endpoint": "sandbox", "headers": {
            "x-application-id": ["app-7"], "x-key-id": ["k-7-sandbox"], "x-key-type": ["SANDBOX"]}});
        assert!(is_itself(&right, subject));
        let cases = [
            ("/endpoint", json!("production")),
            ("/headers/x-application-id", json!(["app-8"])),
            ("/headers/x-application-id", json!([])),
            ("/headers/x-key-id", json!(["k-7-production"])),
            ("/headers/x-key-type", json!(["PRODUCTION"])),
        ];
        for (place, value) in cases {
            let mut wrong = right.clone();
            *wrong.pointer_mut(place).unwrap() = value;
            assert!(!is_itself(&wrong, subject), "{wrong}");
        }
        let mut leaked = right.clone();
        leaked["headers"]["x-api-key"] = json!(["it"]);
        assert!(!is_itself(&leaked, subject));
        for caller in [Caller::Nobody, Caller::Stranger(1)] {
            assert!(!is_itself(&right, Subject { caller, api: 0 }), "{caller:?}");
        }
    }
}
