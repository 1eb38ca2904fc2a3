//! The right answers at each time: every rule of the history, with times just before and just after it.

use super::*;
use crate::policy::{Caller, KeyType};

const SUBJECT: Subject = Subject { caller: Caller::Application(0, KeyType::Production), api: 0 };
const FACT: Fact = Fact::Subscription(0, 0);
const ALLOWED: Right = Right::Allowed;
const BLOCKED: Right = Right::Refused("900907");

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Bound 1 s, interval 500 ms.
fn history() -> History {
    History::new(Bounds { propagation: ms(1000), interval: ms(500) })
}

/// The subscription is blocked: sent at 10 s, acknowledged at 10.1 s.
fn blocked() -> History {
    let mut history = history();
    history.sent(FACT, State::Blocked, ms(10_000));
    history.acknowledged(FACT, ms(10_100));
    history
}

fn disturb(history: &mut History, from: u64, until: u64, extra: u64) {
    let disturbance = history.disturbed(ms(from));
    history.calmed(disturbance, ms(until), ms(extra));
}

#[track_caller]
fn check(history: &History, cases: &[(&str, u64, u64, &[Right])]) {
    for (name, start, end, right) in cases {
        let found = history.right(SUBJECT, ms(*start), ms(*end));
        let same = found.len() == right.len() && right.iter().all(|right| found.contains(right));
        assert!(same, "{name}: {found:?}, expected {right:?}");
    }
}

#[test]
fn either_answer_is_right_from_sending_to_the_bound_after_the_acknowledgement_and_no_longer() {
    check(
        &blocked(),
        &[
            ("ended before it was sent", 9_000, 9_999, &[ALLOWED]),
            ("ended when it was sent", 9_000, 10_000, &[ALLOWED, BLOCKED]),
            ("around it", 9_000, 12_000, &[ALLOWED, BLOCKED]),
            ("just within the bound", 11_099, 11_200, &[ALLOWED, BLOCKED]),
            ("at the bound", 11_100, 11_200, &[BLOCKED]),
            ("long after", 60_000, 60_001, &[BLOCKED]),
        ],
    );
}

#[test]
fn a_change_without_an_acknowledgement_may_or_may_not_have_happened() {
    let mut history = history();
    history.sent(FACT, State::Blocked, ms(10_000));
    check(&history, &[("before", 1, 2, &[ALLOWED]), ("for ever after", 900_000, 900_001, &[ALLOWED, BLOCKED])]);
}

#[test]
fn a_later_change_settles_the_ones_before_it() {
    let mut history = blocked();
    history.sent(FACT, State::Open, ms(10_200));
    history.acknowledged(FACT, ms(10_300));
    check(
        &history,
        &[
            ("all three are possible", 10_250, 10_260, &[ALLOWED, BLOCKED]),
            ("the block may be seen until the second is certain", 11_200, 11_201, &[BLOCKED, ALLOWED]),
            ("open again", 11_300, 11_301, &[ALLOWED]),
        ],
    );
}

#[test]
fn a_disturbance_puts_certainty_off_until_the_feed_is_noticed_again() {
    // The disturbance ends at 14 s. Failures began at 10.5 s, so the pause is at most 3.5 s plus an interval: 18 s,
    // then the bound.
    let mut history = blocked();
    let disturbance = history.disturbed(ms(10_500));
    check(&history, &[("it goes on", 600_000, 600_001, &[ALLOWED, BLOCKED])]);
    history.calmed(disturbance, ms(14_000), ms(0));
    check(
        &history,
        &[("not noticed yet", 18_999, 19_000, &[ALLOWED, BLOCKED]), ("noticed", 19_000, 19_001, &[BLOCKED])],
    );
}

#[test]
fn what_was_certain_before_a_disturbance_stays_certain() {
    let mut history = blocked();
    history.disturbed(ms(11_101));
    check(&history, &[("away", 11_200, 11_201, &[BLOCKED]), ("for long", 600_000, 600_001, &[BLOCKED])]);
}

