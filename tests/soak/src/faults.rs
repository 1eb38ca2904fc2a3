//! What is done to the stack, in an order that a seed decides: to the policy service, its database and its feed by one hand,
//! to Envoy, its VMs and its secret by another, to what passes between them by a third.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use fastrand::Rng;
use keygate_e2e::{
    Result, artifacts,
    cutter::{Cut, Cutter},
    policy_service::PolicyService,
};
use tokio::{
    sync::{Mutex, watch},
    time::timeout,
};

use crate::{
    between::{Between, Feed},
    book::{Book, RELOADED_WITHIN},
    changes::Closed,
    gateway::{DRAIN_SECONDS, Gateway, SILENT_AT_MOST, trap},
    verdict::Around,
};

/// Pause between two faults, in milliseconds.
const FEED_PAUSE_MS: std::ops::Range<u64> = 1_000..5_000;
const VM_PAUSE_MS: std::ops::Range<u64> = 2_000..6_000;
/// How long a fault of the feed lasts, in milliseconds.
const FEED_FAULT_MS: std::ops::Range<u64> = 200..3_500;
/// VMs that are made to trap at once, at most.
const TRAPS: usize = 3;
/// How long Envoy may take beyond the drain time to close the connections of a listener that was replaced: it makes the
/// new one first, which is compiling a module and making five VMs.
const REPLACING: Duration = Duration::from_secs(12);

/// How long a proxy ends answers, and how long it then leaves them alone, in milliseconds.
const CUT_MS: std::ops::Range<u64> = 3_000..20_000;
const UNCUT_MS: std::ops::Range<u64> = 1_000..10_000;
/// How long it lets an answer be held, in milliseconds: longer than the shortest wait, which is a second, so that polls are
/// held again as soon as the filter has found that out.
const HELD_MS: std::ops::Range<u64> = 1_500..3_000;
/// How long nothing changes when answers begin to be cut, in milliseconds: a poll is held only while there is nothing new.
const QUIET_MS: std::ops::Range<u64> = 4_000..12_000;
/// Between two backups that are put back: the policy service takes a new epoch once a minute at most.
const BACKUP_EVERY: Duration = Duration::from_secs(70);
/// When the first backup is taken.
const FIRST_BACKUP: Duration = Duration::from_secs(15);
/// How long the policy changes after a backup was taken, before it is put back, in milliseconds.
const LOST_MS: std::ops::Range<u64> = 2_000..8_000;
/// How long a new secret is refused, in milliseconds.
const REFUSED_MS: std::ops::Range<u64> = 1_000..6_000;

/// What is to be done to the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Faults of the policy service and its feed.
    pub feed: bool,
    /// VMs that trap.
    pub traps: bool,
    /// Listeners that are replaced.
    pub listeners: bool,
    /// A proxy that ends answers which are held.
    pub cuts: bool,
    /// Backups that are put back.
    pub backups: bool,
    /// A secret that rotates.
    pub secrets: bool,
}

impl Plan {
    /// Whether the policy service always answers whoever asks it: then no policy may ever expire, however short its time is.
    pub fn leaves_the_service_well(self) -> bool {
        !self.feed && !self.backups && !self.secrets
    }
}

/// What the feed is like between two faults, and whether there are any.
#[derive(Clone, Copy, Debug)]
pub struct Well {
    /// What it is like.
    pub well: Feed,
    /// What is to be done.
    pub plan: Plan,
}

/// Disturbs the policy service and its feed until `ended`, and leaves both well.
pub async fn disturb_feed(
    book: Arc<Book>,
    mut service: PolicyService,
    between: Arc<Between>,
    closed: Closed,
    Well { well, plan }: Well,
    mut rng: Rng,
    mut ended: watch::Receiver<bool>,
) -> Result<PolicyService> {
    let mut next_backup = FIRST_BACKUP;
    while !pause(&mut ended, rng.u64(FEED_PAUSE_MS)).await {
        if plan.backups && book.now() >= next_backup {
            let lost = Duration::from_millis(rng.u64(LOST_MS));
            put_back(&book, &mut service, &closed, lost, &mut ended).await?;
            next_backup = book.now().saturating_add(BACKUP_EVERY);
            continue;
        }
        if !plan.feed {
            continue;
        }
        // The service itself is killed as often as two of its feed's faults come.
        let fault = Feed::FAULTS.get(rng.usize(..Feed::FAULTS.len().saturating_add(2))).copied();
        let name = fault.map_or("killed", Feed::name);
        let disturbance = {
            let mut open = book.open();
            open.fault(name);
            open.now = name;
            open.history.disturbed(book.now())
        };
        match fault {
            Some(fault) => between.be(fault),
            None => service.kill().await,
        }
        pause(&mut ended, rng.u64(FEED_FAULT_MS)).await;
        match fault {
            Some(_) => between.be(well),
            None => service.restart().await?,
        }
        let mut open = book.open();
        open.service = service.id();
        open.now = "";
        open.history.calmed(disturbance, book.now(), fault.map_or(Duration::ZERO, Feed::asks_for));
    }
    Ok(service)
}

