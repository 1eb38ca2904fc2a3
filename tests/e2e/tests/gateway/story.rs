//! The story on every worker: a block takes effect everywhere in time, and only for one application and one API.

use std::time::{Duration, Instant};

use keygate_e2e::{
    Options, Result,
    deadline::eventually,
    story::{self, Call, Keys, SCENES},
    workers::Workers,
};

/// How often a scene is asked again once it has come true.
const REPEATS: usize = 20;

async fn check_all(workers: &mut Workers, keys: &Keys, calls: &[Call]) -> Result<()> {
    for call in calls {
        workers.expect(&call.ask(keys), call.expected).await?;
    }
    Ok(())
}

/// Plays the story with `options`. Every change must reach every worker within `bound`.
async fn play(name: &str, options: Options, bound: Duration) {
    let (stack, keys) = story::stage(name, options).await.unwrap();
    let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
    for scene in SCENES {
        if let Some(change) = scene.change {
            stack.policy().unwrap().post(change, None).await.unwrap();
        }
        let changed = Instant::now();
        eventually(scene.title, bound, async || check_all(&mut workers, &keys, scene.calls).await).await.unwrap();
        println!("{}: on every worker after {:?}", scene.title, changed.elapsed());
        // The answers stay the same: no worker goes back to an old policy.
        for _ in 0..REPEATS {
            check_all(&mut workers, &keys, scene.calls).await.unwrap();
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn every_change_is_seen_by_every_worker_with_the_shipped_configuration() {
    play("story-shipped", Options::default(), Duration::from_secs(5 + 1)).await;
}

#[tokio::test]
async fn every_change_is_seen_by_every_worker_within_the_interval_without_long_polls() {
    let options = Options::default()
        .edit(r#""refresh_interval_ms": 5000"#, r#""refresh_interval_ms": 1000"#)
        .edit(r#""long_poll_ms": 25000"#, r#""long_poll_ms": 0"#);
    play("story-interval", options, Duration::from_secs(1 + 1)).await;
}

/// While a block comes and goes, every request that it does not concern gets 200.
#[tokio::test]
async fn a_block_never_touches_another_subscription_not_even_for_a_moment() {
    let (stack, keys) = story::stage("story-untouched", Options::default()).await.unwrap();
    let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
    let [allowed, .., unblocked] = SCENES else { panic!("the story has a beginning and an end") };
    eventually("the policy", Duration::from_secs(10), async || check_all(&mut workers, &keys, allowed.calls).await)
        .await
        .unwrap();
    let untouched = &allowed.calls[2..];
    assert_eq!(untouched.len(), 3);
    for change in SCENES.iter().filter_map(|scene| scene.change).cycle().take(9) {
        stack.policy().unwrap().post(change, None).await.unwrap();
        let changed = Instant::now();
        while changed.elapsed() < Duration::from_millis(300) {
            check_all(&mut workers, &keys, untouched).await.unwrap();
        }
    }
    check_all(&mut workers, &keys, &unblocked.calls[2..]).await.unwrap();
    stack.stop().await;
}
