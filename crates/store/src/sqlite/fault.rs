//! Turns errors of SQLite and sqlx into errors of the port.

use management::port::Error;

/// An error inside this folder. `?` converts errors of sqlx into it, and it converts into an [`Error`] of the port.
#[derive(Debug)]
pub struct Fault(Error);

impl From<Fault> for Error {
    fn from(Fault(error): Fault) -> Self {
        error
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// Of the rules that make an audit entry: only what the database holds can be wrong.
impl From<management::error::Error> for Fault {
    fn from(error: management::error::Error) -> Self {
        Self(match error {
            management::error::Error::Store(error) => error,
            other => Error::Failed(other.into()),
        })
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        // Primary result codes, https://www.sqlite.org/rescode.html. The upper bits only refine them.
        const BUSY: u32 = 5;
        const LOCKED: u32 = 6;
        const READONLY: u32 = 8;
        const IOERR: u32 = 10;
        const FULL: u32 = 13;
        const CANTOPEN: u32 = 14;
        const NOTADB: u32 = 26;
        const PRIMARY: u32 = 0xff;
        Self(match &error {
            sqlx::Error::PoolTimedOut => Error::Busy,
            sqlx::Error::Database(database) => {
                let code = database.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or_default();
                match code & PRIMARY {
                    BUSY | LOCKED => Error::Busy,
                    FULL => Error::Full,
                    // A write beyond the file size limit fails with EFBIG, which SQLite reports like any other I/O
                    // error.
                    IOERR if has_file_limit() => Error::Full,
                    READONLY | IOERR | CANTOPEN | NOTADB => Error::Unavailable(database.message().to_owned()),
                    _ => Error::Failed(error.into()),
                }
            }
            _ => Error::Failed(error.into()),
        })
    }
}

impl From<sqlx::migrate::MigrateError> for Fault {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        Self(match error {
            sqlx::migrate::MigrateError::VersionMissing(_) => Error::Later(error.into()),
            sqlx::migrate::MigrateError::Execute(error) => return error.into(),
            _ => Error::Migration(error.into()),
        })
    }
}

/// Whether the system limits the size of this process's files (`ulimit -f`, `LimitFSIZE=`).
fn has_file_limit() -> bool {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max file size")?.split_whitespace().next());
    soft.is_some_and(|soft| soft != "unlimited")
}
