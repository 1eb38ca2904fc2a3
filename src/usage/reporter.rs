//! The reporter: collects counts into batches and sends them one after the other.
//!
//! Every VM looks at the ledger. The VM that claims it when something is due continues at the ledger's state. VMs that
//! serve requests leave it to others for a second. The reporter never reads a clock; the shell carries out the
//! [`Post`]s.

use std::time::Duration;

use super::{
    context::{UsageContext, UsageEvent, say_damaged},
    ledger::{self, ID_BYTES, Ledger, LedgerRead, MAX_BATCH_SLOTS, Stage, VersionedLedger},
    report::{FORMAT, ReceiptIn, UsageReport},
    row,
    slot::{self, Changed, SLOTS},
};
use crate::{
    callout::{
        GRACE_MS, NEVER, Pending, Post,
        answer::{Answer, Failure},
        lines::Severity,
        schedule,
    },
    config::{PolicySource, UsageReports},
    digest::Digest,
    shared::{SKEW_MS, Shared},
};

/// How much longer a claim lasts than its holder waits for an answer, in milliseconds.
const CLAIM_MS: u64 = 1_000;
/// The shortest time between two reports that are sent early because the slots fill up, in milliseconds.
const MIN_PAUSE_MS: u64 = 1_000;
/// The longest pause after a failure, in milliseconds, unless the interval is longer. It is the limit of `retry-after`.
/// A later due time was written under another clock.
const MAX_PAUSE_MS: u64 = 300_000;

#[derive(Debug)]
pub struct Reporter {
    path: String,
    cluster: String,
    interval: Duration,
    timeout: Duration,
    waiting: Option<InFlightBatch>,
    failures: u32,
    last_failure: Option<String>,
    /// Hash over the times of this VM's ticks, to the nanosecond. Batch ids are made from it.
    entropy: Digest,
    random: u64,
}

/// A batch that was sent.
#[derive(Debug)]
struct InFlightBatch {
    ledger: Ledger,
    requests: u64,
    callout: Pending,
}

impl Reporter {
    /// Sends reports to the cluster of the policy.
    pub fn new(policy: &PolicySource, reports: &UsageReports) -> Self {
        Self {
            path: reports.path.clone(),
            cluster: policy.cluster.clone(),
            interval: reports.interval,
            timeout: policy.timeout,
            waiting: None,
            failures: 0,
            last_failure: None,
            entropy: Digest::of(b""),
            random: 0,
        }
    }

