//! Reports the progress of an import on stderr, once a second and at the end.

use std::{
    cell::Cell,
    error::Error,
    io::{self, Read},
    rc::Rc,
    time::{Duration, Instant},
};

use super::MAX_REPORTS;
use crate::stderr;

/// Time between two reports.
const INTERVAL: Duration = Duration::from_secs(1);

/// The progress of an import.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    told: Instant,
    bytes: Option<u64>,
    read: Rc<Cell<u64>>,
    rows: u64,
    refused: u64,
}

/// A reader that counts.
#[derive(Debug)]
pub struct Counted<R> {
    inner: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read.set(self.read.get().saturating_add(u64::try_from(read).unwrap_or_default()));
        Ok(read)
    }
}

impl Progress {
    /// Starts with the number of bytes to read, if it is known.
    pub fn new(bytes: Option<u64>) -> Self {
        let now = Instant::now();
        Self { started: now, told: now, bytes, read: Rc::default(), rows: 0, refused: 0 }
    }

    /// Wraps a reader so that its bytes are counted.
    pub fn count<R>(&self, inner: R) -> Counted<R> {
        Counted { inner, read: Rc::clone(&self.read) }
    }

    /// Counts rows that are done.
    pub fn add(&mut self, rows: usize) {
        self.rows = self.rows.saturating_add(u64::try_from(rows).unwrap_or_default());
        if self.told.elapsed() >= INTERVAL {
            self.told = Instant::now();
            self.tell();
        }
    }

    /// Counts a rejected row and reports it.
    pub fn refuse(&mut self, place: &str, reason: &str) {
        self.refused = self.refused.saturating_add(1);
        if self.refused <= MAX_REPORTS {
            stderr::say(format_args!("refused: {place}: {reason}"));
        } else if self.refused == MAX_REPORTS.saturating_add(1) {
            stderr::say("refused: further rows, which are only counted");
        }
    }

    fn tell(&self) {
        let seconds = self.started.elapsed().as_secs().max(1);
        let rate = self.rows.checked_div(seconds).unwrap_or_default();
        let percent = self.bytes.and_then(|bytes| self.read.get().saturating_mul(100).checked_div(bytes));
        let percent = percent.map(|percent| format!("{percent} %, ")).unwrap_or_default();
        stderr::say(format_args!("{percent}{} rows, {rate} rows/s, {seconds} s", self.rows));
    }

    /// Reports the result. Returns an error if rows were rejected.
    pub fn finish(&self) -> Result<(), Box<dyn Error>> {
        self.tell();
        match self.refused {
            0 => Ok(()),
            refused => Err(format!("{refused} rows were refused; the others were imported").into()),
        }
    }
}
