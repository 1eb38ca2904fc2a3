//! A filter that does nothing, built with the stock SDK: what it costs that there is a Wasm filter at all.
//!
//! It is the unit in which the goals for keygate's own cost are given, so nothing may be added here.

use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::ContextType,
};

struct Root;

struct Request;

impl Context for Root {}

impl RootContext for Root {
    fn create_http_context(&self, _context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Context for Request {}

impl HttpContext for Request {}

// What the SDK exports here has no documentation, which only a private module may lack.
mod start {
    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| Box::new(super::Root));
    }}
}
