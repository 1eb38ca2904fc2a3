//! A filter that makes the host calls of keygate's request path and decides nothing, or hardly anything. This is what
//! keygate would cost if deciding were free: the floor of each goal on this machine.
//!
//! Its configuration names the calls, in keygate's order, so that leaving one out shows its cost: `pairs metric remove
//! set set set property`. `read-keys` and `read-applications` read a shard of shared data, a different one each time,
//! with the size of keygate's shards. `look-keys` and `look-applications` also verify the shard and look for one of its
//! records. `read-manifest` reads a value as small as a manifest, and `refuse` sends keygate's refusal. The values that
//! it sets are as long as keygate's values in the benchmark.
//!
//! `head`, `credential`, `path`, `api` and `subject` are the work that every filter of this kind must do: read the
//! headers, find the key in them, bring the path into the form in which it is compared, and look up the API and the key
//! in a map. `rules` also compares the states that were found, with as few comparisons as possible, and sets the values
//! that were found. `digest` computes the key's SHA-256 instead, for a key whose records are looked at and not
//! compared. Each of these includes all before it, and uses keygate's own functions if there are any. Their other
//! results are thrown away. Like keygate, this filter has an allocator with spare blocks, gets streams without the
//! SDK's dispatcher, and declares the host calls itself. It ignores statuses.

// keygate's allocator, which its crate declares only with the shell. A native check of this crate includes the shell,
// so there would be two allocators.
#[cfg(target_arch = "wasm32")]
#[path = "../../../../../src/plugin/memory.rs"]
mod memory;
mod shards;

use std::{cell::RefCell, hint::black_box, ptr, rc::Rc};

use hashbrown::HashMap;
use keygate::{
    catalogue::Catalogue,
    config::{Ambiguous, CredentialSource},
    credential::{self, Credential},
    digest::Digest,
    policy::{ApplicationState, KeyState, KeyType, SubscriptionState, page::Page},
    request::{
        head::Head,
        hostname::Host,
        path::{RequestPath, Target},
    },
};
use proxy_wasm::traits::{Context, RootContext};

use shards::{APPLICATIONS, KEYS, Shards};

const REQUEST_HEADERS: u32 = 0;
const PLUGIN_CONFIGURATION: u32 = 7;
const COUNTER: u32 = 0;
const CONTINUE: u32 = 0;
const PAUSE: u32 = 1;

/// The headers of `set`, one after the other.
const HEADERS: [(&str, &str); 3] =
    [("x-application-id", "app-0000000"), ("x-key-id", "k-00000000"), ("x-key-type", "PRODUCTION")];
/// The properties of `property`, one after the other.
const PROPERTIES: [(&str, &str); 4] = [
    ("keygate.reason", "allowed"),
    ("keygate.application_id", "app-0000000"),
    ("keygate.key_id", "k-00000000"),
    ("keygate.api_id", "api-000"),
];
/// APIs of the benchmark. Each has a path of its own.
const APIS: usize = 100;
/// A key as long as that of keygate's manifest. Its value is as long as a manifest.
const MANIFEST: &[u8] = b"bench/0123456789abcdef0123456789abcdef/manifest";
const MANIFEST_BYTES: usize = 68;
/// The reply of `refuse`.
const BODY: &str = r#"{"code":"900901","message":"Invalid Credentials","description":"Make sure you have provided the correct API key"}"#;
const REPLY_HEADERS: [(&str, &str); 2] =
    [("content-type", "application/json"), ("www-authenticate", "API-Key realm=\"keygate\"")];

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_buffer_bytes(buffer: u32, start: usize, max: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(key: *const u8, key_size: usize, value: *const u8, value_size: usize, cas: u32) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
}

// The SDK's own callback, for root contexts.
unsafe extern "C" {
    fn proxy_on_context_create(context: u32, root: u32);
}

enum Call {
    Pairs,
    Work(Box<Work>),
    Metric(u32),
    Remove,
    /// The header at this index of [`HEADERS`].
    Set(usize),
    Property(&'static str, &'static str),
    Read(Shards),
    Look(Shards),
    ReadManifest,
    Refuse(Vec<u8>),
}

/// The work on the headers, and its data.
struct Work {
    until: Part,
    sources: Vec<CredentialSource>,
    catalogue: Catalogue,
    /// The first key that came.
    subjects: RefCell<HashMap<Vec<u8>, Rc<Known>>>,
}

/// The facts about a key without plans and restrictions.
struct Known {
    key_state: KeyState,
    key_type: KeyType,
    not_before: Option<u64>,
    expires_at: Option<u64>,
    application_state: ApplicationState,
    subscription_state: SubscriptionState,
    /// For [`HEADERS`].
    values: [Box<str>; 3],
}

