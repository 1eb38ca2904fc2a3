//! What every database does with remembered answers.

use std::sync::Arc;

use management::port::{
    Actor, Kind,
    answers::{Answer, Once},
};

use crate::{
    databases::Opened,
    support::{DAY, NOW, act, application, begin},
};

fn answer(body: &str) -> Answer {
    Answer {
        fingerprint: vec![7; 32],
        status: 201,
        location: Some("/v1/apis/a".to_owned()),
        etag: Some("\"1-0\"".to_owned()),
        revision: 5,
        body: Some(body.to_owned()),
        issued: None,
    }
}

pub async fn an_answer_is_found_by_its_actor_and_key_for_its_time(opened: &Opened) {
    let store = &opened.store;
    let mut change = begin(store).await;
    change.keep_answer("administrator a", "key", &answer("{}")).await.unwrap();
    let secret = Answer { body: None, issued: Some("k".to_owned()), etag: None, location: None, ..answer("") };
    change.keep_answer("administrator a", "secret", &secret).await.unwrap();
    assert_eq!(change.find_answer("administrator a", "key", NOW - 1).await.unwrap(), Some(answer("{}")));
    assert_eq!(change.commit().await.unwrap(), 0, "it stands beside the policy");
    let found = async |actor, key, since| store.answer(actor, key, since).await.unwrap();
    assert_eq!(found("administrator a", "key", NOW - 1).await, Some(answer("{}")));
    assert_eq!(found("administrator a", "secret", NOW - DAY).await, Some(secret));
    for (actor, key, since) in
        [("administrator b", "key", 0), ("administrator a", "other", 0), ("administrator a", "key", NOW)]
    {
        assert_eq!(found(actor, key, since).await, None, "{actor} {key} {since}");
    }

    let mut change = begin(store).await;
    for (number, expected) in [(1, true), (2, true), (3, false)] {
        assert_eq!(change.has_answers("administrator a", number).await.unwrap(), expected, "{number}");
    }
    assert!(!change.has_answers("administrator b", 1).await.unwrap());
    change.keep_answer("administrator a", "key", &answer("{\"later\": 1}")).await.unwrap();
    assert!(!change.has_answers("administrator a", 3).await.unwrap(), "it stands in the place of the earlier one");
    change.forget_answers(NOW - 1).await.unwrap();
    assert!(change.has_answers("administrator a", 2).await.unwrap());
    change.forget_answers(NOW).await.unwrap();
    assert!(!change.has_answers("administrator a", 1).await.unwrap());
    drop(change);
    assert_eq!(found("administrator a", "key", 0).await, Some(answer("{}")), "the change was dropped");
}

pub async fn a_change_knows_the_revision_that_it_makes(opened: &Opened) {
    let mut change = begin(&opened.store).await;
    assert_eq!(change.revision_then(), 0);
    change.insert(&application("a", "o", "ACTIVE")).await.unwrap();
    assert_eq!(change.revision_then(), 1);
    assert_eq!(change.commit().await.unwrap(), 1);
    assert_eq!(begin(&opened.store).await.revision_then(), 1);
}

/// Of requests with one key that come at the same time, one makes something.
pub async fn of_racing_requests_with_one_key_one_is_done(opened: &Opened) {
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let store = Arc::clone(&opened.store);
            tokio::spawn(async move {
                let mut act = act(Actor::administrator(), NOW);
                act.origin.once = Some(Arc::new(Once { key: "key".to_owned(), fingerprint: [7; 32] }));
                let mut change = store.begin(act).await.unwrap();
                change.insert(&application(&format!("app-{number}"), "o", "ACTIVE")).await.unwrap();
                match management::once::keep(&mut *change, answer("{}")).await {
                    Ok(is_stored) => {
                        assert!(is_stored);
                        change.commit().await.unwrap();
                        true
                    }
                    Err(error) => {
                        assert!(matches!(error, management::error::Error::Done), "{error}");
                        false
                    }
                }
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += i64::from(task.await.unwrap());
    }
    let state = opened.store.state().await.unwrap();
    assert_eq!((done, state.count(Kind::Application), state.revision), (1, 1, 1));
    let stored = opened.store.answer("administrator administrator", "key", 0).await.unwrap().unwrap();
    assert_eq!(stored.revision, 1);
}
