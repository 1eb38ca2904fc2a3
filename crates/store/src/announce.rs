//! Wakes those who wait for a new revision.

use management::port::{Latest, State};
use tokio::sync::watch;

/// Wakes the polls that wait for a new revision. The revision can be read before this is called. Calls may come out of
/// order.
pub fn announce(latest: &watch::Sender<Latest>, state: &State) {
    latest.send_if_modified(|held| {
        let newer = (state.renewals, state.revision) > (held.renewals, held.revision);
        if newer {
            *held = Latest::of(state);
        }
        newer
    });
}
