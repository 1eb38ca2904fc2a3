//! Many rows at once, within a change. A restore removes hundreds of thousands, and a statement for each takes minutes.

use std::collections::HashSet;

use async_trait::async_trait;

use super::Error;

/// What [`super::Rows`] and [`super::UsageRows`] do for one object, for many.
#[async_trait]
pub trait ManyRows: Send {
    /// Those of `applications` that have keys or subscriptions.
    async fn with_dependents(&mut self, applications: &[&str]) -> Result<HashSet<String>, Error>;

    /// Forgets when keys were last used, as [`super::UsageRows::forget_key`].
    async fn forget_keys(&mut self, ids: &[&str]) -> Result<(), Error>;

    /// Forgets how much of their plans applications have used, as [`super::UsageRows::forget_totals`].
    async fn forget_totals_of(&mut self, applications: &[&str]) -> Result<(), Error>;
}
