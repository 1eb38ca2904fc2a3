//! Callouts: the filter's requests to a cluster, and the answers of the test.

use super::headers::Headers;

/// An accepted `dispatch_http_call`.
#[derive(Clone, Debug)]
pub struct Callout {
    pub(super) vm: usize,
    pub(super) root: u32,
    pub(super) token: u32,
    /// When Envoy gives up, in nanoseconds of the host's clock. `None`: never.
    pub(super) deadline: Option<u64>,
    /// The thread that made the callout: 0 is the main thread, 1 the first worker.
    pub thread: usize,
    pub cluster: String,
    /// Request headers, including pseudo headers.
    pub headers: Headers,
    pub body: Vec<u8>,
    /// In milliseconds; 0 is no limit.
    pub timeout_ms: u32,
}

impl Callout {
    /// `:path`.
    pub fn path(&self) -> String {
        self.headers.text(":path").unwrap_or_default()
    }
}

/// The answer to a callout.
#[derive(Clone, Debug)]
pub enum Answer {
    Response {
        status: u16,
        headers: Vec<(String, Vec<u8>)>,
        body: Vec<u8>,
    },
    /// Envoy's own 504.
    Timeout,
    /// Envoy's own 503.
    ConnectionRefused,
    /// The stream was reset: there are no headers, and every read fails.
    Reset,
    /// Nothing yet. The callout stays pending until the test answers it or its timeout passes.
    Pending,
    /// Nothing ever, not even the timeout.
    Never,
}

impl Answer {
    /// 200 with a JSON body.
    pub fn json(body: impl ToString) -> Self {
        Self::status(200, body.to_string()).header("content-type", "application/json")
    }

    /// A status and a body, without headers.
    pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Response { status, headers: Vec::new(), body: body.into() }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let Self::Response { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.as_ref().to_vec()));
        }
        self
    }

    /// Headers and body as the callback sees them. `None` for a reset.
    pub(super) fn delivered(self) -> Option<(Headers, Vec<u8>)> {
        let (status, lines, body) = match self {
            Self::Response { status, headers, body } => (status, headers, body),
            Self::Timeout => (504, Vec::new(), b"upstream request timeout".to_vec()),
            Self::ConnectionRefused => (
                503,
                Vec::new(),
                b"upstream connect error or disconnect/reset before headers. reset reason: connection failure".to_vec(),
            ),
            Self::Reset | Self::Pending | Self::Never => return None,
        };
        let mut headers = Headers::default();
        headers.add(":status", status.to_string());
        lines.iter().for_each(|(name, value)| headers.add(name, value));
        Some((headers, body))
    }
}

/// The state of a cluster in Envoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cluster {
    /// Not configured: a dispatch gives BadArgument.
    Unknown,
    /// No healthy host: a dispatch gives InternalFailure, and there is no callback.
    WithoutHosts,
}
