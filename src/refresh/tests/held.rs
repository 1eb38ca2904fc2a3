//! Tests of held polls that something between Envoy and the service ends: the VM asks again at once without a hold, and
//! uses that answer.

use super::*;

/// A VM that has ticked for a second, and whose first held poll began at second 1.
fn polling(memory: &Memory) -> Vm {
    let mut vm = holding(memory, "");
    vm.refresh.parts.began_ms = Some(0);
    vm.tick(memory, 1_000);
    assert_eq!(wait(&vm), Some(25));
    vm
}

fn wait(vm: &Vm) -> Option<u64> {
    vm.sent.as_ref().expect("a poll is under way").1.wait.map(|wait| wait.as_secs())
}

fn failures(vm: &Vm) -> usize {
    vm.events.iter().filter(|event| matches!(event, RefreshEvent::Failed | RefreshEvent::Refused)).count()
}

fn cuts() -> Vec<(&'static str, Option<Answer>)> {
    let with_body = |code: u16, body: &str| Some(Answer { body: body.into(), ..status(code) });
    let of_another = |code: u16, body: &str| Some(Answer { body: body.into(), has_date: true, ..status(code) });
    vec![
        ("408", Some(status(408))),
        ("502", Some(status(502))),
        ("503", Some(status(503))),
        ("503 with a retry-after that says nothing", Some(Answer { retry_after: b"soon".to_vec(), ..status(503) })),
        ("a close", with_body(503, "upstream connect error or disconnect/reset before headers")),
        ("504", Some(status(504))),
        ("504 of another Envoy", of_another(504, "upstream request timeout")),
        ("504 of this Envoy", with_body(504, "upstream request timeout")),
        ("a reset", Some(Answer::default())),
        ("silence", None),
    ]
}

#[test]
fn the_first_poll_of_a_vm_is_short_so_that_the_next_one_counts_the_workers_that_come_after_it() {
    let memory = Memory::default();
    let mut vm = holding(&memory, "");
    vm.tick(&memory, 1_000);
    assert_eq!(wait(&vm), Some(1));
    vm.answer(&memory, 2_000, status(304));
    vm.tick(&memory, 2_000);
    assert_eq!(wait(&vm), Some(25));
}

#[test]
fn a_held_poll_that_is_cut_is_no_failure_where_the_feed_answers_at_once() {
    for (name, answer) in cuts() {
        let memory = Memory::default();
        let mut vm = polling(&memory);
        let now_ms = match answer {
            Some(answer) => {
                vm.answer(&memory, 16_000, answer);
                16_000
            }
            None => {
                vm.sent = None;
                vm.tick(&memory, 34_000);
                34_000
            }
        };
        assert!(vm.sent.is_none(), "{name}: not while Envoy tells of the end");
        vm.tick(&memory, now_ms);
        let (_, fetch) = vm.sent.clone().expect("asked at once");
        assert_eq!((fetch.path.as_str(), fetch.wait), ("/poll", None), "{name}");
        assert!(vm.lines.is_empty(), "{name}: {:?}", vm.lines);
        vm.answer(&memory, now_ms, status(304));
        assert_eq!(failures(&vm), 0, "{name}: {:?}", vm.events);
        assert_eq!(vm.held.manifest().map(|held| held.confirmed_at_ms), Some(now_ms), "{name}: it is fresh");
        let seconds = if now_ms == 16_000 { "after 15.0 s of 25 s" } else { "after 33.0 s of 25 s" };
        assert!(
            matches!(&vm.lines[..], [(Severity::Warn, line)] if line.contains(seconds) && line.contains("`policy.long_poll_ms`")),
            "{name}: {:?}",
            vm.lines
        );
        vm.tick(&memory, now_ms);
        assert_eq!(wait(&vm), Some(12), "{name}: the next poll follows at once, with a shorter wait");
    }
}

#[test]
fn an_answer_that_took_half_the_wait_was_held_whatever_its_headers_say() {
    for (took_ms, at_once) in [(0, false), (200, false), (12_400, false), (12_500, true), (25_000, true)] {
        let memory = Memory::default();
        let mut vm = polling(&memory);
        vm.answer(&memory, 1_000 + took_ms, status(304));
        vm.tick(&memory, 1_000 + took_ms);
        assert_eq!(vm.sent.is_some(), at_once, "{took_ms} ms");
    }
}

