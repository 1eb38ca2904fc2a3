//! Tables of cases: what each state of the gateways means for the list and for receipts.

#![allow(clippy::arithmetic_side_effects, reason = "a panic here is a failed test")]

use std::{collections::BTreeSet, sync::Arc};

use super::{Change, Heard, State, may_miss_some, receipt, states};
use crate::port::{
    Scope,
    gateways::{Gateway, Holds, Proof, Refused, RefusedBecause},
};

/// The time of all cases, Unix milliseconds.
const NOW: i64 = 1_748_736_000_000;
const SECOND: i64 = 1_000;
/// The operator's own bound on silence.
const GONE_AFTER: i64 = 3_600 * SECOND;

/// A gateway that shows the revision 7, was heard of a moment ago and calls again within 30 seconds.
fn gateway(instance: &str, process: &str) -> Gateway {
    Gateway {
        client_id: "edge".to_owned(),
        instance: Some(instance.to_owned()),
        process: process.to_owned(),
        version: None,
        workers: Some(4),
        lagging: Some(0),
        address: "192.0.2.1".parse().ok(),
        scope: Some(Scope::All),
        epoch: Some("e".to_owned()),
        holds: proven("e", 7),
        refused: None,
        heard_within: 30,
        expires_after: Some(3_600),
        retry_after: 0,
        first_at: NOW - 1_000 * SECOND,
        heard_at: NOW - SECOND,
    }
}

fn proven(epoch: &str, revision: i64) -> Holds {
    Holds::Proven(Proof { epoch: epoch.to_owned(), revision, word: 1 })
}

fn heard(gateway: Gateway) -> Heard {
    Heard { id: "id".into(), gateway: Arc::new(gateway), is_held: false, is_heard: true, grace: 0 }
}

fn limited(apis: &[&str]) -> Option<Scope> {
    Some(Scope::Apis(Arc::new(apis.iter().map(|api| (*api).to_owned()).collect::<BTreeSet<_>>())))
}

/// The change 7 of the epoch `e`, which gateways see that see the API `seen`. Another scope than `unknown` is known.
fn sees(scope: &Scope) -> Option<bool> {
    if scope.has("unknown") && *scope != Scope::All { None } else { Some(scope.has("seen")) }
}

/// Words for a receipt: live, have, missing, silent, whether it is complete.
fn told(heard: &[Heard]) -> (usize, usize, usize, usize, bool) {
    let change = Change { epoch: "e".to_owned(), revision: 7 };
    let receipt =
        receipt(heard, &states(heard, GONE_AFTER, NOW), &change, |gateway| gateway.scope.as_ref().and_then(sees));
    assert_eq!(receipt.live, receipt.have + receipt.missing.len());
    assert!(receipt.proofs.iter().all(|proof| proof.epoch == "e" && proof.revision >= 7), "{receipt:?}");
    (receipt.live, receipt.have, receipt.missing.len(), receipt.silent.len(), receipt.is_complete())
}

