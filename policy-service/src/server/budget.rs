//! How many connections there may be, and which one is closed to make room for another.
//!
//! A connection is unproven until a request with a good credential arrives on it. Unproven connections have a budget of
//! their own, in all and for each address. If a budget is full, the oldest idle connection in it is closed; the new one
//! is never refused, because behind a proxy all clients share one address. This file decides only: it knows no socket, no
//! clock and no log. The order of events stands for the time.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
};

/// Descriptors that are not for connections: the database's five connections have three files each, the runtime and the
/// standard streams some ten, an accepted connection that is being closed one.
const RESERVED: usize = 64;
/// Proven connections at most: some thousand gateways, each with one or two. At about 20 KB each, 200 MB.
const MAX_PROVEN: usize = 10_000;
/// Unproven connections at most. At about 20 KB each, 80 MB.
const MAX_UNPROVEN: usize = 4_096;
/// Of the room that there is, one part in so many is for unproven connections, at most. Half of the 960 that 1,024
/// descriptors leave is 480: thousands of new connections a second each have some milliseconds to prove themselves.
const UNPROVEN_SHARE: usize = 2;
/// The least room that is assumed: with fewer descriptors the service would not have started.
const MIN_ROOM: usize = 16;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that have proved themselves.
    pub proven: usize,
    /// Connections that have not.
    pub unproven: usize,
    /// Of those, from one address: half, so that one address never displaces all others.
    pub per_address: usize,
}

impl Limits {
    /// The limits that fit into so many descriptors.
    pub fn of_descriptors(descriptors: u64) -> Self {
        let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let room = descriptors.saturating_sub(RESERVED).max(MIN_ROOM);
        let unproven = (room / UNPROVEN_SHARE).min(MAX_UNPROVEN);
        let proven = room.saturating_sub(unproven).min(MAX_PROVEN);
        Self { proven, unproven, per_address: unproven / 2 }
    }

    /// All connections at once.
    pub fn total(&self) -> usize {
        self.proven.saturating_add(self.unproven)
    }
}

/// A connection's number. No number is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(u64);

#[derive(Debug)]
struct Connection {
    address: IpAddr,
    proven: bool,
    /// Requests that are being answered.
    busy: usize,
    /// When it became idle; meaningful while `busy` is 0.
    idle_since: u64,
}

/// The unproven connections of one address.
#[derive(Debug, Default)]
struct Address {
    count: usize,
    idle: BTreeMap<u64, Id>,
}

/// All connections.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    /// Counts the events.
    now: u64,
    connections: HashMap<Id, Connection>,
    addresses: HashMap<IpAddr, Address>,
    unproven: usize,
    idle_unproven: BTreeMap<u64, Id>,
    idle_proven: BTreeMap<u64, Id>,
}

impl Budget {
    /// No connections yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            now: 0,
            connections: HashMap::new(),
            addresses: HashMap::new(),
            unproven: 0,
            idle_unproven: BTreeMap::new(),
            idle_proven: BTreeMap::new(),
        }
    }

    /// A connection was opened. Returns its number and the connection that has to be closed for it.
    pub fn open(&mut self, address: IpAddr) -> (Id, Option<Id>) {
        let address = network(address);
        let of_address = self.addresses.get(&address).filter(|held| held.count >= self.limits.per_address);
        let full = self.unproven >= self.limits.unproven;
        let oldest = |idle: &BTreeMap<u64, Id>| idle.values().next().copied();
        let victim = of_address
            .and_then(|held| oldest(&held.idle))
            .or_else(|| if full { oldest(&self.idle_unproven) } else { None });
        if let Some(victim) = victim {
            self.close(victim);
        }
        let now = self.tick();
        let id = Id(now);
        self.connections.insert(id, Connection { address, proven: false, busy: 0, idle_since: now });
        self.unproven = self.unproven.saturating_add(1);
        let held = self.addresses.entry(address).or_default();
        held.count = held.count.saturating_add(1);
        self.set_idle(id);
        (id, victim)
    }

    /// A request begins on a connection. One that was closed meanwhile is not heard of again.
    pub fn begin(&mut self, id: Id) {
        self.clear_idle(id);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.busy = connection.busy.saturating_add(1);
        }
    }

    /// A request on a connection has ended.
    pub fn end(&mut self, id: Id) {
        let now = self.tick();
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.busy = connection.busy.saturating_sub(1);
        if connection.busy == 0 {
            connection.idle_since = now;
            self.set_idle(id);
        }
    }

    /// A connection carries a request with a good credential. Returns the connection that has to be closed because there
    /// are too many that did so.
    pub fn prove(&mut self, id: Id) -> Option<Id> {
        if self.connections.get(&id).is_none_or(|connection| connection.proven) {
            return None;
        }
        let proven = self.connections.len().saturating_sub(self.unproven);
        let full = proven >= self.limits.proven;
        let victim = if full { self.idle_proven.values().next().copied() } else { None };
        if let Some(victim) = victim {
            self.close(victim);
        }
        self.clear_idle(id);
        self.forget_unproven(id);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.proven = true;
            if connection.busy == 0 {
                self.set_idle(id);
            }
        }
        victim
    }

    /// A connection was closed.
    pub fn close(&mut self, id: Id) {
        self.clear_idle(id);
        self.forget_unproven(id);
        self.connections.remove(&id);
    }

    /// The connection to close so that another descriptor becomes free: the oldest idle one, an unproven one if there is
    /// one. `None`: every connection is at work.
    pub fn make_room(&mut self) -> Option<Id> {
        let victim = self.idle_unproven.values().next().or_else(|| self.idle_proven.values().next()).copied()?;
        self.close(victim);
        Some(victim)
    }

    fn tick(&mut self) -> u64 {
        self.now = self.now.saturating_add(1);
        self.now
    }

    fn set_idle(&mut self, id: Id) {
        let Some(connection) = self.connections.get(&id) else { return };
        if connection.proven {
            self.idle_proven.insert(connection.idle_since, id);
        } else {
            self.idle_unproven.insert(connection.idle_since, id);
            if let Some(held) = self.addresses.get_mut(&connection.address) {
                held.idle.insert(connection.idle_since, id);
            }
        }
    }

    fn clear_idle(&mut self, id: Id) {
        let Some(connection) = self.connections.get(&id) else { return };
        if connection.busy > 0 {
            return;
        }
        self.idle_proven.remove(&connection.idle_since);
        self.idle_unproven.remove(&connection.idle_since);
        if let Some(held) = self.addresses.get_mut(&connection.address) {
            held.idle.remove(&connection.idle_since);
        }
    }

    /// Takes an unproven connection out of the budget of those.
    fn forget_unproven(&mut self, id: Id) {
        let Some(connection) = self.connections.get(&id).filter(|connection| !connection.proven) else { return };
        self.unproven = self.unproven.saturating_sub(1);
        if let Some(held) = self.addresses.get_mut(&connection.address) {
            held.count = held.count.saturating_sub(1);
            if held.count == 0 {
                self.addresses.remove(&connection.address);
            }
        }
    }
}

/// What counts as one address: a whole IPv4 address, and the network of 64 bits that one IPv6 client has.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests;
