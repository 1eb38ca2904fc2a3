//! What a policy says about the block of a subscription besides the state: its times and its note.
//!
//! A gateway decides by its own clock, so a block begins and ends on time if the policy service is away. The service also
//! writes the state anew when a time has come. A reader that does not know the times decides by the state alone.

use super::SubscriptionState;

/// Times and note of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Block<T> {
    /// First second of a planned block, Unix time. `None`: no block is planned.
    pub from: Option<u64>,
    /// First second in which the block has ended, Unix time. `None`: it does not end by itself.
    pub until: Option<u64>,
    /// The state during a planned block.
    pub planned: SubscriptionState,
    /// A text for the subscriber.
    pub note: Option<T>,
}

impl<T> Block<T> {
    /// The same with another form of the note.
    pub fn map<U>(self, form: impl FnOnce(T) -> U) -> Block<U> {
        Block { from: self.from, until: self.until, planned: self.planned, note: self.note.map(form) }
    }

    /// The same with the note borrowed.
    pub fn as_ref(&self) -> Block<&T> {
        Block { from: self.from, until: self.until, planned: self.planned, note: self.note.as_ref() }
    }

    /// Whether the state depends on the time.
    pub fn has_time(&self) -> bool {
        self.from.is_some() || self.until.is_some()
    }

    /// What counts at `now`, Unix seconds, if the row has `state`. A planned block also concerns a subscription that
    /// passes although it waits for something, and one that is blocked for production only.
    pub fn state_at(&self, state: SubscriptionState, now: u64) -> SubscriptionState {
        let has_ended = self.until.is_some_and(|until| now >= until);
        let has_begun = self.from.is_some_and(|from| now >= from);
        match state {
            SubscriptionState::Blocked | SubscriptionState::ProdOnlyBlocked if has_ended => {
                SubscriptionState::Unblocked
            }
            SubscriptionState::ProdOnlyBlocked if has_begun => self.planned,
            state if state.passes() && has_begun && !has_ended => self.planned,
            state => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{rows::Subscription, wire};

    #[test]
    fn a_block_begins_and_ends_to_the_second() {
        use SubscriptionState::{
            Blocked, DeletePending, LeftOut, OnHold, ProdOnlyBlocked, Rejected, TierUpdatePending, Unblocked, Unknown,
        };
        let all =
            [Unblocked, TierUpdatePending, DeletePending, Blocked, ProdOnlyBlocked, OnHold, Rejected, Unknown, LeftOut];
        for state in all {
            let block = |from, until| Block::<()> { from, until, planned: ProdOnlyBlocked, note: None };
            let is_block = matches!(state, Blocked | ProdOnlyBlocked);
            let passes = matches!(state, Unblocked | TierUpdatePending | DeletePending);
            let ended = if is_block { Unblocked } else { state };
            let planned = if passes { ProdOnlyBlocked } else { state };
            let blocked = if passes || state == ProdOnlyBlocked { Blocked } else { state };
            for (from, until, now, expected) in [
                (None, None, u64::MAX, state),
                (None, Some(10), 9, state),
                (None, Some(10), 10, ended),
                (Some(10), None, 9, state),
                (Some(10), None, 10, planned),
                (Some(10), None, u64::MAX, planned),
                (Some(10), Some(20), 9, state),
                (Some(10), Some(20), 10, planned),
                (Some(10), Some(20), 19, planned),
                (Some(10), Some(20), 20, ended),
                (Some(0), Some(0), 0, ended),
            ] {
                assert_eq!(block(from, until).state_at(state, now), expected, "{state:?} {from:?} {until:?} {now}");
                let expected =
                    if expected == planned && from.is_some_and(|from| now >= from) { blocked } else { expected };
                let stronger = Block { planned: Blocked, ..block(from, until) };
                assert_eq!(stronger.state_at(state, now), expected, "{state:?} {from:?} {until:?} {now}, BLOCKED");
            }
        }
    }

    #[test]
    fn a_bad_time_or_note_of_a_block_makes_a_bad_row() {
        let long = format!(r#""block_note": "{}""#, "n".repeat(257));
        for (fields, field) in [
            (r#""blocked_from": 10, "blocked_until": 10"#, "blocked_until"),
            (r#""blocked_from": 10, "blocked_until": 9"#, "blocked_until"),
            (r#""state": "BLOCKED", "blocked_until": 1767225600000"#, "blocked_until"),
            (r#""blocked_from": -1"#, "blocked_from"),
            (r#""block_note": """#, "block_note"),
            (r#""block_note": "one\ntwo""#, "block_note"),
            (&long, "block_note"),
        ] {
            let json = format!(r#"{{"application": "a", "api": "b", {fields}}}"#);
            let row: wire::SubscriptionRow<'_> = serde_json::from_str(&json).unwrap();
            let error = Subscription::try_from(row).unwrap_err().to_string();
            assert!(error.contains(&format!("`{field}`")), "{fields}: {error}");
        }
    }
}
