//! What is under way in a refresh. Each step takes a state by value and returns the next one with [`Next`], so that there is
//! always exactly one, and what it holds (a build, an answer) is in one place.

use std::time::Duration;

use super::work::Work;
use crate::{
    callout::{Fetch, Pending, answer::Answer},
    store::build::Build,
};

/// What a request is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// A policy from the beginning of the feed.
    Full,
    /// What came since the policy held.
    Poll,
    /// The next page of a full policy.
    NextFull(Box<Build>),
    /// The next page of a delta of this revision.
    NextDelta { epoch: String, revision: Option<u64>, base: Option<u64>, poll: Option<String> },
}

/// What is under way.
#[derive(Debug, Default)]
pub(super) enum State {
    /// Somebody else refreshes.
    #[default]
    Following,
    /// Nothing, until it is time.
    Idle(Idle),
    /// Waiting for an answer.
    Fetching(Fetching),
    /// Working a page into the store, while the one behind it may be on its way.
    Working(Working),
}

/// Waiting until it is time.
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

    /// A clock that is set back makes it time.
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

/// A page that is worked into the store.
#[derive(Debug)]
pub(super) struct Working {
    pub work: Box<Work>,
    /// Where the page came from.
    pub path: String,
    pub ahead: Option<Ahead>,
}

impl Working {
    pub fn new(work: Work, path: &str) -> Self {
        Self { work: Box::new(work), path: path.to_owned(), ahead: None }
    }
}

/// The next page of a full policy, asked for before the work on this one begins: so the service is busy with it
/// meanwhile. Its answer, at most [`crate::policy::MAX_PAGE_BYTES`], waits until its turn.
#[derive(Debug)]
pub(super) struct Ahead {
    pub fetch: Fetch,
    pub callout: Pending,
    pub answer: Option<Answer>,
}

/// What a step leads to: the next state, and a request to be sent.
#[derive(Debug)]
pub(super) struct Next {
    pub state: State,
    pub fetch: Option<Fetch>,
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

impl From<Fetching> for Next {
    /// The request is to be sent.
    fn from(fetching: Fetching) -> Self {
        let fetch = Some(fetching.fetch.clone());
        Self { state: State::Fetching(fetching), fetch }
    }
}

impl From<Working> for Next {
    fn from(working: Working) -> Self {
        State::Working(working).into()
    }
}
