//! Names stored rows that gateways would refuse: `check` prints them, and `serve` logs them and leaves them out of the feed.

use std::{collections::HashSet, error::Error};

use crate::{cli::Check, stderr};
use management::{
    port::Store,
    stored::{Refused, left_out, refused},
};
use store::Settings;

/// Rows that are named one by one at the start of the service. The others are counted.
const MAX_NAMED: usize = 100;

/// Prints all rows that gateways would refuse. Returns an error if there are any.
pub async fn check(arguments: &Check) -> Result<(), Box<dyn Error>> {
    let store = arguments.database.open(Settings { must_exist: true, ..Settings::default() }).await?;
    let found = refused(&store).await;
    store.close().await;
    let found = found?;
    for row in &found {
        let Refused { kind, name, because, .. } = row;
        let stays =
            if row.is_left_out() { "left out of the feed" } else { "in the feed, so gateways refuse the policy" };
        stderr::say(format_args!("{} {name}: {because} ({stays})", kind.noun()));
    }
    match found.len() {
        0 => {
            stderr::say("gateways accept every stored row");
            Ok(())
        }
        count => Err(format!("gateways would refuse {count} stored rows").into()),
    }
}

/// Logs rows that gateways would refuse. Returns what the feed does without.
pub async fn warn(store: &Store) -> Result<HashSet<String>, Box<dyn Error>> {
    let found = refused(store).await?;
    for row in found.iter().take(MAX_NAMED) {
        let Refused { kind, name, because, .. } = row;
        let kind = kind.noun();
        if row.is_left_out() {
            tracing::warn!(
                kind,
                name,
                because,
                "a stored row is left out of the feed, because gateways would refuse it"
            );
        } else {
            tracing::error!(
                kind,
                name,
                because,
                "gateways refuse every policy with this deny policy; change or delete it"
            );
        }
    }
    if let Some(more) = found.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        tracing::warn!(more, "further stored rows are left out of the feed; `policy-service check` names all");
    }
    Ok(left_out(found))
}
