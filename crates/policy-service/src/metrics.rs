//! Metrics of the service in Prometheus's text format.
//!
//! No label has a value that a client, an application or an API can choose. A route is named by its template, a status
//! by its class, and an unknown HTTP method is `other`. Connections, polls, the revision and whether changes can be
//! written are read when the metrics are requested. So are the
//! gateways, which are counted and never named.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::Response,
};
use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};

use management::port::{Store, times::Operation};

/// Upper bounds of the histogram of database times, in seconds: from a row in memory to the longest wait for a lock.
const SECONDS: [f64; 9] = [0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// All metrics. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    requests: IntCounterVec,
    changes: IntCounterVec,
    refused: IntCounter,
    connections: IntGaugeVec,
    database: HistogramVec,
    revision: IntGauge,
    polls: IntGauge,
    writable: IntGauge,
    certificate_end: IntGauge,
    gateways: IntGaugeVec,
    refusing: IntGauge,
    lagging: IntGauge,
    behind: IntGauge,
    behind_seconds: IntGauge,
}

/// What the metrics say about gateways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayFigures {
    /// Number of gateways by state.
    pub states: Vec<(&'static str, usize)>,
    /// Number of live gateways that did not take a revision.
    pub refusing: usize,
    /// Number of live gateways with workers that lag.
    pub lagging: usize,
    /// Number of revisions that the slowest live gateway is behind.
    pub behind: i64,
    /// Number of seconds since the first revision was made that it does not have.
    pub behind_seconds: i64,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Creates the metrics. An error means that two metrics have one name, which a test would notice.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new_custom(Some("policy_service".to_owned()), None)?;
        let opts = Opts::new;
        let database = HistogramOpts::new(
            "database_seconds",
            "Time that the database took: `read`, `begin` (waiting until a change may begin) and `write` (a change until \
             it is on the disk)",
        );
        let inner = Inner {
            requests: registered(
                &registry,
                IntCounterVec::new(
                    opts(
                        "requests_total",
                        "Requests that were answered, by the template of their route (`none`: no route)",
                    ),
                    &["route", "method", "status"],
                )?,
            )?,
            changes: registered(
                &registry,
                IntCounterVec::new(
                    opts("changes_total", "Accepted changes, of the policy and of what stands beside it"),
                    &["kind", "action"],
                )?,
            )?,
            refused: registered(
                &registry,
                IntCounter::with_opts(opts("refused_credentials_total", "Wrong credentials"))?,
            )?,
            connections: registered(
                &registry,
                IntGaugeVec::new(
                    opts("connections", "Open connections: `proven` once a good credential came, else `unproven`"),
                    &["state"],
                )?,
            )?,
            database: registered(&registry, HistogramVec::new(database.buckets(SECONDS.to_vec()), &["operation"])?)?,
            revision: registered(
                &registry,
                IntGauge::with_opts(opts("revision", "The latest revision of the policy"))?,
            )?,
            polls: registered(
                &registry,
                IntGauge::with_opts(opts("polls_held", "Polls of gateways that wait for a new revision"))?,
            )?,
            writable: registered(
                &registry,
                IntGauge::with_opts(opts("writable", "1 if changes can be written, as /healthz/write says, else 0"))?,
            )?,
            certificate_end: registered(
                &registry,
                IntGauge::with_opts(opts(
                    "certificate_ends_at",
                    "Unix time at which the certificate of the service ends; 0 without TLS",
                ))?,
            )?,
            gateways: registered(
                &registry,
                IntGaugeVec::new(
                    opts(
                        "gateways",
                        "Gateways: `live` if heard of in time, `silent` if not, `gone` if silent for so long that they do not \
                         count",
                    ),
                    &["state"],
                )?,
            )?,
            refusing: registered(
                &registry,
                IntGauge::with_opts(opts("gateways_refusing", "Live gateways that did not take a revision"))?,
            )?,
            lagging: registered(
                &registry,
                IntGauge::with_opts(opts(
                    "gateways_lagging",
                    "Live gateways with a worker that has not adopted their revision",
                ))?,
            )?,
            behind: registered(
                &registry,
                IntGauge::with_opts(opts(
                    "slowest_gateway_revisions",
                    "Revisions that the slowest live gateway is behind the latest one",
                ))?,
            )?,
            behind_seconds: registered(
                &registry,
                IntGauge::with_opts(opts(
                    "slowest_gateway_seconds",
                    "Seconds since the first revision was made that the slowest live gateway does not have; 0 if it has all",
                ))?,
            )?,
            registry,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Observes the times of `store` from now on.
    pub fn watch(&self, store: &Store) {
        let metrics = self.clone();
        store.observe(Arc::new(move |operation: Operation, took: Duration| {
            metrics.0.database.with_label_values(&[operation.name()]).observe(took.as_secs_f64());
        }));
    }

    /// Counts a wrong credential.
    pub fn count_refused(&self) {
        self.0.refused.inc();
    }

    /// Counts an accepted change. Both words are fixed words of the interface.
    pub fn count_change(&self, kind: &str, action: &str) {
        self.0.changes.with_label_values(&[kind, action]).inc();
    }

    /// Sets the number of open connections.
    pub fn set_connections(&self, proven: usize, unproven: usize) {
        for (state, count) in [("proven", proven), ("unproven", unproven)] {
            self.0.connections.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Sets the Unix time at which the certificate in use ends.
    pub fn set_certificate_end(&self, seconds: i64) {
        self.0.certificate_end.set(seconds);
    }

    /// Sets what is known of gateways.
    pub fn set_gateways(&self, figures: GatewayFigures) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (state, count) in figures.states {
            self.0.gateways.with_label_values(&[state]).set(gauge(count));
        }
        self.0.refusing.set(gauge(figures.refusing));
        self.0.lagging.set(gauge(figures.lagging));
        self.0.behind.set(figures.behind);
        self.0.behind_seconds.set(figures.behind_seconds);
    }

    /// All metrics in Prometheus's text format. `is_writable`: whether changes can be written now.
    pub fn text(&self, store: &Store, is_writable: bool) -> prometheus::Result<Vec<u8>> {
        self.0.writable.set(is_writable.into());
        self.0.polls.set(i64::try_from(store.waiting()).unwrap_or(i64::MAX));
        self.0.revision.set(store.revisions().borrow().revision);
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.registry.gather(), &mut text)?;
        Ok(text)
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// Counts a request after its answer.
pub async fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = word(request.method());
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    metrics.0.requests.with_label_values(&[route, method, class(response.status())]).inc();
    response
}

fn word(method: &Method) -> &'static str {
    let known = [
        (Method::GET, "GET"),
        (Method::HEAD, "HEAD"),
        (Method::POST, "POST"),
        (Method::PUT, "PUT"),
        (Method::DELETE, "DELETE"),
        (Method::PATCH, "PATCH"),
        (Method::OPTIONS, "OPTIONS"),
    ];
    known.iter().find(|(known, _)| known == method).map_or("other", |(_, word)| word)
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