#[test]
fn a_gateway_has_a_change_if_it_is_live_and_proves_it() {
    let case = |change: fn(&mut Gateway)| {
        let mut gateway = gateway("a", "1");
        change(&mut gateway);
        told(&[heard(gateway)])
    };
    let (has, missing, silent, nothing) =
        ((1, 1, 0, 0, true), (1, 0, 1, 0, false), (0, 0, 0, 1, false), (0, 0, 0, 0, true));
    for (name, found, expected) in [
        ("its cursor proves the revision", case(|_| {}), has),
        ("a later one", case(|it| it.holds = proven("e", 8)), has),
        ("an earlier one", case(|it| it.holds = proven("e", 6)), missing),
        ("an Envoy that starts has nothing yet", case(|it| it.holds = Holds::Nothing), missing),
        ("a cursor without a mark is no proof", case(|it| it.holds = Holds::Unknown), missing),
        ("a mark of another history", case(|it| it.holds = proven("f", 9)), missing),
        ("a worker lags", case(|it| it.lagging = Some(1)), missing),
        ("it cannot be read how many lag", case(|it| it.lagging = None), missing),
        (
            "it refused the revision and goes on by the one before",
            case(|it| {
                it.holds = proven("e", 6);
                it.refused = Some(Refused { revision: 7, reason: RefusedBecause::Shrink });
            }),
            missing,
        ),
        (
            "it refused a later revision",
            case(|it| it.refused = Some(Refused { revision: 8, reason: RefusedBecause::Page })),
            has,
        ),
        ("a filter that does not name itself", case(|it| it.instance = None), missing),
        (
            "one that does not name itself and is silent",
            case(|it| {
                it.instance = None;
                it.expires_after = None;
                it.heard_at = NOW - 100_000 * SECOND;
            }),
            silent,
        ),
        ("it is cut off and may go on by any policy", case(|it| it.heard_at = NOW - 31 * SECOND), silent),
        ("the same, with proof of the change", case(|it| it.heard_at = NOW - 3_000 * SECOND), silent),
        ("it is gone", case(|it| it.heard_at = NOW - 7_000 * SECOND * 2), nothing),
        ("another address is no other gateway", case(|it| it.address = None), has),
        ("it does not see the change", case(|it| it.scope = limited(&["other"])), nothing),
        (
            "it does not see the change, and has an earlier policy",
            case(|it| {
                it.scope = limited(&["other"]);
                it.holds = proven("e", 3);
            }),
            nothing,
        ),
        (
            "it does not see the change, and it is not known what it holds",
            case(|it| {
                it.scope = limited(&["other"]);
                it.holds = Holds::Unknown;
            }),
            missing,
        ),
        (
            "it does not see the change, and holds another history",
            case(|it| {
                it.scope = limited(&["other"]);
                it.holds = proven("f", 9);
            }),
            missing,
        ),
        (
            "it does not see the change, and is silent",
            case(|it| {
                it.scope = limited(&["other"]);
                it.heard_at = NOW - 100 * SECOND;
            }),
            nothing,
        ),
        ("a limited one sees the change", case(|it| it.scope = limited(&["seen"])), has),
        (
            "a limited one sees the change, and has it not",
            case(|it| {
                it.scope = limited(&["seen"]);
                it.holds = proven("e", 6);
            }),
            missing,
        ),
        (
            "nobody knows whether it sees the change",
            case(|it| {
                it.scope = limited(&["unknown"]);
                it.holds = proven("e", 6);
            }),
            missing,
        ),
        (
            "its scope is not known here",
            case(|it| {
                it.scope = None;
                it.holds = proven("e", 6);
            }),
            missing,
        ),
    ] {
        assert_eq!(found, expected, "{name}");
    }
    assert_eq!(told(&[]), nothing, "there is no gateway");
}

#[test]
fn gateways_are_told_apart_by_instance_and_process() {
    let old = |process: &str, heard_at: i64| Gateway { heard_at, holds: proven("e", 6), ..gateway("a", process) };
    let new = |first_at: i64| Gateway { first_at, ..gateway("a", "2") };
    let ago = |seconds: i64| NOW - seconds * SECOND;
    for (name, gateways, expected) in [
        (
            "an Envoy restarted: the process before is silent",
            vec![old("1", ago(100)), new(ago(90))],
            (1, 1, 0, 1, false),
        ),
        ("a hot restart: both processes serve", vec![old("1", ago(1)), new(ago(50))], (2, 1, 1, 0, false)),
        ("two Envoys of one name: one is cut off", vec![old("1", ago(40)), new(ago(500))], (1, 1, 0, 1, false)),
        ("two Envoys of one name: both have it", vec![gateway("a", "1"), gateway("a", "2")], (2, 2, 0, 0, true)),
        ("two stores in one Envoy: one is behind", vec![gateway("a", "1"), old("2", ago(1))], (2, 1, 1, 0, false)),
        ("two gateways behind one address", vec![gateway("a", "1"), gateway("b", "1")], (2, 2, 0, 0, true)),
    ] {
        let gateways: Vec<Heard> = gateways.into_iter().map(heard).collect();
        assert_eq!(told(&gateways), expected, "{name}");
    }
}

