//! The failures of a refresh: each is logged once until a refresh succeeds. Lines that a feed causes again and again
//! are logged once an hour.

use std::collections::VecDeque;

use super::{event::RefreshEvent, names::Names};
use crate::{
    callout::lines::{Lines, Said, Severity},
    policy::unknown::UnknownFields,
};

/// The number of different failures that are remembered as logged.
const MAX_COMPLAINTS: usize = 16;

/// The failures since the last success, and what was logged.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    failures: u32,
    /// The failures that were logged since the last success.
    known: VecDeque<String>,
    said: Said,
    names: Names,
    /// The revision that was refused since the last success, 0 if it is not known, and why.
    pub refused: Option<(u64, &'static str)>,
}

impl Complaints {
    /// The number of failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    pub fn add_failure(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// Whether this was not logged since the last success. From now on it counts as logged.
    pub fn is_new(&mut self, what: &str) -> bool {
        if self.known.iter().any(|known| known == what) {
            return false;
        }
        if self.known.len() >= MAX_COMPLAINTS {
            self.known.pop_front();
        }
        self.known.push_back(what.to_owned());
        true
    }

    /// A refresh has succeeded.
    pub fn recover(&mut self, report: &mut Lines<RefreshEvent>) {
        if self.failures > 0 {
            report.line(Severity::Warn, format!("the policy is refreshed again, after {} failures", self.failures));
        }
        self.failures = 0;
        self.refused = None;
        self.known.clear();
    }

    /// Logs a line unless it was logged within the last hour.
    pub fn say(&mut self, now_ms: u64, severity: Severity, line: String, report: &mut Lines<RefreshEvent>) {
        report.lines.extend(self.said.again(now_ms, severity, line));
    }

    /// Counts a page that has unknown fields, and logs each name that was not logged before.
    pub fn say_unknown(&mut self, unknown: &UnknownFields, report: &mut Lines<RefreshEvent>) {
        self.names.say(unknown, report);
    }
}
