//! Makes the audit log's entry for a change from the rows that the change touched.
//!
//! Each database keeps a [`Journal`] in its transaction, tells it about each row that is removed or stored, and writes
//! the entry when it commits. So no rule can forget the entry: a rule only states what the change is ([`Deed`]). An
//! entry contains rows as clients see them. No row contains a key, so no entry can.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
};

use crate::{
    apis::Api,
    applications::Application,
    deny_policies::DenyPolicy,
    error::Error,
    keys::Key,
    plans::Plan,
    port::{
        Act, Kind, NewRow, Version,
        audit::{Action, Also, Deed, Entry, Subject},
    },
    resource::{Resource, document},
    subscriptions::Subscription,
};

/// Everything that a change has touched so far.
#[derive(Debug, Default)]
pub struct Journal {
    deed: Option<Deed>,
    /// In the order of their first touch.
    things: Vec<Thing>,
    /// The index of each object in `things`.
    places: HashMap<(Kind, String), usize>,
    /// For changes that are counted: numbers of created, changed and removed rows by kind.
    counts: HashMap<Kind, [u64; 3]>,
    /// For changes that are counted: rows that were removed and not stored again yet.
    taken: HashSet<(Kind, String)>,
}

#[derive(Debug)]
struct Thing {
    kind: Kind,
    id: String,
    before: Option<Version>,
    after: Option<Version>,
}

impl Thing {
    fn is_other(&self) -> bool {
        let content = |version: &Version| {
            let Version { document, kept_block, state_before, beside, .. } = version.clone();
            (document, kept_block, state_before, beside)
        };
        self.before.as_ref().map(content) != self.after.as_ref().map(content)
    }

    /// The action of a change that touches this object first, if no rule states it.
    fn action(&self) -> Action {
        match (&self.before, &self.after) {
            (None, _) => Action::Create,
            (Some(_), None) => Action::Delete,
            (Some(_), Some(_)) => Action::Replace,
        }
    }
}

impl Journal {
    /// States what the change is. A later statement replaces an earlier one, except that an action on the policy as a
    /// whole stays.
    pub fn state(&mut self, deed: Deed) {
        if !self.is_counted() {
            self.deed = Some(deed);
        }
    }

    /// Whether rows are counted instead of listed, because there may be a million of them.
    fn is_counted(&self) -> bool {
        self.deed.as_ref().is_some_and(|deed| deed.subject == Subject::Policy)
    }

    /// A row was stored.
    pub fn put(&mut self, row: &NewRow) {
        let name = (row.kind, row.id.clone());
        if self.is_counted() {
            let was_taken = self.taken.remove(&name);
            let [made, changed, removed] = self.counts.entry(row.kind).or_default();
            let count = if was_taken {
                *removed = removed.saturating_sub(1);
                changed
            } else {
                made
            };
            *count = count.saturating_add(1);
            return;
        }
        let after = Some(version(row));
        match self.places.get(&name).and_then(|place| self.things.get_mut(*place)) {
            Some(thing) => thing.after = after,
            None => self.add(Thing { kind: row.kind, id: row.id.clone(), before: None, after }),
        }
    }

    /// A row was removed.
    pub fn take(&mut self, stored: &Version) {
        let name = (stored.kind, stored.id.clone());
        if self.is_counted() {
            self.taken.insert(name);
            let [_, _, removed] = self.counts.entry(stored.kind).or_default();
            *removed = removed.saturating_add(1);
            return;
        }
        match self.places.get(&name).and_then(|place| self.things.get_mut(*place)) {
            Some(thing) => thing.after = None,
            None => {
                let before = Some(stored.clone());
                self.add(Thing { kind: stored.kind, id: stored.id.clone(), before, after: None });
            }
        }
    }

    fn add(&mut self, thing: Thing) {
        self.places.insert((thing.kind, thing.id.clone()), self.things.len());
        self.things.push(thing);
    }

