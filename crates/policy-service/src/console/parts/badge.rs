//! States as words with a shape. No colour alone says anything.

use maud::{Markup, html};

/// How a state is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Good,
    Bad,
    Waiting,
    Neutral,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "badge good",
            Self::Bad => "badge bad",
            Self::Waiting => "badge waiting",
            Self::Neutral => "badge",
        }
    }

    fn shape(self) -> &'static str {
        match self {
            Self::Good => "●",
            Self::Bad => "■",
            Self::Waiting => "▲",
            Self::Neutral => "○",
        }
    }
}

/// The words of the interface, and what people read.
const STATES: &[(&str, &str, Tone)] = &[
    ("UNBLOCKED", "Unblocked", Tone::Good),
    ("BLOCKED", "Blocked", Tone::Bad),
    ("PROD_ONLY_BLOCKED", "Blocked for production", Tone::Bad),
    ("ON_HOLD", "Waits for approval", Tone::Waiting),
    ("REJECTED", "Rejected", Tone::Bad),
    ("TIER_UPDATE_PENDING", "Change of plan pending", Tone::Waiting),
    ("DELETE_PENDING", "Deletion pending", Tone::Waiting),
    ("ACTIVE", "Active", Tone::Good),
    ("REVOKED", "Revoked", Tone::Bad),
    ("CREATED", "Created, not served yet", Tone::Neutral),
    ("PROTOTYPED", "Prototype, served", Tone::Good),
    ("PUBLISHED", "Published", Tone::Good),
    ("DEPRECATED", "Deprecated, served", Tone::Waiting),
    ("RETIRED", "Retired", Tone::Neutral),
    ("live", "Live", Tone::Good),
    ("silent", "Silent", Tone::Bad),
    ("gone", "Gone", Tone::Neutral),
    ("planned", "Block planned", Tone::Waiting),
    ("deleted", "Deleted, block kept", Tone::Neutral),
    ("allow", "It passes", Tone::Good),
    ("deny", "It is refused", Tone::Bad),
    ("passed", "Passed", Tone::Good),
    ("skipped", "Does not apply", Tone::Neutral),
    ("unknown", "Only a gateway knows", Tone::Waiting),
    ("refused", "Refuses", Tone::Bad),
    ("allowed", "Lets it pass", Tone::Good),
    ("production", "Production", Tone::Neutral),
    ("sandbox", "Sandbox", Tone::Neutral),
    ("expired", "Ended", Tone::Neutral),
    ("early", "Not valid yet", Tone::Waiting),
    ("replaced", "Replaced, still works", Tone::Waiting),
];

/// What people read for a word of the interface.
pub fn words(state: &str) -> &str {
    STATES.iter().find(|(word, ..)| *word == state).map_or(state, |(_, words, _)| words)
}

/// The badge of a state.
pub fn badge(state: &str) -> Markup {
    let tone = STATES.iter().find(|(word, ..)| *word == state).map_or(Tone::Neutral, |(.., tone)| *tone);
    html! {
        span class=(tone.class()) { span.shape aria-hidden="true" { (tone.shape()) } (words(state)) }
    }
}
