//! Names of unknown fields that were said: each once.

use super::event::RefreshEvent;
use crate::{callout::lines::Lines, policy::unknown::UnknownFields};

/// Names that are said by one VM, each of at most 64 characters.
const MAX_NAMES: usize = 64;

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<String>);

impl Names {
    /// Counts a page that has unknown fields, and says each name that was not said before.
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
