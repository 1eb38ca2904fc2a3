//! Sessions of people in every database.

use management::port::{
    Principal, Role, Store,
    accounts::{SecretHash, Token},
    sessions::{Session, Source},
};

use crate::{
    databases::Opened,
    support::{NOW, begin},
};

fn hash(text: &str) -> SecretHash {
    SecretHash(format!("{text:0>64}"))
}

fn session(subject: &str, source: Source, created_at: i64) -> Session {
    let principal = Principal { role: Role::Publisher, subject: subject.to_owned() };
    Session { principal, source, created_at, used_at: created_at, expires_at: created_at + 100 }
}

fn configured() -> Source {
    Source::Configured("a digest".to_owned())
}

async fn add(store: &Store, sessions: &[(&str, &Session)]) {
    let mut change = begin(store).await;
    for (secret, session) in sessions {
        change.add_session(session, &hash(secret)).await.unwrap();
    }
    change.commit_without_revision();
    assert_eq!(change.commit().await.unwrap(), 0, "no revision");
}

async fn is_there(store: &Store, secrets: &[&str]) -> Vec<bool> {
    let mut found = Vec::new();
    for secret in secrets {
        found.push(store.session_of(&hash(secret)).await.unwrap().is_some());
    }
    found
}

pub async fn a_session_is_found_by_its_secret_until_it_ends(opened: &Opened) {
    let store = &opened.store;
    let one = session("oidc:ä", configured(), NOW);
    add(store, &[("1", &one)]).await;
    assert_eq!(store.session_of(&hash("1")).await.unwrap(), Some(one.clone()));
    assert_eq!(store.session_of(&hash("2")).await.unwrap(), None);

    for (at, expected) in [(NOW + 5, NOW + 5), (NOW + 4, NOW + 5), (NOW + 6, NOW + 6)] {
        let mut change = begin(store).await;
        change.touch_session(&hash("1"), at).await.unwrap();
        change.touch_session(&hash("2"), at).await.unwrap();
        change.commit_without_revision();
        change.commit().await.unwrap();
        assert_eq!(store.session_of(&hash("1")).await.unwrap().unwrap().used_at, expected);
    }

    let mut change = begin(store).await;
    change.add_session(&one, &hash("1")).await.expect_err("two sessions with one secret");
    drop(change);
    let mut change = begin(store).await;
    assert!(change.remove_session(&hash("1")).await.unwrap());
    assert!(!change.remove_session(&hash("1")).await.unwrap());
    assert_eq!(change.count_sessions().await.unwrap(), 0);
    drop(change);
    assert_eq!(is_there(store, &["1"]).await, [true], "the change was dropped");
    let mut change = begin(store).await;
    change.remove_session(&hash("1")).await.unwrap();
    change.commit_without_revision();
    change.commit().await.unwrap();
    assert_eq!(is_there(store, &["1"]).await, [false]);
}

pub async fn a_session_ends_with_its_token(opened: &Opened) {
    let store = &opened.store;
    let principal = Principal { role: Role::Auditor, subject: "a".to_owned() };
    let mut change = begin(store).await;
    for id in ["t1", "t2"] {
        let token = Token { id: id.to_owned(), principal: principal.clone(), created_at: NOW, expires_at: None };
        change.add_token(&token, &hash(id)).await.unwrap();
    }
    change.commit_without_revision();
    change.commit().await.unwrap();
    let of = |id: &str| session("a", Source::Token(id.to_owned()), NOW);
    add(store, &[("1", &of("t1")), ("2", &of("t2")), ("3", &session("a", configured(), NOW)), ("4", &of("t9"))]).await;
    assert_eq!(store.session_of(&hash("1")).await.unwrap(), Some(of("t1")));
    assert_eq!(is_there(store, &["1", "2", "3", "4"]).await, [true, true, true, false]);

    let mut change = begin(store).await;
    change.remove_token("t1").await.unwrap();
    change.commit_without_revision();
    change.commit().await.unwrap();
    assert_eq!(is_there(store, &["1", "2", "3"]).await, [false, true, true]);
    assert_eq!(begin(store).await.count_sessions().await.unwrap(), 3, "its row is gone");
}

pub async fn sessions_that_ended_are_forgotten_and_those_of_a_subject_are_few(opened: &Opened) {
    let store = &opened.store;
    let at = |subject: &str, created_at| session(subject, configured(), created_at);
    add(
        store,
        &[
            ("1", &at("a", NOW)),
            ("2", &at("a", NOW + 1)),
            ("3", &at("a", NOW + 2)),
            ("4", &at("b", NOW - 100)),
            ("5", &Session { used_at: NOW - 50, ..at("b", NOW - 99) }),
            ("6", &Session { used_at: NOW - 49, ..at("b", NOW - 99) }),
        ],
    )
    .await;
    let mut change = begin(store).await;
    change.keep_newest_sessions("a", 2).await.unwrap();
    change.keep_newest_sessions("a\0", 0).await.unwrap();
    change.commit_without_revision();
    change.commit().await.unwrap();
    assert_eq!(is_there(store, &["1", "2", "3", "4", "5", "6"]).await, [false, true, true, true, true, true]);
    let mut change = begin(store).await;
    change.forget_sessions(NOW, NOW - 50, 1).await.unwrap();
    assert_eq!(change.count_sessions().await.unwrap(), 4, "no more than it was told");
    change.forget_sessions(NOW, NOW - 50, 10).await.unwrap();
    change.commit_without_revision();
    change.commit().await.unwrap();
    assert_eq!(is_there(store, &["2", "3", "4", "5", "6"]).await, [true, true, false, false, true]);
}

pub async fn a_sign_in_is_used_once(opened: &Opened) {
    let store = &opened.store;
    let mut change = begin(store).await;
    assert!(change.use_sign_in(&hash("1"), NOW + 5).await.unwrap());
    drop(change);
    let mut change = begin(store).await;
    assert!(change.use_sign_in(&hash("1"), NOW + 5).await.unwrap(), "the change was dropped");
    assert!(!change.use_sign_in(&hash("1"), NOW + 5).await.unwrap());
    change.commit_without_revision();
    change.commit().await.unwrap();
    let mut change = begin(store).await;
    assert!(!change.use_sign_in(&hash("1"), NOW + 9).await.unwrap());
    assert!(change.use_sign_in(&hash("2"), NOW + 9).await.unwrap());
    change.forget_sessions(NOW + 5, NOW, 10).await.unwrap();
    assert!(change.use_sign_in(&hash("1"), NOW + 9).await.unwrap(), "its time was over");
    assert!(!change.use_sign_in(&hash("2"), NOW + 9).await.unwrap());
}
