//! keygate as a service beside the filters (`envoy/standalone/wasm-service.yaml`): the policy is fetched and kept while
//! no listener has a filter.

use std::{fs, path::PathBuf, time::Duration};

use keygate_e2e::{
    Options, Stack, artifacts,
    deadline::eventually,
    envoy::{Envoy, Launch},
    http::{Answer, Ask, Connection},
    policy_service::GATEWAY_SECRET,
    ports,
    stack::Ports,
    story::{self, Expected, Keys, ORDERS, PAYMENTS},
};

/// A generous time limit for a busy machine.
const WITHIN: Duration = Duration::from_secs(60);

const REACHES: Expected = Expected::Reaches("production");
const BLOCKED: Expected = Expected::Refused(401, "900907", "The requested API is temporarily blocked");
const UNAVAILABLE: Expected = Expected::Refused(503, "900424", "Policy unavailable");

/// An Envoy whose listener comes from a file.
struct Gateway {
    stack: Stack,
    keys: Keys,
    envoy: Envoy,
    listeners: PathBuf,
    listener: String,
}

impl Gateway {
    async fn start(name: &str, service: bool) -> Self {
        let ports = Ports { gateway: ports::free().unwrap(), ..Ports::default() };
        let stack = Stack::prepare(name, Options { ports, ..Options::default() }).await.unwrap();
        let keys = story::load(stack.policy().unwrap()).await.unwrap();
        let listeners = stack.folder().join("listeners.yaml");
        let (config, listener) = stack.config().unwrap().listeners_in(&listeners).unwrap();
        fs::write(&listeners, &listener).unwrap();
        let mut launch = Launch { secret: Some(GATEWAY_SECRET), ..Launch::default() };
        launch.arguments = ["--drain-time-s", "1", "--drain-strategy", "immediate"].map(str::to_owned).to_vec();
        if service {
            let shipped = fs::read_to_string(artifacts::root().join("envoy/standalone/wasm-service.yaml")).unwrap();
            let filter = artifacts::filter().unwrap().display().to_string();
            launch.arguments.extend(["--config-yaml".to_owned(), shipped.replace("target/keygate.wasm", &filter)]);
        }
        let log = stack.folder().join("access.log");
        let envoy = Envoy::start(stack.folder(), &config, &launch, &log).await.unwrap();
        Self { stack, keys, envoy, listeners, listener }
    }

    /// Replaces the listeners. Envoy looks when a file is moved there, so it never sees half a file.
    fn listen(&self, listeners: &str) {
        let new = self.listeners.with_extension("new");
        fs::write(&new, listeners).unwrap();
        fs::rename(new, &self.listeners).unwrap();
    }

    /// Removes the listener, and waits until `left` VMs are left.
    async fn close(&self, left: u64) {
        self.listen("resources: []\n");
        eventually(format!("only {left} VMs to be left"), WITHIN, async || {
            let active = self.envoy.vms().await.unwrap().active;
            if active == left { Ok(()) } else { Err(format!("{active} VMs")) }
        })
        .await
        .unwrap();
    }

    /// The first answers to `shop`'s production key for each of `paths`, as soon as a listener exists.
    async fn answers<const N: usize>(&self, paths: [&str; N]) -> [Answer; N] {
        let address = self.envoy.gateway();
        let (mut connection, _) =
            eventually("the listener", WITHIN, async || Connection::open(address).await).await.unwrap();
        let mut answers = Vec::new();
        for path in paths {
            answers.push(connection.send(&Ask::get(path).key(&self.keys.production)).await.unwrap());
        }
        answers.try_into().unwrap()
    }

    async fn stop(mut self) {
        self.envoy.stop().await;
        self.stack.stop().await;
    }
}

fn assert_is(answer: &Answer, expected: Expected) {
    assert!(expected.is(answer.status.as_u16(), &answer.json()), "expected {expected}, found {answer}");
}

#[tokio::test]
async fn the_service_refreshes_without_a_listener_and_the_first_request_is_decided_by_what_it_holds() {
    let mut gateway = Gateway::start("service-with", true).await;
    for answer in gateway.answers([ORDERS, PAYMENTS]).await {
        assert_is(&answer, REACHES);
    }
    // The VM of the main thread and the base VM are left.
    gateway.close(2).await;

    let revision = "wasmcustom.keygate.policy.revision";
    let before = gateway.envoy.stat(revision).await.unwrap();
    gateway.stack.policy().unwrap().post("/v1/subscriptions/shop-orders/block", None).await.unwrap();
    eventually("the block", WITHIN, async || match gateway.envoy.stat(revision).await.unwrap() {
        after if after > before => Ok(()),
        after => Err(format!("revision {after}")),
    })
    .await
    .unwrap();

    gateway.stack.policy_mut().unwrap().kill().await;
    gateway.listen(&gateway.listener);
    let [orders, payments] = gateway.answers([ORDERS, PAYMENTS]).await;
    assert_is(&orders, BLOCKED);
    assert_is(&payments, REACHES);
    gateway.stop().await;
}

/// Values that several files share are the same in each.
#[test]
fn all_shipped_vms_are_permitted_the_same_and_are_of_one_kind() {
    let block = |file: &str, key: &str| {
        let text = fs::read_to_string(artifacts::root().join("envoy/standalone").join(file)).unwrap();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let first = lines.iter().position(|line| line.trim() == key).unwrap();
        let depth = |line: &String| line.len() - line.trim_start().len();
        let inside = lines[first + 1..].iter().take_while(|line| depth(line) > depth(&lines[first]));
        let without_comments = inside.map(|line| line.split(" #").next().unwrap().trim().to_owned());
        without_comments.filter(|line| !line.is_empty() && !line.starts_with('#')).collect::<Vec<_>>()
    };
    for key in ["capability_restriction_config:", "vm_config:"] {
        let filter = block("envoy.yaml", key);
        assert!(!filter.is_empty());
        for file in ["wasm-service.yaml", "../global-ratelimit/envoy.yaml"] {
            assert_eq!(filter, block(file, key), "{file}: {key}");
        }
    }
}

/// The same without the service, to show its purpose.
#[tokio::test]
async fn without_the_service_the_policy_goes_with_the_last_listener() {
    let mut gateway = Gateway::start("service-without", false).await;
    let [orders] = gateway.answers([ORDERS]).await;
    assert_is(&orders, REACHES);
    gateway.close(0).await;
    gateway.stack.policy_mut().unwrap().kill().await;
    gateway.listen(&gateway.listener);
    let [orders] = gateway.answers([ORDERS]).await;
    assert_is(&orders, UNAVAILABLE);
    gateway.stop().await;
}
