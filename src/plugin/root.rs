//! The root context: turns ticks and answers into events of the refresh, and carries out its requests.

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
    time::Duration,
};

use proxy_wasm::traits::{Context, RootContext};

use super::{
    callouts,
    host::{self, LogLevel, SharedData},
    http,
    instance::{FAST_TICK, HeldRequest, Plugin, SHORTEST_TICK, Sender, TICK},
    metrics::Metrics,
    streams, version,
};
use crate::{
    answer::reply::{self, Prepared},
    callout::{
        Fetch, Post,
        lines::{Lines, Severity},
    },
    config::{self, Config, Mode, OnPolicyUnavailable},
    fingerprint::FingerprintKey,
    held::{Freshness, PolicyView},
    limit::counter::Notes,
    refresh::{Refresh, RefreshContext, RefreshEvent},
    shared::{
        key::SourceId,
        place::{self, Place},
        process,
    },
    usage::{self, Usage},
};

/// Minimum time between log lines about lost counts, in milliseconds. The metrics count every loss.
const LOSS_SAID_EVERY_MS: u64 = 60_000;

const NO_RANDOM: &str =
    "the host gives no random bytes (random_get), so no key is cached: each request reads the policy in shared data";

const UNNAMED: &str = "shared data has an old copy of this policy that no plugin has used for longer than `policy.stale_after_ms`; it decides as soon as the policy service has confirmed it";

/// The root context of one plugin configuration.
pub(super) struct Root {
    context: u32,
    plugin: Option<Rc<Plugin>>,
    freshness: Option<Freshness>,
    /// When the plugin was configured, in milliseconds of Unix time.
    configured_ms: u64,
    /// Sequence of the policy at which this VM last woke the others, or which it has found.
    woken: u64,
    /// When the last log line about lost counts was written, in milliseconds of Unix time.
    loss_said_ms: Option<u64>,
}

impl Root {
    pub fn new(context: u32) -> Self {
        Self { context, plugin: None, freshness: None, configured_ms: 0, woken: 0, loss_said_ms: None }
    }

