//! Output of the core: lines for the log, and events for the metrics. The shell writes both.
//!
//! A line that a feed causes again and again is logged once an hour and counted each time. `Said` does not handle
//! failures. A failure is logged once until it is over.

use std::collections::VecDeque;

/// How long a line is not repeated, in milliseconds.
const SILENT_MS: u64 = 3_600_000;
/// Number of lines that are remembered, of some 200 bytes each. If there are more, the oldest may be logged again.
const MAX_LINES: usize = 64;

/// Severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Information only.
    Info,
    /// An operator should look at it.
    Warn,
    /// An operator has to act.
    Error,
}

/// Output for the shell.
#[derive(Debug)]
pub struct Lines<E> {
    /// Lines for the log.
    pub lines: Vec<(Severity, String)>,
    /// Events for the metrics.
    pub events: Vec<E>,
}

impl<E> Default for Lines<E> {
    fn default() -> Self {
        Self { lines: Vec::new(), events: Vec::new() }
    }
}

impl<E> Lines<E> {
    pub(crate) fn event(&mut self, event: E) {
        self.events.push(event);
    }

    pub(crate) fn line(&mut self, severity: Severity, line: impl Into<String>) {
        self.lines.push((severity, line.into()));
    }

    pub(crate) fn warn(&mut self, line: String) {
        self.line(Severity::Warn, line);
    }
}

/// Recently logged lines, each with its time.
#[derive(Debug, Default)]
pub(crate) struct Said {
    lines: VecDeque<(u64, String)>,
}

impl Said {
    /// Returns the line, unless it was logged within the last hour. If the clock was set back, the line is returned.
    pub fn again(&mut self, now_ms: u64, level: Severity, line: String) -> Option<(Severity, String)> {
        self.lines.retain(|(then, _)| now_ms.checked_sub(*then).is_some_and(|since| since < SILENT_MS));
        if self.lines.iter().any(|(_, known)| *known == line) {
            return None;
        }
        if self.lines.len() >= MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back((now_ms, line.clone()));
        Some((level, line))
    }
}
