//! A soak from beginning to end.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use fastrand::Rng;
use keygate_e2e::{
    Error, Result, artifacts,
    cutter::Cutter,
    deadline::eventually,
    envoy::Envoy,
    http::{self, Ask},
    policy_service::{GATEWAY_ID, PolicyService},
    ports, threads,
};
use tokio::{
    sync::{Mutex, watch},
    task::{JoinHandle, LocalSet, spawn_local},
};

use crate::{
    between::{Between, Feed},
    bill,
    book::{Book, Pages},
    changes,
    faults::{self, Plan, Well},
    gateway::{Gateway, Memory, SECRETS},
    history::Bounds,
    load::{self, Load},
    policy::{self, APIS, Caller, KeyType, Subject},
    report::Outcome,
    slope::{Sample, Slope},
};

/// Pause between two samples of who waits for a processor.
const ATTENTION: Duration = Duration::from_millis(100);
/// At most this share of any time counts as waiting for a processor. So a bound is stretched to at most four times its
/// length, whatever else the machine does.
const MOST_WAITED: f64 = 0.75;
/// Pause between two samples of the memory.
const LOOK: Duration = Duration::from_secs(1);
/// Samples between two lines of progress.
const LOOKS_PER_LINE: u32 = 5;
/// Time limit for starting, and for settling at the end: the longest pause after failures, and some more.
const SETTLING: Duration = Duration::from_secs(60);
/// A third of the soak is for warming up, until several listeners, each with its VMs, have been replaced at once.
const WARM_UP_PART: u32 = 3;
/// Minimum duration of the warm-up, so that all faults have happened.
const SHORTEST_WARM_UP: Duration = Duration::from_secs(180);
/// A shorter line says nothing, because a replaced listener temporarily costs some MiB.
const JUDGED_FROM_MINUTES: f64 = 2.0;

/// The settings of a soak.
#[derive(Clone, Debug)]
pub struct Options {
    pub seconds: u64,
    /// Seed of all random choices.
    pub seed: u64,
    /// Applications, each with two keys and four subscriptions.
    pub applications: usize,
    /// Requests per second, approximately.
    pub rate: u32,
    /// The promises of the filter.
    pub bounds: Bounds,
    pub plan: Plan,
    /// The behaviour of the feed between faults.
    pub well: Feed,
    /// The module that can be made to trap.
    pub armed: PathBuf,
}

/// Runs a soak on this thread alone, because the machine is for Envoy.
pub async fn run(options: &Options) -> Result<Outcome> {
    LocalSet::new().run_until(prepare(options)).await
}

async fn prepare(options: &Options) -> Result<Outcome> {
    let folder = artifacts::root().join("target/stack/soak");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(Error::io(format!("making {}", folder.display())))?;
    let gateways = SECRETS.map(|secret| format!("{GATEWAY_ID}:{secret}")).join(",");
    let service = PolicyService::start_with(&folder, ports::free()?, &[("POLICY_GATEWAYS", gateways)]).await?;
    let page = folder.join("policy.json");
    fs::write(&page, policy::page(options.applications).to_string()).map_err(Error::io("writing the policy"))?;
    service.import(&page).await?;

    let book = Arc::new(Book::begin(options.bounds));
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    eprintln!("soak: it began at {:.3} s of Unix time; its logs are in {}", began.as_secs_f64(), folder.display());
    let between = Arc::new(Between::start(service.address(), Arc::clone(&book)).await?);
    between.be(options.well);
    let cutter = Arc::new(Cutter::start(between.address()).await?);
    let always_well = options.plan.leaves_the_service_well();
    let gateway = Gateway::start(&folder, cutter.address(), &options.armed, options.bounds, always_well).await?;
    let address = gateway.address();
    book.open().service = service.id();
    let asked = Cell::new(0_u64);
    let first = Subject { caller: Caller::Application(0, KeyType::Production), api: 0 };
    eventually("the first policy", SETTLING, async || {
        let ask = Ask::get(policy::path(first.api)).key(&policy::key(0, KeyType::Production));
        asked.set(asked.get().saturating_add(1));
        let answer = http::send(address, &ask).await?;
        if answer.status == 200 {
            Ok(())
        } else {
            Err(Error::unexpected("the first answer", "200", answer.to_string()))
        }
    })
    .await?;
    let vms = gateway.envoy().vms().await?.active;
    let asked = asked.get();
    let soak = Soak { options, book, gateway: Arc::new(Mutex::new(gateway)), cutter, address, vms, asked };
    soak.through(service, between).await
}