#[test]
fn a_change_made_while_the_gateway_still_pauses_waits_for_it() {
    let mut history = history();
    disturb(&mut history, 5_000, 9_800, 0);
    // Noticed at 9.8 + 4.8 + 0.5 = 15.1 s at the latest.
    history.sent(FACT, State::Blocked, ms(10_000));
    history.acknowledged(FACT, ms(10_100));
    check(&history, &[("pausing", 16_099, 16_100, &[ALLOWED, BLOCKED]), ("noticed", 16_100, 16_101, &[BLOCKED])]);
}

#[test]
fn an_old_disturbance_excuses_nothing() {
    let mut history = history();
    disturb(&mut history, 1_000, 2_000, 0);
    history.sent(FACT, State::Blocked, ms(10_000));
    history.acknowledged(FACT, ms(10_100));
    check(&history, &[("the bound holds", 11_100, 11_101, &[BLOCKED])]);
}

#[test]
fn failures_that_go_on_from_one_disturbance_to_the_next_count_from_the_first() {
    let mut history = blocked();
    disturb(&mut history, 10_500, 12_500, 0);
    // The pause may last until 15 s, so these failures continue the earlier ones.
    disturb(&mut history, 14_000, 15_000, 0);
    // 4.5 s of failures and an interval: noticed at 20 s.
    check(&history, &[("pausing", 20_999, 21_000, &[ALLOWED, BLOCKED]), ("noticed", 21_000, 21_001, &[BLOCKED])]);
}

#[test]
fn of_two_disturbances_at_once_the_one_that_lasts_decides() {
    let mut history = blocked();
    let long = history.disturbed(ms(10_200));
    disturb(&mut history, 10_300, 10_400, 0);
    check(&history, &[("one goes on", 600_000, 600_001, &[ALLOWED, BLOCKED])]);
    history.calmed(long, ms(12_200), ms(0));
    check(&history, &[("pausing", 15_699, 15_700, &[ALLOWED, BLOCKED]), ("noticed", 15_700, 15_701, &[BLOCKED])]);
}

#[test]
fn a_pause_is_half_a_minute_at_most_and_what_the_service_asked_for_at_least() {
    let mut long = blocked();
    disturb(&mut long, 10_500, 610_500, 0);
    check(&long, &[("pausing", 641_499, 641_500, &[ALLOWED, BLOCKED]), ("noticed", 641_500, 641_501, &[BLOCKED])]);
    let mut asked = blocked();
    disturb(&mut asked, 10_500, 10_600, 5_000);
    check(&asked, &[("pausing", 16_599, 16_600, &[ALLOWED, BLOCKED]), ("noticed", 16_600, 16_601, &[BLOCKED])]);
}

#[test]
fn a_good_answer_ends_what_a_disturbance_excuses() {
    let mut history = blocked();
    let disturbance = history.disturbed(ms(10_500));
    history.seen_well(ms(11_000));
    history.calmed(disturbance, ms(14_000), ms(0));
    check(&history, &[("seen well only while it lasted", 18_999, 19_000, &[ALLOWED, BLOCKED])]);
    history.seen_well(ms(14_300));
    history.seen_well(ms(14_900));
    check(&history, &[("seen", 15_299, 15_300, &[ALLOWED, BLOCKED]), ("and the bound", 15_300, 15_301, &[BLOCKED])]);
    // Later failures are a disturbance of their own.
    history.sent(FACT, State::Open, ms(20_000));
    history.acknowledged(FACT, ms(20_100));
    disturb(&mut history, 20_200, 20_400, 0);
    check(&history, &[("noticed by 21.1 s", 22_099, 22_100, &[BLOCKED, ALLOWED]), ("", 22_100, 22_101, &[ALLOWED])]);
}

