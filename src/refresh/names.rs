//! Names of unknown fields that were logged. Each is logged once.

use super::event::RefreshEvent;
use crate::{callout::lines::Lines, policy::unknown::UnknownFields};

/// Maximum number of names that one VM logs. Each has at most 64 characters.
const MAX_NAMES: usize = 64;

/// The names that were logged.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<String>);

impl Names {
    /// Counts a page with unknown fields, and logs each name that was not logged before.
    pub fn say(&mut self, unknown: &UnknownFields, report: &mut Lines<RefreshEvent>) {
        if unknown.is_empty() {
            return;
        }
        report.event(RefreshEvent::UnknownFields);
        for field in unknown.fields() {
            if self.0.len() >= MAX_NAMES || self.0.iter().any(|name| name == field.name()) {
                continue;
            }
            self.0.push(field.name().to_owned());
            report.warn(format!("the policy has a field that keygate does not know, and ignores: {field}"));
        }
    }
}
