//! What the policy service knows of a real Envoy: its name, and how many workers decide.

use std::time::Duration;

use keygate_e2e::{Options, deadline::eventually, envoy::Launch, http::Ask, policy_service::GATEWAY_SECRET, story};
use serde_json::{Value, json};

/// Time for the first polls, each of which is held for a second.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_envoy_is_listed_by_the_name_of_its_node_with_all_workers() {
    let launch = |arguments: &[&str]| Launch {
        secret: Some(GATEWAY_SECRET),
        workers: 3,
        arguments: arguments.iter().copied().map(str::to_owned).collect(),
    };
    let named = ["--service-node", "edge-1", "--service-cluster", "edge"];
    for (folder, launch, expected) in
        [("listed-node", launch(&named), Some("edge-1")), ("listed-process", launch(&[]), None)]
    {
        // On a busy machine workers come after the first polls. The next poll says how many there are.
        let options =
            Options { launch, ..Options::default() }.edit(r#""long_poll_ms": 25000"#, r#""long_poll_ms": 1000"#);
        let (stack, _) = story::stage(folder, options).await.unwrap();
        let listed = async || {
            let answer =
                stack.policy().unwrap().call(Ask::get("/v1/gateways")).await.map_err(|error| error.to_string())?;
            let items: Value = answer.json()["items"].clone();
            let found = items.as_array().is_some_and(|items| items.len() == 1 && items[0]["workers"] == 3);
            if found { Ok(items[0].clone()) } else { Err(items.to_string()) }
        };
        let (gateway, _) = eventually("the gateway with three workers", SEEN_WITHIN, listed).await.unwrap();
        let found = gateway["instance"].as_str().unwrap();
        match expected {
            Some(expected) => assert_eq!(found, expected),
            // Without a name of the node, a random one tells Envoys apart.
            None => assert!(found.len() == 16 && found.bytes().all(|byte| byte.is_ascii_hexdigit()), "{found}"),
        }
        assert_eq!((&gateway["state"], &gateway["lagging"]), (&json!("live"), &json!(0)));
        stack.stop().await;
    }
}