    /// Whether the reporter waits for the answer with this token.
    pub fn waits_for(&self, token: u32) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.callout.is_answered_by(token))
    }

    /// Stores the token of the last post's callout.
    pub fn sent(&mut self, token: u32) {
        if let Some(waiting) = &mut self.waiting {
            waiting.callout.sent(token);
        }
    }

    /// The callout of the last post could not be made.
    pub fn not_sent<S: Shared>(&mut self, failure: Failure, context: &mut UsageContext<'_, S>) {
        if let Some(waiting) = self.waiting.take() {
            self.fail(&waiting.ledger, &failure.to_string(), None, context);
        }
    }

    /// Does the work that is due. `crowded`: the slots fill up, so a report should follow soon.
    pub fn tick<S: Shared>(
        &mut self,
        random: u64,
        yields: bool,
        crowded: bool,
        context: &mut UsageContext<'_, S>,
    ) -> Option<Post> {
        self.random = random;
        self.entropy = Digest::of(&[&self.entropy.0[..], &random.to_le_bytes()].concat());
        if self.waiting.is_some() {
            self.expire(context);
            return None;
        }
        let page = ledger::look(context.shared, context.source).ok()?;
        let LedgerRead::Ledger(known) = &page.found else {
            self.begin_ledger(&page, context);
            return None;
        };
        if self.is_claimed(known, context.now_ms) {
            return None;
        }
        let due_ms = self.due(known, crowded, context.now_ms);
        let grace = if yields { GRACE_MS } else { 0 };
        if context.now_ms >= due_ms.saturating_add(grace) {
            let claimed = self.claim(&page, known, context)?;
            return self.go_on(claimed, 0, context);
        }
        // Tell the VMs that serve no requests that a report is due early.
        if due_ms < known.due_ms {
            page.replace(context.shared, context.source, &Ledger { due_ms, ..known.clone() });
        }
        None
    }

    /// Gives up the callout under way if it will not be answered any more.
    fn expire<S: Shared>(&mut self, context: &mut UsageContext<'_, S>) {
        let now_ms = context.now_ms;
        if let Some(waiting) = self.waiting.take_if(|waiting| waiting.callout.never_answered(now_ms).is_some()) {
            self.fail(&waiting.ledger, &Failure::NeverAnswered.to_string(), None, context);
        }
    }

    /// Writes the first ledger, or a new one in place of a damaged one.
    fn begin_ledger<S: Shared>(&mut self, page: &VersionedLedger, context: &mut UsageContext<'_, S>) {
        if page.found == LedgerRead::Damaged {
            say_damaged(context.report);
        }
        page.replace(context.shared, context.source, &Ledger::new(context.now_ms, self.next_due(context.now_ms)));
    }

    /// Handles the answer to the last post.
    pub fn answered<S: Shared>(&mut self, answer: &Answer, context: &mut UsageContext<'_, S>) -> Option<Post> {
        let InFlightBatch { ledger, requests, .. } = self.waiting.take()?;
        match Verdict::of(answer, &ledger.id, context.now_ms / 1_000) {
            Verdict::Taken { rejected } => {
                context.report.event(UsageEvent::Reported);
                if self.failures > 0 {
                    let line = format!("usage is reported again, after {} failures", self.failures);
                    context.report.line(Severity::Warn, line);
                }
                if rejected > 0 {
                    let line = format!(
                        "the policy service left out {rejected} rows of a usage report: this gateway may not report on them"
                    );
                    context.report.line(Severity::Warn, line);
                }
                (self.failures, self.last_failure) = (0, None);
                self.done(ledger, context)
            }
            Verdict::Refused(status) => {
                context.report.event(UsageEvent::Failed);
                let line = format!(
                    "a usage report was refused for good ({status}), and its {requests} requests are not reported: \
                     POST {} of cluster \"{}\"; the policy service's log or answer says why",
                    self.path, self.cluster
                );
                context.report.line(Severity::Error, line);
                self.done(ledger, context)
            }
            Verdict::Failed(what, retry_after) => {
                self.fail(&ledger, &what, retry_after, context);
                None
            }
        }
    }

    /// Finishes a batch: drops its frozen rows and starts the next one.
    fn done<S: Shared>(&mut self, ledger: Ledger, context: &mut UsageContext<'_, S>) -> Option<Post> {
        let claimed_until_ms = self.claim_end(context.now_ms);
        let next = Ledger { stage: Stage::Done, claimed_until_ms, ..ledger.clone() };
        if !ledger::advance(context.shared, context.source, &ledger, &next) {
            return None;
        }
        // Continue behind the slots of this batch. Earlier slots wait for the next report, so this one comes to an end.
        let first = next.slots.last().map_or(0, |last| last.saturating_add(1));
        self.go_on(next, first, context)
    }

    /// Continues at the state of the ledger, which this VM has claimed. A new batch takes slots from `first` on.
    fn go_on<S: Shared>(&mut self, mut known: Ledger, first: u16, context: &mut UsageContext<'_, S>) -> Option<Post> {
        if known.stage == Stage::Done {
            known = self.begin(known, first, context)?;
        }
        if known.stage == Stage::Freezing {
            known = self.freeze(known, context)?;
        }
        self.send(known, context)
    }

    /// Records the next batch, or that there is nothing to report.
    fn begin<S: Shared>(&mut self, known: Ledger, first: u16, context: &mut UsageContext<'_, S>) -> Option<Ledger> {
        let (shared, source) = (context.shared, context.source);
        for number in &known.slots {
            // If this fails, the next batch of that slot clears it.
            let _ = slot::change(shared, source, *number, &[], |slot, _| slot.clear(known.number));
        }
        let is_used = |number: &u16| {
            let empty = slot::with(shared, source, *number, |slot| slot.is_open_empty());
            // Damage is detected when the slot is changed.
            !empty.unwrap_or(true)
        };
        let slots: Vec<u16> = (first..SLOTS).filter(is_used).take(MAX_BATCH_SLOTS).collect();
        let next = if slots.is_empty() {
            let due_ms = self.next_due(context.now_ms);
            Ledger { slots, ended_ms: context.now_ms, due_ms, claimed_until_ms: 0, ..known.clone() }
        } else {
            let number = known.number.saturating_add(1);
            let id = self.id(number, context);
            Ledger { number, stage: Stage::Freezing, id, slots, ..known.clone() }
        };
        let noted = ledger::advance(shared, source, &known, &next);
        Some(next).filter(|next| noted && next.stage == Stage::Freezing)
    }

    fn freeze<S: Shared>(&mut self, known: Ledger, context: &mut UsageContext<'_, S>) -> Option<Ledger> {
        let (shared, source) = (context.shared, context.source);
        for number in &known.slots {
            match slot::change(shared, source, *number, &[], |slot, _| slot.freeze(known.number)) {
                Changed::Done(()) => {}
                Changed::Anew(()) => say_damaged(context.report),
                Changed::Failed => {
                    // The next tick continues, in this VM or another.
                    let next = Ledger { claimed_until_ms: 0, ..known.clone() };
                    ledger::advance(shared, source, &known, &next);
                    return None;
                }
            }
        }
        let sealed = Ledger { stage: Stage::Sealed, ..known.clone() };
        ledger::advance(shared, source, &known, &sealed).then_some(sealed)
    }

    /// Builds the batch from its slots. Frozen parts do not change, so every build gives the same batch.
    fn send<S: Shared>(&mut self, known: Ledger, context: &mut UsageContext<'_, S>) -> Option<Post> {
        let mut rows: Vec<(Box<[u8]>, u64)> = Vec::new();
        for number in &known.slots {
            let taken = slot::with(context.shared, context.source, *number, |slot| {
                rows.extend(slot.frozen_in(known.number).iter().map(|(row, value)| (Box::from(*row), *value)));
            });
            if taken.is_err() {
                say_damaged(context.report);
            }
        }
        let mut report = UsageReport { format: FORMAT, batch: known.id.as_str().into(), ..UsageReport::default() };
        for (row, value) in &rows {
            // The row has passed its checksum. If it cannot be read, another version wrote it.
            if row::tell(&mut report, row, *value).is_err() {
                say_damaged(context.report);
            }
        }
        if report.counts.is_empty() && report.keys.is_empty() {
            return self.done(known, context);
        }
        let requests = report.counts.iter().fold(0, |sum: u64, count| sum.saturating_add(count.requests));
        // The report holds only strings and numbers, so this cannot fail.
        let body = serde_json::to_vec(&report).unwrap_or_default();
        self.waiting =
            Some(InFlightBatch { ledger: known, requests, callout: Pending::new(self.timeout, context.now_ms) });
        Some(Post { path: self.path.clone(), body, timeout: self.timeout })
    }

    /// The batch was not accepted. It stays as it is, and the pauses between attempts grow.
    fn fail<S: Shared>(
        &mut self,
        ledger: &Ledger,
        what: &str,
        retry_after: Option<Duration>,
        context: &mut UsageContext<'_, S>,
    ) {
        context.report.event(UsageEvent::Failed);
        self.failures = self.failures.saturating_add(1);
        let pause = schedule::pause(self.interval, self.failures, retry_after, self.random);
        if self.last_failure.as_deref() != Some(what) {
            let line = format!(
                "usage was not reported: POST {} of cluster \"{}\": {what}; it is kept and sent later; next try in {} ms",
                self.path,
                self.cluster,
                pause.as_millis(),
            );
            context.report.line(Severity::Warn, line);
            self.last_failure = Some(what.to_owned());
        }
        let due_ms = context.now_ms.saturating_add(millis(pause));
        let next = Ledger { due_ms, claimed_until_ms: 0, ..ledger.clone() };
        ledger::advance(context.shared, context.source, ledger, &next);
    }

    fn claim<S: Shared>(
        &self,
        page: &VersionedLedger,
        known: &Ledger,
        context: &UsageContext<'_, S>,
    ) -> Option<Ledger> {
        let claimed = Ledger { claimed_until_ms: self.claim_end(context.now_ms), ..known.clone() };
        page.replace(context.shared, context.source, &claimed).then_some(claimed)
    }

    fn claim_end(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add(millis(self.timeout.saturating_add(NEVER))).saturating_add(CLAIM_MS)
    }

    /// A claim that ends much later than a holder would set it was made under another clock.
    fn is_claimed(&self, known: &Ledger, now_ms: u64) -> bool {
        now_ms < known.claimed_until_ms && known.claimed_until_ms <= self.claim_end(now_ms).saturating_add(SKEW_MS)
    }

    /// When the next action is due. A batch that has been sent waits for its time even if slots fill up.
    fn due(&self, known: &Ledger, crowded: bool, now_ms: u64) -> u64 {
        let interval = millis(self.interval);
        let pause = if known.stage == Stage::Done { interval } else { interval.max(MAX_PAUSE_MS) };
        if known.due_ms > now_ms.saturating_add(pause).saturating_add(SKEW_MS) {
            return now_ms;
        }
        if crowded && known.stage == Stage::Done {
            return known.due_ms.min(known.ended_ms.saturating_add(MIN_PAUSE_MS).max(now_ms));
        }
        known.due_ms
    }

    fn next_due(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add(millis(schedule::pause(self.interval, 0, None, self.random)))
    }

    /// A unique id: a hash over the times of many ticks, the source and the number.
    fn id<S: Shared>(&self, number: u64, context: &UsageContext<'_, S>) -> String {
        let source = context.source.key(crate::shared::key::SharedEntry::Usage);
        let bytes = [&self.entropy.0[..], &source, &number.to_le_bytes(), &context.now_ms.to_le_bytes()].concat();
        Digest::of(&bytes).to_hex().chars().take(ID_BYTES).collect()
    }
}