    /// The entry of a change that made `revision`, or that changed only data beside the policy. `None` for changes that
    /// are not logged, such as a usage report.
    pub fn entry(self, act: &Act, revision: Option<i64>) -> Result<Option<Entry>, Error> {
        let is_beside = self.deed.as_ref().is_some_and(|deed| deed.subject.is_beside_policy());
        if revision.is_none() && !is_beside {
            return Ok(None);
        }
        let counts = self.is_counted().then(|| counts(&self.counts));
        let Self { deed, mut things, .. } = self;
        things.retain(Thing::is_other);
        let deed = deed.or_else(|| {
            let first = things.first()?;
            Some(Deed::of_row(first.action(), first.kind, &first.id))
        });
        // Rows were stored with their old content. The change still made a revision, so it gets an entry.
        let deed = deed.unwrap_or_else(|| Deed::of_policy(Action::Replace, None));
        let main = things.iter().position(|thing| {
            deed.subject == Subject::Row(thing.kind) && deed.id.as_deref() == Some(thing.id.as_str())
        });
        let main = main.map(|place| things.remove(place));
        let (before, after) = match &main {
            Some(thing) => (shown_as_json(thing.before.as_ref())?, shown_as_json(thing.after.as_ref())?),
            None => (deed.before, deed.after),
        };
        let also = things.iter().map(|thing| {
            Ok(Also {
                kind: Subject::Row(thing.kind).word().to_owned(),
                id: thing.id.clone(),
                before: shown_as_json(thing.before.as_ref())?,
                after: shown_as_json(thing.after.as_ref())?,
            })
        });
        let also = also.collect::<Result<Vec<_>, Error>>()?;
        Ok(Some(Entry {
            action: deed.action.word().to_owned(),
            kind: deed.subject.word().to_owned(),
            id: deed.id,
            revision,
            before,
            after,
            reason: deed.reason,
            counts,
            also_total: i64::try_from(also.len()).unwrap_or(i64::MAX),
            also,
            ..by(act)
        }))
    }
}

/// An entry that only says who made it, when and from where.
pub fn by(act: &Act) -> Entry {
    Entry {
        at: act.now,
        actor: act.actor.subject().to_owned(),
        role: act.actor.role().map(str::to_owned),
        address: act.origin.address.map(|address| address.to_string()),
        request_id: act.origin.request_id.as_deref().map(str::to_owned),
        ..Entry::default()
    }
}

/// The entry for a renewed epoch or a restored backup.
pub fn of_epoch(act: &Act, action: Action, before: &str, after: &str) -> Entry {
    let epoch = |epoch: &str| Some(serde_json::json!({ "epoch": epoch }).to_string());
    Entry {
        action: action.word().to_owned(),
        kind: Subject::Policy.word().to_owned(),
        before: epoch(before),
        after: epoch(after),
        ..by(act)
    }
}

/// `{"keys": {"made": 1, "changed": 0, "removed": 0}, …}`, with the kinds that occur.
fn counts(counts: &HashMap<Kind, [u64; 3]>) -> String {
    let mut text = String::from("{");
    for kind in Kind::ALL {
        let Some([made, changed, removed]) = counts.get(&kind) else { continue };
        let comma = if text.len() > 1 { "," } else { "" };
        let list = kind.list();
        // Writing to a String cannot fail.
        let _ = write!(text, r#"{comma}"{list}":{{"made":{made},"changed":{changed},"removed":{removed}}}"#);
    }
    text.push('}');
    text
}

fn version(row: &NewRow) -> Version {
    let NewRow { kind, id, application, api, kept_block, kept_owner, state_before, beside, due, document, .. } =
        row.clone();
    Version {
        seq: 0,
        kind,
        id,
        application,
        api,
        kept_block,
        kept_owner,
        state_before,
        beside,
        due,
        from_revision: 0,
        document,
    }
}

/// A row as clients see it, without its etag.
pub fn shown_as_json(row: Option<&Version>) -> Result<Option<String>, Error> {
    fn shown<R: Resource>(version: &Version) -> Result<String, Error> {
        document(&R::shown(version)?)
    }
    let Some(version) = row else { return Ok(None) };
    let shown = match version.kind {
        Kind::Api => shown::<Api>(version),
        Kind::Application => shown::<Application>(version),
        Kind::Key => shown::<Key>(version),
        Kind::Subscription => shown::<Subscription>(version),
        Kind::Plan => shown::<Plan>(version),
        Kind::DenyPolicy => shown::<DenyPolicy>(version),
    };
    // A row that an earlier program stored in another form must still be changeable.
    Ok(Some(shown.unwrap_or_else(|_| version.document.clone())))
}