impl Known {
    fn new() -> Self {
        Self {
            key_state: KeyState::Active,
            key_type: KeyType::Production,
            not_before: None,
            expires_at: None,
            application_state: ApplicationState::Active,
            subscription_state: SubscriptionState::Unblocked,
            values: HEADERS.map(|(_, value)| value.into()),
        }
    }

    /// Whether no rule refuses. There is no check of times, because that would cost a call for the clock.
    fn passes(&self) -> bool {
        self.key_state == KeyState::Active
            && self.not_before.is_none()
            && self.expires_at.is_none()
            && self.application_state == ApplicationState::Active
            && match self.subscription_state {
                SubscriptionState::Unblocked => true,
                SubscriptionState::ProdOnlyBlocked => self.key_type == KeyType::Sandbox,
                _ => false,
            }
    }
}

/// A part of the work, including all parts before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Head,
    Credential,
    Path,
    Api,
    Subject,
    Rules,
    Digest,
}

impl Work {
    fn new(until: Part) -> Option<Self> {
        let header = |name: &str| CredentialSource::Header { name: name.to_owned() };
        // keygate's default sources.
        let sources =
            vec![header("x-api-key"), header("apikey"), CredentialSource::Query { name: "apikey".to_owned() }];
        let apis =
            (0..APIS).map(|api| format!(r#"{{"id": "api-{api:03}", "match": [{{"path": "/api-{api:03}/1.0"}}]}}"#));
        let page = format!(r#"{{"format": 1, "apis": [{}]}}"#, apis.collect::<Vec<_>>().join(","));
        let catalogue = Catalogue::new(Page::scan(page.into_bytes()).ok()?.catalogue);
        Some(Self { until, sources, catalogue, subjects: RefCell::default() })
    }

    /// The facts about the caller, if they are looked up and the request passes.
    fn on(&self, headers: &[u8]) -> Option<Rc<Known>> {
        let head = Head::parse(black_box(headers)).ok()?;
        if self.until < Part::Credential {
            black_box(&head);
            return None;
        }
        let found = credential::find(&head, &self.sources);
        let credential = black_box(found.resolve(Ambiguous::Reject));
        if self.until < Part::Path {
            return None;
        }
        let path = black_box(RequestPath::of(head.target.unwrap_or(Target::new(b"")))).ok()?;
        if self.until < Part::Api {
            return None;
        }
        black_box(self.catalogue.find(&Host::parse(head.authority)?, &path));
        let Credential::Present(key) = credential else { return None };
        if self.until < Part::Subject {
            return None;
        }
        let mut subjects = self.subjects.borrow_mut();
        let known = black_box(subjects.get(key).cloned());
        if known.is_none() && subjects.is_empty() {
            subjects.insert(key.to_vec(), Rc::new(Known::new()));
        }
        if self.until == Part::Digest {
            black_box(Digest::of(key));
            return None;
        }
        known.filter(|known| self.until >= Part::Rules && known.passes())
    }
}

thread_local! {
    // A VM has only one plugin.
    static CALLS: RefCell<Vec<Call>> = const { RefCell::new(Vec::new()) };
}

struct Root;

impl Context for Root {}

impl RootContext for Root {
    /// Refuses a word that names no call.
    fn on_configure(&mut self, _size: usize) -> bool {
        // SAFETY: the host writes pointer and size.
        let configuration = take_buffer(|data, size| unsafe {
            proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, usize::MAX, data, size)
        });
        let work = |until| Some(Call::Work(Box::new(Work::new(until)?)));
        let (mut headers, mut properties) = (0..HEADERS.len(), PROPERTIES.iter());
        let calls: Option<Vec<Call>> = String::from_utf8_lossy(&configuration)
            .split_whitespace()
            .map(|word| match word {
                "pairs" => Some(Call::Pairs),
                "head" => work(Part::Head),
                "credential" => work(Part::Credential),
                "path" => work(Part::Path),
                "api" => work(Part::Api),
                "subject" => work(Part::Subject),
                "rules" => work(Part::Rules),
                "metric" => Some(Call::Metric(define_metric("bench.calls"))),
                "remove" => Some(Call::Remove),
                "set" => headers.next().map(Call::Set),
                "property" => properties.next().map(|(path, value)| Call::Property(path, value)),
                "digest" => work(Part::Digest),
                "read-keys" => Some(Call::Read(KEYS)),
                "read-applications" => Some(Call::Read(APPLICATIONS)),
                "look-keys" => Some(Call::Look(KEYS)),
                "look-applications" => Some(Call::Look(APPLICATIONS)),
                "read-manifest" => Some(Call::ReadManifest),
                "refuse" => Some(Call::Refuse(serialize(&REPLY_HEADERS))),
                _ => None,
            })
            .collect();
        let Some(calls) = calls else { return false };
        for call in &calls {
            match call {
                Call::Read(shards) | Call::Look(shards) => shards.all().for_each(|(key, value)| write(&key, &value)),
                Call::ReadManifest => write(MANIFEST, &[1; MANIFEST_BYTES]),
                _ => {}
            }
        }
        CALLS.set(calls);
        true
    }
}

#[unsafe(no_mangle)]
extern "C" fn keygate_on_context_create(context: u32, root: u32) {
    if root == 0 {
        // SAFETY: no memory is passed.
        unsafe { proxy_on_context_create(context, root) };
    }
}

#[unsafe(no_mangle)]
extern "C" fn keygate_on_delete(_context: u32) {}

#[unsafe(no_mangle)]
extern "C" fn keygate_on_request_headers(_context: u32, _headers: usize, _end_of_stream: u32) -> u32 {
    CALLS.with_borrow(|calls| {
        let mut taken = Vec::new();
        let mut known = None;
        let mut action = CONTINUE;
        for call in calls {
            // SAFETY: the host reads the bytes, and writes pointer and size, during the call.
            unsafe {
                match call {
                    Call::Pairs => {
                        taken = take_buffer(|data, size| proxy_get_header_map_pairs(REQUEST_HEADERS, data, size));
                    }
                    Call::Work(work) => known = work.on(&taken),
                    Call::Metric(id) => _ = proxy_increment_metric(*id, 1),
                    Call::Remove => {
                        let name = "x-api-key";
                        proxy_remove_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len());
                    }
                    Call::Set(place) => {
                        let (name, constant) = HEADERS.get(*place).copied().unwrap_or_default();
                        let found = known.as_ref().and_then(|known| known.values.get(*place));
                        let value = found.map_or(constant, |value| value);
                        let (name, name_size) = (name.as_ptr(), name.len());
                        proxy_replace_header_map_value(REQUEST_HEADERS, name, name_size, value.as_ptr(), value.len());
                    }
                    Call::Property(path, value) => {
                        proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len());
                    }
                    Call::Read(shards) => drop(read(&shards.next())),
                    Call::Look(shards) => {
                        let key = shards.next();
                        shards.look(&key, &read(&key));
                    }
                    Call::ReadManifest => drop(read(MANIFEST)),
                    Call::Refuse(headers) => {
                        let details = "keygate_key_unknown";
                        proxy_send_local_response(
                            401,
                            details.as_ptr(),
                            details.len(),
                            BODY.as_ptr(),
                            BODY.len(),
                            headers.as_ptr(),
                            headers.len(),
                            -1,
                        );
                        action = PAUSE;
                    }
                }
            }
        }
        drop(taken);
        action
    })
}

