//! Many rows at once: from a file, or over HTTP. Both follow the same rules, which are here.
//!
//! Rows arrive in any order and are written in batches of [`ROWS_PER_CHANGE`], each of which is one change with one
//! revision. So an import that was interrupted keeps what it has written, and repeating it costs nothing for rows that are
//! there. A refused row is told and does not affect the others. Blocks are never weakened, unless that is asked for.
//! Objects are removed at the end, by name or because the import replaces all, and only if no row was refused.
//! Nothing here reads a file, a request or a clock: the caller brings rows, begins acts, and hears what happens.

mod bulk;
mod kept;
mod outcome;
mod owners;
mod removal;
mod replace;
mod row;
pub mod turn;

use self::{bulk::Bulk, removal::Removal};
pub use self::{
    outcome::{Count, Counts, Kept, Outcome, Removed, Told},
    row::{Options, Place, ROWS_PER_CHANGE, Row},
};
use crate::{
    apis::Api,
    applications::Application,
    deny_policies::DenyPolicy,
    error::Error,
    keys::Key,
    plans::Plan,
    port::{Act, Kind, Store},
    subscriptions::Subscription,
};

/// Bytes of rows that wait for their change. 20,000 ordinary rows have some 6 MB.
const MAX_WAITING_BYTES: usize = 32 << 20;
/// Bytes of rows that name what is not there yet, and wait for the end. Further ones are refused.
const MAX_DEFERRED_BYTES: usize = 64 << 20;

/// Objects that one import removes by name: at 150 bytes each, 150 MB.
const MAX_REMOVALS: usize = 1_000_000;

/// Bytes of rows of a dry run, all of which are held: a million keys of 250 bytes.
const MAX_DRY_RUN_BYTES: usize = 256 << 20;

/// An import under way.
pub struct Import<'s> {
    bulk: Bulk<'s>,
    waiting: Batch,
    /// Rows that name an object that does not exist yet wait for the end, because a later row may have it.
    deferred: Batch,
    /// Objects that are to be removed.
    removals: Vec<Removal>,
    /// Whether any row has come, a refused one included.
    has_row: bool,
}

/// Rows by kind. A kind comes after the kinds that it refers to.
#[derive(Default)]
struct Batch {
    rows: Vec<Row>,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, row: Row) {
        self.bytes = self.bytes.saturating_add(row.text.get().len());
        self.rows.push(row);
    }

    /// The rows of one kind.
    fn take(&mut self, kind: Kind) -> Vec<Row> {
        let (taken, left) = std::mem::take(&mut self.rows).into_iter().partition(|row| row.kind == kind);
        self.rows = left;
        taken
    }
}

impl<'s> Import<'s> {
    /// An import into `store`. `act` begins each change; `told` hears of what happens.
    pub fn new(
        store: &'s Store,
        options: Options,
        act: &'s (dyn Fn() -> Act + Send + Sync),
        told: &'s mut dyn Told,
    ) -> Self {
        Self {
            bulk: Bulk::new(store, options, act, told),
            waiting: Batch::default(),
            deferred: Batch::default(),
            removals: Vec::new(),
            has_row: false,
        }
    }

    /// Adds a row. It is written with its batch.
    pub async fn add(&mut self, row: Row) -> Result<(), Error> {
        self.has_row = true;
        if let Some(id) = row.removed {
            self.remove(row.place, row.kind, id);
            return Ok(());
        }
        self.waiting.add(row);
        if self.bulk.is_dry_run() {
            // It is one transaction, which must not wait for the next row.
            return match self.waiting.bytes > MAX_DRY_RUN_BYTES {
                true => Err(Error::invalid("dry_run", format!("expected at most {MAX_DRY_RUN_BYTES} bytes of rows"))),
                false => Ok(()),
            };
        }
        if self.waiting.rows.len() >= ROWS_PER_CHANGE || self.waiting.bytes >= MAX_WAITING_BYTES {
            self.write().await?;
            // Release the writer, because the next rows may take long to arrive.
            self.bulk.commit().await?;
        }
        Ok(())
    }

    fn remove(&mut self, place: Place, kind: Kind, id: String) {
        if self.removals.len() < MAX_REMOVALS {
            self.removals.push(Removal { place, kind, id });
        } else {
            let because = format!("expected at most {MAX_REMOVALS} removals; remove the others by another import");
            self.bulk.refuse(place, Some(kind), Some("remove"), &because);
        }
    }

    /// Tells of a row that could not even be read.
    pub fn refuse(&mut self, place: Place, because: &str) {
        self.has_row = true;
        self.bulk.refuse(place, None, None, because);
    }

    /// Writes what waits.
    async fn write(&mut self) -> Result<(), Error> {
        let waiting = std::mem::take(&mut self.waiting);
        for row in put(&mut self.bulk, waiting, false).await? {
            if self.deferred.bytes >= MAX_DEFERRED_BYTES {
                let because = "it names something that does not exist yet, and too many rows do so; put it before them";
                self.bulk.refuse(row.place, Some(row.kind), None, because);
            } else {
                self.deferred.add(row);
            }
        }
        Ok(())
    }

    /// Writes all that is left and what follows from it, and tells what was done. An import without a row that would
    /// replace everything is an error: the program that was to write the rows has failed.
    pub async fn finish(mut self) -> Result<Outcome, Error> {
        if self.bulk.replaces() && !self.has_row {
            return Err(Error::invalid(
                "replace",
                "the import has no row, so it would remove everything; expected rows",
            ));
        }
        self.write().await?;
        let deferred = std::mem::take(&mut self.deferred);
        put(&mut self.bulk, deferred, true).await?;
        kept::end_kept(&mut self.bulk).await?;
        removal::remove_named(&mut self.bulk, self.removals).await?;
        if self.bulk.replaces() {
            replace::remove_others(&mut self.bulk).await?;
        }
        self.bulk.commit().await?;
        Ok(self.bulk.into_outcome())
    }
}

/// Writes a batch. Returns rows that name an object that does not exist yet, unless this is the `last` time.
async fn put(bulk: &mut Bulk<'_>, mut batch: Batch, last: bool) -> Result<Vec<Row>, Error> {
    let mut left = Vec::new();
    left.extend(bulk.put::<Plan>(batch.take(Kind::Plan), last).await?);
    left.extend(bulk.put::<Api>(batch.take(Kind::Api), last).await?);
    left.extend(bulk.put::<Application>(batch.take(Kind::Application), last).await?);
    left.extend(bulk.put::<Key>(batch.take(Kind::Key), last).await?);
    left.extend(bulk.put::<Subscription>(batch.take(Kind::Subscription), last).await?);
    left.extend(bulk.put::<DenyPolicy>(batch.take(Kind::DenyPolicy), last).await?);
    Ok(left)
}
