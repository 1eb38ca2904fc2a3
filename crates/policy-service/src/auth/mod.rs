//! Who may ask for what: the first administrator, principals with tokens, and gateways.
//!
//! [`credentials`] says whose a request is, [`permission`] what each role may do on each route, and [`caller`] is the
//! extractor by which routes get both. Secrets are kept as digests ([`secret`]), and `Debug` shows none. Which rows a
//! principal sees is decided by [`management::access`].

mod administrator;
mod caller;
mod credentials;
mod gateway;
mod gateways;
mod given;
mod identity;
mod invalid;
pub mod permission;
mod secret;

pub use administrator::Administrator;
pub use caller::Caller;
pub use credentials::Credentials;
pub use gateway::Gateway;
pub use gateways::Gateways;
pub use identity::Identity;