#[test]
fn time_spent_waiting_for_a_processor_does_not_count() {
    let mut history = blocked();
    history.waited(ms(10_000), ms(700));
    history.waited(ms(10_500), ms(200));
    history.waited(ms(11_000), ms(0));
    history.waited(ms(12_000), ms(300));
    history.waited(ms(13_000), ms(600));
    check(
        &history,
        &[
            // 1 s, plus the 0.5 s that were lost meanwhile. Time lost before and after does not count.
            ("waiting", 11_599, 11_600, &[ALLOWED, BLOCKED]),
            ("the bound", 11_600, 11_601, &[BLOCKED]),
        ],
    );
    assert_eq!(history.waited_in_all(), ms(1_800));
    let mut disturbed = blocked();
    disturb(&mut disturbed, 10_500, 14_000, 0);
    disturbed.waited(ms(15_000), ms(0));
    disturbed.waited(ms(16_000), ms(250));
    check(&disturbed, &[("pausing", 19_249, 19_250, &[ALLOWED, BLOCKED]), ("noticed", 19_250, 19_251, &[BLOCKED])]);
}

#[test]
fn all_is_settled_when_the_last_change_is_certain() {
    assert_eq!(history().settled(), Some(ms(0)));
    let mut history = blocked();
    assert_eq!(history.settled(), Some(ms(11_100)));
    history.sent(Fact::Api(1), State::Blocked, ms(10_500));
    assert_eq!(history.settled(), None);
    history.acknowledged(Fact::Api(1), ms(10_600));
    assert_eq!(history.settled(), Some(ms(11_600)));
    let disturbance = history.disturbed(ms(11_000));
    assert_eq!(history.settled(), None);
    history.calmed(disturbance, ms(11_200), ms(0));
    assert_eq!(history.settled(), Some(ms(12_900)));
}

#[test]
fn what_a_lost_history_said_is_right_until_the_backup_is_certain_and_not_longer() {
    let mut history = blocked();
    // In the backup, one more fact has its current state, one that is closed in the backup has been opened since, and
    // one was never changed.
    let (same, opened) = (Fact::Key(0, KeyType::Sandbox), Fact::Subscription(0, 1));
    for (fact, state, at) in
        [(same, State::Absent, 5_000), (opened, State::Blocked, 5_000), (opened, State::Open, 8_000)]
    {
        history.sent(fact, state, ms(at));
        history.acknowledged(fact, ms(at + 100));
    }
    let backup = [(same, State::Absent), (opened, State::Blocked), (Fact::Api(7), State::Open)];
    let mut lost = history.put_back(&backup, ms(20_000));
    lost.sort_by_key(|fact| format!("{fact:?}"));
    assert_eq!(lost, [FACT, opened]);
    check(
        &history,
        &[
            ("before", 19_000, 19_999, &[BLOCKED]),
            ("while the service starts on it", 20_000, 20_001, &[BLOCKED, ALLOWED]),
            ("and for as long as it does not run", 900_000, 900_001, &[BLOCKED, ALLOWED]),
        ],
    );
    assert_eq!(history.settled(), None);
    lost.iter().for_each(|fact| history.acknowledged(*fact, ms(20_500)));
    check(
        &history,
        &[("within the bound", 21_499, 21_500, &[BLOCKED, ALLOWED]), ("at the bound", 21_500, 21_501, &[ALLOWED])],
    );
    let second = Subject { caller: Caller::Application(0, KeyType::Production), api: 1 };
    assert_eq!(
        history.right(second, ms(21_500), ms(21_501)),
        [BLOCKED],
        "what was opened since the backup is closed again"
    );
    assert_eq!(history.latest(FACT), State::Open);
}

#[test]
fn what_is_acknowledged_after_a_backup_was_put_back_holds() {
    let mut history = blocked();
    let lost = history.put_back(&[], ms(20_000));
    lost.iter().for_each(|fact| history.acknowledged(*fact, ms(20_500)));
    history.sent(FACT, State::Blocked, ms(20_600));
    history.acknowledged(FACT, ms(20_700));
    check(&history, &[("on its way", 20_650, 20_660, &[ALLOWED, BLOCKED]), ("in force", 21_700, 21_701, &[BLOCKED])]);
    // Nothing differs from this backup, so nothing is lost.
    assert_eq!(history.put_back(&[(FACT, State::Blocked)], ms(30_000)), []);
    check(&history, &[("unchanged", 30_000, 30_001, &[BLOCKED])]);
}

