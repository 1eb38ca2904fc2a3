//! A filter that makes the host calls of keygate's hot path and decides nothing: what keygate would cost if deciding
//! were free.
//!
//! Its configuration names the calls, in keygate's order, so that the cost of each can be found by leaving it out:
//! `pairs metric remove set set set property`. An empty one makes none. The values that it sets are as long as those that
//! keygate sets in the benchmark. It uses the SDK's dispatcher and declares the calls itself, as keygate does; statuses
//! are not looked at.

use std::{ptr, rc::Rc};

use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::{Action, ContextType},
};

const REQUEST_HEADERS: u32 = 0;
const PLUGIN_CONFIGURATION: u32 = 7;
const COUNTER: u32 = 0;

/// What `set` sets, one after the other.
const HEADERS: [(&str, &str); 3] =
    [("x-application-id", "app-0000000"), ("x-key-id", "k-00000000"), ("x-key-type", "PRODUCTION")];

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
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
}

/// A host call.
#[derive(Clone, Copy)]
enum Call {
    Pairs,
    Metric(u32),
    Remove,
    Set(&'static str, &'static str),
    Property,
}

#[derive(Default)]
struct Root {
    calls: Rc<[Call]>,
}

struct Request {
    calls: Rc<[Call]>,
}

impl Context for Root {}

impl RootContext for Root {
    /// Refuses a word that names no call.
    fn on_configure(&mut self, _size: usize) -> bool {
        // SAFETY: the host writes pointer and size.
        let configuration = take_buffer(|data, size| unsafe {
            proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, usize::MAX, data, size)
        });
        let mut headers = HEADERS.iter();
        let calls: Option<Rc<[Call]>> = String::from_utf8_lossy(&configuration)
            .split_whitespace()
            .map(|word| match word {
                "pairs" => Some(Call::Pairs),
                "metric" => Some(Call::Metric(define_metric("bench.calls"))),
                "remove" => Some(Call::Remove),
                "set" => headers.next().map(|(name, value)| Call::Set(name, value)),
                "property" => Some(Call::Property),
                _ => None,
            })
            .collect();
        self.calls = calls.clone().unwrap_or_default();
        calls.is_some()
    }

    fn create_http_context(&self, _context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request { calls: self.calls.clone() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _headers: usize, _end_of_stream: bool) -> Action {
        let mut pairs = Vec::new();
        for call in &*self.calls {
            // SAFETY: the host reads the bytes, and writes pointer and size, during the call.
            unsafe {
                match call {
                    Call::Pairs => {
                        pairs = take_buffer(|data, size| proxy_get_header_map_pairs(REQUEST_HEADERS, data, size));
                    }
                    Call::Metric(id) => _ = proxy_increment_metric(*id, 1),
                    Call::Remove => {
                        let name = "x-api-key";
                        proxy_remove_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len());
                    }
                    Call::Set(name, value) => {
                        let (name, value) = (name.as_bytes(), value.as_bytes());
                        proxy_replace_header_map_value(
                            REQUEST_HEADERS,
                            name.as_ptr(),
                            name.len(),
                            value.as_ptr(),
                            value.len(),
                        );
                    }
                    Call::Property => {
                        let (path, value) = ("keygate.reason", "allowed");
                        proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len());
                    }
                }
            }
        }
        drop(pairs);
        Action::Continue
    }
}

/// Takes over what the host allocated; empty if it gave nothing.
fn take_buffer(get: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Vec<u8> {
    let mut data = ptr::null_mut();
    let mut size = 0;
    let status = get(&raw mut data, &raw mut size);
    if status != 0 || data.is_null() {
        return Vec::new();
    }
    // SAFETY: the host got these bytes from the SDK's allocator, which makes a boxed slice of exactly this size, and
    // gives them away.
    unsafe { Vec::from_raw_parts(data, size, size) }
}

fn define_metric(name: &str) -> u32 {
    let mut id = 0;
    // SAFETY: the host reads the name, and writes the id, during the call.
    unsafe { proxy_define_metric(COUNTER, name.as_ptr(), name.len(), &raw mut id) };
    id
}

// What the SDK exports here has no documentation, which only a private module may lack.
mod start {
    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| Box::<super::Root>::default());
    }}
}
