//! Wakes the polls that wait for a new revision.

use management::port::{Latest, State};
use tokio::sync::watch;

/// Wakes the polls that wait for a new revision. The revision must be readable before the call. Calls may arrive out of
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
