//! The runs: changes at full speed, changes and polls while replicas are killed, and one change at a time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant},
};

use testkit::{Error, Result, http::Ask};
use tokio::{sync::watch, task::JoinSet, time::MissedTickBehavior};

use crate::{
    changes::{Book, Change, Client, administrate, digest, poisoned, seed},
    database::{Database, Kind},
    figures::{Delays, Speed},
    followers::{Arrival, Follower, fetch},
    replicas::{GATEWAY, Replicas, TOKEN},
};

/// Number of administrators. Writers wait for each other in the service, so a few keep it busy.
const WRITERS: u64 = 16;
/// Distance between the numbers of the administrators' keys.
const APART: u64 = 10_000_000;
/// How long gateways may take to get the last revision.
const CATCHING_UP: Duration = Duration::from_secs(60);

/// The settings of a run under load.
pub struct Load {
    pub rate: u64,
    pub during: Duration,
    pub gateways: usize,
    pub kill: Option<Duration>,
}

/// The results of a run under load.
pub struct Found {
    load: String,
    speed: Speed,
    failed: u64,
    kills: usize,
    /// From the request of a change to the answer of a poll at another replica, and at the same one.
    other: Delays,
    same: Delays,
    polls: usize,
    lost: usize,
    differ: usize,
    gone: usize,
    full: usize,
    revisions: bool,
}

impl Found {
    pub fn is_right(&self) -> bool {
        self.lost == 0 && self.differ == 0 && self.gone == 0 && self.full == 0 && self.revisions
    }

    pub fn rows(&self) -> Vec<(String, String)> {
        let mut rows = vec![(format!("changes under load: {}", self.load), self.speed.to_string())];
        for (delays, place) in [(self.other, "another replica"), (self.same, "the same replica")] {
            if delays.count > 0 {
                rows.push((format!("from a change's request to a poll's answer at {place}"), delays.to_string()));
            }
        }
        let held = format!(
            "{} kills, {} requests without an answer and asked again, {} answers to polls; acknowledged and lost: {}, gateways \
             whose rows differ from the database's: {}, answers of 410: {}, full policies after the first: {}, one revision \
             for each change: {}",
            self.kills, self.failed, self.polls, self.lost, self.differ, self.gone, self.full, self.revisions
        );
        rows.push(("what had to hold".to_owned(), held));
        rows
    }
}

fn replicas_of(database: &Database) -> usize {
    match database.kind {
        Kind::Postgres => 2,
        Kind::Sqlite => 1,
    }
}

/// Makes changes at full speed, without polls.
pub async fn without_polls(database: &Database, during: Duration) -> Result<Speed> {
    let replicas = Replicas::start(database, replicas_of(database)).await?;
    seed(replicas.addresses[0]).await?;
    let book = Arc::new(Book::default());
    let mut writers = JoinSet::new();
    let begun = Instant::now();
    for number in 0..WRITERS {
        let (book, addresses) = (Arc::clone(&book), replicas.addresses.clone());
        writers.spawn(async move { administrate(&book, &addresses, (1 + number) * APART, None).await });
    }
    tokio::time::sleep(during).await;
    book.stop.store(true, Ordering::Relaxed);
    finished(&mut writers).await?;
    let changes = book.changes.lock().map_err(poisoned)?.clone();
    Ok(speed(&changes, begun.elapsed()))
}

fn speed(changes: &[Change], took: Duration) -> Speed {
    let delays: Vec<Duration> = changes.iter().map(|change| change.answered - change.asked).collect();
    Speed { rate: changes.len() as f64 / took.as_secs_f64(), delays: Delays::of(&delays) }
}

async fn finished(tasks: &mut JoinSet<Result<()>>) -> Result<()> {
    while let Some(task) = tasks.join_next().await {
        task.map_err(poisoned)??;
    }
    Ok(())
}