#[test]
fn a_gateway_is_live_for_the_time_that_it_names() {
    use State::{Gone, Live, Silent};
    let case = |seconds: i64, change: fn(&mut Heard, &mut Gateway)| {
        let mut gateway = Gateway { heard_at: NOW - seconds * SECOND, ..gateway("a", "1") };
        let mut heard = heard(gateway.clone());
        change(&mut heard, &mut gateway);
        heard.gateway = Arc::new(gateway);
        states(&[heard], GONE_AFTER, NOW)
    };
    for (name, found, expected) in [
        ("within its time", case(29, |_, _| {}), Live),
        ("after it", case(30, |_, _| {}), Silent),
        ("it was told to wait longer", case(49, |_, it| it.retry_after = 20), Live),
        ("longer than that", case(50, |_, it| it.retry_after = 20), Silent),
        ("its poll is held", case(1_000_000, |heard, _| heard.is_held = true), Live),
        ("another replica hears it", case(39, |heard, _| heard.grace = 10 * SECOND), Live),
        ("it was heard of before this service started", case(1, |heard, _| heard.is_heard = false), Silent),
        ("the hour is not over", case(3_629, |_, _| {}), Silent),
        ("the hour is over", case(3_630, |_, _| {}), Gone),
        ("its policy is good for a day", case(80_000, |_, it| it.expires_after = Some(86_400)), Silent),
        ("its policy was good for a day", case(86_430, |_, it| it.expires_after = Some(86_400)), Gone),
        ("its policy is good for a minute", case(3_000, |_, it| it.expires_after = Some(60)), Silent),
        ("its policy is good for ever", case(100_000_000, |_, it| it.expires_after = Some(0)), Silent),
        ("nobody knows for how long", case(100_000_000, |_, it| it.expires_after = None), Silent),
        ("a word from the future", case(-100, |_, _| {}), Live),
        ("numbers beyond all measure", case(1, |_, it| it.heard_within = i64::MAX), Live),
    ] {
        assert_eq!(found, [expected], "{name}");
    }
}

/// The new process is live in all of these cases.
#[test]
fn a_process_whose_place_is_taken_goes_when_it_can_allow_nothing() {
    use State::{Gone, Live, Silent};
    let ago = |seconds: i64| NOW - seconds * SECOND;
    for (name, silent_for, expires_after, first_at, expected) in [
        ("its policy is good for another second", 129, Some(100), ago(60), Silent),
        ("its policy has expired", 130, Some(100), ago(60), Gone),
        ("both were heard of at the same time", 130, Some(100), ago(500), Silent),
        ("its policy is good for ever", 100_000, Some(0), ago(60), Silent),
        ("nobody knows for how long", 100_000, None, ago(60), Silent),
    ] {
        let old = Gateway { heard_at: ago(silent_for), expires_after, ..gateway("a", "1") };
        let new = Gateway { first_at, ..gateway("a", "2") };
        let found = states(&[heard(old.clone()), heard(new)], GONE_AFTER, NOW);
        assert_eq!(found, [expected, Live], "{name}");
        let other = Gateway { first_at, ..gateway("b", "2") };
        assert_eq!(states(&[heard(old.clone()), heard(other)], GONE_AFTER, NOW)[0], Silent, "{name}: another name");
        let held = Heard { is_held: true, ..heard(old) };
        assert_eq!(states(&[held], GONE_AFTER, NOW), [Live], "{name}: its poll is held");
    }
}

#[test]
fn after_a_loss_unknown_gateways_get_the_time_to_call() {
    let ago = |seconds: i64| NOW - seconds * SECOND;
    for (name, heard_within, started, lost_at, expected) in [
        ("nothing was lost", None, ago(5), 0, false),
        ("a backup was put back, and the service started on it", None, ago(5), ago(6), true),
        ("a lost cursor showed it", None, ago(62), ago(10), true),
        ("all had the time to call", None, ago(63), ago(10), false),
        ("the service has run for long, so it knows them all", None, ago(86_400), ago(1), false),
        ("the loss is long ago", None, ago(1), ago(63), false),
        ("a known gateway may take longer", Some(120), ago(119), ago(100), true),
        ("it had its time", Some(120), ago(120), ago(100), false),
        ("a known gateway is quicker", Some(5), ago(62), ago(10), true),
        ("the clock was set back", None, ago(5), ago(-100), true),
    ] {
        assert_eq!(may_miss_some(heard_within.unwrap_or_default(), started, lost_at, NOW), expected, "{name}");
    }
}