struct Soak<'a> {
    options: &'a Options,
    book: Arc<Book>,
    gateway: Arc<Mutex<Gateway>>,
    cutter: Arc<Cutter>,
    address: std::net::SocketAddr,
    vms: u64,
    /// Requests before the load began.
    asked: u64,
}

impl Soak<'_> {
    async fn through(self, service: PolicyService, between: Arc<Between>) -> Result<Outcome> {
        let Options { seconds, seed, applications, rate, plan, .. } = *self.options;
        let mut rng = Rng::with_seed(seed);
        let (end, ended) = watch::channel(false);
        let (quiet, calm) = watch::channel(false);
        let book = || Arc::clone(&self.book);
        let load = Load { address: self.address, applications, rate };
        let loading = spawn_local(load::run(book(), load, rng.u64(..), ended.clone()));
        let closed = changes::Closed::default();
        let (address, gate, other_gate) = (service.address(), Arc::clone(&closed), Arc::clone(&closed));
        let changing = spawn_local(changes::run(book(), address, applications, gate, rng.fork(), calm.clone()));
        let well = Well { well: self.options.well, plan };
        let (feed_rng, envoy_rng, way_rng) = (rng.fork(), rng.fork(), rng.fork());
        let way = Arc::clone(&between);
        let disturbing = spawn_local(faults::disturb_feed(book(), service, way, closed, well, feed_rng, calm.clone()));
        let envoy = faults::Target { gateway: Arc::clone(&self.gateway), between: Arc::clone(&between), plan };
        let shaking = spawn_local(faults::disturb_envoy(book(), envoy, self.address, envoy_rng, calm.clone()));
        let cutting =
            spawn_local(faults::cut_answers(book(), Arc::clone(&self.cutter), other_gate, plan, way_rng, calm));

        let attending = spawn_local(attend(book(), self.gateway.lock().await.envoy().id(), ended));
        self.watch(Duration::from_secs(seconds)).await?;
        let lasted = self.book.now();
        // Changes and faults end here. The load continues until everything has settled.
        quiet.send_replace(true);
        joined(changing).await?;
        joined(shaking).await?;
        joined(cutting).await?;
        let service = joined(disturbing).await?;
        self.settle().await?;
        end.send_replace(true);
        let _ = loading.await;
        attending.abort();
        load::ask_all(book(), self.address, every_subject(applications)).await;
        let billed = bill::settled(&service).await?;
        let outcome = self.outcome(lasted, billed).await?;
        self.gateway.lock().await.stop().await;
        drop((service, between));
        Ok(outcome)
    }

    /// Samples the memory and prints progress, for this time.
    async fn watch(&self, lasting: Duration) -> Result<()> {
        let mut looks: u32 = 0;
        let mut clock = tokio::time::interval(LOOK);
        while self.book.now() < lasting {
            clock.tick().await;
            let Memory { resident_kib, used_kib } = {
                let mut gateway = self.gateway.lock().await;
                gateway.check()?;
                gateway.memory().await?
            };
            let at = self.book.now();
            let mut open = self.book.open();
            open.memory.push(Sample { at, kib: used_kib });
            open.resident.push(Sample { at, kib: resident_kib });
            looks = looks.saturating_add(1);
            if looks.is_multiple_of(LOOKS_PER_LINE) {
                eprintln!("{}", progress(&open, at, used_kib));
            }
        }
        Ok(())
    }

    /// Waits until every change is certain, and until the VMs of replaced listeners have ended.
    async fn settle(&self) -> Result<()> {
        eventually("every change to be certain", SETTLING, async || match self.book.open().history.settled() {
            Some(settled) if settled <= self.book.now() => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await?;
        let gone = eventually("the VMs that were replaced to be gone", SETTLING, async || {
            let active = self.active_vms().await?;
            if active == self.vms { Ok(()) } else { Err(unsettled(active)) }
        })
        .await;
        // If they have not ended, the report says so.
        drop(gone);
        Ok(())
    }

    async fn active_vms(&self) -> Result<u64> {
        Ok(self.gateway.lock().await.envoy().vms().await?.active)
    }

    async fn outcome(&self, lasted: Duration, billed: u64) -> Result<Outcome> {
        let gateway = self.gateway.lock().await;
        let guarded = gateway.envoy().stat("http.gateway.rbac.keygate_guard.denied").await?;
        let active = gateway.envoy().vms().await?.active;
        let mut open = self.book.open();
        open.took.sort_unstable();
        let quantile = |share: usize| {
            let index = open.took.len().saturating_sub(1).saturating_mul(share) / 100;
            Duration::from_micros(open.took.get(index).copied().unwrap_or_default().into())
        };
        let warm = lasted.checked_div(WARM_UP_PART).unwrap_or_default().max(SHORTEST_WARM_UP);
        let line =
            |samples: &[Sample]| Slope::through(samples, warm).filter(|slope| slope.minutes >= JUDGED_FROM_MINUTES);
        let asked_for = open.faults.get("trap").copied().unwrap_or_default();
        Ok(Outcome {
            lasted,
            seed: self.options.seed,
            applications: self.options.applications,
            bounds: self.options.bounds,
            tally: open.tally.clone(),
            took: [50, 99, 100].map(quantile),
            changes: open.changes,
            proofs: open.history.proofs(),
            lags: open.lags(),
            faults: open.faults.clone(),
            cuts: u64::try_from(self.cutter.cuts()).unwrap_or(u64::MAX),
            traps_not_asked_for: traps(gateway.envoy()).saturating_sub(asked_for),
            guarded,
            waited: open.history.waited_in_all(),
            vms: (self.vms, active),
            billed: (billed, open.tally.all().saturating_add(self.asked)),
            memory: line(&open.memory),
            resident: line(&open.resident),
        })
    }
}

fn unsettled(active: u64) -> Error {
    Error::unexpected("envoy's VMs", "as many as at the beginning", active.to_string())
}

/// Tells the history how long a change had to wait for a processor: the longest wait among the policy service, this
/// process and Envoy's threads.
async fn attend(book: Arc<Book>, envoy: u32, ended: watch::Receiver<bool>) {
    let mut clock = tokio::time::interval(ATTENTION);
    let mut last: BTreeMap<(u32, String), Duration> = BTreeMap::new();
    let mut looked = book.now();
    while !*ended.borrow() {
        clock.tick().await;
        let service = book.open().service;
        let mut longest = Duration::ZERO;
        for process in [Some(envoy), Some(std::process::id()), service].into_iter().flatten() {
            // A process that was killed waits for nothing.
            let Ok(waited) = threads::waited(process) else { continue };
            for (name, waited) in waited {
                let before = last.insert((process, name), waited).unwrap_or(waited);
                longest = longest.max(waited.saturating_sub(before));
            }
        }
        let now = book.now();
        let most = now.saturating_sub(looked).mul_f64(MOST_WAITED);
        looked = now;
        book.open().history.waited(now, longest.min(most));
    }
}

/// Number of callbacks that ended in a trap or a panic of the filter, from Envoy's log.
fn traps(envoy: &Envoy) -> u64 {
    let log = envoy.log();
    let lines = log.lines().filter(|line| line.contains("Uncaught RuntimeError") || line.contains("panicked at"));
    u64::try_from(lines.count()).unwrap_or(u64::MAX)
}

fn every_subject(applications: usize) -> Vec<Subject> {
    let callers = |application| KeyType::ALL.map(|key_type| Caller::Application(application, key_type));
    let subjects = |caller| (0..APIS).map(move |api| Subject { caller, api });
    (0..applications).flat_map(callers).flat_map(subjects).collect()
}

fn progress(open: &Pages, at: Duration, kib: u64) -> String {
    let Pages { tally, changes, faults, now, .. } = open;
    let wrong = tally.wrong();
    let wrong = if wrong == 0 { "none wrong".to_owned() } else { format!("{wrong} WRONG") };
    let faults: u64 = faults.values().sum();
    let now = if now.is_empty() { String::new() } else { format!(", feed: {now}") };
    let (seconds, requests, mib) = (at.as_secs(), tally.all(), kib / 1024);
    format!("{seconds:>5} s  {requests} answers, {wrong}; {changes} changes, {faults} faults, {mib} MiB{now}")
}

/// The result of a task.
async fn joined<T>(task: JoinHandle<Result<T>>) -> Result<T> {
    task.await.unwrap_or_else(|error| Err(Error::unexpected("a part of the soak", "it to end", error.to_string())))
}
