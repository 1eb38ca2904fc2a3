//! Configurations and modules that are replaced under load, and two of them in use at once on one `vm_id`. Every
//! request is answered, and decided by the policy.

use std::{fs, path::PathBuf};

use keygate_e2e::{
    Options, Stack, artifacts,
    deadline::eventually,
    http::Ask,
    load::Load,
    story::{self, Expected, Keys, ORDERS, PAYMENTS},
};

use crate::listeners::{Gateway, WITHIN};

const REACHES: Expected = Expected::Reaches("production");
const BLOCKED: Expected = Expected::Refused(401, "900907", "The requested API is temporarily blocked");
const UNKNOWN: Expected = Expected::Refused(401, "900901", "Invalid Credentials");

/// A gateway on which the subscription of `partner` to the orders is blocked.
async fn start(name: &str) -> (Gateway, Keys) {
    let prepared = Gateway::prepare(name, Options::default()).await;
    let policy = prepared.0.policy().unwrap();
    let keys = story::load(policy).await.unwrap();
    policy.post("/v1/subscriptions/partner-orders/block", None).await.unwrap();
    let gateway = Gateway::start(prepared).await;
    gateway.answers(gateway.port, &keys.production, ORDERS, REACHES).await;
    (gateway, keys)
}

/// Another version of the module: the same code with different bytes.
fn other_module(stack: &Stack) -> PathBuf {
    let path = stack.folder().join("other.wasm");
    let mut module = fs::read(artifacts::filter().unwrap()).unwrap();
    // A custom section of four bytes: the length of its name, and the name.
    module.extend(b"\0\x04\x03two");
    fs::write(&path, module).unwrap();
    path
}

fn with_module(listener: &str, module: &str) -> String {
    let filter = format!("filename: {}", artifacts::filter().unwrap().display());
    assert!(listener.contains(&filter));
    listener.replace(&filter, &format!("filename: {module}"))
}

#[tokio::test]
async fn listeners_are_replaced_under_load_and_every_answer_is_what_the_policy_says() {
    let (gateway, keys) = start("replaced-load").await;
    let asks = [
        (&*keys.production, REACHES),
        (&keys.sandbox, Expected::Reaches("sandbox")),
        (&keys.partner, BLOCKED),
        ("never-given-out", UNKNOWN),
    ];
    let load = Load::start(gateway.port, asks.map(|(key, expected)| (Ask::get(ORDERS).key(key), expected)).to_vec());
    let other = other_module(&gateway.stack).display().to_string();
    let reconfigured = gateway.listener.replace(r#""realm": "keygate""#, r#""realm": "another""#);
    assert_ne!(reconfigured, gateway.listener);
    let versions = [
        reconfigured.clone(),
        with_module(&gateway.listener, &other),
        with_module(&reconfigured, &other),
        gateway.listener.clone(),
    ];
    for (number, listener) in versions.iter().cycle().take(8).enumerate() {
        let before = load.asked();
        gateway.listen(listener).await;
        eventually(format!("requests after update {number}"), WITHIN, async || {
            let asked = load.asked() - before;
            if asked > 500 { Ok(()) } else { Err(format!("{asked} answers; log:\n{}", gateway.envoy.log())) }
        })
        .await
        .unwrap();
    }
    let asked = load.end().await.unwrap();
    println!("{asked} answers through 8 updates");
    // The new VMs refresh as the old ones did.
    gateway.stack.policy().unwrap().post("/v1/subscriptions/shop-orders/block", None).await.unwrap();
    gateway.answers(gateway.port, &keys.production, ORDERS, BLOCKED).await;
    assert_eq!(gateway.envoy.vms().await.unwrap().reloads, 0, "no VM died");
    gateway.stop().await;
}

#[tokio::test]
async fn two_versions_of_the_module_on_one_vm_id_decide_by_one_policy() {
    let (mut gateway, keys) = start("replaced-two").await;
    let other = other_module(&gateway.stack).display().to_string();
    let (listener, second) = gateway.beside(&with_module(&gateway.listener, &other), "second");
    // The policy service is down, so the second one can have the policy only from shared memory.
    gateway.stack.policy_mut().unwrap().kill().await;
    gateway.listen(&format!("{}{}", gateway.listener, listener.replace("resources:\n", ""))).await;
    gateway.answers(second, &keys.production, ORDERS, REACHES).await;
    gateway.answers(second, &keys.partner, ORDERS, BLOCKED).await;

    // Either of them may refresh. Both get the new policy.
    gateway.stack.policy_mut().unwrap().restart().await.unwrap();
    gateway.stack.policy().unwrap().post("/v1/subscriptions/shop-payments/block", None).await.unwrap();
    for port in [gateway.port, second] {
        gateway.answers(port, &keys.production, PAYMENTS, BLOCKED).await;
        gateway.answers(port, &keys.production, ORDERS, REACHES).await;
    }
    // The remaining one continues alone.
    gateway.listen(&listener).await;
    gateway.stack.policy().unwrap().post("/v1/subscriptions/shop-payments/unblock", None).await.unwrap();
    gateway.answers(second, &keys.production, PAYMENTS, REACHES).await;
    assert_eq!(gateway.envoy.vms().await.unwrap().reloads, 0, "no VM died");
    gateway.stop().await;
}
