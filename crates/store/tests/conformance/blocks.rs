//! Blocks in time, in every database: which rows are due, and the rules of `management` against a plain model.

use std::{collections::BTreeMap, sync::Arc};

use management::{
    block::{Block, Order, block, unblock},
    due,
    error::Error as Refusal,
    import::{Import, Options, Place, Row, Told},
    pipeline::{self, Outcome},
    port::{Act, Actor, Kind, NewRow, Scope, Store, Transaction, audit::AuditFilter},
    resource::Resource as _,
    restore::restore,
    subscriptions::{Subscription, SubscriptionState},
};
use serde_json::{Value, json};

use crate::{
    databases::Opened,
    support::{NOW, Part, act, api, application, begin, put, read, remove, subscription},
};

pub async fn rows_are_found_when_they_are_due(opened: &Opened) {
    let store = &opened.store;
    assert_eq!(store.next_due().await.unwrap(), None);
    let due_at = |id: &str, due| NewRow { due, ..subscription(id, id, "a", "BLOCKED") };
    put(store, &[due_at("late", Some(NOW + 30)), due_at("never", None), due_at("soon", Some(NOW + 10))]).await;
    put(store, &[due_at("next", Some(NOW + 20))]).await;
    assert_eq!(store.next_due().await.unwrap(), Some(NOW + 10));
    for (now, limit, expected) in [
        (NOW + 9, 9, vec![]),
        (NOW + 10, 9, vec!["soon"]),
        (NOW + 29, 9, vec!["soon", "next"]),
        (NOW + 99, 2, vec!["soon", "next"]),
        (NOW + 99, 9, vec!["soon", "next", "late"]),
    ] {
        let found = begin(store).await.due(now, limit).await.unwrap();
        assert_eq!(found.iter().map(|version| version.id.as_str()).collect::<Vec<_>>(), expected, "{now} {limit}");
    }
    // Only what holds now counts.
    remove(store, Kind::Subscription, "soon").await;
    put(store, &[due_at("next", None)]).await;
    assert_eq!(store.next_due().await.unwrap(), Some(NOW + 30));
    let mut change = begin(store).await;
    assert_eq!(change.due(NOW + 99, 9).await.unwrap().len(), 1);
    // A planned block of one subscription concerns its owner's others.
    drop(change);
    put(store, &[api("b", "/b"), application("one", "o", "ACTIVE"), application("two", "o", "ACTIVE")]).await;
    let planned = NewRow { due: Some(NOW + 50), ..subscription("planned", "one", "b", "UNBLOCKED") };
    put(store, &[planned]).await;
    let mut change = begin(store).await;
    assert!(change.is_owner_blocked("two", "b").await.unwrap());
    assert_eq!(change.blocks_of(&["o"]).await.unwrap().unwrap().len(), 1);
}

/// A block of a pair in the model: what holds from `from` (always, if `None`) until `until` (for ever, if `None`).
#[derive(Clone, Debug, PartialEq)]
struct Blocked {
    state: Block,
    from: Option<i64>,
    until: Option<i64>,
    /// The weaker or stronger block that held when this one was planned, and holds until it begins.
    until_then: Option<Block>,
}

impl Blocked {
    fn at(&self, now: i64) -> Option<Block> {
        if self.until.is_some_and(|until| until <= now) {
            return None;
        }
        if self.from.is_none_or(|from| from <= now) { Some(self.state) } else { self.until_then }
    }

    fn is_over(&self, now: i64) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// What the model knows of one pair of application and API.
#[derive(Clone, Debug, Default, PartialEq)]
struct Pair {
    /// The state without the block; `None` if there is no subscription.
    state: Option<SubscriptionState>,
    block: Option<Blocked>,
}

impl Pair {
    /// The pair at this time.
    fn pass(&mut self, now: i64) {
        if self.block.as_ref().is_some_and(|block| block.is_over(now)) {
            self.block = None;
        }
    }

    fn shown(&self, now: i64) -> Option<SubscriptionState> {
        let blocked = self.block.as_ref().and_then(|block| block.at(now));
        blocked.map(SubscriptionState::from).or(self.state)
    }
}

struct Dice(u64);

impl Dice {
    fn throw(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.throw(of.len() as u64)).unwrap()].clone()
    }
}

const PAIRS: u64 = 4;

struct Nobody;

impl Told for Nobody {
    fn refuse(&mut self, _: Place, _: Option<Kind>, _: Option<&str>, _: &str) {}
    fn add(&mut self, _: usize) {}
}

fn at(now: i64) -> Act {
    act(Actor::administrator(), now)
}

