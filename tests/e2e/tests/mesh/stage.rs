//! What stands around a control plane: the policy service with the demo data, two upstreams, and the registry with the
//! module. And the demo story, played at a gateway.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use keygate_e2e::{
    artifacts,
    deadline::eventually,
    http::{self, Ask},
    load::Load,
    policy_service::{GATEWAY_ID, GATEWAY_SECRET, PolicyService},
    ports,
    story::{self, BLOCKED, Expected, Keys, ORDERS, PAYMENTS, SCENES},
    upstream::Upstream,
};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    capture::Words,
    image::{Image, Registry},
};

/// How long a control plane may take to start and to serve a first request. It is generous, because the machine is busy.
pub const STARTING: Duration = Duration::from_secs(60);
/// How long a change of a manifest may take.
pub const WITHIN: Duration = Duration::from_secs(30);
/// How long a change of the policy may take: the shipped refresh interval and a second.
const SEEN_WITHIN: Duration = Duration::from_secs(6);

/// After how many requests a mortal VM dies: more than a round of [`Stage::always`] on one worker, so that most are right.
pub const REQUESTS: i32 = 25;

/// What the secret of the gateway is rotated to.
pub const NEW_SECRET: &str = "rotated-secret-of-the-gateway";
/// How long requests go on after a change, so that a late fault shows.
pub const AFTERWARDS: Duration = Duration::from_secs(2);

/// The policy service, as DNS in a cluster names it.
pub const POLICY_HOST: &str = "policy-service.keygate.svc.cluster.local";

/// Control planes have fixed ports.
static TURN: Mutex<()> = Mutex::const_new(());

pub struct Stage {
    pub folder: PathBuf,
    pub policy: PolicyService,
    pub upstream: Upstream,
    pub sandbox: Upstream,
    pub registry: Registry,
    pub image: Image,
    pub keys: Keys,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    pub async fn start(name: &str) -> Self {
        let turn = TURN.lock().await;
        let folder = artifacts::root().join("target/stack").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("resources")).unwrap();
        let policy = PolicyService::start(&folder, ports::free().unwrap()).await.unwrap();
        let keys = story::load(&policy).await.unwrap();
        let registry = Registry::start(&folder).await;
        let image = registry.push(&folder, "v1", &module()).await;
        let upstream = Upstream::start("production", 0).await.unwrap();
        let sandbox = Upstream::start("sandbox", 0).await.unwrap();
        Self { folder, policy, upstream, sandbox, registry, image, keys, _turn: turn }
    }

    /// Names that the cluster's DNS would know, for a mount namespace of the control plane's own.
    pub fn write_hosts(&self, names: &[&str]) -> PathBuf {
        let file = self.folder.join("hosts");
        fs::write(&file, format!("127.0.0.1 localhost {}\n", names.join(" "))).unwrap();
        file
    }

    /// Plays the demo story: every call gets the answer that it gets behind `envoy/standalone/envoy.yaml`.
    pub async fn play(&self, gateway: SocketAddr) {
        for scene in SCENES {
            if let Some(change) = scene.change {
                self.policy.post(change, None).await.unwrap();
            }
            for call in scene.calls {
                answers(gateway, &call.ask(&self.keys), call.expected, SEEN_WITHIN).await;
            }
        }
    }

    /// Starts the policy service again, with another variable in its environment.
    pub async fn restart_policy_service(&mut self, name: &'static str, value: &str) {
        self.policy.set(name, value);
        self.policy.restart().await.unwrap();
    }

    /// What of a proxy's configuration is of this stage and of this run.
    pub fn words(&self, gateway: SocketAddr) -> Words {
        Words::new(
            gateway.port(),
            &[
                ("policy", self.policy.address().port().to_string()),
                ("upstream", self.upstream.address().port().to_string()),
                ("sandbox", self.sandbox.address().port().to_string()),
                ("folder", self.folder.display().to_string()),
                ("policy-host", POLICY_HOST.to_owned()),
            ],
        )
    }

    /// Requests of every kind of outcome, which no change in a test may alter.
    pub fn always(&self) -> Vec<(Ask, Expected)> {
        let refused = |status, code, message| Expected::Refused(status, code, message);
        vec![
            (Ask::get(ORDERS).key(&self.keys.production), Expected::Reaches("production")),
            (Ask::get(ORDERS).key(&self.keys.sandbox), Expected::Reaches("sandbox")),
            (Ask::get(PAYMENTS).key(&self.keys.production), Expected::Reaches("production")),
            (Ask::get(ORDERS), refused(401, "900902", "Missing Credentials")),
            (Ask::get(ORDERS).key("never-given-out"), refused(401, "900901", "Invalid Credentials")),
            (Ask::get(ORDERS).key(&self.keys.visitor), refused(403, "900908", "Resource forbidden")),
        ]
    }
}

