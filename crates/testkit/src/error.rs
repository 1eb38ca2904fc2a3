//! What can go wrong while a stack is started or asked. Each error says what was wanted and what to do about it.

use std::{fmt, io, path::PathBuf, time::Duration};

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug)]
pub enum Error {
    /// Something that has to be built or installed first is not there.
    Missing {
        /// Its path.
        path: PathBuf,
        /// How to get it.
        remedy: &'static str,
    },
    /// A port is in use.
    PortTaken {
        /// The port.
        port: u16,
        /// The variable that changes it.
        variable: &'static str,
        /// Who has it, if that can be known.
        holder: Option<String>,
    },
    /// A text that is to be replaced in a configuration is not there exactly as often as it should be.
    NotReplaced {
        /// The text.
        text: String,
        /// How often it is there.
        found: usize,
    },
    /// A program ended that should be running.
    Exited {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// Something did not become true in time.
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
        /// What was seen last.
        last: String,
    },
    /// An HTTP exchange failed.
    Http {
        /// What was asked.
        what: String,
        /// The client's error.
        error: String,
    },
    /// An answer is not what it should be.
    Unexpected {
        /// What was asked.
        what: String,
        /// What was expected.
        expected: String,
        /// What came.
        found: String,
    },
    /// The operating system refused something.
    Io {
        /// What was tried.
        what: String,
        /// The system's error.
        error: io::Error,
    },
}

impl Error {
    /// [`Error::Unexpected`].
    pub fn unexpected(what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Unexpected { what: what.into(), expected: expected.into(), found: found.into() }
    }

    /// For `map_err`: what was tried when an I/O error came.
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