    /// Calls the refresh, and carries out the requests that it wants.
    fn refresh(&mut self, ask: impl FnOnce(&mut Refresh, &mut RefreshContext<'_, SharedData>) -> Option<Fetch>) {
        let Some(plugin) = self.plugin.clone() else { return };
        let now_ms = host::now_ms();
        // Also before an answer: this VM may have been stalled, and another one may refresh.
        plugin.look(now_ms);
        let mut report = Lines::default();
        {
            let mut held = plugin.held.borrow_mut();
            let mut refresh = plugin.refresh.borrow_mut();
            let mut context = RefreshContext { now_ms, held: &mut held, shared: &SharedData, report: &mut report };
            let mut wanted = ask(&mut refresh, &mut context);
            while let Some(fetch) = wanted {
                match callouts::send(&plugin.config.policy, sender(&plugin, context.held.source()), &fetch) {
                    Ok(token) => refresh.sent(token),
                    Err(failure) => refresh.not_sent(failure, &mut context),
                }
                wanted = refresh.carry_on(&mut context);
            }
        }
        // It may hold another policy now, which it has published itself.
        plugin.looked(now_ms);
        self.wake_others(&plugin, now_ms);
        self.say(&plugin, &report, now_ms);
        self.answer_waiting(&plugin, now_ms);
        plugin.tick_every(next_tick(&plugin, now_ms));
    }

    /// Wakes the other VMs if this one refreshes and has published another policy.
    fn wake_others(&mut self, plugin: &Plugin, now_ms: u64) {
        let held = plugin.held.borrow();
        let sequence = held.manifest().map_or(0, |manifest| manifest.sequence);
        if plugin.refresh.borrow().is_leader() && sequence != self.woken {
            let own = plugin.place.borrow().queue();
            place::wake(&SharedData, held.source(), now_ms, self.woken, |queue| {
                if own != Some(queue) {
                    host::enqueue(queue);
                }
            });
        }
        self.woken = sequence;
    }

    /// Writes a report to the log and to the metrics.
    fn say(&mut self, plugin: &Plugin, report: &Lines<RefreshEvent>, now_ms: u64) {
        for (level, line) in &report.lines {
            host::log(level.into(), line);
        }
        report.events.iter().for_each(|event| plugin.metrics.refresh(*event));
        let held = plugin.held.borrow();
        let policy = &plugin.config.policy;
        let Some((age, freshness)) = held.age(now_ms, policy.stale_after, policy.expire_after) else {
            // If there never was a policy, the gauge grows from the time of configuration.
            plugin.metrics.age(Duration::from_millis(now_ms.saturating_sub(self.configured_ms)));
            return;
        };
        // Every VM sets this gauge, so that it also grows if no VM refreshes any more.
        plugin.metrics.age(age);
        if !plugin.refresh.borrow().is_leader() {
            return;
        }
        if !report.events.is_empty()
            && let Some(manifest) = held.manifest()
        {
            plugin.metrics.policy(manifest);
        }
        if self.freshness.replace(freshness).is_some_and(|known| known != freshness) {
            let seconds = age.as_secs();
            match freshness {
                Freshness::Fresh => host::log(LogLevel::Warn, "the policy is fresh again"),
                Freshness::Stale => host::log(
                    LogLevel::Warn,
                    &format!("the policy is stale: it was last confirmed {seconds} s ago; it stays in use"),
                ),
                Freshness::Expired => host::log(
                    LogLevel::Error,
                    &format!(
                        "the policy has expired: it was last confirmed {seconds} s ago; nothing is allowed any more"
                    ),
                ),
            }
        }
    }

    /// Returns unused tokens, and logs events of the counts of limits.
    fn settle(&mut self) {
        let Some(plugin) = &self.plugin else { return };
        let now_ms = host::now_ms();
        let notes = plugin.held.borrow().limiter().tick(&SharedData, now_ms / 1000);
        if notes == Notes::default() {
            return;
        }
        plugin.metrics.limits(&notes);
        let since = self.loss_said_ms.and_then(|said| now_ms.checked_sub(said));
        if since.is_none_or(|since| since >= LOSS_SAID_EVERY_MS) {
            self.loss_said_ms = Some(now_ms);
            host::log(LogLevel::Warn, &notes.to_string());
        }
    }

    /// Wakes waiting requests if there is a policy, and requests that have waited long enough.
    fn answer_waiting(&self, plugin: &Rc<Plugin>, now_ms: u64) {
        let has_policy = plugin.held.borrow().manifest().is_some();
        // If the clock was set back, the wait ends.
        let done = |waiting: &HeldRequest| has_policy || now_ms >= waiting.until_ms || now_ms < waiting.since_ms;
        let (ready, left) = plugin.waiting.take().into_iter().partition::<Vec<_>, _>(done);
        plugin.waiting.replace(left);
        if ready.is_empty() {
            return;
        }
        for HeldRequest { context, .. } in ready {
            // A stream that has ended meanwhile has no context any more.
            if host::set_effective_context(context) {
                http::go_on(plugin, context);
            }
        }
        host::set_effective_context(self.context);
    }
}

impl Root {
    /// Resets open streams that the policy no longer allows, some in each tick.
    fn close_streams(&self) {
        let Some(plugin) = &self.plugin else { return };
        let Some(open) = &plugin.open else { return };
        let Some(sequence) = plugin.held.borrow().manifest().map(|manifest| manifest.sequence) else { return };
        open.borrow_mut().begin(sequence, host::now_ms());
        if open.borrow().is_busy() {
            let refused = http::decide_again(plugin, &mut open.borrow_mut());
            // Envoy ends a stream at once and calls back into this VM. So nothing may be borrowed here.
            for (context, reason) in refused {
                if host::set_effective_context(context) {
                    http::close(plugin, reason);
                }
            }
            host::set_effective_context(self.context);
        }
        if open.borrow().is_busy() {
            plugin.tick_every(FAST_TICK);
        }
    }

