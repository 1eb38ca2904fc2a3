//! Disturbs the stack, in an order that a seed decides. One task disturbs the policy service, its database and its
//! feed, a second one Envoy, its VMs and its secret, and a third one the connection between them.

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
/// Duration of a fault of the feed, in milliseconds.
const FEED_FAULT_MS: std::ops::Range<u64> = 200..3_500;
/// Maximum number of VMs that are made to trap at once.
const TRAPS: usize = 3;
/// How long Envoy may take beyond the drain time to close the connections of a replaced listener. First it makes the
/// new listener, which means compiling a module and making five VMs.
const REPLACING: Duration = Duration::from_secs(12);

/// How long a proxy cuts answers, and how long it then leaves them alone, in milliseconds.
const CUT_MS: std::ops::Range<u64> = 3_000..20_000;
const UNCUT_MS: std::ops::Range<u64> = 1_000..10_000;
/// How long the proxy lets an answer be held, in milliseconds. This is longer than the shortest wait (one second), so
/// that polls are held again as soon as the filter has found that out.
const HELD_MS: std::ops::Range<u64> = 1_500..3_000;
/// How long nothing changes when the cuts begin, in milliseconds. A poll is held only while there is nothing new.
const QUIET_MS: std::ops::Range<u64> = 4_000..12_000;
/// Pause between two restored backups. The policy service takes a new epoch at most once a minute.
const BACKUP_EVERY: Duration = Duration::from_secs(70);
/// When the first backup is taken.
const FIRST_BACKUP: Duration = Duration::from_secs(15);
/// How long the policy changes between a backup and its restoration, in milliseconds.
const LOST_MS: std::ops::Range<u64> = 2_000..8_000;
/// How long a new secret is refused, in milliseconds.
const REFUSED_MS: std::ops::Range<u64> = 1_000..6_000;

/// The kinds of disturbances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Faults of the policy service and its feed.
    pub feed: bool,
    /// VMs trap.
    pub traps: bool,
    /// Listeners are replaced.
    pub listeners: bool,
    /// A proxy cuts held answers.
    pub cuts: bool,
    /// Backups are restored.
    pub backups: bool,
    /// The secret is rotated.
    pub secrets: bool,
}

impl Plan {
    /// Whether the policy service always answers every request. Then no policy may ever expire, however short its time
    /// is.
    pub fn leaves_the_service_well(self) -> bool {
        !self.feed && !self.backups && !self.secrets
    }
}

/// The behaviour of the feed between two faults, and the kinds of disturbances.
#[derive(Clone, Copy, Debug)]
pub struct Well {
    pub well: Feed,
    pub plan: Plan,
}

/// Disturbs the policy service and its feed until `ended`. Leaves both in normal operation.
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
        // Killing the service is as frequent as two faults of its feed.
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

/// Copies the database, lets the policy change, and restores the copy. The changes in between are lost, and later
/// changes hold.
async fn put_back(
    book: &Book,
    service: &mut PolicyService,
    closed: &Closed,
    lost: Duration,
    ended: &mut watch::Receiver<bool>,
) -> Result<()> {
    let folder = artifacts::root().join("target/stack/soak/backup");
    let backup = {
        // While the lock is held, no change is under way.
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

/// Ends the service like an operator, changes its database, and starts it again.
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

/// Cuts held answers, in one way after the other, until `ended`. The service works all the time, and the filter asks
/// again at once, so a cut is no disturbance. The exception: if nothing arrives, the filter cannot know it before its
/// own time limit.
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

/// The target of disturbances of Envoy.
pub struct Target {
    pub gateway: Arc<Mutex<Gateway>>,
    /// The proxy, which refuses a secret.
    pub between: Arc<Between>,
    pub plan: Plan,
}

impl Target {
    /// Replaces the listener.
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

    /// Rotates to the other secret. The proxy refuses it for this time.
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

/// Waits. Returns true if the soak has ended.
async fn pause(ended: &mut watch::Receiver<bool>, milliseconds: u64) -> bool {
    // Whether the pause ended early or not, the current value decides.
    let _ = timeout(Duration::from_millis(milliseconds), ended.wait_for(|ended| *ended)).await;
    *ended.borrow()
}
