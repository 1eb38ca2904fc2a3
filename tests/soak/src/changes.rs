//! Changes the policy continuously: one change after the other through the management API. Each is recorded before it
//! is sent and when it is acknowledged. A change that was not answered is sent again until it is answered; then it has
//! happened.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use fastrand::Rng;
use keygate_e2e::{
    Error, Result,
    http::{self, Answer, Ask},
    policy_service::ADMIN_TOKEN,
};
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex, watch},
    time::timeout,
};

use crate::{
    book::Book,
    policy::{self, APIS, Fact, KeyType, State},
};

/// Maximum pause between two changes.
const PAUSE_MS: u64 = 150;
/// How long to wait for an answer.
const ANSWERED: Duration = Duration::from_secs(5);
/// Pause before a failed change is sent again.
const AGAIN: Duration = Duration::from_millis(50);
/// Maximum number of facts that are not open at the same time.
const MOST_CLOSED: usize = 150;

/// Facts that are not open, and their states. While the lock is held, no change is under way.
pub type Closed = Arc<Mutex<Vec<(Fact, State)>>>;

/// Changes the policy until `ended`.
pub async fn run(
    book: Arc<Book>,
    service: SocketAddr,
    applications: usize,
    closed: Closed,
    mut rng: Rng,
    mut ended: watch::Receiver<bool>,
) -> Result<()> {
    while !*ended.borrow() {
        let mut closed = closed.lock().await;
        let reopen = !closed.is_empty() && (closed.len() >= MOST_CLOSED || rng.bool());
        let (fact, from, to) = if reopen {
            let (fact, state) = {
                let at = rng.usize(..closed.len());
                closed.swap_remove(at)
            };
            (fact, state, State::Open)
        } else {
            let (fact, state) = choose(applications, &mut rng);
            if closed.iter().any(|(known, _)| *known == fact) {
                continue;
            }
            closed.push((fact, state));
            (fact, State::Open, state)
        };
        change(&book, service, fact, from, to).await?;
        drop(closed);
        let pause = Duration::from_millis(rng.u64(..PAUSE_MS));
        // The end of the soak also ends the pause.
        let _ = timeout(pause, ended.wait_for(|ended| *ended)).await;
    }
    Ok(())
}

/// Chooses what to close, and how: the last API, or any application, subscription or key.
fn choose(applications: usize, rng: &mut Rng) -> (Fact, State) {
    let application = rng.usize(..applications);
    match rng.u8(..20) {
        0 => (Fact::Api(APIS.saturating_sub(1)), State::Blocked),
        1 | 2 => (Fact::Application(application), State::Blocked),
        3 | 4 => (Fact::DenyPolicy(application), State::Blocked),
        5..=7 => (Fact::Key(application, *rng.choice(&KeyType::ALL).unwrap_or(&KeyType::Production)), State::Absent),
        how => {
            let api = policy::apis_of(application).nth(rng.usize(..policy::APIS_PER_APPLICATION)).unwrap_or_default();
            let state = match how % 3 {
                0 => State::Blocked,
                1 => State::ProductionBlocked,
                _ => State::Absent,
            };
            (Fact::Subscription(application, api), state)
        }
    }
}

async fn change(book: &Book, service: SocketAddr, fact: Fact, from: State, to: State) -> Result<()> {
    let ask = ask(fact, from, to).header("authorization", format!("Bearer {ADMIN_TOKEN}"));
    book.open().sent(fact, to, book.now());
    let revision = loop {
        match timeout(ANSWERED, http::send(service, &ask)).await {
            Ok(Ok(answer)) if has_happened(&ask, &answer) => {
                break answer.header("x-policy-revision").and_then(|text| text.parse().ok());
            }
            Ok(Ok(answer)) if answer.status.is_client_error() => {
                return Err(Error::unexpected(ask.to_string(), "a change of the policy", answer.to_string()));
            }
            // The service is away or busy.
            _ => tokio::time::sleep(AGAIN).await,
        }
    };
    let mut open = book.open();
    open.acknowledged(fact, book.now());
    if let Some(revision) = revision {
        open.history.contained(fact, revision);
    }
    Ok(())
}

/// If a removal was not answered and is sent again, it finds nothing to remove.
fn has_happened(ask: &Ask, answer: &Answer) -> bool {
    answer.status.is_success() || (ask.to_string().starts_with("DELETE ") && answer.status == 404)
}

/// The call of the management API for this change.
fn ask(fact: Fact, from: State, to: State) -> Ask {
    let post = |path: &str, row: Value| Ask::new("POST", path).json(row);
    let closes = to != State::Open;
    match fact {
        Fact::Api(api) => {
            let row = with_state(policy::api_row(api), if closes { "BLOCKED" } else { "PUBLISHED" });
            Ask::new("PUT", format!("/v1/apis/{}", policy::api_id(api))).json(row)
        }
        Fact::Application(application) => {
            let action = if closes { "block" } else { "unblock" };
            Ask::new("POST", format!("/v1/applications/{}/{action}", policy::application_id(application)))
        }
        Fact::DenyPolicy(application) if closes => {
            let value = policy::application_id(application);
            post("/v1/deny-policies", json!({"id": format!("d-{value}"), "type": "APPLICATION", "value": value}))
        }
        Fact::DenyPolicy(application) => {
            Ask::new("DELETE", format!("/v1/deny-policies/d-{}", policy::application_id(application)))
        }
        Fact::Key(application, key_type) if closes => {
            Ask::new("DELETE", format!("/v1/keys/{}", policy::key_id(application, key_type)))
        }
        Fact::Key(application, key_type) => post("/v1/keys", policy::key_row(application, key_type)),
        Fact::Subscription(application, api) => {
            let path = format!("/v1/subscriptions/{}", policy::subscription_id(application, api));
            match (from, to) {
                (_, State::Absent) => Ask::new("DELETE", path),
                (_, State::Blocked) => Ask::new("POST", format!("{path}/block?state=BLOCKED")),
                (_, State::ProductionBlocked) => Ask::new("POST", format!("{path}/block?state=PROD_ONLY_BLOCKED")),
                (State::Absent, State::Open) => post("/v1/subscriptions", policy::subscription_row(application, api)),
                (_, State::Open) => Ask::new("POST", format!("{path}/unblock")),
            }
        }
    }
}

fn with_state(mut row: Value, state: &str) -> Value {
    if let Some(row) = row.as_object_mut() {
        row.insert("state".to_owned(), json!(state));
    }
    row
}