/// Makes changes at a fixed rate while gateways hold polls and replicas are killed.
pub async fn under_load(database: &Database, load: &Load) -> Result<Found> {
    let replicas = Arc::new(Replicas::start(database, replicas_of(database)).await?);
    let count = replicas.addresses.len();
    let (said, last) = watch::channel(None);
    let mut followers = JoinSet::new();
    for number in 0..load.gateways {
        let follower = Follower::default().follow(replicas.addresses.clone(), number % count, last.clone());
        followers.spawn(follower);
    }
    // All gateways hold a policy before the first change.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let book = Arc::new(Book::default());
    let due = Arc::new(tokio::sync::Semaphore::new(0));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let (book, due, addresses) = (Arc::clone(&book), Arc::clone(&due), replicas.addresses.clone());
        writers.spawn(async move { administrate(&book, &addresses, (100 + number) * APART, Some(&due)).await });
    }
    let killing = kill_again_and_again(Arc::clone(&replicas), load);
    let begun = Instant::now();
    let pacing = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut given = 0;
        while begun.elapsed() < load.during {
            ticks.tick().await;
            let wanted = (begun.elapsed().as_secs_f64() * load.rate as f64) as usize;
            due.add_permits(wanted.saturating_sub(given));
            given = given.max(wanted);
        }
    };
    let (kills, ()) = tokio::join!(killing, pacing);
    let kills = kills?;
    let took = begun.elapsed();
    book.stop.store(true, Ordering::Relaxed);
    due.add_permits(1_000_000);
    finished(&mut writers).await?;
    let changes = book.changes.lock().map_err(poisoned)?.clone();
    let revision = changes.iter().map(|change| change.revision).max().unwrap_or_default();
    // Each gateway stops when it holds all acknowledged changes.
    said.send_replace(Some(revision));
    let mut ended = Vec::new();
    let all = async {
        while let Some(follower) = followers.join_next().await {
            ended.push(follower.map_err(poisoned)??);
        }
        Ok::<_, Error>(())
    };
    let late = |_| Error::Deadline { what: "gateways catch up".to_owned(), waited: CATCHING_UP, last: String::new() };
    tokio::time::timeout(CATCHING_UP, all).await.map_err(late)??;
    judge(database, &replicas, load, &book, &changes, &ended, (kills, took)).await
}

