//! All known gateways, in memory: what each last said, whether its poll is held here, and what the database does not know
//! of it yet. Nothing here waits or reads a clock.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use management::{
    gateways::{GONE_KEPT_MS, Heard, MAX_GATEWAYS_OF_CLIENT, State, is_forgotten, states},
    port::{
        Scope,
        gateways::{Gateway, GatewayRow, Holds, NotedGateway},
    },
};
use sha2::{Digest as _, Sha256};

use super::{document, removed::Removed, said::Said};
use crate::hexadecimal::short_name;

/// The cursor of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A further page of a policy that is being loaded. It says nothing of the policy that serves.
    Page,
    /// The full policy is asked for. The policy that serves stays the one before.
    Whole,
    /// The policy by which all workers decide.
    Cursor {
        /// The epoch, as the gateway says it.
        epoch: Option<String>,
        /// What that proves.
        holds: Holds,
    },
}

/// A call of a gateway.
#[derive(Clone, Debug)]
pub struct Call {
    /// The name in its credentials.
    pub client_id: String,
    /// What its credentials see.
    pub scope: Scope,
    /// The other end of the connection.
    pub address: Option<IpAddr>,
    /// What it says of itself.
    pub said: Said,
    /// Its cursor.
    pub shown: Shown,
}

/// How often this replica looks whether it must note who is still heard of, and who is not any more.
pub const TOUCHED_MS: i64 = 5_000;
/// How long a gateway that another replica hears counts as live without a word of that replica, in addition to its own
/// time. The other replica notes at once when a gateway is silent, so this only has to cover its own death: two minutes.
/// 1,000 gateways that call within 35 s are then noted some seven times a second.
const GRACE_MS: i64 = 120_000;
/// Maximum length of an epoch, in bytes. Ours have 32.
const MAX_EPOCH_BYTES: usize = 64;

/// Of which gateways it is to be noted that they are still heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// Those that others would soon take for silent.
    Due,
    /// All, because another replica has started: what the database says is no sign of life to it.
    All,
}

/// A known gateway.
#[derive(Debug)]
struct Entry {
    gateway: Arc<Gateway>,
    /// Number of its polls that are held here.
    held: usize,
    /// Whether it was heard of since this service started.
    is_heard: bool,
    /// Whether this replica heard of it last.
    is_here: bool,
    /// Whether the replica that heard of it last has noted that it is silent.
    is_over: bool,
    /// When it was heard of, as the database knows; `None` if the database does not know it.
    noted_at: Option<i64>,
}

/// The result of a call.
#[derive(Debug)]
pub struct Arrived {
    /// The gateway that called, or the one without a name that stands for it.
    pub id: Arc<str>,
    /// Whether it was not known before.
    pub is_new: bool,
    /// Whether it said anything that is new for receipts.
    pub is_changed: bool,
    /// Whether its client id has too many gateways.
    pub is_one_too_many: bool,
}

/// All known gateways.
#[derive(Debug, Default)]
pub struct Known {
    entries: HashMap<Arc<str>, Entry>,
    /// Number of gateways with a name by client id.
    of_client: HashMap<String, usize>,
    /// Those of which the database does not know the last word.
    dirty: HashSet<Arc<str>>,
    /// Those that were removed.
    removed: Removed,
    /// Whether the database was read.
    pub is_loaded: bool,
}

impl Known {
    /// Notes that a call arrived, whose answer is held from now on.
    pub fn arrive(&mut self, mut call: Call, now: i64) -> Arrived {
        let mut id = id_of(&call);
        let is_known = self.entries.contains_key(&*id);
        let is_one_too_many = !is_known && call.said.name.is_some() && self.is_full(&call.client_id);
        if is_one_too_many {
            call.said.name = None;
            id = id_of(&call);
        }
        let known = self.entries.get_key_value(&*id).map(|(id, _)| Arc::clone(id));
        let (is_new, id) = (known.is_none(), known.unwrap_or_else(|| id.into()));
        if let (true, Some((instance, process))) = (is_new, &call.said.name) {
            self.removed.forget(instance, process);
        }
        let entry = self.entries.entry(Arc::clone(&id)).or_insert_with(|| {
            if call.said.name.is_some() {
                add_one(&mut self.of_client, &call.client_id);
            }
            Entry::of(&call, now)
        });
        let is_changed = entry.hear(call, now) || entry.noted_at.is_none();
        if is_changed {
            self.dirty.insert(Arc::clone(&id));
        }
        Arrived { id, is_new, is_changed, is_one_too_many }
    }

