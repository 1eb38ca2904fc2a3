//! The shell: turns Envoy's callbacks into calls of the core, and carries out the core's results.
//!
//! Nothing here decides. A VM has one [`instance::Plugin`] for each plugin configuration. Its root context refreshes the policy,
//! and the plugin answers the requests of its streams.

mod callouts;
mod host;
mod http;
mod instance;
mod memory;
mod metrics;
mod root;
mod streams;
mod version;

proxy_wasm::main! {{
    // Installs the hook that logs the place of a panic before the VM is lost.
    proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Error);
    proxy_wasm::set_root_context(|context| Box::new(root::Root::new(context)));
}}
