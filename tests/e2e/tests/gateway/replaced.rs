//! Configurations and modules that are replaced under load, and two of them alive at once on one `vm_id`: no request is
//! decided otherwise than the policy says, and none is left without an answer.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use keygate_e2e::{
    Options, Stack, artifacts,
    deadline::eventually,
    envoy::{Envoy, Launch},
    http::{Ask, Connection},
    policy_service::GATEWAY_SECRET,
    ports,
    stack::Ports,
    story::{self, Expected, Keys, ORDERS, PAYMENTS},
};

const WITHIN: Duration = Duration::from_secs(60);
/// An answer that takes longer is none.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
const REACHES: Expected = Expected::Reaches("production");
const BLOCKED: Expected = Expected::Refused(401, "900907", "The requested API is temporarily blocked");
const UNKNOWN: Expected = Expected::Refused(401, "900901", "Invalid Credentials");

/// An Envoy whose listeners come from a file, with `partner`'s subscription to the orders blocked.
struct Gateway {
    stack: Stack,
    keys: Keys,
    envoy: Envoy,
    file: PathBuf,
    /// What stands in the file at the start.
    listener: String,
    port: u16,
}

impl Gateway {
    async fn start(name: &str) -> Self {
        let port = ports::free().unwrap();
        let ports = Ports { gateway: port, ..Ports::default() };
        let stack = Stack::prepare(name, Options { ports, ..Options::default() }).await.unwrap();
        let keys = story::load(stack.policy().unwrap()).await.unwrap();
        stack.policy().unwrap().post("/v1/subscriptions/partner-orders/block", None).await.unwrap();
        let file = stack.folder().join("listeners.yaml");
        let (config, listener) = stack.config().unwrap().listeners_in(&file).unwrap();
        fs::write(&file, &listener).unwrap();
        let arguments = ["--drain-time-s", "1", "--drain-strategy", "immediate"].map(str::to_owned).to_vec();
        let launch = Launch { secret: Some(GATEWAY_SECRET), arguments, ..Launch::default() };
        let envoy = Envoy::start(stack.folder(), &config, &launch, &stack.folder().join("access.log")).await.unwrap();
        let gateway = Self { stack, keys, envoy, file, listener, port };
        gateway.answers(port, &gateway.keys.production, ORDERS, REACHES).await;
        gateway
    }

    /// Another version of the module: the same code in other bytes.
    fn other_module(&self) -> PathBuf {
        let path = self.stack.folder().join("other.wasm");
        let mut module = fs::read(artifacts::filter().unwrap()).unwrap();
        // A custom section of four bytes: the length of its name, and the name.
        module.extend(b"\0\x04\x03two");
        fs::write(&path, module).unwrap();
        path
    }

    fn with_module(&self, listener: &str, module: &str) -> String {
        let filter = format!("filename: {}", artifacts::filter().unwrap().display());
        assert!(listener.contains(&filter));
        listener.replace(&filter, &format!("filename: {module}"))
    }

    async fn listen(&self, listeners: &str) {
        let updated = "listener_manager.lds.update_success";
        let before = self.envoy.stat(updated).await.unwrap();
        let new = self.file.with_extension("new");
        fs::write(&new, listeners).unwrap();
        fs::rename(new, &self.file).unwrap();
        eventually("the listeners to be taken", WITHIN, async || {
            let warming = self.envoy.stat("listener_manager.total_listeners_warming").await.unwrap();
            let rejected = self.envoy.stat("listener_manager.lds.update_rejected").await.unwrap();
            assert_eq!(rejected, 0, "{}", self.envoy.log());
            let taken = self.envoy.stat(updated).await.unwrap() > before && warming == 0;
            if taken { Ok(()) } else { Err(format!("{warming} are warming")) }
        })
        .await
        .unwrap();
    }

    /// Waits until this is answered so.
    async fn answers(&self, port: u16, key: &str, path: &str, expected: Expected) {
        let address = ([127, 0, 0, 1], port).into();
        eventually(format!("{path} to be answered: {expected}"), WITHIN, async || {
            let mut connection = Connection::open(address).await.map_err(|error| error.to_string())?;
            let answer = connection.send(&Ask::get(path).key(key)).await.map_err(|error| error.to_string())?;
            if expected.is(answer.status.as_u16(), &answer.json()) { Ok(()) } else { Err(answer.to_string()) }
        })
        .await
        .unwrap();
    }

    async fn stop(mut self) {
        self.envoy.stop().await;
        self.stack.stop().await;
    }
}

