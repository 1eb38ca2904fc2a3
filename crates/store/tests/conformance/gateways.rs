//! Gateways that were heard of, in every database.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use management::port::{
    Actor, Store,
    gateways::{GatewayRow, NotedGateway, NotedGateways},
};
use testkit::deadline::eventually;

use crate::{
    databases::Opened,
    support::{act, begin},
};

/// Databases with a clock of their own tell times as differences to it, so they differ by how long a call takes.
const EXACTLY: i64 = 2_000;

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn row(id: &str, heard_at: i64, document: &str) -> GatewayRow {
    let (id, client_id) = (id.to_owned(), "edge ä".to_owned());
    GatewayRow { id, client_id, first_at: heard_at - 5_000, heard_at, document: document.to_owned() }
}

async fn note(store: &Store, writer: &str, rows: &[GatewayRow]) {
    store.note_gateways(writer, rows, now()).await.unwrap();
}

/// What was noted after a change: ids, documents, writers and whether they are removed.
async fn after(store: &Store, number: i64) -> (i64, Vec<(String, String, String, bool)>) {
    let NotedGateways { number, gateways } = store.gateways_after(number, now()).await.unwrap();
    let told = |NotedGateway { row, writer, is_removed }: NotedGateway| (row.id, row.document, writer, is_removed);
    let mut gateways: Vec<_> = gateways.into_iter().map(told).collect();
    gateways.sort();
    (number, gateways)
}

fn told(id: &str, document: &str, writer: &str, is_removed: bool) -> (String, String, String, bool) {
    (id.to_owned(), document.to_owned(), writer.to_owned(), is_removed)
}

pub async fn a_gateway_is_kept_as_it_was_last_heard_of(opened: &Opened) {
    let (store, now) = (&opened.store, now());
    assert_eq!(after(store, 0).await, (0, vec![]));
    note(store, "w", &[]).await;
    note(store, "w", &[row("a", now - 2_000_000, "{\"a\":1}"), row("b", now, "{}")]).await;
    let found = store.gateways_after(0, now).await.unwrap();
    let a = found.gateways.iter().find(|noted| noted.row.id == "a").unwrap();
    assert_eq!((a.row.client_id.as_str(), a.writer.as_str()), ("edge ä", "w"));
    assert!((a.row.heard_at - (now - 2_000_000)).abs() < EXACTLY, "{a:?}");
    assert!((a.row.first_at - (now - 2_005_000)).abs() < EXACTLY, "{a:?}");
    // A clock that is an hour ahead is nothing to the others.
    let hour = 3_600_000;
    store.note_gateways("x", &[row("c", now + hour, "{}")], now + hour).await.unwrap();
    let found = store.gateways_after(found.number, now).await.unwrap();
    let own_clock = opened.url.starts_with("sqlite:");
    assert!((found.gateways[0].row.heard_at - now - if own_clock { hour } else { 0 }).abs() < EXACTLY, "{found:?}");

    // What was heard earlier is not written over what was heard later. The first time stays the first.
    note(store, "y", &[row("a", now - 3_000_000, "early"), row("b", now + 100_000, "late")]).await;
    let (_, all) = after(store, 0).await;
    assert_eq!(all[0], told("a", "{\"a\":1}", "w", false));
    assert_eq!(all[1], told("b", "late", "y", false));
    // A writer knows what it heard last, however long its words were under way.
    note(store, "w", &[row("a", now - 2_000_500, "anew")]).await;
    assert_eq!(after(store, 0).await.1[0], told("a", "anew", "w", false));
    let found = store.gateways_after(0, now).await.unwrap();
    let b = found.gateways.iter().find(|noted| noted.row.id == "b").unwrap();
    assert!((b.row.first_at - (now - 5_000)).abs() < EXACTLY, "{b:?}");
    assert_eq!(store.state().await.unwrap().revision, 0, "no revision");
}

