//! Decides which VM refreshes: takes the lease, keeps it, and offers it to a VM that serves no requests.

use super::context::RefreshContext;
use crate::{
    callout::GRACE_MS,
    shared::{
        Shared, SharedError,
        key::SourceId,
        lease::{self, Applicant, Lease},
    },
    store::manifest::Manifest,
};

/// How long a VM leaves a free lease to VMs with other credentials after the policy service refused its own. They look
/// every 100 ms and wait for [`GRACE_MS`] at most.
const REFUSED_GRACE_MS: u64 = 3_000;

/// The lease as this VM sees it.
#[derive(Debug)]
pub(super) struct Lead {
    /// A tag of the credentials that this VM sends to the policy service.
    proof_tag: u64,
    lease: Option<Lease>,
    /// When this VM, without holding the lease, found it free.
    free_since_ms: Option<u64>,
    /// Whether this VM has served requests.
    serves: bool,
    /// Whether it has already offered the lease to others.
    offered: bool,
}

impl Lead {
    pub fn new(proof_tag: u64) -> Self {
        Self { proof_tag, lease: None, free_since_ms: None, serves: false, offered: false }
    }

    pub fn is_leader(&self) -> bool {
        self.lease.is_some()
    }

    pub fn serves(&self) -> bool {
        self.serves
    }

    pub fn begin_to_serve(&mut self) {
        self.serves = true;
    }

    /// Renews the lease. `false` means that this VM does not hold it, or no longer.
    pub fn keep<S: Shared>(&mut self, context: &RefreshContext<'_, S>) -> bool {
        let (shared, source) = (context.shared, context.held.source());
        self.lease.as_mut().is_some_and(|lease| lease.keep(shared, source, context.now_ms))
    }

    /// Takes the lease if it has been free for so long that the VMs with precedence had time to take it.
    pub fn acquire<S: Shared>(&mut self, context: &RefreshContext<'_, S>) -> bool {
        let (shared, source, now_ms) = (context.shared, context.held.source(), context.now_ms);
        let Ok(slip) = lease::slip(shared, source) else { return false };
        let slip = slip.unwrap_or_default();
        if slip.is_held(now_ms) {
            self.free_since_ms = None;
            return false;
        }
        let free_since = self.free_since_ms.map_or(now_ms, |since| since.min(now_ms));
        self.free_since_ms = Some(free_since);
        let refused_until = slip.refused_until(self.proof_tag, now_ms);
        let to_those_that_serve_none = if self.serves { GRACE_MS } else { 0 };
        let to_other_proofs = if refused_until.is_some() { REFUSED_GRACE_MS } else { 0 };
        let grace = to_other_proofs.saturating_add(to_those_that_serve_none);
        if now_ms.saturating_sub(free_since) < grace || refused_until.is_some_and(|until| now_ms < until) {
            return false;
        }
        let applicant = Applicant {
            generation: context.held.manifest_found().map_or(0, |manifest| manifest.generation),
            proof_tag: self.proof_tag,
            unnamed: context.held.unconfirmed().map(Manifest::version),
        };
        match Lease::acquire(shared, source, now_ms, applicant) {
            Ok(lease) => self.lease = lease,
            Err(SharedError::Raced | SharedError::Host) => {}
        }
        self.is_leader()
    }

    /// A generation that no other VM ever had or will have. `None` without the lease.
    pub fn next_generation(&mut self) -> Option<u64> {
        self.lease.as_mut().map(Lease::next_generation)
    }

    /// The last generation that was made under the lease.
    pub fn last_generation(&self) -> Option<u64> {
        self.lease.as_ref().map(Lease::last_generation)
    }

    /// Another VM has the lease.
    pub fn lose(&mut self) {
        self.lease = None;
        self.free_since_ms = None;
    }

    pub fn release<S: Shared>(&mut self, shared: &S, source: &SourceId, now_ms: u64) {
        if let Some(lease) = self.lease.take() {
            lease.release(shared, source, now_ms);
        }
    }

    /// Gives the lease back because the policy service refused this VM. The VM does not try again before `until_ms`.
    pub fn release_refused<S: Shared>(&mut self, until_ms: u64, context: &RefreshContext<'_, S>) {
        if let Some(lease) = self.lease.take() {
            lease.release_refused(context.shared, context.held.source(), (self.proof_tag, until_ms), context.now_ms);
        }
    }

    /// Whether this VM must still offer the lease to VMs that serve no requests.
    pub fn is_to_offer(&self) -> bool {
        self.serves && !self.offered
    }

    /// Gives the lease to a VM that serves no requests, if there is one. Otherwise this VM takes it again after a
    /// while.
    pub fn offer<S: Shared>(&mut self, shared: &S, source: &SourceId, now_ms: u64) {
        self.offered = true;
        self.release(shared, source, now_ms);
        self.free_since_ms = Some(now_ms);
    }
}
