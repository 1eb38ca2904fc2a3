//! The policy service is down, was never up, or does not know the gateway.

use std::time::Duration;

use keygate_e2e::{
    Error, Options, Stack,
    deadline::eventually,
    http::{self, Ask},
    ports,
    stack::Policy,
    story::{self, Expected, ORDERS, PAYMENTS, SCENES},
    workers::Workers,
};

/// How long the filter may take to notice that the service is back. Failures double the pause, up to 30 s.
const BACK_WITHIN: Duration = Duration::from_secs(40);
/// How long a change or a log line may take.
const SEEN_WITHIN: Duration = Duration::from_secs(6);

const UNAVAILABLE: Expected = Expected::Refused(503, "900424", "Policy unavailable");

fn quick() -> Options {
    Options::default().edit(r#""refresh_interval_ms": 5000"#, r#""refresh_interval_ms": 200"#)
}

/// Waits for a line of Envoy's log that contains all of `words`.
async fn logged(stack: &Stack, words: &[&str]) -> String {
    let envoy = stack.envoy().unwrap();
    let (line, _) = eventually(format!("a log line with {words:?}"), SEEN_WITHIN, async || {
        let log = envoy.log();
        let line = log.lines().find(|line| words.iter().all(|word| line.contains(word)));
        line.map(str::to_owned).ok_or(log)
    })
    .await
    .unwrap();
    line
}

#[tokio::test]
async fn decisions_stay_when_the_policy_service_dies_and_changes_come_through_when_it_is_back() {
    let (mut stack, keys) = story::stage("outage-killed", quick()).await.unwrap();
    let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
    let blocked = SCENES.iter().find(|scene| scene.change.is_some()).unwrap();
    stack.policy().unwrap().post(blocked.change.unwrap(), None).await.unwrap();
    for call in blocked.calls {
        eventually("the block", SEEN_WITHIN, async || workers.expect(&call.ask(&keys), call.expected).await)
            .await
            .unwrap();
    }

    stack.policy_mut().unwrap().kill().await;
    logged(&stack, &["policy-service", "/v1/policy"]).await;
    for _ in 0..20 {
        for call in blocked.calls {
            workers.expect(&call.ask(&keys), call.expected).await.unwrap();
        }
    }

    stack.policy_mut().unwrap().restart().await.unwrap();
    let unblocked = SCENES.last().unwrap();
    stack.policy().unwrap().post(unblocked.change.unwrap(), None).await.unwrap();
    for call in unblocked.calls {
        eventually("unblocked", BACK_WITHIN, async || workers.expect(&call.ask(&keys), call.expected).await)
            .await
            .unwrap();
    }
    stack.stop().await;
}

#[tokio::test]
async fn without_any_policy_requests_are_told_to_come_back_and_the_log_says_what_is_wrong() {
    let mut stack = Stack::prepare("outage-never", quick()).await.unwrap();
    let keys = story::load(stack.policy().unwrap()).await.unwrap();
    stack.policy_mut().unwrap().kill().await;
    stack.start_envoy().await.unwrap();
    let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();

    for key in [&keys.production, "never-given-out"] {
        for (worker, answer) in workers.send(&Ask::get(ORDERS).key(key)).await.unwrap() {
            assert!(UNAVAILABLE.is(answer.status.as_u16(), &answer.json()), "{worker}: {answer}");
            let seconds: u64 = answer.header("retry-after").expect("retry-after").parse().unwrap();
            assert!((1..=300).contains(&seconds), "{worker}: {seconds} s");
        }
    }
    let line = logged(&stack, &["policy-service", "/v1/policy", "503"]).await;
    println!("{line}");

    stack.policy_mut().unwrap().restart().await.unwrap();
    let ask = Ask::get(ORDERS).key(&keys.production);
    let reaches = Expected::Reaches("production");
    eventually("the first policy", BACK_WITHIN, async || workers.expect(&ask, reaches).await).await.unwrap();
    workers
        .expect(&Ask::get(PAYMENTS).key("never-given-out"), Expected::Refused(401, "900901", "Invalid Credentials"))
        .await
        .unwrap();
    stack.stop().await;
}

#[tokio::test]
async fn a_request_waits_for_the_very_first_policy_and_not_longer_than_it_may() {
    let nobody = ([127, 0, 0, 1], ports::free().unwrap()).into();
    let options = Options { policy: Policy::At(nobody), ..Options::default() };
    let stack = Stack::start("outage-hold", options).await.unwrap();
    let begun = std::time::Instant::now();
    let answer = http::send(stack.envoy().unwrap().gateway(), &Ask::get(ORDERS).key("k")).await.unwrap();
    assert!(UNAVAILABLE.is(answer.status.as_u16(), &answer.json()), "{answer}");
    // `startup_hold_ms`, and the ticks around it.
    assert!(begun.elapsed() < Duration::from_secs(3), "held for {:?}", begun.elapsed());
    stack.stop().await;
}

#[tokio::test]
async fn a_wrong_secret_is_told_in_words_that_name_the_setting() {
    let options = quick().secret(Some("not-the-secret"));
    let (stack, keys) = story::stage("outage-secret", options).await.unwrap();
    let line = logged(&stack, &["policy-service", "401", "policy.credentials"]).await;
    println!("{line}");
    let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
    workers.expect(&Ask::get(ORDERS).key(&keys.production), UNAVAILABLE).await.unwrap();
    assert!(!stack.envoy().unwrap().log().contains("not-the-secret"), "the secret is in the log");
    stack.stop().await;
}

#[tokio::test]
async fn a_missing_secret_is_refused_at_the_start() {
    let options = Options::default().secret(None);
    match Stack::start("outage-no-secret", options).await {
        Err(Error::Exited { log, .. }) => {
            // The log names the place and not the variable, because its name could be the secret itself, put there by
            // mistake.
            let words = ["policy.credentials.client_secret.env", "line 5", "not set", "environment"];
            assert!(log.lines().any(|line| words.iter().all(|word| line.contains(word))), "{log}");
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("Envoy runs without the secret"),
    }
}
