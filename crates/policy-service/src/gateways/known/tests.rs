//! What is remembered of calls, and what of the words of other replicas.

#![allow(clippy::arithmetic_side_effects, reason = "a panic here is a failed test")]

use super::*;
use management::port::gateways::Proof;

/// The time of all tests, Unix milliseconds.
const NOW: i64 = 1_748_736_000_000;

fn proven(revision: i64) -> Holds {
    Holds::Proven(Proof { epoch: "e".to_owned(), revision, word: 1 })
}

fn call(process: &str, shown: Shown) -> Call {
    let said = Said {
        name: Some(("edge".to_owned(), process.to_owned())),
        version: None,
        workers: Some(2),
        lagging: Some(0),
        refused: None,
        heard_within: 30,
        expires_after: Some(3_600),
    };
    Call { client_id: "c".to_owned(), scope: Scope::All, address: None, said, shown }
}

fn poll(process: &str, revision: i64) -> Call {
    call(process, Shown::Cursor { epoch: Some("e".to_owned()), holds: proven(revision) })
}

fn only(known: &Known) -> Heard {
    let mut heard = known.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    heard.remove(0)
}

/// All that was noted counts as written.
fn write(known: &mut Known, now: i64) -> Vec<GatewayRow> {
    let mut rows = known.take_dirty(1_000, now);
    known.set_noted(&rows);
    rows.sort_by(|one, other| one.id.cmp(&other.id));
    rows
}

#[test]
fn only_news_are_noted() {
    let mut known = Known { is_loaded: true, ..Known::default() };
    let first = known.arrive(call("1", Shown::Whole), NOW);
    assert!(first.is_new && first.is_changed);
    assert_eq!(only(&known).gateway.holds, Holds::Nothing);
    known.leave(&first.id, 0, NOW);
    assert_eq!(write(&mut known, NOW).len(), 1);
    for (call, is_changed, holds) in [
        (call("1", Shown::Page), false, Holds::Nothing),
        (poll("1", 7), true, proven(7)),
        (poll("1", 7), false, proven(7)),
        // It goes on by what it has while it loads another policy.
        (call("1", Shown::Whole), false, proven(7)),
        (call("1", Shown::Page), false, proven(7)),
        (poll("1", 8), true, proven(8)),
        (call("1", Shown::Cursor { epoch: None, holds: Holds::Unknown }), true, Holds::Unknown),
        (Call { scope: Scope::Apis(Arc::default()), ..poll("1", 8) }, true, proven(8)),
    ] {
        let arrived = known.arrive(call.clone(), NOW);
        assert_eq!((arrived.is_new, arrived.is_changed), (false, is_changed), "{call:?}");
        assert_eq!(only(&known).gateway.holds, holds, "{call:?}");
        assert!(only(&known).is_held);
        known.leave(&arrived.id, 3, NOW + 5);
        assert!(!only(&known).is_held);
        assert_eq!((only(&known).gateway.retry_after, only(&known).gateway.heard_at), (3, NOW + 5));
        assert_eq!(write(&mut known, NOW).len(), usize::from(is_changed), "{call:?}");
    }
}

#[test]
fn who_lags_is_told_beside_a_cursor_alone() {
    let mut known = Known::default();
    let lagging = |mut call: Call, lagging| {
        call.said.lagging = lagging;
        call
    };
    for (call, expected) in [
        (lagging(poll("1", 7), Some(2)), Some(2)),
        (lagging(call("1", Shown::Page), Some(0)), Some(2)),
        (lagging(call("1", Shown::Whole), None), None),
        (lagging(poll("1", 7), Some(0)), Some(0)),
        (lagging(call("1", Shown::Whole), Some(1)), Some(1)),
    ] {
        known.arrive(call.clone(), NOW);
        assert_eq!(only(&known).gateway.lagging, expected, "{call:?}");
    }
}

