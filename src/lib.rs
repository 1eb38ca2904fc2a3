//! keygate: a proxy-wasm filter that checks API keys and subscription blocks from memory.
pub mod config;
pub mod policy;
pub mod reply;
