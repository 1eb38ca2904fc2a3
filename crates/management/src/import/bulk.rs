//! Writes many rows of one kind: new rows together, existing ones one by one.

use std::collections::{HashMap, HashSet};

use super::{
    outcome::{Count, Kept, Outcome, Told, add},
    owners::Stated,
    row::{KeptBlock, MAX_HELD_SECONDS, Options, Place, ROWS_PER_CHANGE, Row},
    turn,
};
use crate::{
    applications::Application,
    block, check,
    error::Error,
    numbers::plain,
    object::Object,
    pipeline::{Put, check_room_for, find_held, put_any},
    port::{
        Act, Kind, MAX_ROWS_AT_ONCE, Name, NewRow, Store, Transaction, Version,
        audit::{Action, Deed},
    },
    resource::{self, Reference, Resource, new_id},
    subscriptions::Subscription,
};

/// Maximum number of ids that are remembered as existing. At 64 bytes each, 64 MB.
const MAX_KNOWN: usize = 1_000_000;

/// An import's view of the database.
pub struct Bulk<'s> {
    store: &'s Store,
    options: Options,
    act: &'s (dyn Fn() -> Act + Send + Sync),
    told: &'s mut dyn Told,
    outcome: Outcome,
    /// The transaction in progress and the number of its rows.
    change: Option<(Box<dyn Transaction>, usize)>,
    /// Ids that exist, by kind. If another process deletes one while this import runs, rows may name an object that
    /// does not exist. Such rows deny.
    known: HashMap<Kind, HashSet<String>>,
    /// What the import names, by kind and by its name in the feed, if it replaces. At 100 bytes each, 100 MB for a million.
    named: HashMap<Kind, HashSet<String>>,
    /// Kept blocks. They are written as blocked objects, which are deleted at the end, when all that they name is there.
    kept: Vec<KeptBlock>,
    /// The blocks that its rows state.
    stated: Stated,
    /// Whether it has made a revision. From then on others may make some in between.
    has_committed: bool,
}

impl<'s> Bulk<'s> {
    /// An import into `store`.
    pub fn new(
        store: &'s Store,
        options: Options,
        act: &'s (dyn Fn() -> Act + Send + Sync),
        told: &'s mut dyn Told,
    ) -> Self {
        let (outcome, change) = (Outcome::default(), None);
        let (known, named, kept, stated) = Default::default();
        Self { store, options, act, told, outcome, change, known, named, kept, stated, has_committed: false }
    }