/// Rotates the secret of the gateway under load. `rotate` gives the gateway [`NEW_SECRET`], while the service knows both. Nobody
/// notices, no policy is fetched, and then the new secret alone brings a block.
pub async fn rotates(stage: &mut Stage, gateway: SocketAddr, admin: SocketAddr, rotate: impl AsyncFnOnce(&str)) {
    let fetched = fetches(admin).await;
    let load = Load::start(gateway.port(), stage.always());
    let both = format!("{GATEWAY_ID}:{GATEWAY_SECRET},{GATEWAY_ID}:{NEW_SECRET}");
    stage.restart_policy_service("POLICY_GATEWAYS", &both).await;
    rotate(NEW_SECRET).await;
    stage.restart_policy_service("POLICY_GATEWAYS", &format!("{GATEWAY_ID}:{NEW_SECRET}")).await;
    tokio::time::sleep(AFTERWARDS).await;
    let asked = load.end().await.unwrap();
    assert_eq!(fetches(admin).await, fetched, "full policies");
    stage.policy.post("/v1/subscriptions/shop-orders/block?state=BLOCKED", None).await.unwrap();
    answers(gateway, &Ask::get(ORDERS).key(&stage.keys.production), BLOCKED, WITHIN).await;
    println!("{asked} requests during the rotation, all as expected");
}

/// A module whose VMs die is used. Each death costs its worker at most the requests of some seconds (503); every other
/// answer is right, and the policy is not fetched again.
pub async fn lives_through_deaths(stage: &Stage, gateway: SocketAddr, admin: SocketAddr) {
    /// Envoy replaces a VM at most once a second.
    const REPLACED_WITHIN: Duration = Duration::from_secs(5);
    let reloads = async || -> u64 {
        let stats = keygate_e2e::envoy::stats(admin, r"^wasm\..*vm_reload_success$").await.unwrap();
        stats.iter().map(|(_, value)| value).sum()
    };
    let fetched = fetches(admin).await;
    let (mut right, mut refused) = (0_u32, 0_u32);
    let asks = stage.always();
    let (_, _) = eventually("two VMs to be replaced", STARTING, async || {
        for (ask, expected) in &asks {
            let answer = http::send(gateway, ask).await.unwrap();
            if expected.is(answer.status.as_u16(), &answer.json()) {
                right += 1;
                continue;
            }
            assert_eq!(answer.status, 503, "{ask}: {answer}");
            refused += 1;
            answers(gateway, ask, *expected, REPLACED_WITHIN).await;
        }
        match reloads().await {
            0 | 1 => Err("fewer"),
            _ => Ok(()),
        }
    })
    .await
    .unwrap();
    assert!(refused > 0 && right > refused, "{right} right, {refused} refused");
    assert_eq!(fetches(admin).await, fetched, "full policies");
    println!("{right} right and {refused} refused requests, {} new VMs", reloads().await);
}

/// The gauges of two policies in one Envoy stand beside each other, by their names.
pub async fn shows_policies(admin: SocketAddr, names: [&str; 2]) {
    for name in names {
        for gauge in ["keys", "revision", "confirmed_at"] {
            eventually(format!("{gauge} of {name}"), WITHIN, async || {
                match stat(admin, &format!("wasmcustom.keygate.policy.{name}.{gauge}")).await {
                    0 => Err("0"),
                    _ => Ok(()),
                }
            })
            .await
            .unwrap();
        }
    }
    let unnamed = keygate_e2e::envoy::stats(admin, r"^wasmcustom\.keygate\.policy\.(keys|age_ms)$").await.unwrap();
    assert!(unnamed.is_empty(), "{unnamed:?} of no policy in particular");
}

/// Waits until a request gets the expected answer.
pub async fn answers(gateway: SocketAddr, ask: &Ask, expected: Expected, within: Duration) {
    eventually(format!("{ask}: {expected}"), within, async || {
        let answer = http::send(gateway, ask).await.map_err(|error| error.to_string())?;
        if expected.is(answer.status.as_u16(), &answer.json()) { Ok(()) } else { Err(answer.to_string()) }
    })
    .await
    .unwrap();
}

pub fn module() -> Vec<u8> {
    fs::read(artifacts::filter().unwrap()).unwrap()
}

/// A counter or gauge, or 0 if Envoy does not have it.
pub async fn stat(admin: SocketAddr, name: &str) -> u64 {
    let stats = keygate_e2e::envoy::stats(admin, &format!("^{}$", name.replace('.', "\\."))).await.unwrap();
    stats.first().map_or(0, |(_, value)| *value)
}

/// How often a policy took effect. While nobody changes the policy, this rises only if it is fetched again.
pub async fn fetches(admin: SocketAddr) -> u64 {
    let stats = keygate_e2e::envoy::stats(admin, "^wasmcustom.keygate.refresh.applied$").await.unwrap();
    assert_eq!(stats.len(), 1, "the counter has another name: {stats:?}");
    stats[0].1
}

/// How many VMs Envoy has made since its start.
pub async fn vms(admin: SocketAddr) -> u64 {
    stat(admin, "wasm.envoy.wasm.runtime.v8.created").await
}

/// Another module is used. With the same one an edit makes a single VM, which tries the configuration. With another one
/// each worker gets a VM, besides the first of all, from which they are copied.
pub async fn has_new_vms(admin: SocketAddr, before: u64) {
    eventually("VMs with the other module", WITHIN, async || match vms(admin).await {
        made if made >= before + 4 => Ok(()),
        made => Err(format!("{made} VMs, and {before} before")),
    })
    .await
    .unwrap();
}

/// The text of a file that may not exist.
pub fn text(path: &Path) -> String {
    keygate_e2e::process::read(path)
}
