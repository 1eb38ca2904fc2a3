//! Authentication and permissions of the first administrator, of principals with tokens or sessions, and of gateways.
//!
//! [`credentials`] identifies the sender of a request, [`permission`] says what each role may do on each route, and
//! [`caller`] is the extractor that gives routes both. Secrets are kept as digests ([`secret`]), and `Debug` shows
//! none. [`management::access`] decides which rows a principal sees.

mod administrator;
mod caller;
pub mod cookies;
mod credentials;
mod gateway;
mod gateways;
mod given;
pub mod held;
mod identity;
mod invalid;
pub mod permission;
pub mod secret;
pub mod session;

pub use administrator::Administrator;
pub use caller::{Caller, not_a_gateway_any_more as not_a_gateway};
pub use credentials::{Credentials, Proof};
pub use gateway::{Gateway, Row};
pub use gateways::Gateways;
pub use identity::{Flaw, Identity};
