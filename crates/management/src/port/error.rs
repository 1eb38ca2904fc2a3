//! Errors of the database. Each case that somebody can act on has a variant of its own.

/// The error of another library.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the database failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another writer holds the lock, or no connection was free. The same request may succeed later.
    #[error("the database is busy")]
    Busy,
    /// The disk is full, or a quota or a limit on file sizes is reached.
    #[error("the disk of the database is full")]
    Full,
    /// The database cannot be read or written.
    #[error("the database cannot be read or written: {0}")]
    Unavailable(String),
    /// The path of the database now names another file than the open one, or no file. Written data would be lost.
    #[error("the database that is open is no longer at its path ({0})")]
    Moved(String),
    /// The URL does not name a database file.
    #[error(
        "--database (POLICY_DATABASE) is {0:?}, expected sqlite:FILE, as sqlite:policy.db, or postgres://USER@HOST/DATABASE"
    )]
    Url(String),
    /// The URL has a parameter that no database takes. The name is absent if it may be a part of a password.
    #[error("--database (POLICY_DATABASE) has the unknown parameter {}, expected one of {allowed}", .name.as_deref().unwrap_or("…"))]
    Parameter {
        /// Its name.
        name: Option<String>,
        /// The names that are known.
        allowed: String,
    },
    /// The file belongs to another program.
    #[error("{0} is a database of another program; nothing in it was changed")]
    Foreign(String),
    /// The file is not a database of this program, or is empty.
    #[error("this is not a database of policy-service")]
    NoPolicy,
    /// The database contains data that this program never writes.
    #[error("the database is damaged: {0}")]
    Damaged(&'static str),
    /// A later version of this program wrote the database.
    #[error(
        "a later version of policy-service wrote the database; start that version, or restore a backup of this one ({0})"
    )]
    Later(Cause),
    /// The schema could not be migrated.
    #[error("the database cannot be brought up to date: {0}")]
    Migration(Cause),
    /// The revision is too old, or does not exist.
    #[error("revision {0} cannot be read any more, or not yet")]
    Gone(i64),
    /// A cursor names a revision that this database never had, or had with other content.
    #[error("this cursor belongs to another history of this database, at revision {0}")]
    OtherHistory(i64),
    /// Any other error: a fault of this program.
    #[error(transparent)]
    Failed(Cause),
}