#[test]
fn waits_are_halved_until_they_are_held_and_it_is_logged_once() {
    let memory = Memory::default();
    let mut vm = polling(&memory);
    let (mut now_ms, mut asked) = (1_000, Vec::new());
    // Something between Envoy and the service allows 5 s.
    for _ in 0..40 {
        let Some((_, fetch)) = vm.sent.clone() else {
            now_ms += 100;
            vm.tick(&memory, now_ms);
            continue;
        };
        let held = fetch.wait.map_or(0, |wait| wait.as_secs());
        asked.extend(fetch.wait.map(|wait| wait.as_secs()));
        now_ms += held.min(5) * 1_000;
        let kept = Answer { preference_applied: b"wait".to_vec(), ..status(304) };
        vm.answer(&memory, now_ms, if held > 5 { status(504) } else { kept });
        vm.tick(&memory, now_ms);
    }
    assert_eq!(asked[..6], [25, 12, 6, 3, 3, 3]);
    assert!(asked[4..].iter().all(|&seconds| seconds == 3), "{asked:?}");
    assert_eq!((failures(&vm), vm.lines.len()), (0, 1), "{:?}", vm.lines);
    if vm.sent.is_some() {
        vm.answer(&memory, now_ms, status(304));
    }
    now_ms += 600_000;
    vm.tick(&memory, now_ms);
    assert_eq!(wait(&vm), Some(6), "twice as long after ten minutes");
}

#[test]
fn a_block_while_polls_are_cut_arrives_with_the_next_poll() {
    let memory = Memory::default();
    let mut vm = polling(&memory);
    vm.answer(&memory, 16_000, status(504));
    vm.tick(&memory, 16_000);
    let blocked = r#"{"format": 1, "revision": 6, "base": 5, "poll": "?since=6",
        "subscriptions": [{"application": "app", "api": "a", "state": "BLOCKED"}]}"#;
    vm.settle(&memory, 16_000, &mut |_| json(blocked));
    assert_eq!(vm.decide(&memory, "good"), "subscription_blocked");
    assert_eq!(failures(&vm), 0);
    vm.tick(&memory, 16_000);
    let (_, fetch) = vm.sent.clone().expect("the next poll follows at once");
    assert_eq!((fetch.path.as_str(), wait(&vm)), ("/poll?since=6", Some(12)));
}

#[test]
fn an_answer_about_the_feed_is_a_failure_whether_it_was_held_or_not() {
    for (name, answer) in [
        ("500", status(500)),
        ("401", status(401)),
        ("429", status(429)),
        ("204", status(204)),
        ("503 with retry-after", Answer { retry_after: b"7".to_vec(), ..status(503) }),
        ("no page", json("{}")),
    ] {
        let memory = Memory::default();
        let mut vm = polling(&memory);
        vm.answer(&memory, 16_000, answer);
        assert!(vm.sent.is_none(), "{name}: nothing is asked at once");
        assert_eq!(failures(&vm), 1, "{name}");
    }
}

#[test]
fn a_service_that_is_away_is_one_failure_and_is_asked_for_long_waits_when_it_is_back() {
    let memory = Memory::default();
    let mut vm = polling(&memory);
    vm.answer(&memory, 2_000, Answer::default());
    vm.tick(&memory, 2_000);
    let refused = || Answer { body: b"upstream connect error".to_vec(), ..status(503) };
    vm.answer(&memory, 2_000, refused());
    assert_eq!((failures(&vm), vm.lines.len()), (1, 1), "{:?}", vm.lines);
    let mut now_ms = 2_000;
    while vm.sent.is_none() {
        now_ms += 100;
        vm.tick(&memory, now_ms);
    }
    assert_eq!(wait(&vm), None, "an answer at once says that it is back");
    vm.answer(&memory, now_ms, status(304));
    while vm.sent.is_none() {
        now_ms += 100;
        vm.tick(&memory, now_ms);
    }
    assert_eq!(wait(&vm), Some(25));
}

