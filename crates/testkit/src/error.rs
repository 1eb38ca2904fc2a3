//! The errors while a stack is started or asked. Each error says what was expected and how to fix it.

use std::{fmt, io, path::PathBuf, time::Duration};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug)]
pub enum Error {
    /// Something is missing that must be built or installed first.
    Missing {
        path: PathBuf,
        /// How to get it.
        remedy: &'static str,
    },
    /// A port is in use.
    PortTaken {
        port: u16,
        /// The variable that changes it.
        variable: &'static str,
        /// The process that uses it, if known.
        holder: Option<String>,
    },
    /// A text to replace does not occur exactly once in a configuration.
    NotReplaced {
        text: String,
        /// How often it occurs.
        found: usize,
    },
    /// A program ended that should be running.
    Exited {
        program: &'static str,
        /// How it ended.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// A condition did not become true in time.
    Deadline {
        /// The condition.
        what: String,
        waited: Duration,
        /// The result of the last check.
        last: String,
    },
    /// An HTTP exchange failed.
    Http {
        /// The request.
        what: String,
        /// The client's error.
        error: String,
    },
    /// An answer is not as expected.
    Unexpected {
        /// The request.
        what: String,
        expected: String,
        found: String,
    },
    /// The operating system refused a call.
    Io {
        /// The action that failed.
        what: String,
        /// The system's error.
        error: io::Error,
    },
}

impl Error {
    pub fn unexpected(what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Unexpected { what: what.into(), expected: expected.into(), found: found.into() }
    }

    /// For `map_err`: adds the action that failed to an I/O error.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path, remedy } => write!(f, "{} is not there: {remedy}", path.display()),
            Self::PortTaken { port, variable, holder } => {
                let holder = holder.as_deref().unwrap_or("a process that cannot be seen from here");
                write!(f, "port {port} is taken by {holder}; end that, or choose another: make run {variable}=<port>")
            }
            Self::NotReplaced { text, found } => {
                write!(f, "`{text}` stands {found} times in the configuration, not once; are two ports the same?")
            }
            Self::Exited { program, status, log } => {
                write!(f, "{program} ended ({status}); the end of its log:\n{log}")
            }
            Self::Deadline { what, waited, last } => write!(f, "{what}: not within {waited:?}; last seen: {last}"),
            Self::Http { what, error } => write!(f, "{what}: {error}"),
            Self::Unexpected { what, expected, found } => write!(f, "{what}: expected {expected}, found {found}"),
            Self::Io { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for Error {}
