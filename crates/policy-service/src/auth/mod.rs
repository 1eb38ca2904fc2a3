//! Authentication and permissions of the first administrator, of principals with tokens, and of gateways.
//!
//! [`credentials`] identifies the sender of a request, [`permission`] says what each role may do on each route, and
//! [`caller`] is the extractor that gives routes both. Secrets are kept as digests ([`secret`]), and `Debug` shows
//! none. [`management::access`] decides which rows a principal sees.

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
pub use caller::{Caller, not_a_gateway_any_more as not_a_gateway};
pub use credentials::Credentials;
pub use gateway::{Gateway, Row};
pub use gateways::Gateways;
pub use identity::Identity;
