//! The gauges of a policy: when it was last confirmed; its age, even if there was never a policy; and two policies of
//! one process that do not overwrite each other's gauges.

use std::time::{Duration, SystemTime};

use keygate_e2e::{
    Options, Stack,
    deadline::eventually,
    envoy::Envoy,
    http::Ask,
    policy_service::{GATEWAY_ID, GATEWAY_SECRET},
    ports,
    stack::Policy,
    story::{self, Expected, ORDERS, PAYMENTS},
    workers::Workers,
};

use crate::{
    front::{self, Front},
    listeners::{Gateway, once},
};

const SEEN_WITHIN: Duration = Duration::from_secs(10);
const REACHES: Expected = Expected::Reaches("production");

const GAUGES: [&str; 8] =
    ["revision", "keys", "subscriptions", "applications", "apis", "bytes", "age_ms", "confirmed_at"];

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// A gauge, or an error if there is none with that name.
async fn gauge(envoy: &Envoy, name: &str) -> Result<u64, String> {
    let full = format!("wasmcustom.keygate.policy.{name}");
    let found = envoy.stats(&format!("^{}$", full.replace('.', "\\."))).await.map_err(|error| error.to_string())?;
    found.first().map(|(_, value)| *value).ok_or_else(|| format!("there is no {full}"))
}

#[tokio::test]
async fn confirmed_at_is_the_time_of_the_last_confirmation_and_stands_still_when_nothing_is_confirmed() {
    let begun = now();
    let options = Options::default()
        .edit(r#""refresh_interval_ms": 5000"#, r#""refresh_interval_ms": 200"#)
        .edit(r#""long_poll_ms": 25000"#, r#""long_poll_ms": 1000"#);
    let (mut stack, keys) = story::stage("gauges-confirmed", options).await.unwrap();
    let mut workers = Workers::connect(stack.envoy().unwrap()).await.unwrap();
    let ask = Ask::get(ORDERS).key(&keys.production);
    eventually("the policy", SEEN_WITHIN, async || workers.expect(&ask, REACHES).await).await.unwrap();
    let confirmed = async |stack: &Stack| gauge(stack.envoy().unwrap(), "confirmed_at").await;
    let (first, _) = eventually("a first confirmation", SEEN_WITHIN, async || match confirmed(&stack).await? {
        0 => Err("it is 0".to_owned()),
        at => Ok(at),
    })
    .await
    .unwrap();
    assert!((begun..=now()).contains(&first), "{first}, from {begun} to {}", now());
    // Nothing changes, and each answered poll confirms the policy.
    eventually("a later confirmation", SEEN_WITHIN, async || match confirmed(&stack).await? {
        at if at > first + 1 && at <= now() => Ok(()),
        at => Err(at.to_string()),
    })
    .await
    .unwrap();

    stack.policy_mut().unwrap().kill().await;
    let gone = now();
    eventually("the policy to grow old", SEEN_WITHIN, async || match gauge(stack.envoy().unwrap(), "age_ms").await? {
        age if age > 4_000 => Ok(()),
        age => Err(format!("{age} ms")),
    })
    .await
    .unwrap();
    let last = confirmed(&stack).await.unwrap();
    assert!(last <= gone, "confirmed at {last}, and the service went at {gone}");
    stack.stop().await;
}

#[tokio::test]
async fn without_any_policy_the_age_grows_and_nothing_is_confirmed() {
    let nobody = ([127, 0, 0, 1], ports::free().unwrap()).into();
    let stack =
        Stack::start("gauges-never", Options { policy: Policy::At(nobody), ..Options::default() }).await.unwrap();
    let envoy = stack.envoy().unwrap();
    let age = async || gauge(envoy, "age_ms").await;
    let (first, _) = eventually("an age", SEEN_WITHIN, async || match age().await? {
        0 => Err("it is 0".to_owned()),
        age => Ok(age),
    })
    .await
    .unwrap();
    eventually("it to grow", SEEN_WITHIN, async || match age().await? {
        age if age > first + 1_000 => Ok(()),
        age => Err(format!("{age} ms after {first} ms")),
    })
    .await
    .unwrap();
    assert_eq!(gauge(envoy, "confirmed_at").await, Ok(0));
    stack.stop().await;
}

#[tokio::test]
async fn two_policies_with_names_have_gauges_of_their_own() {
    // Two policies of one service: one gateway sees both APIs, the other only one.
    const LIMITED: (&str, &str) = ("edge-2", "limited-secret-4811");
    let gateways = format!("{GATEWAY_ID}:{GATEWAY_SECRET},{}:{}", LIMITED.0, LIMITED.1);
    let options = Options::default()
        .variable("POLICY_GATEWAYS", gateways)
        .variable("POLICY_GATEWAY_APIS", format!(r#"{{"{}": ["payments-1.0"]}}"#, LIMITED.0));
    let front = Front::start("gauges-service", options).await;
    let options = front::asks(front.cutter.address())
        .edit(r#""refresh_interval_ms": 5000"#, r#""refresh_interval_ms": 200"#)
        .edit(r#""long_poll_ms": 25000"#, r#""long_poll_ms": 1000"#)
        .edit(r#""cluster": "policy-service","#, r#""cluster": "policy-service", "name": "one","#);
    let gateway = Gateway::start(Gateway::prepare("gauges-two", options).await).await;
    let (second, port) = gateway.beside(&gateway.listener, "second");
    let second = once(&second, r#""name": "one""#, r#""name": "two""#);
    let second = once(&second, r#""client_id": "gateway-1""#, &format!(r#""client_id": "{}""#, LIMITED.0));
    let second = once(&second, r#"{"env": "POLICY_CLIENT_SECRET"}"#, &format!("\"{}\"", LIMITED.1));
    gateway.listen(&format!("{}{}", gateway.listener, second.replace("resources:\n", ""))).await;
    let key = &front.keys.production;
    gateway.answers(gateway.port, key, ORDERS, REACHES).await;
    gateway.answers(port, key, PAYMENTS, REACHES).await;

    let envoy = &gateway.envoy;
    let apis = async || (gauge(envoy, "one.apis").await, gauge(envoy, "two.apis").await);
    eventually("the gauges of both", SEEN_WITHIN, async || match apis().await {
        (Ok(2), Ok(1)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .unwrap();
    // They stay the same while both refresh.
    let begun = now();
    let mut looks = 0;
    eventually("some seconds of looks", SEEN_WITHIN, async || {
        assert_eq!(apis().await, (Ok(2), Ok(1)), "after {looks} looks");
        looks += 1;
        if now() > begun + 3 { Ok(()) } else { Err("not yet") }
    })
    .await
    .unwrap();
    for policy in ["one", "two"] {
        for name in GAUGES {
            let value = gauge(envoy, &format!("{policy}.{name}")).await.unwrap();
            assert!(value > 0 || name == "age_ms", "{policy}.{name} is {value}");
        }
    }
    for name in GAUGES {
        assert!(gauge(envoy, name).await.is_err(), "{name} of no policy in particular");
    }
    gateway.stop().await;
    front.stack.stop().await;
}