    /// Calls usage if it is reported, and carries out the request that it wants.
    fn usage(&self, ask: impl FnOnce(&mut Usage, &mut usage::UsageContext<'_, SharedData>) -> Option<Post>) {
        let Some(plugin) = &self.plugin else { return };
        let Some(usage) = &plugin.usage else { return };
        let mut report = Lines::default();
        let held = plugin.held.borrow();
        let mut context = usage::UsageContext {
            now_ms: host::now_ms(),
            shared: &SharedData,
            source: held.source(),
            report: &mut report,
        };
        let mut usage = usage.borrow_mut();
        if let Some(post) = ask(&mut usage, &mut context) {
            match callouts::send_post(&plugin.config.policy, sender(plugin, context.source), &post) {
                Ok(token) => usage.sent(token),
                Err(failure) => usage.not_sent(failure, &mut context),
            }
        }
        for (level, line) in &report.lines {
            host::log(level.into(), line);
        }
        report.events.iter().for_each(|event| plugin.metrics.usage(*event));
    }

    fn reports_usage_with(&self, token: u32) -> bool {
        let usage = self.plugin.as_ref().and_then(|plugin| plugin.usage.as_ref());
        usage.is_some_and(|usage| usage.borrow().waits_for(token))
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_size: usize, _trailers: usize) {
        let answer = callouts::read_answer(headers, body_size);
        if self.reports_usage_with(token) {
            return self.usage(|usage, context| usage.answered(&answer, context));
        }
        self.refresh(|refresh, context| refresh.answered(token, answer, context));
    }
}

impl RootContext for Root {
    fn on_vm_start(&mut self, _size: usize) -> bool {
        true
    }

    /// The result depends only on the configuration and the VM's environment. If a worker refused what the main thread
    /// accepted, the worker would let requests pass unchecked.
    fn on_configure(&mut self, _size: usize) -> bool {
        let config = match config::parse(&host::plugin_configuration(), &host::environment) {
            Ok(config) => config,
            Err(error) => {
                host::log(LogLevel::Error, &format!("keygate's configuration is refused: {error}"));
                return false;
            }
        };
        for warning in config.warnings() {
            host::log(LogLevel::Warn, &warning);
        }
        host::log(LogLevel::Info, &[version::CONFIGURED, version::commit(), ") is configured"].concat());
        let fingerprints = host::random().map(FingerprintKey::new);
        if fingerprints.is_none() {
            host::log(LogLevel::Warn, NO_RANDOM);
        }
        let mut held = PolicyView::new(SourceId::new(config.policy.identity()), fingerprints);
        // A configured name asserts that the stored policy is the right one, even if no plugin has used it for long.
        if config.policy.name.is_none() && held.distrust_unnamed(&SharedData, host::now_ms(), config.policy.stale_after)
        {
            host::log(LogLevel::Info, UNNAMED);
        }
        let plugin = Rc::new(Plugin {
            place: RefCell::new(Place::new(vm(), self.context, expires_after(&config))),
            sender: OnceCell::new(),
            held: RefCell::new(held),
            refresh: RefCell::new(Refresh::new(config.policy.clone())),
            metrics: Metrics::define(config.mode, config.policy.name.as_deref()),
            replies: Prepared::new(&config.replies, config.policy.refresh_interval),
            usage: config.usage.as_ref().map(|usage| RefCell::new(Usage::new(&config.policy, usage))),
            waiting: RefCell::default(),
            open: (config.policy.close_streams && config.mode == Mode::Enforce).then(RefCell::default),
            tick: Cell::new(TICK),
            serves: Cell::new(false),
            quiet_ticks: Cell::new(0),
            config,
        });
        self.configured_ms = host::now_ms();
        streams::serve(self.context, plugin.clone());
        self.plugin = Some(plugin);
        host::set_tick_period(TICK);
        true
    }

