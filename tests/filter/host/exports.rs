//! What the filter exports. Those of its own take the place of the SDK's when the module is trimmed, and then are called
//! as the ABI has it; what is not here the module does not export.
//!
//! The lifetime of a context is the caller's business: ids of contexts that are not there make the SDK panic.

// The rlib has to be linked although no Rust item of it is named here.
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
    pub fn keygate_on_delete(context: u32);
}
