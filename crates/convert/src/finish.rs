//! Makes rows of a [`Draft`], in an order that is the same in every run.

use std::collections::{BTreeMap, BTreeSet};

use management::{
    error::Error as Refusal,
    keys::Key,
    subscriptions::{Subscription, SubscriptionState},
};

use crate::{
    Converted, Row,
    draft::{Draft, Entry, Grant, KeyEntry, Subscribed},
    finding::{Error, Spot},
    id,
    verify::verify,
};

/// Names in a note. The others are counted.
const MAX_NAMED: usize = 50;

impl Draft<'_> {
    /// The rows of what was collected.
    pub fn finish(mut self) -> Result<Converted, Vec<Error>> {
        let mut made = Vec::new();
        self.count_tallies();
        self.note_missing();
        let opened = self.opened();
        let plans = std::mem::take(&mut self.plans).into_values();
        made.extend(plans.filter(is_good).map(|entry| (entry.spot, Row::Plan(entry.row))));
        let apis = std::mem::take(&mut self.apis).into_values();
        made.extend(apis.filter(is_good).map(|entry| (entry.spot, Row::Api(entry.row))));
        let owner = self.options.owner.clone();
        for mut entry in std::mem::take(&mut self.applications).into_values().filter(is_good) {
            entry.row.owner = entry.row.owner.or_else(|| owner.clone());
            made.push((entry.spot, Row::Application(entry.row)));
        }
        for (pair, entry) in std::mem::take(&mut self.subscriptions) {
            if is_good(&entry) {
                made.push((entry.spot, Row::Subscription(subscription(pair, entry.row))));
            }
        }
        let mut keys: Vec<_> = std::mem::take(&mut self.keys).into_iter().collect();
        keys.sort_by(|(_, one), (_, other)| {
            (&one.grant.application, one.number).cmp(&(&other.grant.application, other.number))
        });
        let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
        for (digest, KeyEntry { grant, spot, is_refused, .. }) in keys {
            // A key that is left out keeps its number, so that the others have their ids when it is put right.
            let number = numbers.entry(grant.application.clone()).or_default();
            *number = number.saturating_add(1);
            if !is_refused {
                let all = opened.get(&grant.application);
                made.push((spot, Row::Key(key(digest.to_hex(), grant, *number, all))));
            }
        }
        let denied = std::mem::take(&mut self.deny_policies).into_values();
        made.extend(denied.filter(is_good).map(|entry| (entry.spot, Row::DenyPolicy(entry.row))));
        let made = self.unique_keys(made);
        let mut rows = Vec::with_capacity(made.len());
        for (spot, row) in made {
            match verify(&row, self.options.now) {
                Ok(()) => rows.push(row),
                Err(refusal) => self.refuse_row(spot, &row, &refusal),
            }
        }
        self.check_room()?;
        self.put_in_order();
        Ok(Converted { rows, losses: self.losses, errors: self.errors, notes: self.notes })
    }

    /// Keys without those whose id an earlier one has.
    fn unique_keys(&mut self, made: Vec<(Spot, Row)>) -> Vec<(Spot, Row)> {
        let mut ids = BTreeSet::new();
        let mut kept = Vec::with_capacity(made.len());
        for (spot, row) in made {
            if matches!(row, Row::Key(_)) && !ids.insert(row.id().to_owned()) {
                let found = format!("the id {:?} of a key again", row.id());
                self.refuse(spot, "", &found, "an id that only one key has; the second key is left out");
            } else {
                kept.push((spot, row));
            }
        }
        kept
    }

    /// The APIs that each application is subscribed to.
    fn opened(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut opened: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (application, api) in self.subscriptions.keys() {
            opened.entry(application.clone()).or_default().insert(api.clone());
        }
        opened
    }

    /// Findings in the order of the files, each once: two rows may be made of one place.
    fn put_in_order(&mut self) {
        let mut losses = std::mem::take(&mut self.losses);
        losses.sort_by_cached_key(|loss| (self.number_of(&loss.file), loss.line, loss.path.clone(), loss.what.clone()));
        losses.dedup();
        let mut errors = std::mem::take(&mut self.errors);
        errors.sort_by_key(|error| (self.number_of(&error.file), error.line, error.column));
        errors.dedup();
        (self.losses, self.errors) = (losses, errors);
    }

    fn refuse_row(&mut self, spot: Spot, row: &Row, refusal: &Refusal) {
        let path = match refusal {
            Refusal::Invalid { field: Some(field), .. } => format!("{} {:?}, {field}", row.kind().noun(), row.id()),
            _ => format!("{} {:?}", row.kind().noun(), row.id()),
        };
        let expected = format!("a row that the import takes: {refusal}");
        self.refuse(spot, &path, "a row that the import would refuse", &expected);
    }

    /// Names the APIs and plans that rows name and that no file describes.
    fn note_missing(&mut self) {
        let named: BTreeSet<&str> = self.subscriptions.keys().map(|(_, api)| api.as_str()).collect();
        let apis: Vec<&str> = named.into_iter().filter(|api| !self.apis.contains_key(*api)).collect();
        let named: BTreeSet<&str> = self.subscriptions.values().filter_map(|entry| entry.row.plan.as_deref()).collect();
        let plans: Vec<&str> = named.into_iter().filter(|plan| !self.plans.contains_key(*plan)).collect();
        let note = |noun: &str, names: &[&str]| {
            let listed: Vec<String> = names.iter().take(MAX_NAMED).map(|name| format!("{name:?}")).collect();
            let more = match names.len().saturating_sub(MAX_NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let listed = listed.join(", ");
            format!(
                "Subscriptions name {noun} that no file describes: {listed}{more}. They must be in the policy service \
                 before the rows are applied; rows that name a missing one are refused."
            )
        };
        let notes = [("APIs", &apis), ("plans", &plans)].into_iter().filter(|(_, names)| !names.is_empty());
        let notes: Vec<String> = notes.map(|(noun, names)| note(noun, names)).collect();
        self.notes.extend(notes);
    }
}

fn is_good<T>(entry: &Entry<T>) -> bool {
    !entry.is_refused
}

fn subscription((application, api): (String, String), said: Subscribed) -> Subscription {
    let Subscribed { plan, state, reason } = said;
    let block = state.and_then(SubscriptionState::block);
    let record = block.map(|block| management::block::Record { state: Some(block), reason, ..Default::default() });
    Subscription {
        id: Some(id::of_names(&[&application, &api])),
        application: Some(application),
        api: Some(api),
        state: Some(state.unwrap_or(SubscriptionState::Unblocked)),
        record: record.filter(|record| record.reason.is_some()),
        plan,
        used_up_until: None,
        deleted: false,
        etag: None,
        kept_owner: None,
    }
}

/// The row of a key. A key that opens all that its application is subscribed to is not bound to APIs.
fn key(sha256: String, grant: Grant, number: usize, all: Option<&BTreeSet<String>>) -> Key {
    let Grant { application, id, apis, key_type, state, not_before, expires_at, permitted_ips, permitted_referers } =
        grant;
    let made = || id::of_name(&format!("{application}.{number}"));
    Key {
        sha256: Some(sha256),
        id: Some(id.unwrap_or_else(made)),
        apis: apis.filter(|apis| all != Some(apis)).map(|apis| apis.into_iter().collect()),
        application: Some(application),
        key_type,
        state,
        not_before,
        expires_at,
        permitted_ips,
        permitted_referers,
        last_used: None,
        replaced_by: None,
        etag: None,
    }
}