/// Ends and begins all that is due.
async fn pass(store: &Store, now: i64) {
    loop {
        let mut change = store.begin(act(Actor::Service, now)).await.unwrap();
        let passed = due::pass(&mut *change).await.unwrap();
        change.commit().await.unwrap();
        if passed.is_none() {
            return;
        }
    }
}

async fn commit<T>(change: Box<dyn Transaction>, done: Result<T, Refusal>) -> bool {
    match done {
        Ok(_) => {
            change.commit().await.unwrap();
            true
        }
        Err(refused) => {
            assert!(refused.is_refusal(), "{refused}");
            false
        }
    }
}

/// The rules against the model, for random changes and jumps of the clock. After each step the rows that are shown say
/// what the model says. And a gateway that follows its own clock lets a request pass exactly when the model does, with
/// the rows that it had before the time had come, and with those that were written then.
pub async fn a_block_holds_from_its_beginning_to_its_end(opened: &Opened) {
    let store = &opened.store;
    put(store, &[api("api", "/api")]).await;
    let apps: Vec<NewRow> =
        (0..PAIRS).map(|number| application(&format!("app-{number}"), &format!("owner-{number}"), "ACTIVE")).collect();
    put(store, &apps).await;
    let mut model: BTreeMap<u64, Pair> = (0..PAIRS).map(|number| (number, Pair::default())).collect();
    let first = store.state().await.unwrap().revision;
    let mut dice = Dice(11);
    let mut now = NOW;
    for step in 0..400 {
        let number = dice.throw(PAIRS);
        let (id, app) = (format!("s-{number}"), format!("app-{number}"));
        let before = model.clone();
        let what = dice.throw(11);
        match what {
            0 | 1 => {
                let pair = model.get_mut(&number).unwrap();
                let order = Order {
                    state: dice.one(&[Block::Blocked, Block::ProdOnlyBlocked]),
                    from: dice.one(&[None, Some(now), Some(now + 5), Some(now + 20)]),
                    until: dice.one(&[None, Some(now + 10), Some(now + 30)]),
                    ..Order::default()
                };
                let is_backwards = order.from.zip(order.until).is_some_and(|(from, until)| until <= from);
                let mut change = store.begin(at(now)).await.unwrap();
                let done = block::<Subscription>(&mut *change, &id, &order).await;
                let expected = !is_backwards && (pair.state.is_some() || pair.block.is_some());
                assert_eq!(commit(change, done).await, expected, "{step} {order:?} {pair:?}");
                if expected {
                    // Without a subscription a block begins at once.
                    let from = order.from.filter(|from| *from > now && pair.state.is_some());
                    let until_then = pair.block.as_ref().and_then(|block| block.at(now));
                    pair.block = Some(Blocked { state: order.state, from, until: order.until, until_then });
                }
            }
            2 => {
                let pair = model.get_mut(&number).unwrap();
                let mut change = store.begin(at(now)).await.unwrap();
                let done = unblock::<Subscription>(&mut *change, &id, None).await;
                let is_there = pair.state.is_some() || pair.block.is_some();
                assert_eq!(commit(change, done).await, is_there, "{step} {pair:?}");
                pair.block = None;
            }
            3 => {
                let pair = model.get_mut(&number).unwrap();
                let mut change = store.begin(at(now)).await.unwrap();
                let done = pipeline::remove::<Subscription>(&mut *change, &id).await;
                let is_there = pair.state.is_some() || pair.block.is_some();
                assert_eq!(commit(change, done).await, is_there, "{step} {pair:?}");
                if let (Some(block), true) = (&mut pair.block, pair.state.is_some()) {
                    block.from = None;
                }
                pair.state = None;
            }
            4 | 5 => {
                let pair = model.get_mut(&number).unwrap();
                let state = dice.one(&["UNBLOCKED", "ON_HOLD"]);
                let body = json!({"id": id, "application": app, "api": "api", "state": state});
                let sent: Subscription = serde_json::from_value(body).unwrap();
                let mut change = store.begin(at(now)).await.unwrap();
                let done = pipeline::create(&mut *change, sent, pipeline::Origin::Client).await;
                let made = matches!(done, Ok(Outcome::Created(_)));
                commit(change, done).await;
                assert_eq!(made, pair.state.is_none() && pair.block.is_none(), "{step} {pair:?}");
                if made {
                    pair.state = serde_json::from_value(json!(state)).unwrap();
                }
            }
            6 => {
                // An import never weakens a block, whatever its row says.
                let state = dice.one(&["UNBLOCKED", "BLOCKED", "PROD_ONLY_BLOCKED"]);
                let until = dice.one(&[None, Some(now + 10), Some(now + 40)]);
                let from = dice.one(&[None, Some(now + 5)]);
                let mut row =
                    json!({"kind": "subscription", "id": id, "application": app, "api": "api", "state": state});
                if dice.throw(2) == 0 {
                    row["block"] = json!({"from": from, "until": until});
                }
                import(store, now, &row, false).await;
                let held = shown(store, &id).await;
                let pair = model.get_mut(&number).unwrap();
                for time in
                    [now, now + 5, now + 9, now + 10, now + 19, now + 20, now + 29, now + 30, now + 39, now + 999]
                {
                    let mut then = pair.clone();
                    then.pass(time);
                    let was = then.block.as_ref().and_then(|block| block.at(time));
                    let is = held.clone().and_then(|held| held.passed(time).block());
                    // A deleted one lets nothing pass.
                    assert!(is >= was || held.is_none(), "{step} {row} {pair:?} {held:?} at {}", time - now);
                }
                *pair = of_row(held.as_ref());
            }
            7 => {
                // Neither does a restore, and of a revision whose blocks are over it brings none back.
                let latest = store.state().await.unwrap().revision;
                let then = first + i64::try_from(dice.throw(u64::try_from(latest - first + 1).unwrap())).unwrap();
                let mut change = store.begin(at(now)).await.unwrap();
                restore(&mut *change, then, false).await.unwrap();
                change.commit().await.unwrap();
                pass(store, now).await;
                for (number, pair) in &mut model {
                    let held = shown(store, &format!("s-{number}")).await;
                    for time in
                        [now, now + 4, now + 5, now + 9, now + 10, now + 19, now + 20, now + 29, now + 30, now + 999]
                    {
                        let mut then = pair.clone();
                        then.pass(time);
                        let was = then.block.as_ref().and_then(|block| block.at(time));
                        let is = held.clone().and_then(|held| held.passed(time).block());
                        assert!(is >= was, "{step} {pair:?} {held:?} at {}", time - now);
                    }
                    *pair = of_row(held.as_ref());
                }
            }
            _ => {
                now += i64::try_from(dice.throw(15)).unwrap();
                // The rows of the last change, by the clock of a gateway.
                compare_feed(store, &model, now, step).await;
                pass(store, now).await;
            }
        }
        for pair in model.values_mut() {
            pair.pass(now);
        }
        let context = format!("{step} {what} at {} of {before:?}", now - NOW);
        for (number, pair) in &model {
            let row = shown(store, &format!("s-{number}")).await;
            let state = row.as_ref().and_then(|row| row.state);
            assert_eq!(state, pair.shown(now), "{number} {context} {row:?}");
            assert_eq!(row.is_some_and(|row| row.deleted), pair.state.is_none() && pair.block.is_some(), "{context}");
        }
        compare_feed(store, &model, now, step).await;
    }
    let filter = AuditFilter { action: Some("end".into()), ..AuditFilter::default() };
    let entries = store.entries(&filter, None, false, 999).await.unwrap().entries;
    assert!(entries.len() > 10, "{} blocks ended", entries.len());
    assert!(entries.iter().all(|entry| entry.actor == "service" && entry.revision.is_some()));
}

