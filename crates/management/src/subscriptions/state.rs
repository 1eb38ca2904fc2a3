//! The states of a subscription, with the words of the filter.

use keygate::policy;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::block::{Before, Block};

/// The state of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SubscriptionState {
    /// Requests with either key type pass.
    Unblocked,
    /// Requests with either key type are denied.
    Blocked,
    /// Only requests with sandbox keys pass.
    ProdOnlyBlocked,
    /// Not approved yet; requests are denied.
    OnHold,
    /// Rejected; requests are denied.
    Rejected,
    /// Requests pass under the old plan.
    TierUpdatePending,
    /// Requests pass until the subscription is deleted.
    DeletePending,
}

/// The words of the states, from the filter.
pub const STATES: [&str; policy::SubscriptionState::WORDS.len()] = {
    let [unblocked, blocked, prod_only_blocked, on_hold, rejected, tier_update_pending, delete_pending] =
        policy::SubscriptionState::WORDS;
    [unblocked.0, blocked.0, prod_only_blocked.0, on_hold.0, rejected.0, tier_update_pending.0, delete_pending.0]
};

impl From<Block> for SubscriptionState {
    fn from(block: Block) -> Self {
        match block {
            Block::Blocked => Self::Blocked,
            Block::ProdOnlyBlocked => Self::ProdOnlyBlocked,
        }
    }
}

impl From<Before> for SubscriptionState {
    fn from(before: Before) -> Self {
        match before {
            Before::OnHold => Self::OnHold,
            Before::Rejected => Self::Rejected,
            Before::TierUpdatePending => Self::TierUpdatePending,
            Before::DeletePending => Self::DeletePending,
        }
    }
}

impl SubscriptionState {
    /// The state that `unblock` restores, if this was the state before the block.
    pub fn before_block(self) -> Option<Self> {
        match self {
            Self::Unblocked | Self::Blocked | Self::ProdOnlyBlocked => None,
            Self::OnHold | Self::Rejected | Self::TierUpdatePending | Self::DeletePending => Some(self),
        }
    }

    /// The block that this state is.
    pub fn block(self) -> Option<Block> {
        match self {
            Self::Blocked => Some(Block::Blocked),
            Self::ProdOnlyBlocked => Some(Block::ProdOnlyBlocked),
            _ => None,
        }
    }

    /// The same as the state before a block; `None` for UNBLOCKED.
    pub fn as_before(self) -> Option<Before> {
        match self {
            Self::Unblocked | Self::Blocked | Self::ProdOnlyBlocked => None,
            Self::OnHold => Some(Before::OnHold),
            Self::Rejected => Some(Before::Rejected),
            Self::TierUpdatePending => Some(Before::TierUpdatePending),
            Self::DeletePending => Some(Before::DeletePending),
        }
    }

    /// Whether requests pass in this state.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Unblocked | Self::TierUpdatePending | Self::DeletePending)
    }
}

#[cfg(test)]
mod tests {
    use keygate::policy::{rows, wire};
    use serde_json::{Value, json};
    use utoipa::PartialSchema as _;

    use super::*;

    /// A state that only the service knew would deny requests at every gateway.
    #[test]
    fn the_service_and_the_filter_have_the_same_words() {
        let schema = serde_json::to_value(SubscriptionState::schema()).unwrap();
        let of_service: Vec<&str> = schema["enum"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let of_filter: Vec<&str> = policy::SubscriptionState::WORDS.iter().map(|(word, _)| *word).collect();
        assert_eq!(of_service, of_filter);
        assert_eq!(STATES, *of_filter);
    }

    #[test]
    fn each_state_has_the_word_that_the_filter_reads_as_this_state() {
        for (word, read) in policy::SubscriptionState::WORDS {
            let state: SubscriptionState = serde_json::from_value(json!(word)).expect(word);
            let expected = match state {
                SubscriptionState::Unblocked => policy::SubscriptionState::Unblocked,
                SubscriptionState::Blocked => policy::SubscriptionState::Blocked,
                SubscriptionState::ProdOnlyBlocked => policy::SubscriptionState::ProdOnlyBlocked,
                SubscriptionState::OnHold => policy::SubscriptionState::OnHold,
                SubscriptionState::Rejected => policy::SubscriptionState::Rejected,
                SubscriptionState::TierUpdatePending => policy::SubscriptionState::TierUpdatePending,
                SubscriptionState::DeletePending => policy::SubscriptionState::DeletePending,
            };
            assert_eq!(read, expected, "{word}");
            assert_eq!(serde_json::to_value(state).expect(word), json!(word));
            let row = json!({"application": "a", "api": "b", "state": word}).to_string();
            let row: wire::SubscriptionRow<'_> = serde_json::from_str(&row).expect(word);
            assert_eq!(rows::Subscription::try_from(row).expect(word).state, expected, "{word}");
        }
    }
}