/// Clients that ask without a pause, and note what was answered otherwise.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    wrong: Arc<Mutex<Vec<String>>>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(port: u16, keys: &Keys) -> Self {
        let mut load = Self { stop: Arc::default(), asked: Arc::default(), wrong: Arc::default(), clients: Vec::new() };
        let asks = [
            (keys.production.clone(), REACHES),
            (keys.sandbox.clone(), Expected::Reaches("sandbox")),
            (keys.partner.clone(), BLOCKED),
            ("never-given-out".to_owned(), UNKNOWN),
        ];
        for (key, expected) in asks.into_iter().cycle().take(12) {
            let (stop, asked, wrong) = (load.stop.clone(), load.asked.clone(), load.wrong.clone());
            load.clients.push(tokio::spawn(async move {
                let ask = Ask::get(ORDERS).key(&key);
                while !stop.load(Ordering::Relaxed) {
                    if let Err(what) = converse(port, &ask, expected, &stop, &asked).await {
                        wrong.lock().unwrap().push(what);
                    }
                }
            }));
        }
        load
    }

    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{} wrong answers: {:#?}", wrong.len(), wrong.iter().take(5).collect::<Vec<_>>());
        self.asked.load(Ordering::Relaxed)
    }
}

/// Asks over one connection until Envoy closes it, as it does when its listener is replaced.
async fn converse(
    port: u16,
    ask: &Ask,
    expected: Expected,
    stop: &AtomicBool,
    asked: &AtomicUsize,
) -> Result<(), String> {
    let Ok(mut connection) = Connection::open(([127, 0, 0, 1], port).into()).await else { return Ok(()) };
    while !stop.load(Ordering::Relaxed) && !connection.is_closed() {
        match tokio::time::timeout(ANSWERED_WITHIN, connection.send(ask)).await {
            Err(_) => return Err(format!("{ask}: no answer")),
            // A connection that is closed is a client's to open again; that happens between requests.
            Ok(Err(_)) => return Ok(()),
            Ok(Ok(answer)) if expected.is(answer.status.as_u16(), &answer.json()) => {
                asked.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Ok(answer)) => return Err(format!("{ask}: expected {expected}, found {answer}")),
        }
    }
    Ok(())
}

#[tokio::test]
async fn listeners_are_replaced_under_load_and_every_answer_is_what_the_policy_says() {
    let gateway = Gateway::start("replaced-load").await;
    let load = Load::start(gateway.port, &gateway.keys);
    let other = gateway.other_module().display().to_string();
    let reconfigured = gateway.listener.replace(r#""realm": "keygate""#, r#""realm": "another""#);
    assert_ne!(reconfigured, gateway.listener);
    let versions = [
        reconfigured.clone(),
        gateway.with_module(&gateway.listener, &other),
        gateway.with_module(&reconfigured, &other),
        gateway.listener.clone(),
    ];
    for (number, listener) in versions.iter().cycle().take(8).enumerate() {
        let before = load.asked.load(Ordering::Relaxed);
        gateway.listen(listener).await;
        eventually(format!("requests after update {number}"), WITHIN, async || {
            let asked = load.asked.load(Ordering::Relaxed) - before;
            if asked > 500 { Ok(()) } else { Err(format!("{asked} answers; log:\n{}", gateway.envoy.log())) }
        })
        .await
        .unwrap();
    }
    let asked = load.end().await;
    println!("{asked} answers through 8 updates");
    // The new VMs refresh as those before them did.
    gateway.stack.policy().unwrap().post("/v1/subscriptions/shop-orders/block", None).await.unwrap();
    gateway.answers(gateway.port, &gateway.keys.production, ORDERS, BLOCKED).await;
    assert_eq!(gateway.envoy.vms().await.unwrap().reloads, 0, "no VM died");
    gateway.stop().await;
}

#[tokio::test]
async fn two_versions_of_the_module_on_one_vm_id_decide_by_one_policy() {
    let mut gateway = Gateway::start("replaced-two").await;
    let second = ports::free().unwrap();
    let other = gateway.other_module().display().to_string();
    let listener = gateway.with_module(&gateway.listener, &other);
    let listener = listener.replace("name: gateway\n", "name: second\n");
    let listener = listener.replace(&format!("port_value: {}", gateway.port), &format!("port_value: {second}"));
    // Nobody could give the second one a policy but the first one's memory.
    gateway.stack.policy_mut().unwrap().kill().await;
    gateway.listen(&format!("{}{}", gateway.listener, listener.replace("resources:\n", ""))).await;
    let keys = gateway.keys.clone();
    gateway.answers(second, &keys.production, ORDERS, REACHES).await;
    gateway.answers(second, &keys.partner, ORDERS, BLOCKED).await;

    // Whichever of them refreshes, both know.
    gateway.stack.policy_mut().unwrap().restart().await.unwrap();
    gateway.stack.policy().unwrap().post("/v1/subscriptions/shop-payments/block", None).await.unwrap();
    for port in [gateway.port, second] {
        gateway.answers(port, &keys.production, PAYMENTS, BLOCKED).await;
        gateway.answers(port, &keys.production, ORDERS, REACHES).await;
    }
    // And the one that is left goes on alone.
    gateway.listen(&listener).await;
    gateway.stack.policy().unwrap().post("/v1/subscriptions/shop-payments/unblock", None).await.unwrap();
    gateway.answers(second, &keys.production, PAYMENTS, REACHES).await;
    assert_eq!(gateway.envoy.vms().await.unwrap().reloads, 0, "no VM died");
    gateway.stop().await;
}
