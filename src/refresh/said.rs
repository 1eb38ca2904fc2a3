//! What was said lately: a line that a feed brings about again and again is said once in an hour, and counted each time.
//! The name of an unknown field is said once. Failures of a refresh are not said through here; they are said once until it
//! recovers.

use std::collections::VecDeque;

use super::{Refresh, RefreshEvent, Report};
use crate::{callout::lines::Level, policy::unknown::UnknownFields};

/// How long a line is not said again.
const SILENT_MS: u64 = 3_600_000;
/// Lines that are remembered, of some 200 bytes each; beyond them the oldest may be said again.
const MAX_LINES: usize = 64;
/// Names of unknown fields that are said by one VM, each of at most 64 characters.
const MAX_NAMES: usize = 64;

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Lines with the time at which they were said.
    lines: VecDeque<(u64, String)>,
    /// Names of unknown fields.
    names: Vec<String>,
}

impl Said {
    /// The line, unless it was said within the last hour. A clock that was set back lets it be said.
    pub fn again(&mut self, now_ms: u64, level: Level, line: String) -> Option<(Level, String)> {
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

impl Refresh {
    /// Counts a page that has unknown fields, and says each name that was not said before.
    pub(super) fn say_unknown(&mut self, unknown: &UnknownFields, report: &mut Report) {
        if unknown.is_empty() {
            return;
        }
        report.event(RefreshEvent::UnknownFields);
        let names = &mut self.said.names;
        for field in unknown.fields() {
            if names.len() >= MAX_NAMES || names.iter().any(|name| name == field.name()) {
                continue;
            }
            names.push(field.name().to_owned());
            report.warn(format!("the policy has a field that keygate does not know, and ignores: {field}"));
        }
    }
}
