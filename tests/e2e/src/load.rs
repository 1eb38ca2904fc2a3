//! Clients that ask a gateway without a pause while a test changes something, and record every unexpected answer. What is
//! expected, the test says.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{
    Error, Result,
    http::{Ask, Connection},
    story::Expected,
};

/// An answer that takes longer counts as missing.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// The number of concurrent clients.
const CLIENTS: usize = 12;
/// How many wrong answers an error shows.
const SHOWN: usize = 5;

/// Clients that ask without a pause, and record unexpected answers.
pub struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    wrong: Arc<Mutex<Vec<String>>>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    pub fn start(port: u16, asks: Vec<(Ask, Expected)>) -> Self {
        let mut load = Self { stop: Arc::default(), asked: Arc::default(), wrong: Arc::default(), clients: Vec::new() };
        for (ask, expected) in asks.into_iter().cycle().take(CLIENTS) {
            let (stop, asked, wrong) = (load.stop.clone(), load.asked.clone(), load.wrong.clone());
            load.clients.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if let Err(what) = converse(port, &ask, expected, &stop, &asked).await {
                        wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what);
                    }
                }
            }));
        }
        load
    }

    /// The number of expected answers so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Stops the clients. Returns the number of expected answers, or an error if there was any other.
    pub async fn end(self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.map_err(|error| Error::unexpected("a client", "it to end", error.to_string()))?;
        }
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.is_empty() {
            return Ok(self.asked.load(Ordering::Relaxed));
        }
        let shown: Vec<_> = wrong.iter().take(SHOWN).cloned().collect();
        Err(Error::unexpected("the load", "only expected answers", format!("{} others: {shown:#?}", wrong.len())))
    }
}

/// Asks over one connection until Envoy closes it, as it does when its listener is replaced.
async fn converse(
    port: u16,
    ask: &Ask,
    expected: Expected,
    stop: &AtomicBool,
    asked: &AtomicUsize,
) -> std::result::Result<(), String> {
    let Ok(mut connection) = Connection::open(([127, 0, 0, 1], port).into()).await else { return Ok(()) };
    while !stop.load(Ordering::Relaxed) && !connection.is_closed() {
        match tokio::time::timeout(ANSWERED_WITHIN, connection.send(ask)).await {
            Err(_) => return Err(format!("{ask}: no answer")),
            // Envoy closed the connection between two requests. The client opens a new one.
            Ok(Err(_)) => return Ok(()),
            Ok(Ok(answer)) if expected.is(answer.status.as_u16(), &answer.json()) => {
                asked.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Ok(answer)) => return Err(format!("{ask}: expected {expected}, found {answer}")),
        }
    }
    Ok(())
}
