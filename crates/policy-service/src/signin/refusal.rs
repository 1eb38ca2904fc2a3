//! Why a sign-in is refused: the status, the words for the person, and the words for the log.
//!
//! The person reads what to do. The log has the cause. Neither has a code, a token or a secret.

use axum::http::StatusCode;

/// Why a sign-in is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("no sign-in is under way in this browser")]
    NotUnderWay,
    #[error("the sign-in took too long")]
    TooLate,
    #[error("the answer belongs to another sign-in (`state`)")]
    OtherState,
    #[error("the sign-in was completed before")]
    Completed,
    #[error("the answer of the identity provider cannot be read: {0}")]
    Unreadable(&'static str),
    #[error("the answer comes from another issuer (`iss`)")]
    OtherIssuer,
    #[error("the identity provider refused: {0}")]
    Denied(String),
    #[error("the identity provider cannot be used: {0}")]
    Away(String),
    #[error("the ID token is refused: {0}")]
    Token(String),
    #[error("the identity provider's answer has no claim {0:?}")]
    NoClaim(String),
    #[error("the claim {claim:?} names no role of this service: {found}")]
    UnknownRole { claim: String, found: String },
    #[error("the claim {claim:?} cannot be a subject: {why}")]
    BadSubject { claim: String, why: String },
    #[error("the email address of the person is not verified")]
    Unverified,
    #[error("too many sign-ins are under way")]
    Busy,
    #[error("the request comes from a page of another site")]
    OtherSite,
    #[error("the request lacks the CSRF token of its session")]
    NoCsrfToken,
    #[error("the token is wrong")]
    WrongToken,
    #[error("the service failed: {0}")]
    Failed(String),
}

impl Refusal {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotUnderWay | Self::TooLate | Self::OtherState | Self::Completed | Self::Unreadable(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::OtherIssuer
            | Self::Denied(_)
            | Self::Token(_)
            | Self::NoClaim(_)
            | Self::UnknownRole { .. }
            | Self::BadSubject { .. }
            | Self::Unverified
            | Self::OtherSite
            | Self::NoCsrfToken => StatusCode::FORBIDDEN,
            Self::Away(_) => StatusCode::BAD_GATEWAY,
            Self::Busy | Self::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What the person reads.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NotUnderWay | Self::TooLate | Self::OtherState | Self::Completed => {
                "This sign-in is not under way in this browser any more. Begin again."
            }
            Self::Unreadable(_) | Self::OtherIssuer | Self::Token(_) => {
                "The identity provider's answer was refused. Begin again; if that does not help, tell an administrator."
            }
            Self::Denied(_) => "The identity provider did not let you in.",
            Self::Away(_) => "The identity provider cannot be used at the moment. Try again later.",
            Self::NoClaim(_) | Self::UnknownRole { .. } => {
                "The identity provider names no role for you that this service knows, or several. Ask an administrator for exactly one."
            }
            Self::BadSubject { .. } => "The identity provider's name for you cannot be used. Tell an administrator.",
            Self::Unverified => "Your email address is not verified. Verify it at the identity provider.",
            Self::Busy | Self::Failed(_) => "The service cannot sign you in at the moment. Try again.",
            Self::OtherSite => "The request did not come from the console. Go there and try again.",
            Self::NoCsrfToken => {
                "The page was loaded in another session, so you are still signed in. Go to the console, and sign out there."
            }
            Self::WrongToken => "This is not a valid token.",
        }
    }

    /// Whether the refusal may be a guess at a credential, so that further ones from the address have to wait.
    pub fn is_guess(&self) -> bool {
        !matches!(self, Self::Away(_) | Self::Busy | Self::Failed(_))
    }
}

impl From<management::error::Error> for Refusal {
    fn from(error: management::error::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<management::port::Error> for Refusal {
    fn from(error: management::port::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
