//! What a refresh complains of: failures in a row, each said once until a refresh goes well, and lines that a feed brings
//! about again and again.

use std::collections::VecDeque;

use super::{event::RefreshEvent, names::Names};
use crate::{
    callout::lines::{Lines, Said, Severity},
    policy::unknown::UnknownFields,
};

/// Different failures in a row that are remembered as said.
const MAX_COMPLAINTS: usize = 16;

/// What went wrong lately, and what was said of it.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    failures: u32,
    /// What was said since the last refresh that went well.
    known: VecDeque<String>,
    said: Said,
    names: Names,
}

impl Complaints {
    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// A refresh has failed.
    pub fn add_failure(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// Whether this was not said since the last refresh that went well. From now on it was.
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

    /// The service answered something usable.
    pub fn recover(&mut self, report: &mut Lines<RefreshEvent>) {
        if self.failures > 0 {
            report.line(Severity::Info, format!("the policy is refreshed again, after {} failures", self.failures));
        }
        self.failures = 0;
        self.known.clear();
    }

    /// Says a line, unless it was said within the last hour.
    pub fn say(&mut self, now_ms: u64, severity: Severity, line: String, report: &mut Lines<RefreshEvent>) {
        report.lines.extend(self.said.again(now_ms, severity, line));
    }

    /// Counts a page that has unknown fields, and says each name that was not said before.
    pub fn say_unknown(&mut self, unknown: &UnknownFields, report: &mut Lines<RefreshEvent>) {
        self.names.say(unknown, report);
    }
}
