//! keygate: a proxy-wasm filter that checks API keys and subscription blocks from memory.
pub mod catalogue;
pub mod config;
pub mod credential;
pub mod decision;
pub mod edit;
pub mod head;
pub mod hostname;
pub mod path;
pub mod policy;
pub mod referer;
pub mod refresh;
pub mod reply;
pub mod store;
pub mod template;
