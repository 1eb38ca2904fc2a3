//! The variants that are compared. A variant has a listener, the requests to it, and their expected results.

use std::net::SocketAddr;

use crate::{
    filters::Filters,
    listeners::{self, Listener},
    load,
    population::{self, Population},
    worst,
};

/// keygate's host calls for an allowed request, in their order.
const CALLS: &str = "pairs metric remove set set set property";
/// The same if the credential is kept and nothing is forwarded.
const CALLS_ALONE: &str = "pairs metric property";
/// The unavoidable work of a decision, each item including all before it: read the headers, find the key, bring the
/// path into one form, look up the API and the key in a map, and compare the facts.
const WORK: [&str; 6] = ["head", "credential", "path", "api", "subject", "rules"];
/// The same for a key that is not cached: its shard and its application's.
const CALLS_COLD: &str = "pairs read-keys read-applications metric remove set set set property";
/// The unavoidable work for such a key: compute its SHA-256, verify both shards, find a record in each, and read both.
const WORK_COLD: (&str, &str) = ("pairs digest", "look-");
/// The same for an unknown key: its shard, and a check for a newer policy.
const CALLS_UNKNOWN: &str = "pairs read-keys read-manifest metric remove property property refuse";
/// The same for a blocked subscription: all facts about the caller are annotated.
const CALLS_BLOCKED: &str = "pairs metric remove property property property property refuse";
/// Keys of the Lua table, as in the goal.
const LUA_KEYS: usize = 100_000;
/// The step between keys if each request carries another one. A prime, so that two keys of one application never follow
/// each other.
const STRIDE: usize = 7919;

/// Ids of the variants that goals refer to.
pub mod id {
    /// No filter: the zero of every figure.
    pub const NONE: &str = "none";
    /// The no-op filter of the stock SDK.
    pub const NOOP: &str = "noop";
    /// keygate's work, written plainly.
    pub const PLAIN: &str = "plain";
    /// keygate's host calls.
    pub const CALLS: &str = "calls";
    /// keygate's host calls and the unavoidable work.
    pub const CALLS_WORK: &str = "calls-work";
    /// The same if keygate only decides.
    pub const CALLS_ALONE_WORK: &str = "calls-alone-work";
    /// keygate's host calls if it only decides.
    pub const CALLS_ALONE: &str = "calls-alone";
    /// keygate's host calls for a key that is not cached.
    pub const CALLS_COLD: &str = "calls-cold";
    /// The same with the unavoidable work for such a key.
    pub const CALLS_COLD_WORK: &str = "calls-cold-work";
    /// keygate's host calls for an unknown key.
    pub const CALLS_UNKNOWN: &str = "calls-unknown";
    /// keygate's host calls for a blocked subscription.
    pub const CALLS_BLOCKED: &str = "calls-blocked";
    /// Envoy's own filter for API keys.
    pub const API_KEY_AUTH: &str = "api-key-auth";
    /// The Lua table.
    pub const LUA: &str = "lua";
    /// A check by another server, whose cost is counted too.
    pub const EXT_AUTHZ: &str = "ext-authz";
    /// The same, only Envoy's cost.
    pub const EXT_AUTHZ_ENVOY: &str = "ext-authz-envoy";
    /// Envoy's own refusal.
    pub const RBAC: &str = "rbac";
    /// keygate with the default configuration, always the same key.
    pub const HOT: &str = "keygate-hot";
    /// keygate with another key in each request.
    pub const COLD: &str = "keygate-cold";
    /// keygate that only decides.
    pub const ALONE: &str = "keygate-alone";
    /// keygate refusing unknown keys.
    pub const UNKNOWN: &str = "keygate-unknown";
    /// keygate refusing a blocked subscription.
    pub const BLOCKED: &str = "keygate-blocked";
    /// keygate, always the same key, whose subscription has a limit.
    pub const LIMITED: &str = "keygate-limited";
}

/// The keys of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Always the same key.
    Hot,
    /// Another key in each request.
    Other,
    /// Another unknown key in each request.
    Unknown,
    /// A key whose subscription is blocked.
    Blocked,
    /// A key whose subscription has a limit.
    Limited,
    /// The key of the worst policy.
    Worst,
}

/// The expected effects of a filter on a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// The application's id is sent upstream.
    pub application: bool,
    /// The credential is removed.
    pub credential_removed: bool,
    /// The reason is in filter state.
    pub reason: bool,
    /// The answer shows the rest of a limit.
    pub limits: bool,
}

/// A variant.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its id in goals and files.
    pub id: String,
    /// Its name in the table.
    pub title: String,
    /// The listener for its requests.
    pub listener: String,
    /// The keys of its requests.
    pub keys: Keys,
    /// The status of every answer.
    pub status: u16,
    /// Text that the answer's body must contain.
    pub body: &'static str,
    /// The request that an upstream must have received. `None` if no request gets that far.
    pub made: Option<Made>,
    /// Whether the CPU time of the server for ext_authz counts too.
    pub with_authz: bool,
}

