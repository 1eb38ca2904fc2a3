//! Accounts: tokens of principals and credentials of gateways. They are not part of the policy and make no revisions.
//!
//! The database stores a secret only as its digest, 64 hexadecimal digits of SHA-256. The rules decide what a role may
//! do.

use std::fmt;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Error, Principal, Scope};

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: String,
    /// The principal.
    pub principal: Principal,
    /// The time of creation, in Unix seconds.
    pub created_at: i64,
    /// First second in which it is not valid any more, Unix time; `None` if it does not expire.
    pub expires_at: Option<i64>,
}

/// A gateway's credential, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its id.
    pub id: String,
    /// The gateway. A gateway may have several credentials.
    pub client_id: String,
    /// What the gateway sees.
    pub scope: Scope,
    /// The time of creation, in Unix seconds.
    pub created_at: i64,
    /// First second in which it is not valid any more, Unix time; `None` if it does not expire.
    pub expires_at: Option<i64>,
}

/// The digest of a secret. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash(pub String);

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash")
    }
}

/// A page of a list, sorted by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountPage<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether there are more items.
    pub more: bool,
    /// Number of items in the whole list.
    pub total: i64,
}

/// Reads the current accounts.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Finds the token with this secret.
    async fn token_of(&self, secret: &SecretHash) -> Result<Option<Token>, Error>;

    /// Returns at most `limit` tokens that come after the id `after`.
    async fn tokens(&self, after: Option<&str>, limit: u32) -> Result<AccountPage<Token>, Error>;

    /// Finds the credential with this secret.
    async fn credential_of(&self, secret: &SecretHash) -> Result<Option<Credential>, Error>;

    /// Finds the credential with this id.
    async fn credential(&self, id: &str) -> Result<Option<Credential>, Error>;

    /// Returns at most `limit` credentials that come after the id `after`.
    async fn credentials(&self, after: Option<&str>, limit: u32) -> Result<AccountPage<Credential>, Error>;

    /// Follows the number of changes of tokens and credentials, including those by other services on this database. The
    /// changes can be read when the number rises.
    fn account_changes(&self) -> watch::Receiver<i64>;
}

/// Accounts within a change.
#[async_trait]
pub trait AccountRows: Send {
    /// Number of tokens.
    async fn count_tokens(&mut self) -> Result<i64, Error>;

    /// Adds a new token.
    async fn add_token(&mut self, token: &Token, secret: &SecretHash) -> Result<(), Error>;

    /// Deletes a token. Returns it if it existed.
    async fn remove_token(&mut self, id: &str) -> Result<Option<Token>, Error>;

    /// Number of credentials.
    async fn count_credentials(&mut self) -> Result<i64, Error>;

    /// Adds a new credential.
    async fn add_credential(&mut self, credential: &Credential, secret: &SecretHash) -> Result<(), Error>;

    /// Sets the scope of a credential. Returns its earlier state if it existed.
    async fn set_scope(&mut self, id: &str, scope: &Scope) -> Result<Option<Credential>, Error>;

    /// Deletes a credential. Returns it if it existed.
    async fn remove_credential(&mut self, id: &str) -> Result<Option<Credential>, Error>;
}
