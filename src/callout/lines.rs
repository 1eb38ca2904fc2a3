//! What the core has to say: lines of the log, and events for the metrics. How they are written is the shell's business.
//!
//! A line that a feed brings about again and again is said once in an hour, and counted each time. Failures are not said
//! through [`Said`]; they are said once until it goes well again.

use std::collections::VecDeque;

/// How long a line is not said again.
const SILENT_MS: u64 = 3_600_000;
/// Lines that are remembered, of some 200 bytes each; beyond them the oldest may be said again.
const MAX_LINES: usize = 64;

/// How loud a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// For the record.
    Info,
    /// Somebody should look.
    Warn,
    /// Somebody has to act.
    Error,
}

/// What the shell is to say.
#[derive(Debug)]
pub struct Lines<E> {
    /// Lines of the log.
    pub lines: Vec<(Severity, String)>,
    /// For the metrics.
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

/// What was said lately: lines with the time at which they were said.
#[derive(Debug, Default)]
pub(crate) struct Said {
    lines: VecDeque<(u64, String)>,
}

impl Said {
    /// The line, unless it was said within the last hour. A clock that was set back lets it be said.
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
