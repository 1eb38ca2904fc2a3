//! How a command can end: the exit codes, and errors in words. No error repeats a token or a key.

use std::{fmt, io};

use serde_json::Value;

use crate::plain::plain;

/// An error, as a person reads it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The service refused the request.
    #[error("{0}")]
    Refused(Refusal),
    /// The service was not reached, or its answer cannot be used.
    #[error("{0}")]
    Unreachable(String),
    /// The command was called in a way that cannot work.
    #[error("{0}")]
    Usage(String),
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
    /// Lines that each tell one error, and a line that sums them up.
    #[error("{}", .0.join("\n"))]
    Many(Vec<String>),
    /// What reads the output has gone, as `head` does.
    #[error("the output was closed")]
    Closed,
}

/// A problem document of the service (RFC 9457).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The status in words.
    pub title: String,
    /// What is wrong, and what the service expects.
    pub detail: String,
    /// The field that is wrong.
    pub field: Option<String>,
    /// The name of the request in the log of the service.
    pub request_id: Option<String>,
    /// What to try, if this program knows it.
    pub advice: Option<&'static str>,
}

impl Refusal {
    /// Reads a problem document. Another body is not repeated, because it may come from any program on the way.
    pub fn of(status: u16, body: &[u8], request_id: Option<String>) -> Self {
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| problem.get(name).and_then(Value::as_str).map(|text| plain(text).into_owned());
        let advice = match status {
            401 => Some("the token is not valid here; `keygatectl login` or KEYGATE_TOKEN sets another one"),
            403 => Some("`keygatectl whoami` shows the role of the token"),
            429 => Some("try again in a minute"),
            404 if text("detail").is_some_and(|detail| detail.starts_with("your role ")) => {
                Some("`keygatectl whoami` shows the role of the token")
            }
            _ => None,
        };
        Self {
            status,
            title: text("title").unwrap_or_else(|| words(status).to_owned()),
            detail: text("detail").unwrap_or_else(|| "the answer is not one of a policy service".to_owned()),
            field: text("field"),
            request_id: text("request_id").or(request_id.map(|id| plain(&id).into_owned())),
            advice,
        }
    }
}

fn words(status: u16) -> &'static str {
    reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error")
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "{field}: {}", self.detail)?,
            None => write!(f, "{}", self.detail)?,
        }
        write!(f, "\n  the service answered {} {}", self.status, self.title)?;
        if let Some(id) = &self.request_id {
            write!(f, "; its log knows the request as {id}")?;
        }
        if let Some(advice) = self.advice {
            write!(f, "\n  {advice}")?;
        }
        Ok(())
    }
}

impl Failure {
    /// The status of the service's answer, if it refused the request.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            _ => None,
        }
    }

    /// An error about a file.
    pub fn file(path: &std::path::Path, error: &io::Error) -> Self {
        Self::Other(format!("{}: {error}", path.display()))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Other(error.to_string()),
        }
    }
}

/// The end of a command that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// All is done.
    Well,
    /// There is a difference.
    Different,
    /// The policy refuses the request that was to be explained.
    Denied,
    /// A receipt is not complete.
    Incomplete,
}

impl Done {
    /// The exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Different => 2,
            Self::Denied => 3,
            Self::Incomplete => 4,
        }
    }
}

/// Any error.
pub const FAILED: u8 = 1;
/// Wrong arguments, as in `sysexits.h`.
pub const USAGE: u8 = 64;

impl Failure {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Closed => 0,
            _ => FAILED,
        }
    }
}

/// What a command returns.
pub type Outcome = Result<Done, Failure>;