#[test]
fn cursors_go_on_at_the_path_that_was_asked() {
    let memory = Memory::default();
    let mut vm = Vm::new(r#", "path": "/keygate/v1/policy?zone=a""#);
    vm.tick(&memory, 1_000);
    let mut feed = |fetch: &Fetch| match fetch.path.as_str() {
        "/keygate/v1/policy?zone=a" => json(full(5, r#", "next": "?page=2""#, &["good"])),
        "/keygate/v1/policy?page=2" => json(r#"{"format": 1, "revision": 5, "next": "/other?page=3"}"#),
        "/other?page=3" => json(r#"{"format": 1, "revision": 5, "poll": "?since=5"}"#),
        _ => status(304),
    };
    let paths = vm.settle(&memory, 1_000, &mut feed);
    assert_eq!(paths, ["/keygate/v1/policy?zone=a", "/keygate/v1/policy?page=2", "/other?page=3"]);
    vm.tick(&memory, 1_000);
    assert_eq!(vm.settle(&memory, 1_000, &mut feed), ["/other?since=5"]);
    assert_eq!(vm.decide(&memory, "good"), "allowed");
}

#[test]
fn apis_with_the_same_match_are_logged_when_a_delta_adds_the_second() {
    let memory = Memory::default();
    let mut vm = holding(&memory, "");
    vm.tick(&memory, 6_000);
    let delta = r#"{"format": 1, "revision": 6, "base": 5, "apis": [{"id": "0", "match": [{"path": "/a"}]}]}"#;
    vm.settle(&memory, 6_000, &mut |fetch| if fetch.path == "/poll" { json(delta) } else { status(500) });
    let told = vm.lines.iter().filter(|(level, line)| *level == Severity::Warn && line.contains("have the same match"));
    assert_eq!(told.count(), 1, "{:?}", vm.lines);
}

#[test]
fn a_cursor_that_fails_twice_in_a_row_leads_back_to_the_full_policy() {
    for (code, given_up) in
        [(400, true), (403, true), (414, true), (431, true), (500, true), (401, false), (429, false), (502, false)]
    {
        let memory = Memory::default();
        let mut vm = holding(&memory, r#", "long_poll_ms": 0"#);
        let mut asked = Vec::new();
        for now_ms in (6_000..20_000).step_by(100) {
            vm.tick(&memory, now_ms);
            asked.extend(vm.settle(&memory, now_ms, &mut |fetch| match fetch.path.as_str() {
                "/poll" => status(code),
                _ => json(full(6, r#", "poll": "/better""#, &["good"])),
            }));
        }
        let expected: &[&str] = if given_up { &["/poll", "/poll", "/v1/policy"] } else { &["/poll", "/poll"] };
        assert!(asked.iter().zip(expected).all(|(path, wanted)| path == wanted), "{code}: {asked:?}");
        assert!(asked.len() >= expected.len(), "{code}: {asked:?}");
        assert_eq!(asked.contains(&"/v1/policy".to_owned()), given_up, "{code}: {asked:?}");
        assert_eq!(vm.decide(&memory, "good"), "allowed", "{code}");
    }
}

#[test]
fn a_cursor_that_fails_once_between_good_answers_is_kept() {
    let memory = Memory::default();
    let mut vm = holding(&memory, r#", "long_poll_ms": 0"#);
    let (mut asked, mut number) = (Vec::new(), 0);
    for now_ms in (6_000..60_000).step_by(100) {
        vm.tick(&memory, now_ms);
        asked.extend(vm.settle(&memory, now_ms, &mut |_| {
            number += 1;
            status(if number % 2 == 1 { 500 } else { 304 })
        }));
    }
    assert!(asked.len() > 4 && asked.iter().all(|path| path == "/poll"), "{asked:?}");
}

#[test]
fn a_feed_that_answers_each_poll_with_another_epoch_is_not_loaded_all_the_time() {
    let memory = Memory::default();
    let mut vm = holding(&memory, "");
    let mut loads = 0;
    for now_ms in (6_000..66_000).step_by(10) {
        vm.tick(&memory, now_ms);
        vm.settle(&memory, now_ms, &mut |_| {
            loads += 1;
            let page = full(5, &format!(r#", "epoch": "{}", "poll": "/poll""#, loads % 2), &["good"]);
            Answer { preference_applied: b"wait".to_vec(), ..json(page) }
        });
    }
    // One for each interval of 5 s, and one that finds out whether the service holds its answer.
    assert!((12..=26).contains(&loads), "{loads} in a minute");
}