async fn judge(
    database: &Database,
    replicas: &Replicas,
    load: &Load,
    book: &Book,
    changes: &[Change],
    followers: &[Follower],
    (kills, took): (usize, Duration),
) -> Result<Found> {
    let stored = database.rows().await?;
    let latest = followers.iter().map(|follower| follower.revision).max().unwrap_or_default();
    let policy = fetch(replicas.addresses[0], latest).await?;
    // The feed must equal the database's rows, and each gateway's policy must equal the feed, in every field.
    let is_whole = stored.iter().eq(policy.keys());
    let differ = followers.iter().filter(|follower| follower.policy != policy).count();
    let is_revoked = |digest: &String| policy.get(&(3, digest.clone())).is_some_and(|key| key["state"] == "REVOKED");
    let (keys, revoked) = (taken(&book.keys)?, taken(&book.revoked)?);
    let lost = keys.iter().filter(|digest| !policy.contains_key(&(3, (*digest).clone()))).count()
        + revoked.iter().filter(|digest| !is_revoked(digest)).count();
    let by_revision: BTreeMap<i64, Change> = changes.iter().map(|change| (change.revision, *change)).collect();
    let (other, same) = delays(&by_revision, followers);
    let log = replicas.logs().await;
    for line in log.lines().filter(|line| line.contains("ERROR") || line.contains("panicked")).take(5) {
        eprintln!("{line}");
    }
    let kill = load.kill.map_or("no kills".to_owned(), |every| format!("a SIGKILL every {} s", every.as_secs()));
    Ok(Found {
        load: format!(
            "{}/s for {} s, {} gateways, {} service(s), {kill}",
            load.rate,
            load.during.as_secs(),
            load.gateways,
            replicas.addresses.len()
        ),
        speed: speed(changes, took),
        failed: book.failed.load(Ordering::Relaxed),
        kills,
        other,
        same,
        polls: followers.iter().map(|follower| follower.arrivals.len()).sum(),
        lost,
        differ: differ + usize::from(!is_whole),
        gone: followers.iter().map(|follower| follower.gone).sum(),
        full: followers.iter().map(|follower| follower.full.saturating_sub(1)).sum(),
        // A repeated change may have been made by the request that got no answer.
        revisions: by_revision.len() + usize::try_from(book.failed.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
            >= changes.len(),
    })
}

fn taken<T: Clone>(of: &Mutex<T>) -> Result<T> {
    Ok(of.lock().map_err(poisoned)?.clone())
}

/// From the request of each change to its first arrival in an answer, for each gateway: at other replicas, and at the
/// same one.
fn delays(changes: &BTreeMap<i64, Change>, followers: &[Follower]) -> (Delays, Delays) {
    let (mut other, mut same) = (Vec::new(), Vec::new());
    for Arrival { base, revision, at, replica } in followers.iter().flat_map(|follower| &follower.arrivals) {
        for (_, change) in changes.range(base + 1..=*revision) {
            let delay = at.saturating_duration_since(change.asked);
            if change.replica == *replica { same.push(delay) } else { other.push(delay) }
        }
    }
    (Delays::of(&other), Delays::of(&same))
}

/// Kills one replica after the other. Returns the number of kills.
async fn kill_again_and_again(replicas: Arc<Replicas>, load: &Load) -> Result<usize> {
    let Some(every) = load.kill else { return Ok(0) };
    let begun = Instant::now();
    let mut kills = 0;
    loop {
        tokio::time::sleep(every).await;
        // The last one has time to start again.
        if begun.elapsed() + every / 2 > load.during {
            return Ok(kills);
        }
        replicas.kill(kills % replicas.addresses.len()).await?;
        kills += 1;
    }
}

/// One change after the other, each after the previous one has arrived. Measures from its answer to the answer of a
/// poll at the other replica.
pub async fn one_at_a_time(database: &Database, count: u64) -> Result<Delays> {
    let replicas = Replicas::start(database, 2).await?;
    let (mut here, mut there) = (Client::new(&replicas.addresses), Client::new(&replicas.addresses));
    let patience = Duration::from_secs(30);
    let authorized = |ask: Ask, who: &str| ask.header("authorization", who);
    let mut delays = Vec::new();
    let mut revision = 0;
    for number in 0..=count {
        let body = serde_json::json!({"id": format!("one-{number}"), "application": "app-1", "sha256": digest(number)});
        let change = authorized(Ask::new("POST", "/v1/keys"), TOKEN).json(body);
        let poll = authorized(Ask::get(format!("/v1/policy?since={revision}")), GATEWAY).header("prefer", "wait=25");
        let changed = async {
            // By then the poll is held.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let answer = here.send(0, &change, patience).await;
            (answer, Instant::now())
        };
        let polled = async {
            if revision == 0 {
                return Ok(None);
            }
            there.send(1, &poll, patience).await.map(|answer| Some((answer, Instant::now())))
        };
        let ((answer, answered), polled) = tokio::join!(changed, polled);
        revision = answer?.header("x-policy-revision").and_then(|text| text.parse::<i64>().ok()).unwrap_or_default();
        if let Some((answer, at)) = polled? {
            let found = answer.json()["revision"].as_i64();
            if found != Some(revision) {
                let (expected, found) = (revision.to_string(), format!("{found:?}"));
                return Err(Error::Unexpected { what: "a poll".to_owned(), expected, found });
            }
            delays.push(at.saturating_duration_since(answered));
        }
    }
    Ok(Delays::of(&delays))
}
