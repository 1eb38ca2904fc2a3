//! Which connection is closed when there is no room.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::*;

const SMALL: Limits = Limits { proven: 3, unproven: 4, per_address: 2 };

fn from(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn opened(budget: &mut Budget, address: u8) -> Id {
    let (id, victim) = budget.open(from(address));
    assert_eq!(victim, None, "there is room");
    id
}

#[test]
fn limits_follow_from_the_descriptors() {
    for (descriptors, proven, unproven) in [
        (0, 8, 8),
        (64, 8, 8),
        (256, 96, 96),
        (1_024, 480, 480),
        (8_256, 4_096, 4_096),
        (20_000, 10_000, 4_096),
        (1 << 20, 10_000, 4_096),
        (u64::MAX, 10_000, 4_096),
    ] {
        let limits = Limits::of_descriptors(descriptors);
        assert_eq!(limits, Limits { proven, unproven, per_address: unproven / 2 }, "{descriptors}");
        assert!(descriptors < 256 || limits.total() as u64 <= descriptors - 64, "{descriptors}");
    }
}

#[test]
fn the_oldest_idle_one_of_the_address_goes() {
    let mut budget = Budget::new(SMALL);
    let other = opened(&mut budget, 2);
    let first = opened(&mut budget, 1);
    let second = opened(&mut budget, 1);
    let (third, victim) = budget.open(from(1));
    assert_eq!(victim, Some(first), "the other address's is older, and has done nothing wrong");
    // A request that has ended does not make its connection younger.
    budget.begin(second);
    budget.end(second);
    assert_eq!(budget.open(from(1)).1, Some(second));
    assert_eq!(budget.open(from(1)).1, Some(third));
    budget.close(other);
}

#[test]
fn the_oldest_idle_one_of_all_goes_when_all_are_too_many() {
    let mut budget = Budget::new(SMALL);
    let held: Vec<Id> = (1..=4).map(|address| opened(&mut budget, address)).collect();
    budget.begin(held[0]);
    assert_eq!(budget.open(from(5)).1, Some(held[1]), "what is at work stays");
    budget.close(held[2]);
    assert_eq!(budget.open(from(6)).1, None, "a connection that ended has made room");
}

#[test]
fn where_no_unproven_one_is_idle_the_oldest_goes() {
    let mut budget = Budget::new(SMALL);
    let held: Vec<Id> = (1..=4).map(|address| opened(&mut budget, address)).collect();
    for id in &held {
        budget.begin(*id);
    }
    let (fifth, victim) = budget.open(from(5));
    assert_eq!(victim, Some(held[0]), "never more than the budget");
    budget.end(held[0]);
    assert_eq!(budget.make_room(), Some(fifth), "it is the only idle one");
    assert_eq!(budget.make_room(), Some(held[1]));
}

#[test]
fn proven_connections_do_not_count_as_unproven_ones() {
    let mut budget = Budget::new(SMALL);
    let gateway = opened(&mut budget, 1);
    budget.begin(gateway);
    assert_eq!(budget.prove(gateway), None);
    budget.end(gateway);
    for _ in 0..100 {
        let (_, victim) = budget.open(from(1));
        assert_ne!(victim, Some(gateway));
    }
    for address in 2..100 {
        let (_, victim) = budget.open(from(address));
        assert_ne!(victim, Some(gateway));
    }
}

#[test]
fn of_too_many_proven_ones_the_oldest_idle_one_goes() {
    let mut budget = Budget::new(SMALL);
    let prove = |budget: &mut Budget, address: u8| {
        let id = opened(budget, address);
        budget.begin(id);
        (id, budget.prove(id))
    };
    let (held, _) = prove(&mut budget, 1);
    let (idle, _) = prove(&mut budget, 2);
    let (younger, _) = prove(&mut budget, 3);
    budget.end(idle);
    budget.end(younger);
    let (fourth, victim) = prove(&mut budget, 4);
    assert_eq!(victim, Some(idle), "a held poll is not idle");
    assert_eq!(budget.prove(fourth), None, "proved twice is proved once");
    budget.end(fourth);
    budget.end(held);
    assert_eq!(budget.make_room(), Some(younger));
    assert_eq!(budget.make_room(), Some(fourth));
    assert_eq!(budget.make_room(), Some(held));
    assert_eq!(budget.make_room(), None);
}

#[test]
fn what_is_not_there_any_more_changes_nothing() {
    let mut budget = Budget::new(SMALL);
    let gone = opened(&mut budget, 1);
    budget.close(gone);
    budget.begin(gone);
    budget.end(gone);
    budget.close(gone);
    assert_eq!(budget.prove(gone), None);
    assert_eq!(budget.make_room(), None);
    assert!(budget.addresses.is_empty() && budget.connections.is_empty() && budget.unproven.all.is_empty());
}

#[test]
fn one_client_has_one_address() {
    let v6 = |last: u16, network: u16| -> IpAddr { Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, last).into() };
    assert_eq!(super::network(v6(1, 7)), super::network(v6(2, 7)));
    assert_ne!(super::network(v6(1, 7)), super::network(v6(1, 8)));
    assert_eq!(super::network("::ffff:192.0.2.1".parse().unwrap()), from(1));
    assert_ne!(super::network(from(1)), super::network(from(2)));
}