#[test]
fn facts_are_combined_and_those_of_others_do_not_count() {
    let mut history = blocked();
    history.sent(Fact::Application(0), State::Blocked, ms(10_000));
    history.acknowledged(Fact::Application(0), ms(10_100));
    history.sent(Fact::Subscription(0, 1), State::Absent, ms(10_000));
    history.sent(Fact::Key(0, KeyType::Sandbox), State::Absent, ms(10_000));
    let denied = Right::Refused("900805");
    check(
        &history,
        &[
            ("any of both", 10_500, 10_600, &[ALLOWED, BLOCKED, denied]),
            ("the application comes first", 11_100, 11_101, &[denied]),
        ],
    );
}

#[test]
fn a_fact_is_uncertain_from_sending_until_it_is_certain() {
    let history = blocked();
    for (start, end, uncertain) in
        [(9_000, 9_999, false), (9_000, 10_000, true), (11_099, 11_100, true), (11_100, 11_101, false)]
    {
        assert_eq!(history.is_uncertain(FACT, ms(start), ms(end)), uncertain, "{start} to {end}");
        assert!(!history.is_uncertain(Fact::Api(0), ms(start), ms(end)));
    }
}

#[test]
fn a_lag_is_told_only_where_it_says_something() {
    let history = blocked();
    assert_eq!(history.lag(FACT, ms(10_350)), Some((1, ms(250))));
    assert_eq!(history.lag(FACT, ms(10_000)), None, "before the acknowledgement");
    assert_eq!(history.lag(FACT, ms(11_100)), None, "certain by then");
    assert_eq!(history.lag(Fact::Api(0), ms(10_350)), None, "never changed");
    let mut disturbed = blocked();
    disturbed.disturbed(ms(10_200));
    assert_eq!(disturbed.lag(FACT, ms(10_350)), None, "the feed was away");
}

#[test]
fn a_poll_proves_the_changes_up_to_its_revision() {
    let mut history = blocked();
    history.contained(FACT, 7);
    history.proven("e1", 6, ms(10_200));
    check(&history, &[("an older revision", 10_300, 10_301, &[ALLOWED, BLOCKED])]);
    history.proven("e1", 7, ms(10_400));
    check(
        &history,
        &[("began before the proof", 10_399, 10_500, &[ALLOWED, BLOCKED]), ("after it", 10_400, 10_401, &[BLOCKED])],
    );
    assert_eq!(history.proofs(), 1);
    // The bound holds without a proof, too, and a later proof changes nothing.
    history.proven("e1", 8, ms(20_000));
    assert_eq!(history.proofs(), 1);
    // A proof during a disturbance holds, although no bound does.
    let mut disturbed = blocked();
    disturbed.contained(FACT, 7);
    disturbed.disturbed(ms(10_200));
    disturbed.proven("e1", 7, ms(10_400));
    check(&disturbed, &[("proven", 10_400, 10_401, &[BLOCKED])]);
}

#[test]
fn a_poll_proves_nothing_of_another_history() {
    let mut history = blocked();
    history.contained(FACT, 7);
    history.proven("e1", 6, ms(10_150));
    history.proven("e2", 7, ms(10_200));
    assert_eq!(history.proofs(), 0, "another epoch");
    let lost = history.put_back(&[], ms(10_300));
    assert_eq!(lost, [FACT]);
    history.acknowledged(FACT, ms(10_400));
    history.proven("e1", 7, ms(10_500));
    history.proven("e3", 7, ms(10_600));
    assert_eq!(history.proofs(), 0, "the change is from before the backup");
    history.sent(FACT, State::Blocked, ms(11_000));
    history.acknowledged(FACT, ms(11_100));
    history.contained(FACT, 9);
    history.proven("e1", 9, ms(11_200));
    assert_eq!(history.proofs(), 0, "the epoch is from before the backup");
    history.proven("e3", 9, ms(11_300));
    assert_eq!(history.proofs(), 1);
}