#[test]
fn a_gateway_is_touched_before_others_take_it_for_silent() {
    let mut known = Known { is_loaded: true, ..Known::default() };
    let arrived = known.arrive(poll("1", 7), NOW);
    write(&mut known, NOW);
    let touched = |known: &mut Known, touched: Touched, seconds: i64| {
        known.touch(touched, NOW + seconds * 1_000);
        write(known, NOW + seconds * 1_000).iter().map(|row| document::gateway(row.clone()).1).collect::<Vec<_>>()
    };
    // Others count it as live for its 30 seconds and two minutes.
    assert_eq!(touched(&mut known, Touched::Due, 139), [] as [bool; 0]);
    assert_eq!(touched(&mut known, Touched::Due, 140), [false]);
    assert_eq!(touched(&mut known, Touched::Due, 150), [] as [bool; 0]);
    assert_eq!(touched(&mut known, Touched::All, 151), [false], "another replica has started");
    known.leave(&arrived.id, 0, NOW + 160_000);
    assert_eq!(touched(&mut known, Touched::Due, 189), [] as [bool; 0]);
    assert_eq!(touched(&mut known, Touched::Due, 190), [true], "it did not call again");
    assert_eq!(touched(&mut known, Touched::Due, 900), [] as [bool; 0], "that was said");
    assert_eq!(touched(&mut known, Touched::All, 900), [] as [bool; 0], "nothing was heard since");
    assert!(known.arrive(poll("1", 7), NOW + 1_000_000).is_changed, "it is there again");
    assert_eq!(touched(&mut known, Touched::Due, 1_001), [false]);
}

#[test]
fn what_others_hear_later_counts() {
    let row = |process: &str, revision: i64, heard_at: i64| {
        let mut other = Known::default();
        let arrived = other.arrive(poll(process, revision), heard_at);
        other.leave(&arrived.id, 0, heard_at);
        other.take_dirty(1, heard_at).remove(0)
    };
    let noted = |row: GatewayRow, writer: &str, is_removed: bool| {
        vec![NotedGateway { row, writer: writer.to_owned(), is_removed }]
    };
    // From before the start: not heard of.
    let mut known = Known::default();
    assert!(known.merge(noted(row("1", 7, NOW), "own", false), "other-run"));
    assert!(known.is_loaded && !only(&known).is_heard);
    for (revision, seconds, taken, expected) in
        [(8, 1, true, 8), (8, 1, false, 8), (8, 2, true, 8), (7, 9, false, 8), (9, 0, true, 9)]
    {
        let row = row("1", revision, NOW + seconds * 1_000);
        assert_eq!(known.merge(noted(row, "w", false), "own"), taken, "{revision} {seconds}");
        assert_eq!(only(&known).gateway.holds, proven(expected), "{revision} {seconds}");
        assert!(only(&known).is_heard && only(&known).grace > 0);
    }
    // What this replica noted itself is no news.
    assert!(!known.merge(noted(row("2", 7, NOW), "own", false), "own"));
    // The other replica hears nothing of it any more.
    let last = known.heard()[0].gateway.heard_at;
    let over = document::row(&only(&known).id, &only(&known).gateway, last, true);
    assert!(known.merge(noted(over.clone(), "w", false), "own") && only(&known).grace == 0);
    assert!(known.merge(noted(row("1", 9, last + 1), "w", false), "own") && only(&known).grace > 0);
    // It calls here, and then there.
    let arrived = known.arrive(poll("1", 9), NOW + 10_000);
    assert!(arrived.is_changed && only(&known).grace == 0);
    assert!(!known.merge(noted(row("1", 9, NOW + 9_000), "w", false), "own"));
    assert!(known.merge(noted(row("1", 10, NOW + 9_000), "w", false), "own"));
    assert!(only(&known).is_held && only(&known).grace > 0);
}

#[test]
fn a_removed_gateway_goes_unless_it_is_heard_of() {
    let mut known = Known { is_loaded: true, ..Known::default() };
    let arrived = known.arrive(poll("1", 7), NOW);
    write(&mut known, NOW);
    assert!(!known.remove(&arrived.id, NOW + 1), "its poll is held");
    assert_eq!(write(&mut known, NOW + 1).len(), 1, "it is noted again");
    known.leave(&arrived.id, 0, NOW + 5);
    assert!(!known.remove(&arrived.id, NOW + 4), "it was heard of since");
    assert!(known.remove(&arrived.id, NOW + 5));
    assert!(!known.remove(&arrived.id, NOW + 5));
    assert!(known.heard().is_empty() && known.of_client.is_empty());
    assert!(write(&mut known, NOW).is_empty());
}