async fn shown(store: &Store, id: &str) -> Option<Subscription> {
    let held = store.find(Kind::Subscription, id).await.unwrap();
    held.map(|held| Subscription::shown(&held).unwrap())
}

/// What an import left, as the model has it.
fn of_row(row: Option<&Subscription>) -> Pair {
    let Some(row) = row else { return Pair::default() };
    let state = if row.deleted {
        None
    } else if row.block().is_some() {
        row.before().or(Some(SubscriptionState::Unblocked))
    } else {
        row.state
    };
    let block = row.record.as_ref().map(|record| Blocked {
        state: record.state.unwrap(),
        from: record.from.filter(|_| row.planned().is_some()),
        until: record.until,
        until_then: row.block(),
    });
    Pair { state, block }
}

async fn import(store: &Store, now: i64, row: &Value, lift_blocks: bool) {
    let (begin, mut nobody) = (move || at(now), Nobody);
    let options = Options { lift_blocks, ..Options::default() };
    let mut import = Import::new(store, options, &begin, &mut nobody);
    import.add(Row::of_line(1, &row.to_string()).unwrap()).await.unwrap();
    import.finish().await.unwrap();
}

/// A gateway with these rows lets a request pass exactly if the model does.
async fn compare_feed(store: &Store, model: &BTreeMap<u64, Pair>, now: i64, step: i32) {
    let revision = store.state().await.unwrap().revision;
    let documents = read(store, &Scope::All, Part::Full, revision, 100).await.unwrap();
    for (number, pair) in model {
        let mut pair = pair.clone();
        pair.pass(now);
        let app = format!("\"app-{number}\"");
        let row = documents.iter().find(|text| text.contains(&app) && text.contains("\"api\":\"api\""));
        let is = row.map(|text| {
            let row: keygate::policy::wire::SubscriptionRow<'_> = serde_json::from_str(text).unwrap();
            let row = keygate::policy::rows::Subscription::try_from(row).unwrap();
            let time = u64::try_from(now).unwrap();
            row.block.as_ref().map_or(row.state, |block| block.state_at(row.state, time))
        });
        use keygate::policy::SubscriptionState as Fed;
        let passes = |state: Option<Fed>, sandbox: bool| match state {
            Some(Fed::ProdOnlyBlocked) => sandbox,
            Some(state) => state.passes(),
            None => false,
        };
        let word = pair.shown(now).filter(|_| pair.state.is_some()).map(|state| serde_json::to_value(state).unwrap());
        let expected = word.map(|word| {
            let found = Fed::WORDS.iter().find(|(other, _)| word == *other);
            found.unwrap().1
        });
        for sandbox in [false, true] {
            let (is, expected) = (passes(is, sandbox), passes(expected, sandbox));
            // What was planned on a subscription that denies by itself, and what denies after a block, the service must
            // write: until then requests are refused.
            let was_blocked = pair.block.as_ref().is_some_and(|block| block.until_then.is_some());
            let waits = pair.block.is_none() || was_blocked || pair.state == Some(SubscriptionState::OnHold);
            assert!(is == expected || waits && !is, "{step} {number} at {} {sandbox} {pair:?} {row:?}", now - NOW);
        }
    }
}

