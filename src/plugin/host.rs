//! The host: the only code that calls Envoy.
//!
//! Bytes go in and out. Nothing here treats a client's bytes as text, and nothing panics, whatever status the host
//! returns. The SDK's own wrappers panic in both cases, use several calls where one suffices, and cannot set response
//! code details. So this file declares the calls of the request path itself. Callouts go through the SDK, because its
//! dispatcher has to know their tokens.

#![allow(unsafe_code, reason = "the host's functions take pointers; each use says why it is sound")]
#![allow(clippy::disallowed_methods, reason = "the disallowed methods are disallowed everywhere else")]

use std::{ptr, time::Duration};

use proxy_wasm::{hostcalls, types::Status};

use crate::shared::{Expected, Shared, SharedError, Versioned};

type Code = u32;

const OK: Code = 0;
const NOT_FOUND: Code = 1;
const CAS_MISMATCH: Code = 8;

const REQUEST_HEADERS: u32 = 0;
const REQUEST_TRAILERS: u32 = 1;
const CALL_RESPONSE_HEADERS: u32 = 6;
const CALL_RESPONSE_BODY: u32 = 4;
const PLUGIN_CONFIGURATION: u32 = 7;
const HTTP_REQUEST_STREAM: u32 = 0;

/// A version that no entry has, because the host counts up from one. With it, a key is set only if it is absent.
const NO_VERSION: u32 = u32::MAX;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> Code;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> Code;
    fn proxy_set_tick_period_milliseconds(period: u32) -> Code;
    fn proxy_set_effective_context(context: u32) -> Code;
    fn proxy_continue_stream(stream: u32) -> Code;
    fn proxy_close_stream(stream: u32) -> Code;
    fn proxy_get_buffer_bytes(buffer: u32, start: usize, max: usize, data: *mut *mut u8, size: *mut usize) -> Code;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> Code;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> Code;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> Code;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> Code;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) -> Code;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> Code;
    fn proxy_set_shared_data(key: *const u8, key_size: usize, value: *const u8, value_size: usize, cas: u32) -> Code;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> Code;
    fn proxy_register_shared_queue(name: *const u8, size: usize, queue: *mut u32) -> Code;
    fn proxy_enqueue_shared_queue(queue: u32, word: *const u8, size: usize) -> Code;
    fn proxy_dequeue_shared_queue(queue: u32, data: *mut *mut u8, size: *mut usize) -> Code;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> Code;
    fn proxy_increment_metric(id: u32, offset: i64) -> Code;
    fn proxy_record_metric(id: u32, value: u64) -> Code;
}

// The SDK's own callbacks. keygate's callbacks pass events of root contexts on to them.
unsafe extern "C" {
    fn proxy_on_context_create(context: u32, root: u32);
    fn proxy_on_delete(context: u32);
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn environ_sizes_get(count: *mut usize, size: *mut usize) -> Code;
    fn environ_get(entries: *mut *mut u8, bytes: *mut u8) -> Code;
    fn random_get(bytes: *mut u8, size: usize) -> Code;
}

/// Tells the SDK to create a root context with this number.
pub fn sdk_creates_root(context: u32) {
    // SAFETY: no memory is passed.
    unsafe { proxy_on_context_create(context, 0) };
}

/// Tells the SDK to drop a root context. It panics if it has none with this number.
pub fn sdk_deletes_root(context: u32) {
    // SAFETY: no memory is passed.
    unsafe { proxy_on_delete(context) };
}

/// Severity of a line in Envoy's log.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum LogLevel {
    Info = 2,
    Warn = 3,
    Error = 4,
}

/// Writes a line to Envoy's log.
pub fn log(level: LogLevel, line: &str) {
    // SAFETY: the host reads the bytes during the call. A line that cannot be written is lost.
    unsafe { proxy_log(level as u32, line.as_ptr(), line.len()) };
}

/// Now, in nanoseconds of Unix time. Zero if the host does not say.
pub fn now_ns() -> u64 {
    let mut time = 0;
    // SAFETY: the host writes eight bytes.
    unsafe { proxy_get_current_time_nanoseconds(&raw mut time) };
    time
}

/// Now, in milliseconds of Unix time.
pub fn now_ms() -> u64 {
    now_ns() / 1_000_000
}

/// Sets the period between ticks of this context.
pub fn set_tick_period(period: Duration) {
    let milliseconds = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
    // SAFETY: no memory is passed.
    unsafe { proxy_set_tick_period_milliseconds(milliseconds) };
}