#[test]
fn a_client_id_has_so_many_gateways() {
    let mut known = Known { is_loaded: true, ..Known::default() };
    for number in 0..MAX_GATEWAYS_OF_CLIENT {
        let arrived = known.arrive(poll(&number.to_string(), 7), NOW + i64::try_from(number).unwrap());
        known.leave(&arrived.id, 0, NOW + i64::try_from(number).unwrap());
        assert!(arrived.is_new && !arrived.is_one_too_many);
    }
    let further = known.arrive(poll("further", 7), NOW);
    assert!(further.is_one_too_many);
    assert_eq!(known.heard().len(), MAX_GATEWAYS_OF_CLIENT + 1);
    let unnamed = known.heard().into_iter().find(|heard| heard.id == further.id).unwrap();
    assert_eq!(unnamed.gateway.instance, None, "it stands for all further ones");
    assert!(known.arrive(poll("another", 7), NOW).is_one_too_many);
    assert_eq!(known.heard().len(), MAX_GATEWAYS_OF_CLIENT + 1);
    assert!(!known.arrive(poll("5", 7), NOW).is_one_too_many, "it is known");
    assert!(!known.arrive(Call { client_id: "d".to_owned(), ..poll("further", 7) }, NOW).is_one_too_many);
    // The one that is gone for the longest time makes room.
    let later = NOW + 10_000_000;
    let gone = known.longest_gone("c", 1_000, later).unwrap();
    assert!(known.remove(&gone, later));
    assert!(!known.arrive(poll("further", 7), later).is_one_too_many);
}

#[test]
fn ids_tell_names_apart() {
    let id = |client_id: &str, name: Option<(&str, &str)>| {
        let mut call = poll("", 1);
        call.client_id = client_id.to_owned();
        call.said.name = name.map(|(instance, process)| (instance.to_owned(), process.to_owned()));
        id_of(&call)
    };
    let ids = [
        id("c", Some(("a", "b"))),
        id("ca", Some(("", "b"))),
        id("c", Some(("ab", ""))),
        id("c", Some(("", "ab"))),
        id("c", None),
        id("ca", None),
        id("", None),
    ];
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{ids:?}");
    assert!(ids.iter().all(|id| id.len() == 32));
}

/// The process is a random word, so who knows it is the gateway, whatever its credentials.
#[test]
fn a_removed_gateway_that_calls_with_refused_credentials_is_back_and_has_nothing() {
    let refused =
        |known: &mut Known, process: &str, now| known.hear_refused("edge".to_owned(), process.to_owned(), now);
    // It was heard of at NOW, and its policy is good for an hour.
    for (name, process, after, is_back) in [
        ("it still calls", "1", 10_000, true),
        ("its policy has expired", "1", 3_600_001, false),
        ("another process calls", "2", 10_000, false),
    ] {
        let mut known = Known { is_loaded: true, ..Known::default() };
        let id = known.arrive(poll("1", 7), NOW).id;
        known.leave(&id, 0, NOW);
        write(&mut known, NOW);
        assert_eq!(refused(&mut known, "1", NOW + 5), None, "{name}: it is on the list");
        assert!(known.remove(&id, NOW + 5));
        assert_eq!(refused(&mut known, process, NOW + after).is_some(), is_back, "{name}");
        assert_eq!(known.heard().len(), usize::from(is_back), "{name}");
        if is_back {
            assert_eq!((only(&known).gateway.holds.clone(), only(&known).is_held), (Holds::Unknown, false));
            assert_eq!(write(&mut known, NOW + after).len(), 1, "the other replicas hear of it");
            // A good call is what it always was.
            known.arrive(poll("1", 8), NOW + after + 1);
            assert_eq!(only(&known).gateway.holds, proven(8));
        }
    }
}

#[test]
fn a_gateway_that_was_removed_elsewhere_or_before_the_start_is_remembered() {
    let mut there = Known { is_loaded: true, ..Known::default() };
    let id = there.arrive(poll("1", 7), NOW).id;
    there.leave(&id, 0, NOW);
    let row = write(&mut there, NOW).remove(0);
    let removed =
        NotedGateway { row: GatewayRow { heard_at: NOW + 5, ..row }, writer: String::new(), is_removed: true };
    for is_loaded in [true, false] {
        let mut known = Known { is_loaded, ..Known::default() };
        known.merge(vec![removed.clone()], "own");
        assert!(known.heard().is_empty());
        assert_eq!(known.hear_refused("edge".to_owned(), "1".to_owned(), NOW + 10), Some(Arc::clone(&id)));
        // It came back with good credentials, and was not removed again.
        let mut known = Known { is_loaded, ..Known::default() };
        known.merge(vec![removed.clone()], "own");
        let held = known.arrive(poll("1", 7), NOW + 10).id;
        known.leave(&held, 0, NOW + 10);
        assert_eq!(known.hear_refused("edge".to_owned(), "1".to_owned(), NOW + 20), None);
    }
}
