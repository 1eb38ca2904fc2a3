//! The filter with a way to make its VM trap: a request with the header `x-soak-trap`. It adds nothing else, and
//! nothing of it is in the shipped module.
//!
//! Envoy finds a callback by the name of its export. The soak gives [`soak_on_request_headers`] the name of keygate's
//! own callback. It calls that callback when it does not trap.

#![allow(unsafe_code, reason = "it exports a callback to Envoy and calls keygate's")]
#![allow(clippy::disallowed_methods, reason = "this is not part of the filter")]

use proxy_wasm::{hostcalls, types::MapType};

// The crate is linked for its exports; no Rust item of it is named here.
use keygate as _;

unsafe extern "C" {
    /// The filter's callback. It returns as a number whether the request goes on.
    fn keygate_on_request_headers(context: u32, headers: usize, end_of_stream: u32) -> u32;
}

/// Traps, or calls the filter.
#[unsafe(no_mangle)]
pub extern "C" fn soak_on_request_headers(context: u32, headers: usize, end_of_stream: u32) -> u32 {
    // Reads all headers at once, like the filter, because shipped configurations permit only that call.
    let known = hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default();
    if known.iter().any(|(name, _)| name == "x-soak-trap") {
        trap();
    }
    // SAFETY: the arguments are those that the host passed to this callback.
    unsafe { keygate_on_request_headers(context, headers, end_of_stream) }
}

#[cfg(target_arch = "wasm32")]
fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

/// Natively there is no host to trap in.
#[cfg(not(target_arch = "wasm32"))]
fn trap() -> ! {
    std::process::abort()
}
