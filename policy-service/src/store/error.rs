//! Why the database did not do what was asked: the few cases that somebody can do something about, and the rest.

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another writer holds the lock, or no connection was free; the same request may succeed later.
    #[error("the database is busy")]
    Busy,
    /// The disk, the quota on it, or a file as large as it may be, is full.
    #[error("the disk of the database is full")]
    Full,
    /// The file cannot be read or written.
    #[error("the database cannot be read or written: {0}")]
    Unavailable(String),
    /// A path of the database names another file than the one that is open, or none: what is written would be lost.
    #[error("the database that is open is no longer at its path ({0})")]
    Moved(String),
    /// The URL names no file.
    #[error("--database (POLICY_DATABASE) is {0:?}, expected sqlite:FILE, as sqlite:policy.db")]
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
    /// Anything else; a mistake in this program.
    #[error(transparent)]
    Sql(sqlx::Error),
    /// The file belongs to a newer version, or could not be brought up to date.
    #[error("the database cannot be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        // Primary result codes, https://www.sqlite.org/rescode.html; the upper bytes only refine them.
        const BUSY: u32 = 5;
        const LOCKED: u32 = 6;
        const READONLY: u32 = 8;
        const IOERR: u32 = 10;
        const FULL: u32 = 13;
        const CANTOPEN: u32 = 14;
        const NOTADB: u32 = 26;
        const PRIMARY: u32 = 0xff;
        match &error {
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::Database(database) => {
                let code = database.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or_default();
                match code & PRIMARY {
                    BUSY | LOCKED => Self::Busy,
                    FULL => Self::Full,
                    // A write beyond the limit of a file's size is EFBIG, which SQLite tells as any other failure.
                    IOERR if has_file_limit() => Self::Full,
                    READONLY | IOERR | CANTOPEN | NOTADB => Self::Unavailable(database.message().to_owned()),
                    _ => Self::Sql(error),
                }
            }
            _ => Self::Sql(error),
        }
    }
}

/// Whether the system limits the size of files of this process (`ulimit -f`, `LimitFSIZE=`).
fn has_file_limit() -> bool {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max file size")?.split_whitespace().next());
    soft.is_some_and(|soft| soft != "unlimited")
}
