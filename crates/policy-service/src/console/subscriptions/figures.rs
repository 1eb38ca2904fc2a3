//! What stands beside a subscription: its application's name and owner, and its last use. Only of subscriptions that a route
//! has answered to the person.

use management::port::{overview::Subscriber, usage::Pair};

use super::super::{rows::Subscription, visit::Visit};
use crate::http::problem::Problem;

/// A subscription with its figures.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub row: Subscription,
    pub subscriber: Subscriber,
}

impl Seen {
    /// What people call the application.
    pub fn application(&self) -> &str {
        self.subscriber.name.as_deref().unwrap_or_else(|| self.row.application())
    }
}

/// Adds the figures.
pub async fn seen(visit: &Visit, rows: Vec<Subscription>) -> Result<Vec<Seen>, Problem> {
    let pair = |row: &Subscription| Pair { application: row.application().to_owned(), api: row.api().to_owned() };
    let pairs: Vec<Pair> = rows.iter().map(pair).collect();
    let figures = visit.console.store().subscribers(&pairs).await?;
    Ok(rows.into_iter().zip(figures).map(|(row, subscriber)| Seen { row, subscriber }).collect())
}

/// Reads one subscription.
pub async fn find(visit: &Visit, id: &str) -> Result<Seen, Problem> {
    let row: Subscription = visit.v1.read(&super::path(id)).await?;
    Ok(seen(visit, vec![row]).await?.pop().unwrap_or_default())
}
