//! What all databases share of the gateways that were heard of.

use tokio::sync::watch;

/// How long the row of a removed gateway stays, so that every service hears of the removal: a day.
pub const REMOVED_KEPT_MS: i64 = 86_400_000;

/// Wakes the services that follow gateways.
pub fn announce(gateways: &watch::Sender<i64>, number: i64) {
    gateways.send_if_modified(|held| {
        let differs = number != *held;
        *held = number;
        differs
    });
}