fn read(key: &[u8]) -> Vec<u8> {
    let mut cas = 0;
    // SAFETY: the host reads the key during the call, and writes pointer, size and version.
    take_buffer(|data, size| unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut cas) })
}

fn write(key: &[u8], value: &[u8]) {
    // SAFETY: the host reads the bytes during the call.
    unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), 0) };
}

/// The host's serialization of a header map.
fn serialize(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut out = (headers.len() as u32).to_le_bytes().to_vec();
    for (name, value) in headers {
        out.extend((name.len() as u32).to_le_bytes());
        out.extend((value.len() as u32).to_le_bytes());
    }
    for (name, value) in headers {
        out.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    out
}

/// Takes ownership of the bytes that the host allocated. Empty if there are none.
fn take_buffer(get: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Vec<u8> {
    let mut data = ptr::null_mut();
    let mut size = 0;
    let status = get(&raw mut data, &raw mut size);
    if status != 0 || data.is_null() {
        return Vec::new();
    }
    // SAFETY: the host got these bytes from the SDK's allocation function, which makes a boxed slice of exactly this
    // size, and transfers their ownership.
    unsafe { Vec::from_raw_parts(data, size, size) }
}

fn define_metric(name: &str) -> u32 {
    let mut id = 0;
    // SAFETY: the host reads the name, and writes the id, during the call.
    unsafe { proxy_define_metric(COUNTER, name.as_ptr(), name.len(), &raw mut id) };
    id
}

// The SDK's exports have no documentation, so they are in a private module.
mod start {
    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| Box::new(super::Root));
    }}
}
