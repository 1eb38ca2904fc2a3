//! Metrics: their names, and which event counts where. The set of names is finite; neither a request nor a policy can
//! add to it.

use crate::{
    config::Mode,
    limit::counter::Notes,
    plugin::host::{self, MetricKind},
    reason::Reason,
    refresh::RefreshEvent,
    store::manifest::Manifest,
    usage::UsageEvent,
};

/// A counter, gauge or histogram. The host gives a new id for each definition, so a plugin in a VM defines each metric
/// once.
#[derive(Clone, Copy, Debug)]
struct Metric(Option<u32>);

impl Metric {
    fn define(kind: MetricKind, name: &str) -> Self {
        Self(host::define_metric(kind, &format!("keygate.{name}")))
    }

    fn add(self, by: u64) {
        if let Some(id) = self.0 {
            host::increment_metric(id, by);
        }
    }

    fn record(self, value: u64) {
        if let Some(id) = self.0 {
            host::record_metric(id, value);
        }
    }
}

/// All metrics of one plugin.
#[derive(Debug)]
pub struct Metrics {
    allowed: Metric,
    allowed_without_policy: Metric,
    streams_closed: Metric,
    /// `denied.<reason>`, or `would_deny.<reason>` in shadow mode, in the order of [`Reason::ALL`].
    refused: Vec<(Reason, Metric)>,
    applied: Metric,
    not_modified: Metric,
    failed: Metric,
    refresh_refused: Metric,
    rows_rejected: Metric,
    unknown_fields: Metric,
    refused_rollback: Metric,
    refused_shrink: Metric,
    revision: Metric,
    keys: Metric,
    subscriptions: Metric,
    applications: Metric,
    apis: Metric,
    bytes: Metric,
    age_ms: Metric,
    confirmed_at: Metric,
    duration_ms: Metric,
    limits_restarted: Metric,
    limits_not_counted: Metric,
    usage_reported: Metric,
    usage_failed: Metric,
    usage_unattributed: Metric,
}

impl Metrics {
    /// Defines the metrics. The gauges of a named policy contain its name, so that several policies do not overwrite
    /// each other's gauges.
    pub fn define(mode: Mode, policy_name: Option<&str>) -> Self {
        let counter = |name: &str| Metric::define(MetricKind::Counter, name);
        let of_policy = policy_name.map_or("policy".to_owned(), |name| format!("policy.{name}"));
        let gauge = |name: &str| Metric::define(MetricKind::Gauge, &format!("{of_policy}.{name}"));
        let refusal = match mode {
            Mode::Enforce => "denied",
            Mode::Shadow => "would_deny",
        };
        let refused = |reason: &Reason| (*reason, counter(&format!("{refusal}.{}", reason.as_str())));
        Self {
            allowed: counter("allowed"),
            allowed_without_policy: counter("allowed_without_policy"),
            streams_closed: counter("streams_closed"),
            refused: Reason::ALL.iter().map(refused).collect(),
            applied: counter("refresh.applied"),
            not_modified: counter("refresh.not_modified"),
            failed: counter("refresh.failed"),
            refresh_refused: counter("refresh.refused"),
            rows_rejected: counter("policy.rows_rejected"),
            unknown_fields: counter("policy.unknown_fields"),
            refused_rollback: counter("policy.refused_rollback"),
            refused_shrink: counter("policy.refused_shrink"),
            revision: gauge("revision"),
            keys: gauge("keys"),
            subscriptions: gauge("subscriptions"),
            applications: gauge("applications"),
            apis: gauge("apis"),
            bytes: gauge("bytes"),
            age_ms: gauge("age_ms"),
            confirmed_at: gauge("confirmed_at"),
            duration_ms: Metric::define(MetricKind::Histogram, "refresh.duration_ms"),
            limits_restarted: counter("limits.restarted"),
            limits_not_counted: counter("limits.not_counted"),
            usage_reported: counter("usage.reported"),
            usage_failed: counter("usage.failed"),
            usage_unattributed: counter("usage.unattributed"),
        }
    }

    pub fn allowed(&self) {
        self.allowed.add(1);
    }

    /// Counts a request that passed only because the configuration allows requests without a policy.
    pub fn allowed_without_policy(&self) {
        self.allowed_without_policy.add(1);
    }

    pub fn stream_closed(&self) {
        self.streams_closed.add(1);
    }

    /// Counts a refused request. In shadow mode: a request that would have been refused.
    pub fn refused(&self, reason: Reason) {
        if let Some((_, metric)) = self.refused.iter().find(|(known, _)| *known == reason) {
            metric.add(1);
        }
    }

    /// Counts an event of the refresh.
    pub fn refresh(&self, event: RefreshEvent) {
        match event {
            RefreshEvent::Applied => self.applied.add(1),
            RefreshEvent::NotModified => self.not_modified.add(1),
            RefreshEvent::Failed => self.failed.add(1),
            RefreshEvent::Refused => self.refresh_refused.add(1),
            RefreshEvent::RowsRejected(rows) => self.rows_rejected.add(rows),
            RefreshEvent::UnknownFields => self.unknown_fields.add(1),
            RefreshEvent::RefusedRollback => self.refused_rollback.add(1),
            RefreshEvent::RefusedShrink => self.refused_shrink.add(1),
            RefreshEvent::Took(time) => {
                self.duration_ms.record(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            }
        }
    }

    /// Counts an event of the usage reports.
    pub fn usage(&self, event: UsageEvent) {
        match event {
            UsageEvent::Reported => self.usage_reported.add(1),
            UsageEvent::Failed => self.usage_failed.add(1),
            UsageEvent::Unattributed(requests) => self.usage_unattributed.add(requests),
        }
    }

    /// Sets the gauges of the current policy.
    pub fn policy(&self, manifest: &Manifest) {
        let totals = manifest.totals;
        self.revision.record(manifest.revision.unwrap_or(0));
        self.keys.record(totals.keys);
        self.subscriptions.record(totals.subscriptions);
        self.applications.record(totals.applications);
        self.apis.record(totals.apis);
        self.bytes.record(totals.bytes);
        self.confirmed_at.record(manifest.confirmed_at_ms / 1000);
    }

    /// Counts events of the limits.
    pub fn limits(&self, notes: &Notes) {
        self.limits_restarted.add(notes.restarted());
        self.limits_not_counted.add(notes.not_counted);
    }

    /// Sets the age of the policy.
    pub fn age(&self, age: std::time::Duration) {
        self.age_ms.record(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    }
}