impl Variant {
    fn new(id: &str, title: &str, listener: &str) -> Self {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            listener: listener.to_owned(),
            keys: Keys::Hot,
            status: 200,
            body: "",
            made: Some(Made::default()),
            with_authz: false,
        }
    }

    fn makes(self, made: Made) -> Self {
        Self { made: Some(made), ..self }
    }

    fn asks_with(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    fn refuses(self, status: u16, body: &'static str) -> Self {
        Self { status, body, made: None, ..self }
    }

    /// The bytes of its `number`th request.
    pub fn request(&self, population: Population, host: &str, number: usize) -> Vec<u8> {
        let key = match self.keys {
            Keys::Worst => return worst::request(host),
            Keys::Hot => 0,
            Keys::Other => number.wrapping_mul(STRIDE) % population.allowed(),
            Keys::Unknown => population.keys() + number,
            Keys::Blocked => population.blocked(),
            Keys::Limited => population.limited(),
        };
        load::request(host, &population::path(key), &population::key(key))
    }
}

/// All variants.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    pub listeners: Vec<Listener>,
    pub variants: Vec<Variant>,
}

const ALL: Made = Made { application: true, credential_removed: true, reason: true, limits: false };
const REASON: Made = Made { application: false, credential_removed: false, reason: true, limits: false };

/// The rows of the table, in order. `anatomy` adds rows that show where the time of keygate's hot path goes.
pub fn all(filters: &Filters, population: Population, authz: SocketAddr, anatomy: bool) -> Compared {
    let mut compared = Compared::default();
    compared.others(filters, population, authz);
    compared.keygate(&filters.keygate, "keygate", "keygate");
    compared.limits(&filters.keygate);
    compared.closing(&filters.keygate);
    if let Some(baseline) = &filters.baseline {
        compared.keygate(baseline, "baseline", "baseline");
    }
    if anatomy {
        compared.anatomy(filters);
    }
    compared
}

impl Compared {
    /// The variants whose id begins with one of `prefixes`, and the reference variants. All variants if there are no
    /// prefixes.
    pub fn only(mut self, prefixes: &[String]) -> Self {
        let wanted = |variant: &Variant| {
            prefixes.is_empty()
                || [id::NONE, id::NOOP].contains(&variant.id.as_str())
                || prefixes.iter().any(|prefix| variant.id.starts_with(prefix))
        };
        self.variants.retain(wanted);
        self.listeners.retain(|listener| self.variants.iter().any(|variant| variant.listener == listener.name));
        self
    }

    fn listen(&mut self, name: &str, filter: Option<serde_json::Value>) {
        self.listeners.push(Listener { name: name.to_owned(), filter, shows_limits: false });
    }

    /// A listener with one variant.
    fn add(&mut self, id: &str, title: &str, filter: Option<serde_json::Value>, made: Made) {
        self.listen(id, filter);
        self.variants.push(Variant::new(id, title, id).makes(made));
    }

    fn others(&mut self, filters: &Filters, population: Population, authz: SocketAddr) {
        let nothing = Made::default();
        self.add(id::NONE, "no filter", None, nothing);
        self.add(
            id::API_KEY_AUTH,
            "native `api_key_auth`, 10,000 keys",
            Some(listeners::api_key_auth(population::key, |key| {
                population::application(population::application_of(key))
            })),
            nothing,
        );
        let noop = listeners::wasm(id::NOOP, &filters.noop, "");
        self.add(id::NOOP, "no-op filter, stock SDK", Some(noop), nothing);
        let lua = Made { reason: false, ..ALL };
        self.add(id::LUA, "Lua, table of 100,000 keys", Some(listeners::lua(LUA_KEYS)), lua);
        let plain = listeners::wasm(id::PLAIN, &filters.plain, &population.keys().to_string());
        self.add(id::PLAIN, "plain stock-SDK filter, the same work from a map", Some(plain), ALL);
        let [alone_worked, worked] = [CALLS_ALONE, CALLS].map(|words| words.replace("pairs", "pairs rules"));
        let calls = |id, words| Some(listeners::wasm(id, &filters.calls, words));
        self.add(id::CALLS_ALONE, "keygate's host calls, deciding alone", calls(id::CALLS_ALONE, CALLS_ALONE), REASON);
        let title = "the same, and what no deciding can do without";
        self.add(id::CALLS_ALONE_WORK, title, calls(id::CALLS_ALONE_WORK, &alone_worked), REASON);
        self.add(id::CALLS, "keygate's host calls, nothing decided", calls(id::CALLS, CALLS), ALL);
        self.add(id::CALLS_WORK, title, calls(id::CALLS_WORK, &worked), ALL);
        self.add(
            id::CALLS_COLD,
            "keygate's host calls with two reads of shared data",
            calls(id::CALLS_COLD, CALLS_COLD),
            ALL,
        );
        let (head, look) = WORK_COLD;
        let worked = CALLS_COLD.replace("pairs", head).replace("read-", look);
        self.add(id::CALLS_COLD_WORK, title, calls(id::CALLS_COLD_WORK, &worked), ALL);
        // Like keygate's requests: different bytes each time cost Envoy more, too.
        let cold = [id::CALLS_COLD, id::CALLS_COLD_WORK];
        self.variants.iter_mut().filter(|one| cold.contains(&&*one.id)).for_each(|one| one.keys = Keys::Other);
        for (id, title, words) in [
            (id::CALLS_UNKNOWN, "keygate's host calls, refusing an unknown key", CALLS_UNKNOWN),
            (id::CALLS_BLOCKED, "keygate's host calls, refusing a block", CALLS_BLOCKED),
        ] {
            self.listen(id, calls(id, words));
            self.variants.push(Variant::new(id, title, id).refuses(401, "900901"));
        }
        self.add(id::EXT_AUTHZ_ENVOY, "ext_authz over HTTP, Envoy alone", Some(listeners::ext_authz(authz)), nothing);
        let with_server = Variant::new(id::EXT_AUTHZ, "ext_authz over HTTP, with its server", id::EXT_AUTHZ_ENVOY);
        self.variants.push(Variant { with_authz: true, ..with_server });
        self.listen(id::RBAC, Some(listeners::rbac_refusal()));
        self.variants.push(Variant::new(id::RBAC, "RBAC's own refusal", id::RBAC).refuses(403, "RBAC"));
    }

