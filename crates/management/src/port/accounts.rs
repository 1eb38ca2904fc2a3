//! Who may ask: tokens of principals and credentials of gateways. They stand beside the policy and make no revisions.
//!
//! The database has a secret only as its digest, 64 hexadecimal digits of SHA-256. What a role may do is decided by the rules.

use std::fmt;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Error, Principal, Scope};

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub principal: Principal,
    /// When it was made, Unix time.
    pub created_at: i64,
    /// First second in which it is good no more, Unix time; `None`: it does not end.
    pub expires_at: Option<i64>,
}

/// A credential of a gateway, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its id.
    pub id: String,
    /// The gateway. A gateway may have several credentials.
    pub client_id: String,
    /// What the gateway sees.
    pub scope: Scope,
    /// When it was made, Unix time.
    pub created_at: i64,
    /// First second in which it is good no more, Unix time; `None`: it does not end.
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

/// A page of a list, in the order of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountPage<T> {
    /// Its items.
    pub items: Vec<T>,
    /// Whether there are more.
    pub more: bool,
    /// How many the whole list has.
    pub total: i64,
}

/// Who may ask, as it is now.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// The token with this secret.
    async fn token_of(&self, secret: &SecretHash) -> Result<Option<Token>, Error>;

    /// At most `limit` tokens, from the first after the id `after`.
    async fn tokens(&self, after: Option<&str>, limit: u32) -> Result<AccountPage<Token>, Error>;

    /// The credential with this secret.
    async fn credential_of(&self, secret: &SecretHash) -> Result<Option<Credential>, Error>;

    /// The credential with this id.
    async fn credential(&self, id: &str) -> Result<Option<Credential>, Error>;

    /// At most `limit` credentials, from the first after the id `after`.
    async fn credentials(&self, after: Option<&str>, limit: u32) -> Result<AccountPage<Credential>, Error>;

    /// How often tokens or credentials were changed, whenever it rises, also by another service on this database. What was
    /// changed can be read by then.
    fn account_changes(&self) -> watch::Receiver<i64>;
}

/// Who may ask, within a change.
#[async_trait]
pub trait AccountRows: Send {
    /// How many tokens there are.
    async fn count_tokens(&mut self) -> Result<i64, Error>;

    /// Adds a token that is not there.
    async fn add_token(&mut self, token: &Token, secret: &SecretHash) -> Result<(), Error>;

    /// Takes a token away, and returns it if it was there.
    async fn remove_token(&mut self, id: &str) -> Result<Option<Token>, Error>;

    /// How many credentials there are.
    async fn count_credentials(&mut self) -> Result<i64, Error>;

    /// Adds a credential that is not there.
    async fn add_credential(&mut self, credential: &Credential, secret: &SecretHash) -> Result<(), Error>;

    /// Gives a credential another scope, and returns it as it was if it was there.
    async fn set_scope(&mut self, id: &str, scope: &Scope) -> Result<Option<Credential>, Error>;

    /// Takes a credential away, and returns it if it was there.
    async fn remove_credential(&mut self, id: &str) -> Result<Option<Credential>, Error>;
}
