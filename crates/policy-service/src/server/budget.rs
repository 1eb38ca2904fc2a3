//! Limits the number of connections, and chooses the connection to close when another needs its place.
//!
//! A connection is unproven until a request with a valid credential arrives on it. Unproven connections have a budget
//! of their own, in total and for each address. If a budget is full, the oldest idle connection in it is closed; if
//! none is idle, the oldest one. The new connection is never refused, because behind a proxy all clients share one
//! address.
//!
//! This file only decides: it knows no socket, no clock and no log. The order of events stands for the time.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv6Addr},
};

/// Descriptors that are not available for connections: three files for each of the database's five connections, some
/// ten for the runtime and the standard streams, and one for an accepted connection that is being closed.
const RESERVED: usize = 64;
/// Maximum number of proven connections: some thousand gateways with one or two each. At about 20 KB each, 200 MB.
const MAX_PROVEN: usize = 10_000;
/// Maximum number of unproven connections. At about 20 KB each, 80 MB.
const MAX_UNPROVEN: usize = 4_096;
/// Unproven connections get at most this part of the room: one half. Of the 960 that 1,024 descriptors leave, that is
/// 480. Even with thousands of new connections a second, each then has some milliseconds to prove itself.
const UNPROVEN_SHARE: usize = 2;
/// The least room that is assumed. With fewer descriptors the service could not have started.
const MIN_ROOM: usize = 16;

/// Maximum numbers of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Proven connections.
    pub proven: usize,
    /// Unproven connections.
    pub unproven: usize,
    /// Unproven connections from one address: half of all, so that one address never displaces all others.
    pub per_address: usize,
}

impl Limits {
    /// The limits for a number of file descriptors.
    pub fn of_descriptors(descriptors: u64) -> Self {
        let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let room = descriptors.saturating_sub(RESERVED).max(MIN_ROOM);
        let unproven = (room / UNPROVEN_SHARE).min(MAX_UNPROVEN);
        let proven = room.saturating_sub(unproven).min(MAX_PROVEN);
        Self { proven, unproven, per_address: unproven / 2 }
    }

    /// All connections together.
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
    /// Number of requests in progress.
    busy: usize,
    /// When the connection became idle; meaningful while `busy` is 0.
    idle_since: u64,
}

/// Unproven connections, the oldest first: an [`Id`] is also the time at which its connection was opened.
///
/// They are not ordered by their last request. Otherwise a few hundred busy connections could make a new connection the
/// oldest one before its first request is read.
#[derive(Debug, Default)]
struct Unproven {
    all: BTreeSet<Id>,
    idle: BTreeSet<Id>,
}

impl Unproven {
    /// The connection to close: the oldest idle one, or the oldest one if all are at work.
    fn victim(&self) -> Option<Id> {
        self.idle.first().or_else(|| self.all.first()).copied()
    }

    fn add(&mut self, id: Id) {
        self.all.insert(id);
        self.idle.insert(id);
    }

    fn set_idle(&mut self, id: Id, idle: bool) {
        if !idle {
            self.idle.remove(&id);
        } else if self.all.contains(&id) {
            self.idle.insert(id);
        }
    }

    fn remove(&mut self, id: Id) {
        self.all.remove(&id);
        self.idle.remove(&id);
    }
}

/// All connections.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    /// Number of events so far.
    now: u64,
    connections: HashMap<Id, Connection>,
    unproven: Unproven,
    addresses: HashMap<IpAddr, Unproven>,
    /// Idle proven connections, by the time at which they became idle.
    idle_proven: BTreeMap<u64, Id>,
}

impl Budget {
    /// No connections yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            now: 0,
            connections: HashMap::new(),
            unproven: Unproven::default(),
            addresses: HashMap::new(),
            idle_proven: BTreeMap::new(),
        }
    }

    /// How many connections are proven, and how many are not.
    pub fn counts(&self) -> (usize, usize) {
        let unproven = self.unproven.all.len();
        (self.connections.len().saturating_sub(unproven), unproven)
    }

    /// Registers a new connection. Returns its number, and the connection to close for it, if any.
    pub fn open(&mut self, address: IpAddr) -> (Id, Option<Id>) {
        let address = network(address);
        let of_address = self.addresses.get(&address).filter(|held| held.all.len() >= self.limits.per_address);
        let of_all = Some(&self.unproven).filter(|held| held.all.len() >= self.limits.unproven);
        let victim = of_address.or(of_all).and_then(Unproven::victim);
        if let Some(victim) = victim {
            self.close(victim);
        }
        let now = self.tick();
        let id = Id(now);
        self.connections.insert(id, Connection { address, proven: false, busy: 0, idle_since: now });
        self.unproven.add(id);
        self.addresses.entry(address).or_default().add(id);
        (id, victim)
    }

    /// A request begins on a connection. Ignored if the connection was closed meanwhile.
    pub fn begin(&mut self, id: Id) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.busy = connection.busy.saturating_add(1);
        self.set_idle(id, false);
    }

    /// A request on a connection has ended.
    pub fn end(&mut self, id: Id) {
        let now = self.tick();
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.busy = connection.busy.saturating_sub(1);
        if connection.busy == 0 {
            connection.idle_since = now;
            self.set_idle(id, true);
        }
    }

    /// A valid credential arrived on a connection. Returns the connection to close if there are now too many proven
    /// ones.
    pub fn prove(&mut self, id: Id) -> Option<Id> {
        if self.connections.get(&id).is_none_or(|connection| connection.proven) {
            return None;
        }
        let full = self.counts().0 >= self.limits.proven;
        let victim = if full { self.idle_proven.values().next().copied() } else { None };
        if let Some(victim) = victim {
            self.close(victim);
        }
        self.forget_unproven(id);
        let Some(connection) = self.connections.get_mut(&id) else { return victim };
        connection.proven = true;
        if connection.busy == 0 {
            self.set_idle(id, true);
        }
        victim
    }

    /// A connection was closed.
    pub fn close(&mut self, id: Id) {
        self.set_idle(id, false);
        self.forget_unproven(id);
        self.connections.remove(&id);
    }

    /// Returns the connection to close so that a descriptor becomes free: an unproven one if there is one, else the
    /// oldest idle one. `None` if all connections are proven and busy.
    pub fn make_room(&mut self) -> Option<Id> {
        let victim = self.unproven.victim().or_else(|| self.idle_proven.values().next().copied())?;
        self.close(victim);
        Some(victim)
    }

    fn tick(&mut self) -> u64 {
        self.now = self.now.saturating_add(1);
        self.now
    }

    fn set_idle(&mut self, id: Id, idle: bool) {
        let Some(connection) = self.connections.get(&id) else { return };
        if !connection.proven {
            self.unproven.set_idle(id, idle);
            if let Some(held) = self.addresses.get_mut(&connection.address) {
                held.set_idle(id, idle);
            }
        } else if idle {
            self.idle_proven.insert(connection.idle_since, id);
        } else {
            self.idle_proven.remove(&connection.idle_since);
        }
    }

    /// Removes a connection from the budget of unproven connections.
    fn forget_unproven(&mut self, id: Id) {
        let Some(connection) = self.connections.get(&id) else { return };
        self.unproven.remove(id);
        if let Some(held) = self.addresses.get_mut(&connection.address) {
            held.remove(id);
            if held.all.is_empty() {
                self.addresses.remove(&connection.address);
            }
        }
    }
}

/// What counts as one address: a whole IPv4 address, or the 64-bit network that one IPv6 client has.
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
