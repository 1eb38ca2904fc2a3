//! Who refreshes: taking the lease, keeping it, and giving it to a VM that serves no requests.

use super::{Around, Purpose, Refresh, State, neighbours::Neighbours};
use crate::{
    callout::GRACE_MS,
    shared::{
        Shared, SharedError,
        key::Source,
        lease::{self, Applicant, Lease},
    },
    store::manifest::Manifest,
};

/// How long a VM that the policy service refused leaves a free lease to those that prove themselves otherwise. They look
/// every 100 ms and wait for [`GRACE_MS`] at most.
const REFUSED_GRACE_MS: u64 = 3_000;

impl Refresh {
    /// Holds the lease, or tries to; `false`: somebody else refreshes.
    pub(super) fn keep_lease<S: Shared>(&mut self, around: &mut Around<'_, S>) -> bool {
        let (shared, source, now_ms) = (around.shared, around.held.source(), around.now_ms);
        if let Some(lease) = &mut self.lease {
            if lease.keep(shared, source, now_ms) {
                return true;
            }
            self.follow();
        }
        let State::Follower { free_since_ms } = &mut self.state else { return false };
        let Ok(slip) = lease::slip(shared, source) else { return false };
        let slip = slip.unwrap_or_default();
        if slip.is_held(now_ms) {
            *free_since_ms = None;
            return false;
        }
        let free_since = free_since_ms.map_or(now_ms, |since| since.min(now_ms));
        *free_since_ms = Some(free_since);
        let refused_until = slip.refused_until(self.proof_tag, now_ms);
        let to_those_that_serve_none = if self.serves { GRACE_MS } else { 0 };
        let to_other_proofs = if refused_until.is_some() { REFUSED_GRACE_MS } else { 0 };
        let grace = to_other_proofs.saturating_add(to_those_that_serve_none);
        if now_ms.saturating_sub(free_since) < grace || refused_until.is_some_and(|until| now_ms < until) {
            return false;
        }
        let applicant = Applicant {
            generation: around.held.standing().map_or(0, |manifest| manifest.generation),
            proof_tag: self.proof_tag,
            unnamed: around.held.unconfirmed().map(Manifest::version),
        };
        match Lease::acquire(shared, source, now_ms, applicant) {
            Ok(Some(lease)) => {
                self.lease = Some(lease);
                self.empty_runs();
                self.state = State::Idle { since_ms: now_ms, due_ms: self.first_due(around) };
                true
            }
            Ok(None) | Err(SharedError::Raced | SharedError::Host) => false,
        }
    }

    /// The policy service refused what this VM proves itself with. Where the policy has a name, others may prove themselves
    /// otherwise, so it gives the lease up to them, and tries again when its pause is over and nobody has taken it.
    pub(super) fn give_up_lease<S: Shared>(&mut self, around: &mut Around<'_, S>) {
        let State::Idle { due_ms, .. } = self.state else { return };
        if self.settings.name.is_none() {
            return;
        }
        if let Some(lease) = self.lease.take() {
            let refused = (self.proof_tag, due_ms);
            lease.release_refused(around.shared, around.held.source(), refused, around.now_ms);
        }
        self.follow();
    }

    /// At once without a policy, or where the service may hold its answer back, since nobody waits for it now; else when the
    /// policy held is an interval old.
    fn first_due<S: Shared>(&mut self, around: &Around<'_, S>) -> u64 {
        if self.may_probe(around) {
            return around.now_ms;
        }
        let interval = u64::try_from(self.settings.refresh_interval.as_millis()).unwrap_or(u64::MAX);
        let confirmed = around.held.manifest().filter(|_| !around.held.is_unsound());
        confirmed.map_or(around.now_ms, |manifest| {
            manifest.confirmed_at_ms.min(around.now_ms).saturating_add(interval).max(around.now_ms)
        })
    }

    /// A full policy that was begun will not be finished.
    pub(super) fn give_up_build(&mut self) {
        if let Some(target) = self.building.take() {
            self.emptying.get_or_insert_default().add_unfinished(target);
            self.empty_runs();
        }
    }

    /// Frees what full policies that will not be finished have laid down, of this lease or an older one.
    fn empty_runs(&mut self) {
        let Some(lease) = &self.lease else { return };
        self.emptying.get_or_insert_default().add_runs(lease.last_generation());
    }

    pub(super) fn follow(&mut self) {
        self.lease = None;
        self.emptying = None;
        self.neighbours = Neighbours::default();
        self.building = None;
        self.state = State::follower();
    }

    /// Gives the lease back: what this VM was to refresh for has ended.
    pub fn resign<S: Shared>(&mut self, shared: &S, source: &Source, now_ms: u64) {
        if let Some(lease) = self.lease.take() {
            lease.release(shared, source, now_ms);
        }
        self.follow();
    }

    /// Whether it holds the lease, serves requests, and would lose nothing that is half done.
    pub(super) fn should_offer(&self) -> bool {
        let idle = match &self.state {
            State::Idle { .. } => true,
            State::Fetching { purpose, .. } => matches!(purpose, Purpose::Poll),
            State::Follower { .. } | State::Working { .. } => false,
        };
        self.serves && !self.offered && idle && self.emptying.is_none()
    }

    /// This VM serves requests from now on: it gives the lease to one that does not, now or when nothing is half done.
    pub fn serves_requests<S: Shared>(&mut self, shared: &S, source: &Source, now_ms: u64) {
        self.serves = true;
        if self.should_offer() {
            self.offer(shared, source, now_ms);
        }
    }

    /// Gives the lease to a VM that serves no requests, if there is one; after a while it takes it again.
    pub(super) fn offer<S: Shared>(&mut self, shared: &S, source: &Source, now_ms: u64) {
        self.offered = true;
        if let Some(lease) = self.lease.take() {
            lease.release(shared, source, now_ms);
        }
        self.state = State::Follower { free_since_ms: Some(now_ms) };
    }
}