    /// The database.
    pub fn store(&self) -> &'s Store {
        self.store
    }

    /// Whether the import has a row with this name in the feed.
    pub fn has_named(&self, kind: Kind, identity: &str) -> bool {
        self.named.get(&kind).is_some_and(|named| named.contains(identity))
    }

    /// Whether nothing is to be changed.
    pub fn is_dry_run(&self) -> bool {
        self.options.dry_run
    }

    /// Whether blocks may be lifted.
    pub fn lifts(&self) -> bool {
        self.options.lift_blocks
    }

    /// What was done so far.
    pub fn outcome(&mut self) -> &mut Outcome {
        &mut self.outcome
    }

    /// Tells of a refused row.
    pub fn refuse(&mut self, place: Place, kind: Option<Kind>, field: Option<&str>, because: &str) {
        match kind {
            Some(kind) => add(&mut self.outcome.of(kind).refused),
            None => add(&mut self.outcome.unreadable),
        }
        self.told.refuse(place, kind, field, because);
    }

    fn refuse_row(&mut self, row: &Row, error: &Error) {
        let field = match error {
            Error::Invalid { field, .. } | Error::Conflict { field, .. } => field.as_deref(),
            _ => None,
        };
        self.refuse(row.place, Some(row.kind), field, &error.to_string());
    }

    /// Writes `rows`. Returns rows that name an object that does not exist yet, or rejects them if this is the `last`
    /// attempt.
    pub async fn put<R: Resource>(&mut self, rows: Vec<Row>, last: bool) -> Result<Vec<Row>, Error> {
        let mut deferred = Vec::new();
        let mut rows = rows.into_iter();
        loop {
            let chunk: Vec<Row> = rows.by_ref().take(MAX_ROWS_AT_ONCE).collect();
            if chunk.is_empty() {
                return Ok(deferred);
            }
            let done = chunk.len();
            let (mut change, before) = self.begun().await?;
            deferred.extend(self.put_chunk::<R>(&mut *change, chunk, last).await?);
            self.hold(change, before.saturating_add(done)).await?;
        }
    }

    /// The transaction in progress and the number of its rows. It is begun if there is none; [`Bulk::hold`] takes it back.
    /// Its audit entry counts rows instead of naming them.
    pub async fn begun(&mut self) -> Result<(Box<dyn Transaction>, usize), Error> {
        if let Some(begun) = self.change.take() {
            return Ok(begun);
        }
        let mut change = self.store.begin((self.act)()).await?;
        if let Some(holder) = &self.options.holder
            && !change.has_turn(holder).await?
        {
            return Err(turn::lost());
        }
        if !self.has_committed {
            self.options.expected.check_revision(change.revision_then())?;
        }
        change.record(Deed::of_policy(Action::Import, None).because(self.options.label.clone()));
        Ok((change, 0))
    }

    /// Keeps the transaction in progress, which has so many rows, and commits it once it is full, or has kept others
    /// waiting for long.
    pub async fn hold(&mut self, change: Box<dyn Transaction>, rows: usize) -> Result<(), Error> {
        let took = (self.act)().now.saturating_sub(change.act().now);
        self.change = Some((change, rows));
        if rows >= ROWS_PER_CHANGE || took >= MAX_HELD_SECONDS { self.commit().await } else { Ok(()) }
    }

    /// Commits the transaction in progress, unless nothing is to be changed.
    pub async fn commit(&mut self) -> Result<(), Error> {
        if self.options.dry_run {
            return Ok(());
        }
        if let Some((change, rows)) = self.change.take() {
            let is_dirty = change.is_dirty();
            let revision = change.commit().await?;
            if is_dirty {
                self.outcome.revision = Some(revision);
                self.has_committed = true;
            }
            self.told.add(rows);
        }
        Ok(())
    }

    /// Takes the objects that stay only as a block, once all rows are written.
    pub fn take_kept(&mut self) -> Vec<KeptBlock> {
        std::mem::take(&mut self.kept)
    }

    /// Whether what the import does not name is to be removed: not if a row was refused.
    pub fn replaces(&self) -> bool {
        self.options.replace && !self.has_refused()
    }

    /// Whether a row was refused.
    pub fn has_refused(&self) -> bool {
        self.outcome.refused() > 0
    }

    /// Tells of an object that was to be removed.
    pub fn keep(&mut self, place: Place, kept: Kept) {
        self.told.keep(place, kept);
    }

    /// What was done.
    pub fn into_outcome(self) -> Outcome {
        self.outcome
    }

    async fn put_chunk<R: Resource>(
        &mut self,
        change: &mut dyn Transaction,
        chunk: Vec<Row>,
        last: bool,
    ) -> Result<Vec<Row>, Error> {
        let mut parsed = Vec::with_capacity(chunk.len());
        for mut row in chunk {
            match serde_json::from_slice::<Object<R>>(&plain(row.text.get().as_bytes())) {
                Ok(Object(_)) if row.kept && !matches!(R::KIND, Kind::Application | Kind::Subscription) => {
                    self.refuse(
                        row.place,
                        Some(R::KIND),
                        Some("deleted"),
                        "only applications and subscriptions keep blocks",
                    );
                }
                Ok(Object(sent)) if row.kept && !sent.is_blocked() => {
                    let because = "a deleted object stays only as a block; expected a state that is one";
                    self.refuse(row.place, Some(R::KIND), Some("state"), because);
                }
                Ok(Object(mut sent)) => {
                    if row.kept {
                        row.kept_owner = sent.take_kept_owner();
                    }
                    match row.kept_owner.as_deref().map(|owner| check::text("owner", owner)) {
                        Some(Err(error)) => self.refuse_row(&row, &error),
                        _ => parsed.push((row, sent)),
                    }
                }
                Err(error) => {
                    let field = field_of::<R>(row.text.get());
                    self.refuse(row.place, Some(R::KIND), field.as_deref(), &error.to_string());
                }
            }
        }
        let missing = self.missing(change, parsed.iter().flat_map(|(_, sent)| sent.references())).await?;
        let mut deferred = Vec::new();
        let mut candidates = Vec::with_capacity(parsed.len());
        for (row, sent) in parsed {
            match sent.references().iter().find(|reference| missing.contains(&(reference.kind, reference.id.clone()))) {
                // What a kept block names may be gone.
                Some(_) if last && row.kept && sent.clone().kept_alone(None).is_some() => candidates.push((row, sent)),
                Some(reference) if last => self.refuse_row(&row, &reference.missing()),
                Some(_) => deferred.push(row),
                None => candidates.push((row, sent)),
            }
        }
        deferred.extend(self.put_candidates(change, candidates, last).await?);
        Ok(deferred)
    }

    /// Writes rows that name only existing objects. Returns rows that conflict with others, because a later row may
    /// change those. Rejects them if this is the `last` attempt.
    async fn put_candidates<R: Resource>(
        &mut self,
        change: &mut dyn Transaction,
        candidates: Vec<(Row, R)>,
        last: bool,
    ) -> Result<Vec<Row>, Error> {
        let mut good = Vec::with_capacity(candidates.len());
        for (row, sent) in candidates {
            match completed(change.act(), &sent) {
                // The block is over, and nothing stays of what was deleted.
                Ok((complete, _)) if row.kept && !complete.is_blocked() => {
                    add(&mut self.outcome.of(R::KIND).unchanged);
                }
                Ok((complete, new)) => good.push(Candidate { row, sent, complete, new }),
                Err(error) => self.refuse_row(&row, &error),
            }
        }
        let names = |name: fn(&NewRow) -> &str| good.iter().map(|one| name(&one.new)).collect::<Vec<_>>();
        let mut ids = change.existing(R::KIND, Name::Id, &names(|new| &new.id)).await?;
        let mut identities = change.existing(R::KIND, Name::Identity, &names(|new| &new.identity)).await?;
        let revoked = match R::KIND {
            Kind::Key => change.revoked(&names(|new| &new.identity)).await?,
            _ => HashSet::new(),
        };
        let held_back = self.held_back(change, &good).await?;
        let mut held = held_of(change, &good, &ids).await?;
        let (mut fresh, mut others) = (Vec::with_capacity(good.len()), Vec::new());
        for (Candidate { row, sent, complete: mut closed, mut new }, is_held_back) in good.into_iter().zip(held_back) {
            if is_held_back {
                closed.hold_back();
            }
            // A refused row removes nothing, so only good ones are noted.
            if self.options.replace {
                self.named.entry(R::KIND).or_default().insert(new.identity.clone());
            }
            // Both inserts must run (`&`, not `&&`). Then of two rows for the same object, the second replaces the
            // first.
            let first = ids.insert(new.id.clone()) & identities.insert(new.identity.clone());
            if first && !row.kept && !R::COMPARED && !revoked.contains(&new.identity) {
                if is_held_back {
                    new = closed.row()?;
                    add(&mut self.outcome.of(R::KIND).held_back);
                }
                fresh.push(new)
            } else if !row.kept && held.get(&new.identity).is_some_and(|held| is_same(held, &new)) {
                add(&mut self.outcome.of(R::KIND).unchanged);
            } else {
                // A later row for the same object is compared with this one.
                held.remove(&new.identity);
                others.push((row, sent, is_held_back.then_some(closed)))
            }
        }
        check_room_for(change, R::KIND, fresh.len())?;
        change.insert_all(&fresh).await?;
        let made = &mut self.outcome.of(R::KIND).made;
        *made = made.saturating_add(u64::try_from(fresh.len()).unwrap_or_default());
        let known = self.known.entry(R::KIND).or_default();
        if known.len() < MAX_KNOWN {
            known.extend(fresh.into_iter().map(|new| new.id));
        }
        let mut deferred = Vec::new();
        for (row, sent, held_back) in others {
            match self.put_one(change, &row, sent, held_back).await {
                Err(error) if R::COMPARED && !last && matches!(error, Error::Conflict { .. }) => deferred.push(row),
                Err(error) if error.is_refusal() => self.refuse_row(&row, &error),
                Err(error) => return Err(error),
                Ok(put) => {
                    let Count { made, changed, unchanged, .. } = self.outcome.of(R::KIND);
                    add(match put {
                        Put::Made => made,
                        Put::Changed => changed,
                        Put::Unchanged => unchanged,
                    });
                }
            }
        }
        Ok(deferred)
    }

    /// Writes one row.
    async fn put_one<R: Resource>(
        &mut self,
        change: &mut dyn Transaction,
        row: &Row,
        mut sent: R,
        held_back: Option<R>,
    ) -> Result<Put, Error> {
        let held = find_held(change, &mut sent).await?;
        if held.is_none()
            && let Some(closed) = held_back
        {
            sent = closed;
            add(&mut self.outcome.of(R::KIND).held_back);
        }
        let is_block = held.as_ref().is_some_and(|held| held.kept_block.is_some());
        if row.kept && is_block {
            return Ok(Put::Unchanged);
        }
        if row.kept && held.is_none() && !self.missing(change, sent.references().into_iter()).await?.is_empty() {
            let (complete, _) = completed(change.act(), &sent)?;
            if let Some(kept) = complete.kept_alone(row.kept_owner.clone()) {
                change.insert(&kept.row()?).await?;
                return Ok(Put::Made);
            }
        }
        let put = match (put_any(change, sent.clone()).await, &held) {
            (Err(Error::Conflict { .. }), Some(held)) if self.options.lift_blocks && !row.kept => {
                lift_and_put(change, held, sent.clone()).await
            }
            (put, _) => put,
        };
        if put.is_ok() && row.kept {
            let id = find_held(change, &mut sent).await?.map(|held| held.id);
            let owner = row.kept_owner.clone();
            self.kept.extend(id.map(|id| KeptBlock { kind: R::KIND, id, owner }));
        }
        put
    }

    /// Says for each row whether a block of its owner holds it back, if the row is new.
    async fn held_back<R: Resource>(
        &mut self,
        change: &mut dyn Transaction,
        rows: &[Candidate<R>],
    ) -> Result<Vec<bool>, Error> {
        if self.options.lift_blocks {
            return Ok(vec![false; rows.len()]);
        }
        let rows: Vec<(&R, &NewRow)> = rows.iter().map(|one| (&one.complete, &one.new)).collect();
        for (complete, new) in &rows {
            self.stated.note(*complete, new);
        }
        self.stated.hold_back(change, &rows).await
    }

    /// Which of the objects that rows name do not exist.
    async fn missing(
        &mut self,
        change: &mut dyn Transaction,
        references: impl Iterator<Item = Reference>,
    ) -> Result<HashSet<(Kind, String)>, Error> {
        let unknown: HashSet<(Kind, String)> = references
            .map(|reference| (reference.kind, reference.id))
            .filter(|(kind, id)| !self.known.get(kind).is_some_and(|known| known.contains(id)))
            .collect();
        let mut missing = HashSet::new();
        for kind in Kind::ALL {
            let ids: Vec<&str> = unknown.iter().filter(|(of, _)| *of == kind).map(|(_, id)| id.as_str()).collect();
            if ids.is_empty() {
                continue;
            }
            let found = change.existing(kind, Name::Present, &ids).await?;
            missing.extend(ids.iter().filter(|id| !found.contains(**id)).map(|id| (kind, (*id).to_owned())));
            let known = self.known.entry(kind).or_default();
            if known.len() < MAX_KNOWN {
                known.extend(found);
            }
        }
        Ok(missing)
    }
}