    /// Another VM has published a policy.
    fn on_queue_ready(&mut self, queue: u32) {
        while host::dequeue(queue) {}
        let Some(plugin) = self.plugin.clone() else { return };
        let now_ms = host::now_ms();
        plugin.look(now_ms);
        self.answer_waiting(&plugin, now_ms);
        self.close_streams();
    }

    fn on_tick(&mut self) {
        if let Some(plugin) = &self.plugin {
            plugin.count_tick();
            streams::ticked(self.context);
        }
        self.settle();
        let random = host::now_ns();
        self.refresh(|refresh, context| refresh.tick(random, context));
        self.close_streams();
        let yields = |plugin: &Rc<Plugin>| plugin.serves.get() || !plugin.refresh.borrow().is_leader();
        let yields = self.plugin.as_ref().is_some_and(yields);
        self.usage(|usage, context| usage.tick(random, yields, context));
    }
}

thread_local! {
    /// A number that tells this VM from others; 0 until it is made.
    static VM: Cell<u64> = const { Cell::new(0) };
}

/// The number of this VM.
fn vm() -> u64 {
    VM.with(|vm| {
        if vm.get() == 0 {
            vm.set(random());
        }
        vm.get()
    })
}

/// A random number, or the time if the host gives no random bytes.
fn random() -> u64 {
    let bytes = host::random().and_then(|bytes| bytes.first_chunk().copied());
    bytes.map_or_else(host::now_ns, u64::from_le_bytes)
}

/// What callouts say about this Envoy.
fn sender<'p>(plugin: &'p Plugin, source: &SourceId) -> &'p Sender {
    plugin.sender.get_or_init(|| {
        let policy = &plugin.config.policy;
        let process = process::name(&SharedData, source, random());
        let node = host::property(b"xds\0node\0id").filter(|id| !id.is_empty());
        let node = node.map(|id| reply::header_text(&String::from_utf8_lossy(&id)));
        let instance = policy.instance.clone().or(node).unwrap_or_else(|| process.clone());
        Sender { instance, process, expires_after: expires_after(&plugin.config) }
    })
}

/// When the next tick follows. A request to the policy service goes out with a tick, so one follows when it is due.
fn next_tick(plugin: &Plugin, now_ms: u64) -> Duration {
    let refresh = plugin.refresh.borrow();
    if refresh.is_busy() || !plugin.waiting.borrow().is_empty() {
        return FAST_TICK;
    }
    let usual = plugin.usual_tick();
    refresh.due_in(now_ms).map_or(usual, |due| due.clamp(SHORTEST_TICK, usual))
}

/// Seconds after which a plugin allows nothing without a confirmation; 0 if it goes on for ever, as one does that allows
/// without a policy.
fn expires_after(config: &Config) -> u64 {
    let expires = config.policy.expire_after.filter(|_| config.on_policy_unavailable == OnPolicyUnavailable::Deny);
    expires.map_or(0, |age| age.as_secs().saturating_add(u64::from(age.subsec_nanos() > 0)))
}

impl Drop for Root {
    /// Envoy drops a root context when its configuration is replaced. Resigning lets the successor refresh at once,
    /// without waiting for the lease to expire.
    fn drop(&mut self) {
        if let Some(plugin) = self.plugin.take()
            && let Ok(mut refresh) = plugin.refresh.try_borrow_mut()
            && let Ok(held) = plugin.held.try_borrow()
        {
            refresh.resign(&SharedData, held.source(), host::now_ms());
            plugin.place.borrow_mut().leave(&SharedData, held.source());
        }
    }
}

impl From<&Severity> for LogLevel {
    fn from(level: &Severity) -> Self {
        match level {
            Severity::Info => Self::Info,
            Severity::Warn => Self::Warn,
            Severity::Error => Self::Error,
        }
    }
}
