//! Turns errors of PostgreSQL and sqlx into errors of the port. No error contains a password: the server's messages
//! name only users and databases, and errors of sockets name nothing.

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

/// An error of the rules while they make an audit entry. Only stored data can be wrong there.
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
        Self(match error {
            sqlx::Error::PoolTimedOut => Error::Busy,
            sqlx::Error::Io(error) => Error::Unavailable(format!("the connection to PostgreSQL failed: {error}")),
            sqlx::Error::Tls(error) => Error::Unavailable(format!("the TLS connection to PostgreSQL failed: {error}")),
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Error::Unavailable("the service is ending".to_owned())
            }
            sqlx::Error::Protocol(what) => Error::Unavailable(format!("PostgreSQL gave no proper answer: {what}")),
            sqlx::Error::Configuration(error) => Error::Unavailable(error.to_string()),
            sqlx::Error::Database(database) => of_server(database),
            error => Error::Failed(error.into()),
        })
    }
}

/// Maps the codes of <https://www.postgresql.org/docs/15/errcodes-appendix.html>.
fn of_server(error: Box<dyn sqlx::error::DatabaseError>) -> Error {
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    const QUERY_CANCELED: &str = "57014";
    const SERIALIZATION_FAILURE: &str = "40001";
    const DEADLOCK_DETECTED: &str = "40P01";
    const DISK_FULL: &str = "53100";
    const READ_ONLY: &str = "25006";
    const IDLE_IN_TRANSACTION: &str = "25P03";
    const INSUFFICIENT_PRIVILEGE: &str = "42501";
    // For whole classes, the first two characters.
    const NO_CONNECTION: &str = "08";
    const NOT_AUTHORIZED: &str = "28";
    const NO_SUCH_DATABASE: &str = "3D";
    const FEW_RESOURCES: &str = "53";
    const OPERATOR_INTERVENES: &str = "57";
    const SYSTEM_ERROR: &str = "58";
    let code = error.code().unwrap_or_default().into_owned();
    let said = error.message().to_owned();
    match code.as_str() {
        LOCK_NOT_AVAILABLE | QUERY_CANCELED | SERIALIZATION_FAILURE | DEADLOCK_DETECTED => Error::Busy,
        DISK_FULL => Error::Full,
        READ_ONLY => {
            Error::Unavailable(format!("PostgreSQL takes no changes, as a standby or by its settings: {said}"))
        }
        IDLE_IN_TRANSACTION | INSUFFICIENT_PRIVILEGE => Error::Unavailable(said),
        _ => match code.get(..2).unwrap_or_default() {
            NO_CONNECTION | NOT_AUTHORIZED | NO_SUCH_DATABASE | FEW_RESOURCES | OPERATOR_INTERVENES | SYSTEM_ERROR => {
                Error::Unavailable(said)
            }
            _ => Error::Failed(sqlx::Error::Database(error).into()),
        },
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
