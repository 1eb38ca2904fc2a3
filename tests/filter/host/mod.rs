//! A fake Envoy: everything that a proxy-wasm filter sees of its host, natively and under the test's control.
//!
//! The SDK's imports are plain C symbols, so [`imports`] defines them, and [`exports`] declares what the filter defines;
//! the linker joins the two. One thread is one VM, because the SDK's dispatcher is thread-local. Each [`Envoy`] has a
//! main thread's VM, which never sees a request, and VMs for its workers; all run one at a time, when the test says so,
//! unless it asks for [`Envoy::in_parallel`]. Behaviour follows Envoy's `source/extensions/common/wasm/context.cc` and
//! proxy-wasm-cpp-host's `exports.cc`, down to which status each call gives.
//!
//! What it does not do: run WebAssembly (32-bit sizes, memory limits and the host's copying are for other tests), route
//! requests, speak HTTP, or measure.

mod audit;
mod callout;
mod envoy;
mod exports;
mod faults;
mod headers;
mod imports;
mod imports_stream;
mod imports_unused;
mod metrics;
mod requests;
mod shared_data;
mod status;
mod thread;
mod timeline;
mod vm;
mod worker;
mod world;

pub use callout::{Answer, Callout, Cluster};
pub use envoy::{Envoy, Refusal};
pub use faults::Fault;
pub use requests::{Exchange, Outcome, Request};
pub use status::{LogLevel, Status};
pub use vm::{Life, Ran};