/// Of two services that do what is due at the same time, one makes the change.
pub async fn of_racing_services_one_ends_a_block(opened: &Opened) {
    let store = &opened.store;
    put(store, &[api("a", "/a"), application("app", "o", "ACTIVE"), subscription("s", "app", "a", "UNBLOCKED")]).await;
    let mut change = store.begin(at(NOW)).await.unwrap();
    let order = Order { until: Some(NOW + 5), ..Order::default() };
    block::<Subscription>(&mut *change, "s", &order).await.unwrap();
    let revision = change.commit().await.unwrap();
    let racing: Vec<_> = (0..6)
        .map(|_| {
            let store = Arc::clone(store);
            tokio::spawn(async move { pass(&store, NOW + 5).await })
        })
        .collect();
    for one in racing {
        one.await.unwrap();
    }
    assert_eq!(store.state().await.unwrap().revision, revision + 1);
    assert_eq!(shown(store, "s").await.unwrap().state, Some(SubscriptionState::Unblocked));
    assert_eq!(store.next_due().await.unwrap(), None);
}

/// Many blocks that end at once are a few changes, each of bounded length.
pub async fn many_blocks_end_in_few_changes(opened: &Opened) {
    const MANY: usize = 1_200;
    let store = &opened.store;
    put(store, &[api("a", "/a")]).await;
    let mut change = begin(store).await;
    for number in 0..MANY {
        let app = format!("app-{number}");
        change.insert(&application(&app, "o", "ACTIVE")).await.unwrap();
        let (state, due) = if number % 2 == 0 { ("BLOCKED", NOW + 1) } else { ("UNBLOCKED", NOW + 2) };
        let from = if number % 2 == 0 { Value::Null } else { json!(NOW + 2) };
        let record = json!({"block": {"state": "BLOCKED", "from": from, "until": NOW + 60 * (1 - i64::from(due == NOW + 1)) + 1}});
        let row = NewRow { due: Some(due), beside: Some(record.to_string()), ..subscription(&app, &app, "a", state) };
        change.insert(&row).await.unwrap();
    }
    let revision = change.commit().await.unwrap();
    pass(store, NOW + 5).await;
    let made = store.state().await.unwrap().revision - revision;
    assert!((2..=40).contains(&made), "{made}");
    for number in 0..MANY {
        let row = shown(store, &format!("app-{number}")).await.unwrap();
        let expected = if number % 2 == 0 { SubscriptionState::Unblocked } else { SubscriptionState::Blocked };
        assert_eq!(row.state, Some(expected), "{number} {row:?}");
    }
    assert_eq!(store.next_due().await.unwrap(), Some(NOW + 61));
}
