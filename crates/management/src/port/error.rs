//! Why the database did not do what was asked: the cases that somebody can do something about, and the rest.

/// The error of another library.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another writer holds the lock, or no connection was free; the same request may succeed later.
    #[error("the database is busy")]
    Busy,
    /// The disk, the quota on it, or a file as large as it may be, is full.
    #[error("the disk of the database is full")]
    Full,
    /// The database cannot be read or written.
    #[error("the database cannot be read or written: {0}")]
    Unavailable(String),
    /// A path of the database names another file than the one that is open, or none: what is written would be lost.
    #[error("the database that is open is no longer at its path ({0})")]
    Moved(String),
    /// The URL names no database.
    #[error("--database (POLICY_DATABASE) is {0:?}, expected sqlite:FILE, as sqlite:policy.db, or postgres://USER@HOST/DATABASE")]
    Url(String),
    /// The file is another program's.
    #[error("{0} is a database of another program; nothing in it was changed")]
    Foreign(String),
    /// The file is no database of this program, or an empty one.
    #[error("this is no database of policy-service")]
    NoPolicy,
    /// What the database holds is not what this program writes.
    #[error("the database is damaged: {0}")]
    Damaged(&'static str),
    /// A later version of this program wrote the database.
    #[error("the database cannot be brought up to date: {0}")]
    Later(Cause),
    /// The database could not be brought up to date.
    #[error("the database cannot be brought up to date: {0}")]
    Migration(Cause),
    /// The revision is too old, or there never was one.
    #[error("revision {0} cannot be read any more, or not yet")]
    Gone(i64),
    /// A cursor is of a revision that this database never had, or has with other content.
    #[error("this cursor is of another history of this database, at revision {0}")]
    OtherHistory(i64),
    /// Anything else; a mistake in this program.
    #[error(transparent)]
    Failed(Cause),
}
