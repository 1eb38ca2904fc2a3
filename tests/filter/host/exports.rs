//! The exports of the filter. Functions of its own replace the SDK's when the module is trimmed, and then have the
//! names of the ABI. The module exports nothing else.
//!
//! The caller is responsible for the lifetime of a context: the SDK panics on the id of a context that does not exist.

// The rlib must be linked, although this file names no Rust item of it.
use keygate as _;

unsafe extern "C" {
    pub fn _initialize();
    pub fn proxy_on_memory_allocate(size: usize) -> *mut u8;
    pub fn keygate_on_context_create(context: u32, root: u32);
    pub fn proxy_on_vm_start(root: u32, configuration_size: usize) -> bool;
    pub fn proxy_on_configure(root: u32, configuration_size: usize) -> bool;
    pub fn proxy_on_tick(root: u32);
    pub fn keygate_on_request_headers(stream: u32, headers: usize, end_of_stream: bool) -> u32;
    pub fn proxy_on_http_call_response(root: u32, token: u32, headers: usize, body: usize, trailers: usize);
    pub fn proxy_on_queue_ready(root: u32, queue: u32);
    pub fn keygate_on_delete(context: u32);
}
