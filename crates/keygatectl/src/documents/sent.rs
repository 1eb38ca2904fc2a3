//! Documents and removals as one import: its lines while they are sent, and what the service says of it.

use std::{
    io::{self, Read},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::Value;

use super::{
    prune::{Candidate, Kept, line},
    read::{Documents, Place},
};
use crate::{
    cli::apply::Apply,
    client::{self, Answer, Client, Pair},
    failure::Failure,
    output::{
        plain,
        progress::{self, Progress},
    },
};

/// How long an import waits for others to end. Imports go one at a time; one of a million rows takes four minutes.
const OTHERS: Duration = Duration::from_secs(15 * 60);
/// Time until it asks again. The service itself has waited 30 s before it refused.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What an import did, as far as this program reads it.
#[derive(Debug, Deserialize)]
pub struct Imported {
    pub revision: i64,
    pub counts: serde_json::Map<String, Value>,
    pub refused_total: u64,
    pub refused: Vec<Refused>,
    #[serde(default)]
    pub kept: Vec<Kept>,
}

#[derive(Debug, Deserialize)]
pub struct Refused {
    line: u64,
    field: Option<String>,
    detail: String,
}

/// Where each line of an import came from.
pub struct Places {
    documents: Documents,
    places: Vec<Place>,
}

impl Places {
    pub fn error(&self, refused: &Refused) -> String {
        let place = usize::try_from(refused.line).ok().and_then(|line| self.places.get(line.checked_sub(1)?));
        let place = place.map(|place| self.documents.place(*place)).unwrap_or_default();
        // The service begins some sentences with the field.
        let field = refused.field.as_ref().map(|field| format!("{field}: "));
        let field = field.filter(|field| !refused.detail.starts_with(field.as_str())).unwrap_or_default();
        format!("{place}: {}", plain(&format!("{field}{}", refused.detail)))
    }
}

/// Sends documents and removals as one import.
pub fn send(
    client: &Client,
    mut documents: Documents,
    gone: &[Candidate],
    asked: &Apply,
) -> Result<(Places, Value), Failure> {
    let rows = std::mem::take(&mut documents.rows);
    let places = Places { documents, places: rows.iter().map(|row| row.place).collect() };
    let lines: Arc<[Box<str>]> = rows.into_iter().map(|row| row.line).chain(gone.iter().map(line)).collect();
    let mut query: Vec<Pair> = vec![("label", asked.label.clone())];
    query.extend(asked.lift_blocks.then(|| ("lift_blocks", "true".to_owned())));
    let bar = || progress::of(lines.len(), "applying");
    let sent = in_turn(client, &query, asked.if_revision, &lines, bar);
    match sent {
        Ok(answer) => Ok((places, answer.body)),
        Err(Failure::Unreachable(because)) => Err(Failure::Unreachable(format!(
            "{because}\n  what was written until then stays; run the command again, rows that are there cost nothing"
        ))),
        Err(failure) if failure.status() == Some(412) => Err(Failure::Other(format!(
            "nothing was applied, because the policy has changed: {failure}\n  `keygatectl diff` shows what `apply` would do now"
        ))),
        Err(failure) => Err(failure),
    }
}

/// What would stay of these objects, by a preview of the service.
pub fn preview(client: &Client, gone: &[&Candidate], lifts: bool) -> Result<Vec<Kept>, Failure> {
    let lines: Arc<[Box<str>]> = gone.iter().map(|one| line(one)).collect();
    let mut query: Vec<Pair> = vec![("dry_run", "true".to_owned())];
    query.extend(lifts.then(|| ("lift_blocks", "true".to_owned())));
    let sent = in_turn(client, &query, None, &lines, || Progress::new(None, "asking what would stay"))?;
    Ok(client::read::<Imported>(&sent.body)?.kept)
}

/// Sends an import, and sends it again while another one has the turn.
fn in_turn(
    client: &Client,
    query: &[Pair],
    at: Option<i64>,
    lines: &Arc<[Box<str>]>,
    bar: impl Fn() -> Progress,
) -> Result<Answer, Failure> {
    let until = Instant::now().checked_add(OTHERS);
    loop {
        let bar = bar();
        let sent = client.import(query, at, Lines::new(lines, bar.clone()));
        bar.end();
        let is_busy = sent.as_ref().is_err_and(|failure| failure.status() == Some(503));
        // After another import the policy is at another revision. An import that names one would be refused then.
        if !is_busy || at.is_some() || until.is_none_or(|until| Instant::now() >= until) {
            return sent;
        }
        thread::sleep(ASK_AGAIN);
    }
}

/// The lines of an import, while they are sent.
struct Lines {
    lines: Arc<[Box<str>]>,
    /// Lines that were taken.
    taken: usize,
    rest: Vec<u8>,
    begun: usize,
    bar: Progress,
}

impl Lines {
    fn new(lines: &Arc<[Box<str>]>, bar: Progress) -> Self {
        Self { lines: Arc::clone(lines), taken: 0, rest: Vec::new(), begun: 0, bar }
    }
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.begun >= self.rest.len() {
            self.rest.clear();
            self.begun = 0;
            // As many lines as fit into one write.
            while self.rest.len() < buffer.len()
                && let Some(line) = self.lines.get(self.taken)
            {
                self.taken = self.taken.saturating_add(1);
                self.rest.extend_from_slice(line.as_bytes());
                self.rest.push(b'\n');
                self.bar.add(1);
            }
        }
        let rest = self.rest.get(self.begun..).unwrap_or_default();
        let most = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..most), rest.get(..most)) {
            to.copy_from_slice(from);
        }
        self.begun = self.begun.saturating_add(most);
        Ok(most)
    }
}