pub async fn what_was_noted_is_found_by_others_once(opened: &Opened) {
    let (store, now) = (&opened.store, now());
    let changes = store.gateway_changes();
    note(store, "w", &[row("a", now, "1"), row("b", now, "1")]).await;
    let (first, all) = after(store, 0).await;
    assert_eq!(all.len(), 2);
    assert_eq!(*changes.borrow(), first, "those who follow are told");
    assert_eq!(after(store, first).await, (first, vec![]));
    note(store, "x", &[row("b", now + 1_000, "2")]).await;
    let (second, changed) = after(store, first).await;
    assert!(second > first);
    assert_eq!(changed, [told("b", "2", "x", false)]);
    // Many at once.
    let many: Vec<_> = (0..1_000).map(|number| row(&format!("m{number}"), now, "{}")).collect();
    note(store, "w", &many).await;
    assert_eq!(after(store, second).await.1.len(), 1_000);

    // Another service on this database hears of it.
    let other = store::open(&opened.url, store::Settings::default()).await.unwrap();
    let watching = tokio::spawn({
        let other = other.clone();
        async move { other.watch(|| act(Actor::Service, 0)).await }
    });
    let changes = other.gateway_changes();
    note(store, "w", &[row("c", now, "3")]).await;
    let (number, _) = after(store, 0).await;
    let heard = async || if *changes.borrow() == number { Ok(()) } else { Err(*changes.borrow()) };
    eventually("the other service hears of it", Duration::from_secs(10), heard).await.unwrap();
    assert_eq!(after(&other, second).await, after(store, second).await);
    watching.abort();
    other.close().await;
}

pub async fn a_removed_gateway_comes_back_when_it_is_heard_of(opened: &Opened) {
    let (store, now) = (&opened.store, now());
    note(store, "w", &[row("a", now - 9_000, "1"), row("b", now - 9_000, "1"), row("c", now - 9_000, "1")]).await;
    let (number, _) = after(store, 0).await;
    store.remove_gateways("w", &["a", "none", "x\0"], now).await.unwrap();
    let (second, changed) = after(store, number).await;
    assert_eq!(changed, [told("a", "1", "w", true)]);

    let in_change = async |id: &str, commits: bool| {
        let mut change = store.begin(act(Actor::administrator(), now / 1_000)).await.unwrap();
        let removed = change.remove_gateway(id, now).await.unwrap().map(|row| (row.id, row.document));
        change.commit_without_revision();
        if commits {
            assert_eq!(change.commit().await.unwrap(), 0, "no revision");
        }
        removed
    };
    assert_eq!(in_change("b", false).await, Some(("b".to_owned(), "1".to_owned())));
    assert_eq!(after(store, second).await, (second, vec![]), "the change was dropped");
    assert_eq!(in_change("b", true).await, Some(("b".to_owned(), "1".to_owned())));
    for none in ["a", "b", "none", "x\0"] {
        assert_eq!(in_change(none, true).await, None, "{none}");
    }
    let (third, changed) = after(store, second).await;
    assert_eq!(changed, [told("b", "1", "", true)]);

    // What was heard before the removal does not undo it.
    note(store, "w", &[row("a", now - 1, "2"), row("b", now - 1, "2")]).await;
    assert_eq!(after(store, third).await.1, []);
    note(store, "w", &[row("a", now + 9_000, "3"), row("b", now + 9_000, "3")]).await;
    let (_, changed) = after(store, third).await;
    assert_eq!(changed, [told("a", "3", "w", false), told("b", "3", "w", false)]);
    // It is a new one then.
    let found = store.gateways_after(third, now).await.unwrap();
    assert!(found.gateways.iter().all(|noted| (noted.row.first_at - now - 4_000).abs() < EXACTLY), "{found:?}");
}

/// A reader that follows the numbers of changes gets all of them, however many write at once.
pub async fn no_change_of_a_gateway_is_missed(opened: &Opened) {
    let (store, now) = (&opened.store, now());
    let writing: Vec<_> = (0..8)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..20 {
                    note(&store, "w", &[row(&format!("{writer}-{number}"), now, "{}")]).await;
                }
            })
        })
        .collect();
    let (mut number, mut seen) = (0, 0);
    while seen < 160 {
        let is_over = writing.iter().all(tokio::task::JoinHandle::is_finished);
        let (next, found) = after(store, number).await;
        seen += found.len();
        number = next;
        assert!(!is_over || !found.is_empty(), "{seen}");
    }
    assert_eq!(seen, 160);
    drop(begin(store).await);
}
