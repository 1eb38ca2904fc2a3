//! Whether the credential of a poll is still good while the poll is held. Credentials of the configuration always are.

use std::time::Duration;

use tokio::sync::watch;

use crate::{
    auth::{Gateway, Row, not_a_gateway},
    clock::unix_seconds,
    http::problem::Problem,
};
use management::{accounts::is_good, port::Store};

/// What a poll knows of the credential with which it was asked.
#[derive(Debug)]
pub struct Proof<'s> {
    store: &'s Store,
    changes: watch::Receiver<i64>,
    /// How often the accounts were changed when the credential was looked up.
    checked: Option<i64>,
}

impl<'s> Proof<'s> {
    /// A proof that is not checked yet.
    pub fn new(store: &'s Store) -> Self {
        Self { store, changes: store.account_changes(), checked: None }
    }

    /// Refuses a credential that was revoked or is over. Gives `gateway` the scope that the credential has now.
    pub async fn check(&mut self, gateway: &mut Gateway) -> Result<(), Problem> {
        let Some(row) = &gateway.row else { return Ok(()) };
        if !is_good(row.expires_at, unix_seconds()) {
            return Err(not_a_gateway());
        }
        // Read before the database, so that a change in between is looked up next.
        let changes = *self.changes.borrow_and_update();
        if self.checked == Some(changes) {
            return Ok(());
        }
        let Some(found) = self.store.credential(&row.id).await? else { return Err(not_a_gateway()) };
        gateway.scope = found.scope;
        self.checked = Some(changes);
        Ok(())
    }

    /// Waits until the credential has to be checked again.
    pub async fn may_be_over(&mut self, gateway: &Gateway) {
        let Some(Row { expires_at, .. }) = &gateway.row else { return std::future::pending().await };
        let left = expires_at.map(|end| Duration::from_secs(end.saturating_sub(unix_seconds()).max(0).unsigned_abs()));
        let end = async {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // The store, which the feed holds, keeps the sender.
            _ = self.changes.changed() => {}
            () = end => {}
        }
    }
}