/// Copies the database, lets the policy change, and puts the copy in the place of the database: what was changed meanwhile is
/// lost, and what is changed afterwards holds.
async fn put_back(
    book: &Book,
    service: &mut PolicyService,
    closed: &Closed,
    lost: Duration,
    ended: &mut watch::Receiver<bool>,
) -> Result<()> {
    let folder = artifacts::root().join("target/stack/soak/backup");
    let backup = {
        // Who holds it knows that no change is on its way.
        let closed = closed.lock().await;
        restarted(book, service, "backup taken", &folder, PolicyService::back_up).await?;
        closed.clone()
    };
    pause(ended, u64::try_from(lost.as_millis()).unwrap_or(u64::MAX)).await;
    let mut closed = closed.lock().await;
    let put_back = |service: &PolicyService, folder: &Path| service.put_back(folder);
    let facts = book.open().history.put_back(&backup, book.now());
    closed.clone_from(&backup);
    restarted(book, service, "backup put back", &folder, put_back).await?;
    let mut open = book.open();
    facts.into_iter().for_each(|fact| open.history.acknowledged(fact, book.now()));
    Ok(())
}

/// Ends the service as an operator would, does something to its database, and starts it again.
async fn restarted(
    book: &Book,
    service: &mut PolicyService,
    name: &'static str,
    folder: &Path,
    meanwhile: impl FnOnce(&PolicyService, &Path) -> Result<()>,
) -> Result<()> {
    let disturbance = {
        let mut open = book.open();
        open.fault(name);
        open.now = name;
        open.history.disturbed(book.now())
    };
    service.stop().await;
    meanwhile(service, folder)?;
    service.restart().await?;
    let mut open = book.open();
    open.service = service.id();
    open.now = "";
    open.history.calmed(disturbance, book.now(), Duration::ZERO);
    Ok(())
}

/// Ends answers that are held, in one way after the other, until `ended`. The service is well all the time, and the filter
/// asks again at once: so that is no disturbance, but where nothing comes and the filter cannot know before its own time is
/// over.
pub async fn cut_answers(
    book: Arc<Book>,
    cutter: Arc<Cutter>,
    closed: Closed,
    plan: Plan,
    mut rng: Rng,
    mut ended: watch::Receiver<bool>,
) -> Result<()> {
    while !pause(&mut ended, rng.u64(UNCUT_MS)).await {
        let Some(cut) = rng.choice(Cut::ALL).filter(|_| plan.cuts) else { continue };
        let disturbance = {
            let mut open = book.open();
            open.fault(cut.name());
            (cut == Cut::Silence).then(|| open.history.disturbed(book.now()))
        };
        cutter.cut(Some((cut, Duration::from_millis(rng.u64(HELD_MS)))));
        {
            let _nothing_changes = closed.lock().await;
            pause(&mut ended, rng.u64(QUIET_MS)).await;
        }
        pause(&mut ended, rng.u64(CUT_MS)).await;
        cutter.cut(None);
        if let Some(disturbance) = disturbance {
            book.open().history.calmed(disturbance, book.now(), SILENT_AT_MOST);
        }
    }
    Ok(())
}

/// What is done to Envoy: to which, and what.
pub struct Target {
    /// Envoy.
    pub gateway: Arc<Mutex<Gateway>>,
    /// What refuses a secret.
    pub between: Arc<Between>,
    /// What is to be done.
    pub plan: Plan,
}

impl Target {
    /// Another listener in the place of the one that there is.
    async fn replace(
        &self,
        book: &Book,
        name: &'static str,
        how: impl FnOnce(&mut Gateway) -> Result<()>,
    ) -> Result<()> {
        {
            let mut open = book.open();
            open.fault(name);
            let lasting = Duration::from_secs(DRAIN_SECONDS).saturating_add(REPLACING);
            open.excuse(Around { draining: true, reloading: false }, book.now(), lasting);
        }
        how(&mut *self.gateway.lock().await)
    }

    /// The other secret, which is refused for so long.
    async fn rotate(&self, book: &Book, refused: Duration, ended: &mut watch::Receiver<bool>) -> Result<()> {
        if refused.is_zero() {
            return self.replace(book, "secret rotated", Gateway::rotate_secret).await;
        }
        let disturbance = book.open().history.disturbed(book.now());
        self.between.refuse(Some(self.gateway.lock().await.next_authorization()));
        self.replace(book, "secret rotated and refused", Gateway::rotate_secret).await?;
        pause(ended, u64::try_from(refused.as_millis()).unwrap_or(u64::MAX)).await;
        self.between.refuse(None);
        book.open().history.calmed(disturbance, book.now(), Duration::ZERO);
        Ok(())
    }
}

/// Makes VMs trap, replaces listeners and rotates the secret until `ended`.
pub async fn disturb_envoy(
    book: Arc<Book>,
    target: Target,
    address: SocketAddr,
    mut rng: Rng,
    mut ended: watch::Receiver<bool>,
) -> Result<()> {
    let plan = target.plan;
    while !pause(&mut ended, rng.u64(VM_PAUSE_MS)).await {
        if plan.secrets && rng.u8(..5) == 0 {
            let refused = if rng.bool() { rng.u64(REFUSED_MS) } else { 0 };
            target.rotate(&book, Duration::from_millis(refused), &mut ended).await?;
        } else if plan.listeners && (!plan.traps || rng.u8(..3) == 0) {
            target.replace(&book, "listener replaced", Gateway::replace_listener).await?;
        } else if plan.traps && target.gateway.lock().await.is_armed() {
            for _ in 0..rng.usize(1..=TRAPS) {
                {
                    let mut open = book.open();
                    open.fault("trap");
                    open.excuse(Around { draining: false, reloading: true }, book.now(), RELOADED_WITHIN);
                }
                trap(address).await;
            }
        }
    }
    Ok(())
}

/// Waits; `true`: it has ended.
async fn pause(ended: &mut watch::Receiver<bool>, milliseconds: u64) -> bool {
    // Ended early, or not at all: what counts is what it says now.
    let _ = timeout(Duration::from_millis(milliseconds), ended.wait_for(|ended| *ended)).await;
    *ended.borrow()
}
