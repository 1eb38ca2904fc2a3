//! A sign-in under way: what the browser keeps of it, and what the identity provider gets.
//!
//! The browser keeps a ticket of 256 random bits in a cookie. State, nonce and PKCE verifier are derived from the ticket,
//! so no replica stores anything, and every replica can complete the sign-in. Who sees the addresses of the sign-in can
//! derive neither the ticket nor the verifier.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use management::{
    accounts::{Secret, hash},
    error::Error,
    port::{Act, accounts::SecretHash},
};
use subtle::ConstantTimeEq as _;

use crate::auth::secret::mac;

/// The prefix of tickets, so that scanners find them.
const PREFIX: &str = "kgl_";
/// The length of a ticket without its time: the prefix, and 64 hexadecimal digits.
const SECRET_LENGTH: usize = 68;

/// A sign-in under way. `Debug` does not show it.
pub struct Ticket {
    secret: String,
    begun: i64,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket")
    }
}

impl Ticket {
    /// A new ticket.
    pub fn new(act: &Act) -> Result<Self, Error> {
        Ok(Self { secret: Secret::new(act, PREFIX)?.0, begun: act.now })
    }

    /// Parses the cookie's value.
    pub fn parse(cookie: &str) -> Option<Self> {
        let (secret, begun) = cookie.split_once('.')?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_ticket =
            secret.len() == SECRET_LENGTH && secret.strip_prefix(PREFIX).is_some_and(|rest| rest.bytes().all(is_digit));
        // Only one spelling of a time.
        let begun = begun.parse::<i64>().ok().filter(|time| *time >= 0 && time.to_string() == begun)?;
        is_ticket.then(|| Self { secret: secret.to_owned(), begun })
    }

    /// The cookie's value.
    pub fn cookie(&self) -> String {
        format!("{}.{}", self.secret, self.begun)
    }

    /// When the sign-in began, Unix time. Another time has another state.
    pub fn begun(&self) -> i64 {
        self.begun
    }

    pub fn state(&self) -> String {
        self.derived("state")
    }

    pub fn nonce(&self) -> String {
        self.derived("nonce")
    }

    /// The PKCE verifier: 43 characters, the least that RFC 7636 allows, with 256 bits.
    pub fn verifier(&self) -> String {
        self.derived("verifier")
    }

    /// Whether an answer of the identity provider belongs to this sign-in.
    pub fn has_state(&self, given: &str) -> bool {
        self.state().as_bytes().ct_eq(given.as_bytes()).into()
    }

    /// By what the database knows that the sign-in was completed.
    pub fn digest(&self) -> SecretHash {
        hash(&self.derived("completed"))
    }

    fn derived(&self, label: &str) -> String {
        URL_SAFE_NO_PAD.encode(mac(&self.secret, label, self.begun.to_string().as_bytes()))
    }
}

#[cfg(test)]
mod tests;
