//! Writes many rows of one kind: new rows together, existing ones one by one.

use std::collections::{HashMap, HashSet};

use super::{ROWS_PER_CHANGE, Row, progress::Progress};
use crate::clock::act;
use management::{
    error::Error as Refused,
    object::Object,
    pipeline::{check_room_for, put_any},
    port::{
        Act, Actor, Kind, MAX_ROWS_AT_ONCE, Name, NewRow, Store, Transaction,
        audit::{Action, Deed},
    },
    resource::{Reference, Resource, new_id},
};

/// Maximum number of ids that are remembered as existing. At 64 bytes each, 64 MB.
const MAX_KNOWN: usize = 1_000_000;

/// An import's view of the database.
pub struct Bulk<'s> {
    store: &'s Store,
    progress: &'s mut Progress,
    /// The transaction in progress and the number of its rows.
    change: Option<(Box<dyn Transaction>, usize)>,
    /// Ids that exist, by kind. If another process deletes one while this import runs, rows may name an object that
    /// does not exist. Such rows deny.
    known: HashMap<Kind, HashSet<String>>,
}

impl<'s> Bulk<'s> {
    /// An import into `store`.
    pub fn new(store: &'s Store, progress: &'s mut Progress) -> Self {
        Self { store, progress, change: None, known: HashMap::new() }
    }

    /// Writes `rows`. Returns rows that name an object that does not exist yet, or rejects them if this is the `last`
    /// attempt.
    pub async fn put<R: Resource>(&mut self, rows: Vec<Row>, last: bool) -> Result<Vec<Row>, Refused> {
        let mut deferred = Vec::new();
        let mut rows = rows.into_iter();
        loop {
            let chunk: Vec<Row> = rows.by_ref().take(MAX_ROWS_AT_ONCE).collect();
            if chunk.is_empty() {
                return Ok(deferred);
            }
            let done = chunk.len();
            let (mut change, before) = match self.change.take() {
                Some(begun) => begun,
                None => (self.begin().await?, 0),
            };
            deferred.extend(self.put_chunk::<R>(&mut *change, chunk, last).await?);
            let rows_in_change = before.saturating_add(done);
            self.change = Some((change, rows_in_change));
            if rows_in_change >= ROWS_PER_CHANGE {
                self.commit().await?;
            }
        }
    }

    /// Begins a transaction whose audit entry counts rows instead of naming them.
    async fn begin(&self) -> Result<Box<dyn Transaction>, Refused> {
        let mut change = self.store.begin(act(Actor::Import)).await?;
        change.record(Deed::of_policy(Action::Import, None));
        Ok(change)
    }

    /// Commits the transaction in progress.
    pub async fn commit(&mut self) -> Result<(), Refused> {
        if let Some((change, rows)) = self.change.take() {
            change.commit().await?;
            self.progress.add(rows);
        }
        Ok(())
    }

    async fn put_chunk<R: Resource>(
        &mut self,
        change: &mut dyn Transaction,
        chunk: Vec<Row>,
        last: bool,
    ) -> Result<Vec<Row>, Refused> {
        let mut parsed = Vec::with_capacity(chunk.len());
        for row in chunk {
            match serde_json::from_str::<Object<R>>(row.text.get()) {
                Ok(Object(sent)) => parsed.push((row, sent)),
                Err(error) => self.progress.refuse(&row.describe::<R>(), &error.to_string()),
            }
        }
        let missing = self.missing(change, parsed.iter().flat_map(|(_, sent)| sent.references())).await?;
        let mut deferred = Vec::new();
        let mut candidates = Vec::with_capacity(parsed.len());
        for (row, sent) in parsed {
            match sent.references().iter().find(|reference| missing.contains(&(reference.kind, reference.id.clone()))) {
                Some(reference) if last => self.progress.refuse(&row.describe::<R>(), &reference.missing().to_string()),
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
    ) -> Result<Vec<Row>, Refused> {
        let mut complete = Vec::with_capacity(candidates.len());
        for (row, sent) in candidates {
            match made_new(change.act(), &sent) {
                Ok(new) => complete.push((row, sent, new)),
                Err(error) => self.progress.refuse(&row.describe::<R>(), &error.to_string()),
            }
        }
        let names = |name: fn(&NewRow) -> &str| complete.iter().map(|(_, _, new)| name(new)).collect::<Vec<_>>();
        let mut ids = change.existing(R::KIND, Name::Id, &names(|new| &new.id)).await?;
        let mut identities = change.existing(R::KIND, Name::Identity, &names(|new| &new.identity)).await?;
        let revoked = match R::KIND {
            Kind::Key => change.revoked(&names(|new| &new.identity)).await?,
            _ => HashSet::new(),
        };
        let (mut fresh, mut others) = (Vec::with_capacity(complete.len()), Vec::new());
        for (row, sent, new) in complete {
            // Both inserts must run (`&`, not `&&`). Then of two rows for the same object, the second replaces the
            // first.
            let first = ids.insert(new.id.clone()) & identities.insert(new.identity.clone());
            if first && !R::COMPARED && !revoked.contains(&new.identity) {
                fresh.push(new)
            } else {
                others.push((row, sent))
            }
        }
        check_room_for(change, R::KIND, fresh.len())?;
        change.insert_all(&fresh).await?;
        let known = self.known.entry(R::KIND).or_default();
        if known.len() < MAX_KNOWN {
            known.extend(fresh.into_iter().map(|new| new.id));
        }
        let mut deferred = Vec::new();
        for (row, sent) in others {
            match put_any(change, sent).await {
                Err(error) if R::COMPARED && !last && matches!(error, Refused::Conflict { .. }) => deferred.push(row),
                Err(error) if error.is_refusal() => {
                    self.progress.refuse(&row.describe::<R>(), &error.to_string());
                }
                result => result?,
            }
        }
        Ok(deferred)
    }

    /// Which of the objects that rows name do not exist.
    async fn missing(
        &mut self,
        change: &mut dyn Transaction,
        references: impl Iterator<Item = Reference>,
    ) -> Result<HashSet<(Kind, String)>, Refused> {
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

/// The database row of `sent` if it is new.
fn made_new<R: Resource>(act: &Act, sent: &R) -> Result<NewRow, Refused> {
    let mut sent = sent.clone();
    if sent.id().is_none() {
        *sent.id() = Some(new_id(act, R::PREFIX)?);
    }
    sent.fill_defaults(None)?;
    sent.validate()?;
    sent.row()
}
