//! Holds a finished row against the rules of the import.

use management::{
    error::Error,
    port::{Act, Actor, Origin},
    resource::Resource,
};

use crate::Row;

/// Whether the import takes the row, apart from what it names.
pub fn verify(row: &Row, now: i64) -> Result<(), Error> {
    match row {
        Row::Plan(row) => of(row, now),
        Row::Api(row) => of(row, now),
        Row::Application(row) => of(row, now),
        Row::Subscription(row) => of(row, now),
        Row::Key(row) => of(row, now),
        Row::DenyPolicy(row) => of(row, now),
    }
}

fn of<R: Resource>(row: &R, now: i64) -> Result<(), Error> {
    let random = |_: &mut [u8]| Err("a row that is converted has its id".to_owned());
    let act = Act { actor: Actor::administrator(), now, random, origin: Origin::default() };
    let mut row = row.clone();
    management::check::addressable(R::KIND, row.id().as_deref())?;
    row.id().as_deref().map_or(Ok(()), |id| management::check::text("id", id))?;
    row.claim(&act.actor, None)?;
    row.fill_defaults(&act, None)?;
    row.validate()
}
