//! Begins and ends blocks when their time has come, while the service runs, and at its start those that it has missed.
//!
//! [`management::due`] says what a change does, and that of several services exactly one makes it. This task says when.
//! Its clock is a parameter.

use std::time::Duration;

use management::{
    due::{self, Passed},
    error::Error,
    port::{self, Act, Actor, Store},
};
use tokio::time::{Instant, sleep};

/// How often the task looks at the clock and at the database when nothing is known to be due. A row may have been changed
/// here or by another program, and the clock may have been set.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How often it looks at the clock in the last second before a row is due: the clock has whole seconds.
const NEAR_INTERVAL: Duration = Duration::from_millis(20);

/// Writes rows when they are due, for ever. `act` begins each change, and its time is the clock. `count` gets the kind and
/// the action of each change.
pub async fn run(store: Store, act: impl Fn() -> Act, count: impl Fn(&str, &str)) {
    let mut was_failing = false;
    loop {
        let looked = look(&store, &act, &count).await;
        match &looked {
            Err(error) if !was_failing => {
                tracing::error!(%error, "blocks that begin or end cannot be written now; gateways follow them all the same");
            }
            Ok(_) if was_failing => tracing::warn!("blocks that begin or end are written again"),
            _ => {}
        }
        was_failing = looked.is_err();
        match looked {
            Ok(next) => wait(next, &act).await,
            Err(_) => sleep(LOOK_INTERVAL).await,
        }
    }
}

/// Writes all that is due now. Returns when a row will be due next.
async fn look(store: &Store, act: &impl Fn() -> Act, count: &impl Fn(&str, &str)) -> Result<Option<i64>, Error> {
    loop {
        let next = store.next_due().await?;
        if next.is_none_or(|next| next > act().now) {
            return Ok(next);
        }
        let mut change = store.begin(act()).await?;
        let passed = due::pass(&mut *change).await?;
        let revision = change.commit().await?;
        let Some(Passed { action, id, rows }) = passed else {
            // Another service was first. If not, the row cannot be read.
            let is_stuck = store.next_due().await? == next;
            return if is_stuck { Err(port::Error::Damaged("a row with a block").into()) } else { Ok(next) };
        };
        let (actor, action, kind) = (Actor::Service.subject(), action.word(), "subscription");
        count(kind, action);
        tracing::info!(actor, action, kind, id, rows, revision, "a block began or ended");
    }
}

/// Waits until `next`, and no longer than until the next look.
async fn wait(next: Option<i64>, act: &impl Fn() -> Act) {
    let begun = Instant::now();
    let is_near = |next: &i64| next.saturating_sub(act().now) <= 1;
    let Some(next) = next.filter(is_near) else { return sleep(LOOK_INTERVAL).await };
    while act().now < next && begun.elapsed() < LOOK_INTERVAL {
        sleep(NEAR_INTERVAL).await;
    }
}
