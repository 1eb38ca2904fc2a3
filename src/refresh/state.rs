//! The state of a refresh. Each step takes a state by value and returns the next one in [`Next`]. So there is always
//! exactly one state, and it alone owns the build and the answers in progress.

use std::time::Duration;

use super::work::Work;
use crate::{
    callout::{Fetch, Pending, answer::Answer},
    store::build::Build,
};

/// The purpose of a request.
#[derive(Debug)]
pub(super) enum Purpose {
    /// The first page of a full policy.
    Full,
    /// The changes since the current policy.
    Poll,
    /// The next page of a full policy.
    NextFull(Box<Build>),
    /// The next page of a delta to this revision.
    NextDelta { epoch: String, revision: Option<u64>, base: Option<u64>, poll: Option<String> },
}

#[derive(Debug, Default)]
pub(super) enum State {
    /// Another VM refreshes.
    #[default]
    Following,
    /// Nothing is in progress until the next request is due.
    Idle(Idle),
    /// A request waits for its answer.
    Fetching(Fetching),
    /// A page is being worked into the store. The next page may be on its way.
    Working(Working),
}

/// A pause until the next request is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle {
    since_ms: u64,
    pub due_ms: u64,
}

impl Idle {
    pub fn new(now_ms: u64, due_ms: u64) -> Self {
        Self { since_ms: now_ms, due_ms }
    }

    pub fn pause(now_ms: u64, pause: Duration) -> Self {
        let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        Self::new(now_ms, now_ms.saturating_add(pause))
    }

    /// Whether the pause is over. It ends at once if the clock was set back.
    pub fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.due_ms || now_ms < self.since_ms
    }
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct Fetching {
    pub fetch: Fetch,
    pub purpose: Purpose,
    pub callout: Pending,
}

/// A page that is being worked into the store.
#[derive(Debug)]
pub(super) struct Working {
    pub work: Box<Work>,
    /// The path of the page.
    pub path: String,
    pub ahead: Option<Ahead>,
}

impl Working {
    pub fn new(work: Work, path: &str) -> Self {
        Self { work: Box::new(work), path: path.to_owned(), ahead: None }
    }
}

/// The next page of a full policy. It is requested before the work on this page begins, so that the service prepares it
/// meanwhile. Its answer has at most [`crate::policy::MAX_PAGE_BYTES`] and waits for its turn.
#[derive(Debug)]
pub(super) struct Ahead {
    pub fetch: Fetch,
    pub callout: Pending,
    pub answer: Option<Answer>,
}

/// The result of a step: the next state, and a request to send.
#[derive(Debug)]
pub(super) struct Next {
    pub state: State,
    pub fetch: Option<Fetch>,
}

impl Next {
    /// Sends this request, and waits for its answer.
    pub fn send(fetching: Fetching) -> Self {
        let fetch = Some(fetching.fetch.clone());
        Self { state: State::Fetching(fetching), fetch }
    }
}

impl From<State> for Next {
    fn from(state: State) -> Self {
        Self { state, fetch: None }
    }
}

impl From<Idle> for Next {
    fn from(idle: Idle) -> Self {
        State::Idle(idle).into()
    }
}

impl From<Working> for Next {
    fn from(working: Working) -> Self {
        State::Working(working).into()
    }
}