/// Selects the context of the next calls. `false`: no context has this id.
pub fn set_effective_context(context: u32) -> bool {
    // SAFETY: no memory is passed.
    unsafe { proxy_set_effective_context(context) == OK }
}

/// Lets the request of the effective context continue.
pub fn continue_request() {
    // SAFETY: no memory is passed.
    unsafe { proxy_continue_stream(HTTP_REQUEST_STREAM) };
}

/// Calls `get` with room for a pointer and a size. Takes ownership of the bytes, which the host allocated with the
/// module's allocator.
fn take_buffer(get: impl FnOnce(*mut *mut u8, *mut usize) -> Code) -> Result<Vec<u8>, Code> {
    let mut data = ptr::null_mut();
    let mut size = 0;
    match get(&raw mut data, &raw mut size) {
        OK if data.is_null() => Ok(Vec::new()),
        // SAFETY: the host got these bytes from the SDK's allocation function, which makes a boxed slice of exactly
        // this size, and transfers their ownership.
        OK => Ok(unsafe { Vec::from_raw_parts(data, size, size) }),
        code => Err(code),
    }
}

pub fn plugin_configuration() -> Vec<u8> {
    // SAFETY: the host writes pointer and size.
    take_buffer(|data, size| unsafe { proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, usize::MAX, data, size) })
        .unwrap_or_default()
}

/// The request's headers, serialized. `None` if the host has none.
pub fn request_headers() -> Option<Vec<u8>> {
    // SAFETY: the host writes pointer and size.
    take_buffer(|data, size| unsafe { proxy_get_header_map_pairs(REQUEST_HEADERS, data, size) }).ok()
}

/// Sets a header of the request. Replaces the first header with that name.
pub fn set_request_header(name: &str, value: &[u8]) {
    // SAFETY: the host reads the bytes during the call.
    unsafe { proxy_replace_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

/// Resets the stream of the effective context, in both directions.
pub fn close_stream() {
    // SAFETY: no memory is passed.
    unsafe { proxy_close_stream(HTTP_REQUEST_STREAM) };
}

/// Removes all headers with that name from the request.
pub fn remove_request_header(name: &str) {
    // SAFETY: the host reads the bytes during the call.
    unsafe { proxy_remove_header_map_value(REQUEST_HEADERS, name.as_ptr(), name.len()) };
}

/// Removes all trailers with that name from the request.
pub fn remove_request_trailer(name: &str) {
    // SAFETY: the host reads the bytes during the call.
    unsafe { proxy_remove_header_map_value(REQUEST_TRAILERS, name.as_ptr(), name.len()) };
}

/// A property of the request. Zero bytes separate the parts of its path.
pub fn property(path: &[u8]) -> Option<Vec<u8>> {
    // SAFETY: the host reads the path during the call, and writes pointer and size.
    take_buffer(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) }).ok()
}

/// Sets a value in the request's filter state, under `wasm.` and the path.
pub fn set_property(path: &str, value: &[u8]) {
    // SAFETY: the host reads the bytes during the call.
    unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) };
}

/// A local reply to the request.
#[derive(Clone, Copy, Debug)]
pub struct LocalResponse<'a> {
    pub status: u16,
    /// Response code details.
    pub details: &'a str,
    pub headers: &'a [(&'static str, String)],
    pub body: &'a [u8],
    /// `None` if the request is not gRPC.
    pub grpc_status: Option<u8>,
}

/// Sends a local reply to the request of the effective context.
pub fn send_local_response(response: LocalResponse<'_>) {
    let LocalResponse { status, details, headers, body, grpc_status } = response;
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let headers = serialize(&headers);
    // SAFETY: the host reads the bytes during the call.
    unsafe {
        proxy_send_local_response(
            status.into(),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status.map_or(-1, i32::from),
        )
    };
}

/// The host's serialization of a header map.
fn serialize(headers: &[(&str, &str)]) -> Vec<u8> {
    let size_of = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = u32::try_from(headers.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    for (name, value) in headers {
        out.extend(size_of(name));
        out.extend(size_of(value));
    }
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        out.extend_from_slice(text.as_bytes());
        out.push(0);
    }
    out
}

#[derive(Clone, Copy, Debug)]
pub enum CalloutError {
    /// The cluster does not exist, or the headers are not a valid request.
    BadArgument,
    /// No healthy host, or a circuit breaker is open.
    InternalFailure,
}

/// Sends a request to a cluster. Returns the token of the answer.
pub fn callout(
    cluster: &str,
    headers: Vec<(&str, &str)>,
    body: Option<&[u8]>,
    timeout: Duration,
) -> Result<u32, CalloutError> {
    hostcalls::dispatch_http_call(cluster, headers, body, Vec::new(), timeout).map_err(|status| match status {
        Status::BadArgument => CalloutError::BadArgument,
        _ => CalloutError::InternalFailure,
    })
}

