//! The filter with a way to make its VM trap: a request with the header `x-soak-trap`. Nothing else is added, and nothing
//! of this is in what is shipped.
//!
//! Envoy finds a callback by the name of its export. The soak gives [`soak_on_request_headers`] the name of keygate's own,
//! which this calls when it does not trap.

#![allow(unsafe_code, reason = "a callback that Envoy calls, and the one that it stands before")]
#![allow(clippy::disallowed_methods, reason = "this is no part of the filter")]

use proxy_wasm::{hostcalls, types::MapType};

// Nothing of it is named here; it is linked for its exports.
use keygate as _;

unsafe extern "C" {
    /// The filter's callback. It returns whether the request goes on, as a number.
    fn keygate_on_request_headers(context: u32, headers: usize, end_of_stream: u32) -> u32;
}

/// Traps, or does what the filter does.
#[unsafe(no_mangle)]
pub extern "C" fn soak_on_request_headers(context: u32, headers: usize, end_of_stream: u32) -> u32 {
    // All of them at once, as the filter asks for them: that is what shipped configurations permit a module.
    let known = hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default();
    if known.iter().any(|(name, _)| name == "x-soak-trap") {
        trap();
    }
    // SAFETY: the arguments are those that the host gave for this very callback.
    unsafe { keygate_on_request_headers(context, headers, end_of_stream) }
}

#[cfg(target_arch = "wasm32")]
fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

/// There is no host here to trap in.
#[cfg(not(target_arch = "wasm32"))]
fn trap() -> ! {
    std::process::abort()
}