/// The versions that are there for rows with the id of one, by their names in the feed. Rows that are compared with others are few, and written one by
/// one.
async fn held_of<R: Resource>(
    change: &mut dyn Transaction,
    complete: &[Candidate<R>],
    existing: &HashSet<String>,
) -> Result<HashMap<String, Version>, Error> {
    let ids = complete.iter().map(|one| one.new.id.as_str()).filter(|id| existing.contains(*id));
    let ids: Vec<&str> = ids.collect();
    if R::COMPARED || R::KIND == Kind::Plan || ids.is_empty() {
        return Ok(HashMap::new());
    }
    let held = change.find_all(R::KIND, &ids).await?;
    held.into_iter().map(|held| Ok((R::shown(&held)?.identity(), held))).collect()
}

/// Whether a complete row is there as it is. What it does not say has the same default then as in the row that is there.
fn is_same(held: &Version, new: &NewRow) -> bool {
    held.id == new.id && held.document == new.document && held.kept_block == new.kept_block && held.beside == new.beside
}

/// The field on account of which a row cannot be read. Most rows can, so only such a row is read with its places.
fn field_of<R: Resource>(text: &str) -> Option<String> {
    let read = serde_path_to_error::deserialize::<_, Object<R>>(&mut serde_json::Deserializer::from_str(text));
    let error = read.err()?;
    let path = error.path().to_string();
    // Of a field that stands there twice, the path is that of the object.
    let message = error.inner().to_string();
    let twice = message.strip_prefix("duplicate field `").and_then(|rest| rest.split_once('`'));
    match twice {
        Some((name, _)) if path == "." => Some(name.to_owned()),
        Some((name, _)) => Some(format!("{path}.{name}")),
        None => Some(path).filter(|path| path != "."),
    }
}