/// The headers of the answer to a callout, serialized. `None` if there was none.
pub fn callout_headers() -> Option<Vec<u8>> {
    // SAFETY: the host writes pointer and size.
    take_buffer(|data, size| unsafe { proxy_get_header_map_pairs(CALL_RESPONSE_HEADERS, data, size) }).ok()
}

pub fn callout_body(size: usize) -> Vec<u8> {
    if size == 0 {
        return Vec::new();
    }
    // SAFETY: the host writes pointer and size.
    take_buffer(|data, taken| unsafe { proxy_get_buffer_bytes(CALL_RESPONSE_BODY, 0, size, data, taken) })
        .unwrap_or_default()
}

/// Takes the ownership of the queue of that name. `None` if the host has no queues, or does not permit them.
pub fn register_queue(name: &[u8]) -> Option<u32> {
    let mut queue = 0;
    // SAFETY: the host reads the name during the call, and writes the number.
    let code = unsafe { proxy_register_shared_queue(name.as_ptr(), name.len(), &raw mut queue) };
    (code == OK).then_some(queue)
}

/// Wakes the owner of a queue, on its own thread.
pub fn enqueue(queue: u32) {
    // SAFETY: the host reads the word during the call. If it cannot be put into the queue, the next tick wakes the VM.
    unsafe { proxy_enqueue_shared_queue(queue, b"look".as_ptr(), 4) };
}

/// Takes a word out of a queue. `false` if it has none.
pub fn dequeue(queue: u32) -> bool {
    // SAFETY: the host writes pointer and size.
    take_buffer(|data, size| unsafe { proxy_dequeue_shared_queue(queue, data, size) }).is_ok()
}

#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum MetricKind {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

/// Defines a metric. `None` if the host refuses.
pub fn define_metric(kind: MetricKind, name: &str) -> Option<u32> {
    let mut id = 0;
    // SAFETY: the host reads the name during the call, and writes the id.
    let code = unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) };
    (code == OK).then_some(id)
}

pub fn increment_metric(id: u32, by: u64) {
    // SAFETY: no memory is passed.
    unsafe { proxy_increment_metric(id, i64::try_from(by).unwrap_or(i64::MAX)) };
}

/// Sets a gauge, or adds a value to a histogram.
pub fn record_metric(id: u32, value: u64) {
    // SAFETY: no memory is passed.
    unsafe { proxy_record_metric(id, value) };
}

pub fn environment(name: &str) -> Option<Vec<u8>> {
    let (mut count, mut size) = (0usize, 0usize);
    // SAFETY: the host writes both numbers.
    if unsafe { environ_sizes_get(&raw mut count, &raw mut size) } != OK {
        return None;
    }
    let mut entries = vec![ptr::null_mut(); count];
    let mut bytes = vec![0; size];
    // SAFETY: both buffers have the sizes that the host reported.
    if unsafe { environ_get(entries.as_mut_ptr(), bytes.as_mut_ptr()) } != OK {
        return None;
    }
    let prefix = [name.as_bytes(), b"="].concat();
    bytes.split(|&byte| byte == 0).find_map(|entry| entry.strip_prefix(&*prefix)).map(<[u8]>::to_vec)
}

/// Unpredictable bytes. `None` if the host gives none.
pub fn random() -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    // SAFETY: the host writes as many bytes as the array has.
    (unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) } == OK).then_some(bytes)
}

#[derive(Clone, Copy, Debug)]
pub struct SharedData;

impl Shared for SharedData {
    fn get(&self, key: &[u8]) -> Result<Option<Versioned>, SharedError> {
        let mut cas = 0;
        // SAFETY: the host reads the key during the call, and writes pointer, size and version.
        let value = take_buffer(|data, size| unsafe {
            proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut cas)
        });
        match value {
            Ok(value) => Ok(Some(Versioned { value, cas })),
            Err(NOT_FOUND) => Ok(None),
            Err(_) => Err(SharedError::Host),
        }
    }

    fn set(&self, key: &[u8], value: &[u8], expected: Expected) -> Result<(), SharedError> {
        let cas = match expected {
            Expected::Absent => NO_VERSION,
            Expected::Version(cas) => cas,
        };
        // SAFETY: the host reads the bytes during the call.
        match unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) } {
            OK => Ok(()),
            CAS_MISMATCH => Err(SharedError::Raced),
            _ => Err(SharedError::Host),
        }
    }
}