    /// keygate's variants. `prefix` begins the ids, and `title` the names in the table.
    fn keygate(&mut self, module: &std::path::Path, prefix: &str, title: &str) {
        let alone = format!("{prefix}-alone");
        self.listen(prefix, Some(listeners::keygate(prefix, module)));
        self.listen(&alone, Some(listeners::keygate_alone(&alone, module)));
        let variant =
            |name: &str, what: &str| Variant::new(&format!("{prefix}-{name}"), &format!("**{title}**, {what}"), prefix);
        let of_worst = format!("{prefix}-worst");
        self.listen(&of_worst, Some(listeners::keygate_of(&of_worst, module, worst::PATH)));
        let worst = Variant { listener: of_worst, ..variant("worst", "the worst policy, 8 KiB of head") };
        self.variants.push(worst.makes(ALL).asks_with(Keys::Worst));
        let alone = Variant { listener: alone, ..variant("alone", "deciding alone, hot key").makes(REASON) };
        self.variants.extend([
            alone,
            variant("hot", "default configuration, hot key").makes(ALL),
            variant("cold", "each request another key").makes(ALL).asks_with(Keys::Other),
            variant("unknown", "refused: unknown key").asks_with(Keys::Unknown).refuses(401, "900901"),
            variant("blocked", "refused: subscription blocked").asks_with(Keys::Blocked).refuses(401, "900907"),
        ]);
    }

    /// keygate with limits, and with answer headers that show them to clients, like the shipped configuration.
    fn limits(&mut self, module: &std::path::Path) {
        let shown = "keygate-shown";
        let filter = Some(listeners::keygate_annotating_limits(shown, module));
        self.listeners.push(Listener { name: shown.to_owned(), filter, shows_limits: true });
        let variant = |id: &str, what: &str, listener| Variant::new(id, &format!("**keygate**, {what}"), listener);
        self.variants.extend([
            variant(id::LIMITED, "hot key with a limit", "keygate").makes(ALL).asks_with(Keys::Limited),
            variant("keygate-limited-shown", "hot key with a limit, shown to its client", shown)
                .makes(Made { limits: true, ..ALL })
                .asks_with(Keys::Limited),
            variant("keygate-unlimited-shown", "hot key without one, same configuration", shown).makes(ALL),
        ]);
    }

    /// keygate that closes open streams when they are no longer allowed.
    fn closing(&mut self, module: &std::path::Path) {
        let id = "keygate-closing";
        let title = "**keygate**, hot key with `close_streams`";
        self.add(id, title, Some(listeners::keygate_closing_streams(id, module)), ALL);
    }

    /// The host calls one by one. Each row makes one call more than the row before.
    fn anatomy(&mut self, filters: &Filters) {
        let words: Vec<&str> = CALLS.split(' ').collect();
        for count in 0..words.len() {
            let words = words.get(..count).unwrap_or_default();
            let id = format!("calls-{count}");
            let title = format!("host calls: {}", if words.is_empty() { "none".to_owned() } else { words.join(", ") });
            let has = |call: &str| words.contains(&call);
            let (application, reason) = (has("set"), has("property"));
            let made = Made { application, credential_removed: has("remove"), reason, limits: false };
            self.add(&id, &title, Some(listeners::wasm(&id, &filters.calls, &words.join(" "))), made);
        }
        for part in WORK {
            let id = format!("calls-work-{part}");
            let words = CALLS_ALONE.replace("pairs", &format!("pairs {part}"));
            let filter = Some(listeners::wasm(&id, &filters.calls, &words));
            self.add(&id, &format!("host calls, deciding alone, and the work up to: {part}"), filter, REASON);
        }
    }
}
