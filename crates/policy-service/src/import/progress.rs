//! Reports the progress of an import on stderr, once a second and at the end.

use std::{
    error::Error,
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::MAX_REPORTS;
use crate::stderr;
use management::{
    import::{Count, Options, Outcome, Place, Removed, Told},
    port::Kind,
};

/// Time between two reports.
const INTERVAL: Duration = Duration::from_secs(1);

/// The progress of an import.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    told: Instant,
    bytes: Option<u64>,
    read: Arc<AtomicU64>,
    rows: u64,
    refused: u64,
}

/// A reader that counts.
#[derive(Debug)]
pub struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read.fetch_add(u64::try_from(read).unwrap_or_default(), Ordering::Relaxed);
        Ok(read)
    }
}

impl Progress {
    /// Starts with the number of bytes to read, if it is known.
    pub fn new(bytes: Option<u64>) -> Self {
        let now = Instant::now();
        Self { started: now, told: now, bytes, read: Arc::default(), rows: 0, refused: 0 }
    }

    /// Wraps a reader so that its bytes are counted.
    pub fn count<R>(&self, inner: R) -> Counted<R> {
        Counted { inner, read: Arc::clone(&self.read) }
    }

    fn tell(&self) {
        let seconds = self.started.elapsed().as_secs().max(1);
        let rate = self.rows.checked_div(seconds).unwrap_or_default();
        let percent =
            self.bytes.and_then(|bytes| self.read.load(Ordering::Relaxed).saturating_mul(100).checked_div(bytes));
        let percent = percent.map(|percent| format!("{percent} %, ")).unwrap_or_default();
        stderr::say(format_args!("{percent}{} rows, {rate} rows/s, {seconds} s", self.rows));
    }
}

impl Told for Progress {
    fn add(&mut self, rows: usize) {
        self.rows = self.rows.saturating_add(u64::try_from(rows).unwrap_or_default());
        if self.told.elapsed() >= INTERVAL {
            self.told = Instant::now();
            self.tell();
        }
    }

    fn refuse(&mut self, place: Place, kind: Option<Kind>, _field: Option<&str>, because: &str) {
        self.refused = self.refused.saturating_add(1);
        if self.refused <= MAX_REPORTS {
            let place = kind.map(|kind| place.describe(kind)).unwrap_or_default();
            stderr::say(format_args!("refused: {place}: {because}"));
        } else if self.refused == MAX_REPORTS.saturating_add(1) {
            stderr::say("refused: further rows, which are only counted");
        }
    }
}

/// Reports the result. Returns an error if rows were rejected.
pub fn finish(progress: &Progress, options: &Options, outcome: &Outcome) -> Result<(), Box<dyn Error>> {
    progress.tell();
    let would = if options.dry_run { "nothing was changed; this would have been: " } else { "" };
    if options.dry_run || options.replace {
        for (list, Count { made, held_back: _, changed, unchanged, removed, kept, refused }) in &outcome.counts {
            stderr::say(format_args!(
                "{would}{list}: {made} made, {changed} changed, {unchanged} unchanged, {removed} removed, {kept} kept, \
                 {refused} refused"
            ));
        }
        for Removed { kind, id, kept } in &outcome.removed {
            match kept {
                Some(because) => stderr::say(format_args!("kept: {kind} {id}: {because}")),
                None => stderr::say(format_args!("{would}removed: {kind} {id}")),
            }
        }
    }
    for (list, Count { held_back, .. }) in outcome.counts.iter().filter(|(_, count)| count.held_back > 0) {
        stderr::say(format_args!(
            "{would}{held_back} new {list} are on hold or blocked, because their owner has a block that the import does \
             not have; --lift-blocks makes them as they are"
        ));
    }
    match outcome.refused() {
        0 => Ok(()),
        refused if options.replace => {
            Err(format!("{refused} rows were refused, so nothing was removed; the others were imported").into())
        }
        refused => Err(format!("{refused} rows were refused; the others were imported").into()),
    }
}
