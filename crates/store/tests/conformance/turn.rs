//! The turn of imports in every database.

use management::port::Actor;

use crate::{
    databases::Opened,
    support::{NOW, act, begin},
};

pub async fn one_holder_at_a_time_has_the_turn(opened: &Opened) {
    let store = &opened.store;
    let take = async |holder: &str, now: i64| {
        let mut change = store.begin(act(Actor::Service, now)).await.unwrap();
        let is_taken = change.take_turn(holder, now + 25).await.unwrap();
        assert_eq!(change.commit().await.unwrap(), 0, "it stands beside the policy");
        is_taken
    };
    let prolong = async |holder: &str, now: i64| {
        let mut change = store.begin(act(Actor::Service, now)).await.unwrap();
        let is_held = change.prolong_turn(holder, now + 25).await.unwrap();
        assert_eq!(change.commit().await.unwrap(), 0, "it stands beside the policy");
        is_held
    };
    let has = async |holder: &str| begin(store).await.has_turn(holder).await.unwrap();
    assert!(!has("one").await);
    assert!(take("one", NOW).await);
    assert!(has("one").await && !has("other").await);
    assert!(!take("other", NOW + 24).await, "it has not ended");
    assert!(prolong("one", NOW + 10).await);
    assert!(!take("other", NOW + 34).await, "it is prolonged");
    assert!(take("other", NOW + 35).await, "it has ended");
    assert!(has("other").await && !has("one").await);
    assert!(!take("one", NOW + 36).await && !prolong("one", NOW + 36).await);

    let end = async |holder: &str| {
        let mut change = begin(store).await;
        change.end_turn(holder).await.unwrap();
        change.commit().await.unwrap();
    };
    end("one").await;
    assert!(has("other").await, "who has lost it cannot give it up");
    end("other").await;
    assert!(!has("other").await);
    assert!(!prolong("one", NOW + 37).await, "the other has written meanwhile");
    assert!(!has("one").await);
    let mut dropped = begin(store).await;
    assert!(dropped.take_turn("one", NOW + 25).await.unwrap());
    drop(dropped);
    assert!(take("other", NOW).await, "a change that was dropped has taken nothing");
}