    /// Notes that a call was answered or given up. The answer told the gateway to wait so many seconds.
    pub fn leave(&mut self, id: &str, retry_after: i64, now: i64) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.held = entry.held.saturating_sub(1);
        let gateway = Arc::make_mut(&mut entry.gateway);
        gateway.heard_at = now;
        gateway.retry_after = retry_after;
    }

    /// Notes that a gateway calls whose credentials are refused. Returns its id if it was removed and is back now.
    pub fn hear_refused(&mut self, instance: String, process: String, now: i64) -> Option<Arc<str>> {
        let (id, gateway) = self.removed.take(instance, process, now)?;
        add_one(&mut self.of_client, &gateway.client_id);
        let gateway = Arc::new(gateway);
        let entry = Entry { gateway, held: 0, is_heard: true, is_here: true, is_over: false, noted_at: None };
        self.entries.insert(Arc::clone(&id), entry);
        self.dirty.insert(Arc::clone(&id));
        Some(id)
    }

    fn is_full(&self, client_id: &str) -> bool {
        self.of_client.get(client_id).is_some_and(|count| *count >= MAX_GATEWAYS_OF_CLIENT)
    }

    /// The gateway of this client id that is gone for the longest time.
    pub fn longest_gone(&self, client_id: &str, gone_after: i64, now: i64) -> Option<Arc<str>> {
        let heard = self.heard();
        let states = states(&heard, gone_after, now);
        let gone = heard
            .iter()
            .zip(states)
            .filter(|(heard, state)| *state == State::Gone && heard.gateway.client_id == client_id);
        gone.min_by_key(|(heard, _)| heard.gateway.heard_at).map(|(heard, _)| Arc::clone(&heard.id))
    }

    /// The longest time within which a gateway says that it calls, in seconds; 0 without a gateway.
    pub fn longest_heard_within(&self) -> i64 {
        self.entries.values().map(|entry| entry.gateway.heard_within).max().unwrap_or_default()
    }

    /// All gateways, for the rules.
    pub fn heard(&self) -> Vec<Heard> {
        let heard = |(id, entry): (&Arc<str>, &Entry)| Heard {
            id: Arc::clone(id),
            gateway: Arc::clone(&entry.gateway),
            is_held: entry.held > 0,
            is_heard: entry.is_heard,
            grace: if entry.is_here || entry.is_over { 0 } else { GRACE_MS },
        };
        self.entries.iter().map(heard).collect()
    }

    /// At most `most` rows of which the database does not know the last word. They count as known to it from now on.
    pub fn take_dirty(&mut self, most: usize, now: i64) -> Vec<GatewayRow> {
        let ids: Vec<Arc<str>> = self.dirty.iter().take(most).map(Arc::clone).collect();
        let mut rows = Vec::new();
        for id in ids {
            self.dirty.remove(&id);
            if let Some(entry) = self.entries.get_mut(&id) {
                rows.push(document::row(&id, &entry.gateway, entry.heard_at(now), entry.is_over));
            }
        }
        rows
    }

    /// Notes that the database knows these rows.
    pub fn set_noted(&mut self, rows: &[GatewayRow]) {
        for row in rows {
            if let Some(entry) = self.entries.get_mut(&*row.id) {
                entry.noted_at = entry.noted_at.max(Some(row.heard_at));
            }
        }
    }

    /// Notes that the database does not know these rows after all.
    pub fn put_back(&mut self, rows: &[GatewayRow]) {
        for row in rows {
            if let Some((id, _)) = self.entries.get_key_value(&*row.id) {
                self.dirty.insert(Arc::clone(id));
            }
        }
    }

    /// Whether the database knows this gateway.
    pub fn is_noted(&self, id: &str) -> bool {
        self.entries.get(id).is_none_or(|entry| entry.noted_at.is_some())
    }

    /// Marks gateways that this replica hears, so that it is noted that they are still heard of, or not any more.
    pub fn touch(&mut self, touched: Touched, now: i64) {
        for (id, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.is_here && entry.is_heard) {
            let (heard_at, Some(noted_at)) = (entry.heard_at(now), entry.noted_at) else { continue };
            let Gateway { heard_within, retry_after, .. } = *entry.gateway;
            let within = heard_within.saturating_add(retry_after).saturating_mul(1_000);
            if !entry.is_over && now >= heard_at.saturating_add(within) {
                entry.is_over = true;
                self.dirty.insert(Arc::clone(id));
            }
            // Two looks before others take it for silent.
            let soon = now.saturating_add(2 * TOUCHED_MS);
            let is_due = match touched {
                Touched::Due => soon >= noted_at.saturating_add(within).saturating_add(GRACE_MS),
                Touched::All => true,
            };
            if heard_at > noted_at && is_due {
                self.dirty.insert(Arc::clone(id));
            }
        }
    }

    /// Marks all gateways that this replica has heard of, because the database has forgotten them.
    pub fn mark_all(&mut self) {
        self.is_loaded = false;
        for (id, entry) in &mut self.entries {
            entry.noted_at = None;
            if entry.is_heard {
                self.dirty.insert(Arc::clone(id));
            }
        }
    }

    /// Takes over what the database says. What the replica `own` noted is known here. Returns whether anything changed.
    pub fn merge(&mut self, noted: Vec<NotedGateway>, own: &str) -> bool {
        let mut is_changed = false;
        for NotedGateway { row, writer, is_removed } in noted {
            if is_removed {
                is_changed |= self.remove(&row.id, row.heard_at);
                self.remember_removed(row);
            } else if writer != own {
                is_changed |= self.take(row);
            }
        }
        self.is_loaded = true;
        is_changed
    }

    /// Takes over a gateway from another replica, or from before the start.
    fn take(&mut self, row: GatewayRow) -> bool {
        let (id, heard_at) = (row.id.clone(), row.heard_at);
        let (theirs, is_over) = document::gateway(row);
        let Some(entry) = self.entries.get_mut(&*id) else {
            if theirs.instance.is_some() {
                add_one(&mut self.of_client, &theirs.client_id);
            }
            let entry = Entry {
                gateway: Arc::new(theirs),
                held: 0,
                is_heard: self.is_loaded,
                is_here: false,
                is_over,
                noted_at: Some(heard_at),
            };
            self.entries.insert(id.into(), entry);
            return true;
        };
        entry.noted_at = entry.noted_at.max(Some(heard_at));
        let own = Arc::make_mut(&mut entry.gateway);
        if !is_newer(&theirs, own) {
            // The last word of the other replica may be that it hears nothing any more.
            let is_told = is_over && !entry.is_here && theirs.heard_at >= own.heard_at;
            entry.is_over |= is_told;
            return is_told;
        }
        let first_at = own.first_at.min(theirs.first_at);
        *own = Gateway { first_at, ..theirs };
        entry.is_here = false;
        entry.is_over = is_over;
        entry.is_heard = true;
        self.dirty.remove(&*id);
        true
    }

    /// Removes a gateway, unless it was heard of since `at`. Returns whether it was there.
    pub fn remove(&mut self, id: &str, at: i64) -> bool {
        let Some(entry) = self.entries.get_mut(id) else { return false };
        if entry.held > 0 || (entry.is_here && entry.gateway.heard_at > at) {
            // It is there after all.
            entry.noted_at = None;
            if let Some((id, _)) = self.entries.get_key_value(id) {
                self.dirty.insert(Arc::clone(id));
            }
            return false;
        }
        self.dirty.remove(id);
        let Some((id, entry)) = self.entries.remove_entry(id) else { return true };
        if entry.gateway.instance.is_some()
            && let Some(count) = self.of_client.get_mut(&entry.gateway.client_id)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_client.remove(&entry.gateway.client_id);
            }
        }
        self.removed.add(id, entry.gateway);
        true
    }

    /// Another replica removed a gateway, or it was removed before the start. Its row has the time of the removal, so the
    /// gateway may decide for at least as long as it could then.
    fn remember_removed(&mut self, row: GatewayRow) {
        if !self.entries.contains_key(&*row.id) {
            let id = row.id.as_str().into();
            self.removed.add(id, Arc::new(document::gateway(row).0));
        }
    }

    /// Gateways that are gone for so long that nobody looks for them any more ([`GONE_KEPT_MS`]).
    pub fn forgotten(&self, gone_after: i64, now: i64) -> Vec<Arc<str>> {
        let oldest = self.entries.values().map(|entry| entry.gateway.heard_at).min();
        if oldest.is_none_or(|oldest| now.saturating_sub(oldest) <= GONE_KEPT_MS) {
            return Vec::new();
        }
        let heard = self.heard();
        let states = states(&heard, gone_after, now);
        let forgotten = heard.iter().zip(states).filter(|(heard, state)| is_forgotten(heard, *state, now));
        forgotten.map(|(heard, _)| Arc::clone(&heard.id)).collect()
    }
}

