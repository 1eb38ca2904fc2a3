//! A fake Envoy: the whole host as a proxy-wasm filter sees it, natively and under the test's control.
//!
//! The SDK's imports are plain C symbols, so [`imports`] defines them. [`exports`] declares the functions that the
//! filter defines. The linker joins the two. One thread is one VM, because the SDK's dispatcher is thread-local. Each
//! [`Envoy`] has a VM for the main thread, which never sees a request, and VMs for its workers. They run one at a time,
//! when the test says so, except in [`Envoy::in_parallel`]. The behaviour follows Envoy's
//! `source/extensions/common/wasm/context.cc` and proxy-wasm-cpp-host's `exports.cc`, including the status of each
//! call.
//!
//! It does not run WebAssembly (other tests cover 32-bit sizes, memory limits and the host's copying), route requests,
//! speak HTTP, or measure.

mod audit;
mod callout;
mod cores;
mod envoy;
mod exports;
mod faults;
mod headers;
mod imports;
mod imports_stream;
mod imports_unused;
mod metrics;
mod queues;
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
