//! Sign-in by OpenID Connect: at a certified provider, and at one that does what no certified provider can be made to do.

mod certified;
mod faults;
mod faulty;
mod tls;

use policy_service::cli::SignIn;

use crate::support::{Answer, Options, Service, browser::Browser};

/// The address at which browsers would reach the service. No test connects to it.
pub const PUBLIC: &str = "https://keygate.test/prefix";
pub const CLIENT_ID: &str = "keygate";
pub const CLIENT_SECRET: &str = "the client's secret: of/a+test%";
pub const SESSION: &str = "__Host-keygate-session";
pub const TICKET: &str = "__Host-keygate-sign-in";

/// The arguments of a service that signs people in at `issuer`.
pub fn arguments(issuer: &str) -> SignIn {
    let some = |text: &str| Some(text.to_owned());
    SignIn {
        console: true,
        public_url: some(PUBLIC),
        oidc_issuer: some(issuer),
        oidc_client_id: some(CLIENT_ID),
        oidc_client_secret: some(CLIENT_SECRET),
        ..SignIn::default()
    }
}

pub async fn service(arguments: SignIn) -> Service {
    Service::with(Options { sign_in: Some(Box::leak(Box::new(arguments))), ..Options::default() }).await
}

/// Begins a sign-in. Returns the address at the provider.
pub async fn begin(browser: &mut Browser, url: &str) -> String {
    let answer = browser.get(&format!("{url}/console/sign-in")).await.expect(303);
    answer.header("location").to_owned()
}

/// Completes a sign-in with a query of the provider.
pub async fn complete(browser: &mut Browser, url: &str, query: &str) -> Answer {
    browser.get(&format!("{url}/console/callback?{query}")).await
}

/// A parameter of an address.
pub fn parameter(address: &str, name: &str) -> String {
    let url = reqwest::Url::parse(address).unwrap();
    let found = url.query_pairs().find(|(other, _)| other == name);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

pub async fn me(browser: &mut Browser, url: &str) -> Answer {
    browser.get(&format!("{url}/v1/me")).await
}