/// A row that can be stored.
struct Candidate<R> {
    row: Row,
    /// As it was sent: what it leaves out comes from the row that is there, if there is one.
    sent: R,
    /// With its defaults, as it would be if it is new.
    complete: R,
    /// The database row of `complete`.
    new: NewRow,
}

/// `sent` with its defaults, and its database row, if it is new.
fn completed<R: Resource>(act: &Act, sent: &R) -> Result<(R, NewRow), Error> {
    let mut complete = sent.clone();
    if complete.id().is_none() {
        *complete.id() = Some(new_id(act, R::PREFIX)?);
    }
    complete.fill_defaults(act, None)?;
    complete.validate()?;
    let new = complete.row()?;
    Ok((complete, new))
}

/// Ends the block of `held`, and writes `sent` in its place. If that is refused all the same, the block stays.
async fn lift_and_put<R: Resource>(change: &mut dyn Transaction, held: &Version, sent: R) -> Result<Put, Error> {
    match R::KIND {
        Kind::Application => drop(block::unblock::<Application>(change, &held.id, None).await?),
        Kind::Subscription => drop(block::unblock::<Subscription>(change, &held.id, None).await?),
        Kind::Api | Kind::Key | Kind::Plan | Kind::DenyPolicy => {}
    }
    let put = put_any(change, sent).await;
    // A kept block is gone with its row, and what comes in its place was complete and names only what is there.
    if put.is_err()
        && let Some(unblocked) = change.find(R::KIND, &held.id).await?
    {
        resource::put(change, &unblocked, &R::shown(held)?).await?;
    }
    put
}
