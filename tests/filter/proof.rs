//! Proves host and linking with a tiny filter, until keygate's own registers itself.
use proxy_wasm::{traits::*, types::*};
use std::time::Duration;

struct Root;
impl Context for Root {
    fn on_http_call_response(&mut self, _t: u32, n: usize, size: usize, _: usize) {
        if n == 0 {
            return;
        }
        let body = self.get_http_call_response_body(0, size).unwrap_or_default();
        self.set_shared_data("keygate/x", Some(&body), None).unwrap();
    }
}
impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        self.set_tick_period(Duration::from_millis(100));
        self.get_plugin_configuration().is_some_and(|c| c.starts_with(b"{"))
    }
    fn on_tick(&mut self) {
        if self.get_shared_data("keygate/x").1.is_none() {
            let _ = self.dispatch_http_call(
                "policy-service",
                vec![(":method", "GET"), (":path", "/v1/policy"), (":authority", "p")],
                None,
                vec![],
                Duration::from_secs(5),
            );
        }
    }
    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Http))
    }
    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
struct Http;
impl Context for Http {}
impl HttpContext for Http {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        if self.get_http_request_header(":path").as_deref() == Some("/panic") {
            panic!("asked to");
        }
        self.set_property(vec!["keygate.reason"], Some(b"allowed"));
        Action::Continue
    }
}
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root));
}

use crate::host::*;
#[test]
fn proof() {
    let mut envoy = Envoy::new("{}").feed(|_| Answer::json("{}")).started();
    envoy.run_for(Duration::from_secs(1));
    assert_eq!(envoy.shared_data("").len(), 1);
    assert_eq!(envoy.worker(1).request(Request::get("/")).verdict(), "allowed");
    assert_eq!(envoy.worker(1).request(Request::get("/panic")).verdict(), "dead");
    assert_eq!(envoy.worker(1).request(Request::get("/")).verdict(), "dead");
    envoy.worker(1).revive();
    assert_eq!(envoy.worker(1).request(Request::get("/")).verdict(), "allowed");
    envoy.worker(2).kill();
    assert_eq!(envoy.worker(2).request(Request::get("/")).verdict(), "dead");
    assert!(Envoy::new("no").start().is_err());
}