/// The meaning of an answer.
enum Verdict {
    Taken { rejected: u64 },
    Refused(u16),
    Failed(String, Option<Duration>),
}

impl Verdict {
    fn of(answer: &Answer, batch: &str, now: u64) -> Self {
        match answer.status {
            Some(200) => match receipt(&answer.body) {
                Some(receipt) if receipt.batch.0 == batch => Self::Taken { rejected: receipt.rejected.unwrap_or(0) },
                _ => Self::Failed("the answer is 200, but does not name the batch that it took".to_owned(), None),
            },
            // A batch that is wrong stays wrong, so it is not sent again.
            Some(status @ (400 | 413 | 422)) => Self::Refused(status),
            Some(status @ (404 | 405 | 501)) => Self::Failed(
                format!(
                    "the policy service takes no reports there ({status}); check `usage.path`, or leave `usage` out"
                ),
                None,
            ),
            _ => {
                let (failure, retry_after) = answer.failure(now);
                let what = match failure {
                    Failure::Status(status) => format!("the answer has status {status}, expected 200"),
                    other => other.to_string(),
                };
                Self::Failed(what, retry_after)
            }
        }
    }
}

/// Parsed as text, like pages. A second parser, for bytes, would be a fiftieth of the module.
fn receipt(body: &[u8]) -> Option<ReceiptIn<'_>> {
    serde_json::from_str(str::from_utf8(body).ok()?).ok()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
