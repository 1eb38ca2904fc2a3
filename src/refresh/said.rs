//! What was said lately: a line that a feed brings about again and again is said once in an hour, and counted each time.
//! Failures of a refresh are not said through here; they are said once until it recovers.

use std::collections::VecDeque;

use super::Level;

/// How long a line is not said again.
const SILENT_MS: u64 = 3_600_000;
/// Lines that are remembered, of some 200 bytes each; beyond them the oldest may be said again.
const MAX_LINES: usize = 64;

/// Lines with the time at which they were said.
#[derive(Debug, Default)]
pub(super) struct Said(VecDeque<(u64, String)>);

impl Said {
    /// The line, unless it was said within the last hour. A clock that was set back lets it be said.
    pub fn again(&mut self, now_ms: u64, level: Level, line: String) -> Option<(Level, String)> {
        self.0.retain(|(then, _)| now_ms.checked_sub(*then).is_some_and(|since| since < SILENT_MS));
        if self.0.iter().any(|(_, known)| *known == line) {
            return None;
        }
        if self.0.len() >= MAX_LINES {
            self.0.pop_front();
        }
        self.0.push_back((now_ms, line.clone()));
        Some((level, line))
    }
}
