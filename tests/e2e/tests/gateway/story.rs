//! The story, on every worker.

use std::time::{Duration, Instant};

use keygate_e2e::{
    Options, Stack,
    deadline::eventually,
    http::Ask,
    story::{self, Call, Keys, SCENES},
    workers::Workers,
};

async fn check_all(workers: &mut Workers, keys: &Keys, calls: &[Call]) -> Result<(), String> {
    for call in calls {
        let mut ask = Ask::get(call.path);
        if let Some(key) = call.caller.key(keys) {
            ask = ask.key(key);
        }
        for (worker, answer) in workers.send(&ask).await.map_err(|error| error.to_string())? {
            if !call.expected.is(answer.status.as_u16(), &answer.json()) {
                return Err(format!("{worker}: {call:?} answered {answer}"));
            }
        }
    }
    Ok(())
}

/// Plays the story with `options`; every change is seen by every worker within `bound`.
async fn play(name: &str, options: Options, bound: Duration) {
    let mut stack = Stack::prepare(name, options).await.unwrap();
    let keys = story::load(stack.policy().unwrap()).await.unwrap();
    stack.start_envoy().await.unwrap();
    let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
    assert_eq!(workers.count(), 2);
    for scene in SCENES {
        if let Some(change) = scene.change {
            stack.policy().unwrap().post(change, None).await.unwrap();
        }
        let changed = Instant::now();
        eventually(scene.title, bound, async || check_all(&mut workers, &keys, scene.calls).await).await.unwrap();
        eprintln!("{}: on every worker after {:?}", scene.title, changed.elapsed());
        // And it stays so: nothing flaps between an old policy and a new one.
        for _ in 0..20 {
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
