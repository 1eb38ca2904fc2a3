//! What the filter exports, as the host finds it.
//!
//! The lifetime of a context is the caller's business: ids of contexts that are not there make the SDK panic.

// The rlib has to be linked although no Rust item of it is named here.
use keygate as _;

unsafe extern "C" {
    pub fn _initialize();
    pub fn proxy_on_memory_allocate(size: usize) -> *mut u8;
    pub fn proxy_on_context_create(context: u32, root: u32);
    pub fn proxy_on_vm_start(root: u32, configuration_size: usize) -> bool;
    pub fn proxy_on_configure(root: u32, configuration_size: usize) -> bool;
    pub fn proxy_on_tick(root: u32);
    pub fn proxy_on_request_headers(stream: u32, headers: usize, end_of_stream: bool) -> u32;
    pub fn proxy_on_response_headers(stream: u32, headers: usize, end_of_stream: bool) -> u32;
    pub fn proxy_on_http_call_response(root: u32, token: u32, headers: usize, body: usize, trailers: usize);
    pub fn proxy_on_done(context: u32) -> bool;
    pub fn proxy_on_log(context: u32);
    pub fn proxy_on_delete(context: u32);
}
