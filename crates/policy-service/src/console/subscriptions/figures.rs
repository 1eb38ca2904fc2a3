//! What stands beside a subscription: its application's name and owner, and its last use. Only of subscriptions that a route
//! has answered to the person.

use management::port::{overview::Subscriber, usage::Pair};

use super::super::{rows::Subscription, visit::Visit};
use super::route::path;
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
    // The application of a deleted subscription may be gone, and another one may have its id.
    let of = |row: &Subscription, found: Subscriber| match row.deleted {
        true => Subscriber { name: None, owner: row.owner.clone(), last_used: found.last_used },
        false => found,
    };
    Ok(rows.into_iter().zip(figures).map(|(row, found)| Seen { subscriber: of(&row, found), row }).collect())
}

/// Reads one subscription.
pub async fn find(visit: &Visit, id: &str) -> Result<Seen, Problem> {
    let row: Subscription = visit.v1.read(&path(id)).await?;
    Ok(seen(visit, vec![row]).await?.pop().unwrap_or_default())
}