impl Entry {
    fn of(Call { client_id, scope, .. }: &Call, now: i64) -> Self {
        let gateway = Gateway {
            client_id: client_id.clone(),
            instance: None,
            process: String::new(),
            version: None,
            workers: None,
            lagging: Some(0),
            address: None,
            scope: Some(scope.clone()),
            epoch: None,
            holds: Holds::Nothing,
            refused: None,
            heard_within: 0,
            expires_after: None,
            retry_after: 0,
            first_at: now,
            heard_at: now,
        };
        Self { gateway: Arc::new(gateway), held: 0, is_heard: true, is_here: true, is_over: false, noted_at: None }
    }

    /// When it was last heard of. A held poll is heard all the time.
    fn heard_at(&self, now: i64) -> i64 {
        if self.held > 0 { now } else { self.gateway.heard_at }
    }

    /// Takes over what a call says. Returns whether anything else than the time changed.
    fn hear(&mut self, Call { scope, address, said, shown, .. }: Call, now: i64) -> bool {
        let gateway = &*self.gateway;
        let (instance, process) = said.name.unzip();
        let (epoch, holds) = match &shown {
            Shown::Cursor { epoch, holds } => {
                let epoch = epoch.clone().filter(|epoch| epoch.len() <= MAX_EPOCH_BYTES);
                (epoch, holds.clone())
            }
            Shown::Page | Shown::Whole => (gateway.epoch.clone(), gateway.holds.clone()),
        };
        // Only beside a cursor is it good news that nobody lags.
        let lagging = match (&shown, said.lagging) {
            (Shown::Page | Shown::Whole, Some(0)) => gateway.lagging,
            (_, lagging) => lagging,
        };
        let heard = Gateway {
            client_id: gateway.client_id.clone(),
            instance,
            process: process.unwrap_or_default(),
            version: said.version,
            workers: said.workers,
            lagging,
            address,
            scope: Some(scope),
            epoch,
            holds,
            refused: if shown == Shown::Page { gateway.refused } else { said.refused },
            heard_within: said.heard_within,
            expires_after: said.expires_after,
            retry_after: gateway.retry_after,
            first_at: gateway.first_at,
            heard_at: gateway.heard_at,
        };
        let is_changed = heard != *gateway || !self.is_here || self.is_over || !self.is_heard;
        self.gateway = Arc::new(Gateway { retry_after: 0, heard_at: now, ..heard });
        self.held = self.held.saturating_add(1);
        self.is_here = true;
        self.is_over = false;
        self.is_heard = true;
        is_changed
    }
}

fn add_one(of_client: &mut HashMap<String, usize>, client_id: &str) {
    let count = of_client.entry(client_id.to_owned()).or_default();
    *count = count.saturating_add(1);
}

/// Whether another replica heard of a gateway later. Within an epoch a gateway's revision never falls, so the higher one
/// is later, whatever the clocks say.
fn is_newer(theirs: &Gateway, own: &Gateway) -> bool {
    if let (Holds::Proven(theirs), Holds::Proven(own)) = (&theirs.holds, &own.holds)
        && theirs.epoch == own.epoch
        && theirs.revision != own.revision
    {
        return theirs.revision > own.revision;
    }
    theirs.heard_at > own.heard_at
}

/// The id of a gateway, which all replicas give it: 128 bits of a digest of its names.
fn id_of(Call { client_id, said, .. }: &Call) -> String {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        // With its length, so that no two lists of names are the same text.
        digest.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(text);
    };
    add(client_id);
    if let Some((instance, process)) = &said.name {
        add(instance);
        add(process);
    }
    short_name(&digest.finalize())
}

#[cfg(test)]
mod tests;
