//! Requests to the identity provider, with limits in bytes and in time.
//!
//! Redirects are not followed: the addresses come from the provider's discovery document, and a redirect would lead the
//! client's secret elsewhere.

use std::time::Duration;

use openidconnect::{HttpRequest, HttpResponse, http};

/// Maximum length of an answer of the identity provider, in bytes. Documents, sets of keys and tokens have some KB; a
/// set of 100 RSA keys with certificates has 200 KB.
const MAX_ANSWER_BYTES: usize = 256 << 10;
/// How long the provider may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the provider may take for one answer. A sign-in asks it at most five times, and a person waits for it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the identity provider gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    #[error("{0}")]
    Failed(String),
    #[error("it did not answer within {} seconds", ANSWER_TIMEOUT.as_secs())]
    Slow,
    #[error("its answer has more than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
}

impl From<reqwest::Error> for NoAnswer {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Slow;
        }
        // The URL may contain what a log should not have. The cause says what is wrong.
        let error = error.without_url();
        let mut said = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(deeper) = cause {
            said = format!("{said}: {deeper}");
            cause = deeper.source();
        }
        Self::Failed(said)
    }
}

/// Asks the identity provider.
#[derive(Clone, Debug)]
pub struct Asking(reqwest::Client);

impl Asking {
    /// `over_tls`: the provider is asked by https. The system's roots are then read.
    pub fn new(over_tls: bool) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .https_only(over_tls)
            .tls_built_in_root_certs(over_tls)
            .user_agent("keygate policy-service")
            .build();
        client.map(Self).map_err(|error| NoAnswer::from(error).to_string())
    }

    /// Sends one request.
    pub async fn send(self, request: HttpRequest) -> Result<HttpResponse, NoAnswer> {
        let request = reqwest::Request::try_from(request)?;
        let mut response = self.0.execute(request).await?;
        let mut answer = http::Response::builder().status(response.status()).version(response.version());
        for (name, value) in response.headers() {
            answer = answer.header(name, value);
        }
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await? {
            if body.len().saturating_add(part.len()) > MAX_ANSWER_BYTES {
                return Err(NoAnswer::TooLarge);
            }
            body.extend_from_slice(&part);
        }
        answer.body(body).map_err(|error| NoAnswer::Failed(error.to_string()))
    }
}
