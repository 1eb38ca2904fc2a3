//! An authenticated gateway.

use management::port::Scope;

/// A gateway that may read the feed.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// The name in its credentials.
    pub client_id: String,
    /// Which APIs it sees.
    pub scope: Scope,
    /// Its credential, if that is a row of the database and not of the configuration.
    pub row: Option<Row>,
}

/// A credential that can be revoked while the service runs.
#[derive(Clone, Debug)]
pub struct Row {
    /// The id of the credential.
    pub id: String,
    /// When it ends, Unix time; `None`: never.
    pub expires_at: Option<i64>,
}
