//! A proxy between Envoy and the policy service. It forwards everything until it is told to behave as badly as a
//! network, a proxy or a policy service can.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderName, HeaderValue, Method, Response, StatusCode, request::Parts},
};
use hyper::body::Frame;
use keygate_e2e::{
    Error, Result,
    http::{self, Answer, Ask},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::book::Book;

/// Headers of a callout that concern the feed.
const PASSED: &[&str] = &["authorization", "if-none-match", "prefer", "accept"];
/// Prefix of the filter's own headers. All of them are forwarded.
const OF_THE_FILTER: &str = "keygate-";
/// Size limit of a usage report: the limit of the policy service.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Headers of an answer that concern the filter.
const RETURNED: &[&str] = &["content-type", "etag", "retry-after", "preference-applied"];

/// The behaviour of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// Forwards everything.
    Well,
    /// Forwards everything, late.
    Slow,
    /// Answers nothing, and then breaks the connection.
    Silent,
    /// Bytes without a meaning.
    Garbage,
    /// An HTML page.
    Html,
    /// Half of a page.
    Truncated,
    /// A page of another format.
    OtherFormat,
    /// The gateway's credentials are refused.
    Forbidden,
    /// 500.
    Broken,
    /// 503 with `retry-after`.
    Unavailable,
    /// 429 with `retry-after`.
    TooMany,
    /// 410 to every poll, so that the full policy is fetched again.
    Gone,
    /// An older policy, in which nothing is blocked.
    Rollback,
    /// A newer policy, in which hardly any key is left.
    Shrunk,
    /// A delta on a revision that does not exist.
    WrongBase,
    /// A page whose next page is itself.
    Cycle,
    /// Forwards everything, but reports blocked things as open, to check that the soak notices.
    Lying,
}

impl Feed {
    /// All faults that the filter must tolerate.
    pub const FAULTS: [Self; 15] = [
        Self::Slow,
        Self::Silent,
        Self::Garbage,
        Self::Html,
        Self::Truncated,
        Self::OtherFormat,
        Self::Forbidden,
        Self::Broken,
        Self::Unavailable,
        Self::TooMany,
        Self::Gone,
        Self::Rollback,
        Self::Shrunk,
        Self::WrongBase,
        Self::Cycle,
    ];

    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::Garbage => "garbage",
            Self::Html => "HTML",
            Self::Truncated => "truncated",
            Self::OtherFormat => "other format",
            Self::Forbidden => "403",
            Self::Broken => "500",
            Self::Unavailable => "503",
            Self::TooMany => "429",
            Self::Gone => "410",
            Self::Rollback => "rollback",
            Self::Shrunk => "shrunk",
            Self::WrongBase => "wrong base",
            Self::Cycle => "cycle",
            Self::Lying => "lying",
        }
    }

    /// The pause that the gateway is asked for.
    pub fn asks_for(self) -> Duration {
        if matches!(self, Self::Unavailable | Self::TooMany) { RETRY_AFTER } else { Duration::ZERO }
    }
}

/// `retry-after` of 429 and 503.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Delay of a slow answer.
const LATE: Duration = Duration::from_millis(800);

/// Data of the real feed, for lies that look like it.
#[derive(Clone, Debug, Default)]
struct Seen {
    epoch: String,
    revision: u64,
}

/// The running proxy. Dropping it ends it.
pub struct Between {
    address: SocketAddr,
    feed: Arc<watch::Sender<Feed>>,
    refused: Arc<watch::Sender<Option<String>>>,
    server: JoinHandle<()>,
}

impl Between {
    /// Starts the proxy in front of `service`.
    pub async fn start(service: SocketAddr, book: Arc<Book>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(Error::io("listening"))?;
        let address = listener.local_addr().map_err(Error::io("listening"))?;
        let feed = Arc::new(watch::Sender::new(Feed::Well));
        let seen = Arc::new(watch::Sender::new(Seen::default()));
        let refused = Arc::new(watch::Sender::new(None::<String>));
        let (watched, unknown) = (Arc::clone(&feed), Arc::clone(&refused));
        let router = Router::new().fallback(async move |request: Request| {
            let mut feed = watched.subscribe();
            let (parts, body) = request.into_parts();
            let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
            let mut ask = Ask::get(path.clone());
            if parts.method == Method::POST {
                let body = axum::body::to_bytes(body, MAX_BODY_BYTES).await.unwrap_or_default();
                ask = Ask::new("POST", path.clone()).json(serde_json::from_slice(&body).unwrap_or_default());
            }
            for (name, value) in &parts.headers {
                if PASSED.contains(&name.as_str()) || name.as_str().starts_with(OF_THE_FILTER) {
                    ask = ask.header(name.as_str(), value.as_bytes());
                }
            }
            let credentials = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
            if credentials.is_some() && credentials == unknown.borrow().as_deref() {
                return plain(401, "application/problem+json", "{}");
            }
            if let Some((epoch, revision)) = proof(&parts) {
                book.open().history.proven(&epoch, revision, book.now());
            }
            let now = *feed.borrow_and_update();
            // A fault that begins meanwhile also hits an answer that is being waited for.
            let answer = tokio::select! {
                answer = answer(now, &path, ask, service, &seen, &book) => Some(answer),
                _ = feed.changed() => None,
            };
            match answer {
                Some(answer) => answer,
                None if now == Feed::Silent => cut("{"),
                None => lie(*feed.borrow(), &path, &seen.borrow()).unwrap_or_else(|| cut("{")),
            }
        });
        let server = tokio::spawn(async move {
            // Serves until it is aborted. An error of one connection ends only that connection.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, feed, refused, server })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the proxy refuses requests with this `authorization`. `None`: it refuses nothing.
    pub fn refuse(&self, authorization: Option<String>) {
        self.refused.send_replace(authorization);
    }

    /// Sets the behaviour of the feed.
    pub fn be(&self, feed: Feed) {
        self.feed.send_replace(feed);
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    feed: Feed,
    path: &str,
    ask: Ask,
    service: SocketAddr,
    seen: &watch::Sender<Seen>,
    book: &Book,
) -> Response<Body> {
    if let Some(lie) = lie(feed, path, &seen.borrow()) {
        return lie;
    }
    match feed {
        Feed::Silent => std::future::pending().await,
        Feed::Slow => tokio::time::sleep(LATE).await,
        _ => {}
    }
    let Ok(mut answer) = http::send(service, &ask).await else { return plain(502, "text/plain", "no policy service") };
    if let (Some(epoch), Some(revision)) = (answer.json().get("epoch"), answer.json().get("revision")) {
        let epoch = epoch.as_str().unwrap_or_default().to_owned();
        seen.send_replace(Seen { epoch, revision: revision.as_u64().unwrap_or_default() });
    }
    match feed {
        Feed::Truncated => return cut(answer.body.get(..answer.body.len() / 2).unwrap_or_default()),
        Feed::Lying => {
            for state in ["BLOCKED", "PROD_ONLY_BLOCKED"] {
                answer.body = answer.body.replace(&format!(r#""state":"{state}""#), r#""state":"UNBLOCKED""#);
            }
        }
        Feed::Well if is_feed(path) && (answer.status.is_success() || answer.status == StatusCode::NOT_MODIFIED) => {
            book.open().history.seen_well(book.now());
        }
        _ => {}
    }
    returned(&answer)
}

/// Epoch and revision that a poll proves: no worker decides by an older one. `None` if it proves nothing.
fn proof(parts: &Parts) -> Option<(String, u64)> {
    let query = parts.uri.query().filter(|_| is_feed(parts.uri.path()))?;
    let value = |name: &str| query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let is_page = value("after").is_some();
    let lags = parts.headers.contains_key("keygate-lagging");
    let proof = (value("epoch")?.to_owned(), value("since")?.parse().ok()?);
    (!is_page && !lags).then_some(proof)
}

/// Whether the path is the policy's, and not that of a usage report.
fn is_feed(path: &str) -> bool {
    path.starts_with("/v1/policy")
}

/// The answer, if the policy service is not asked.
fn lie(feed: Feed, path: &str, seen: &Seen) -> Option<Response<Body>> {
    let page = |page: Value| Some(plain(200, "application/json", &page.to_string()));
    let key = |number: u64| json!({"sha256": format!("{number:064x}"), "id": format!("lie-{number}"), "application": "app-0"});
    let api = json!([{"id": "api-0", "match": [{"path": "/api-0/1.0"}], "security": "none"}]);
    let Seen { epoch, revision } = seen;
    match feed {
        Feed::Well | Feed::Slow | Feed::Silent | Feed::Truncated | Feed::Lying => None,
        Feed::Garbage => Some(plain(200, "application/json", "\u{0}\u{1}{[\"keys\"")),
        Feed::Html => Some(plain(200, "text/html", "<html><body>Sign in to the network</body></html>")),
        Feed::OtherFormat => {
            page(json!({"format": 2, "epoch": epoch, "revision": revision.saturating_add(1), "apis": api}))
        }
        Feed::Forbidden => Some(plain(403, "application/json", "{}")),
        Feed::Broken => Some(plain(500, "text/plain", "")),
        Feed::Unavailable => Some(later(503)),
        Feed::TooMany => Some(later(429)),
        Feed::Gone => path.contains("since=").then(|| plain(410, "application/json", "{}")),
        Feed::Rollback => page(json!({"format": 1, "epoch": epoch, "revision": 1, "apis": api, "keys": [key(0)]})),
        Feed::Shrunk => page(json!({"format": 1, "epoch": epoch, "revision": revision.saturating_add(1), "apis": api,
                                    "keys": [key(0), key(1)]})),
        Feed::WrongBase => page(json!({"format": 1, "epoch": epoch, "revision": revision.saturating_add(9),
                                       "base": revision.saturating_add(8), "apis": api})),
        Feed::Cycle => page(json!({"format": 1, "epoch": epoch, "revision": revision.saturating_add(1), "next": path,
                                   "apis": api})),
    }
}

fn later(status: u16) -> Response<Body> {
    let mut response = plain(status, "application/json", "{}");
    response.headers_mut().insert("retry-after", HeaderValue::from(RETRY_AFTER.as_secs()));
    response
}

/// An answer that breaks off after this text.
fn cut(body: &str) -> Response<Body> {
    let mut response = plain(200, "application/json", "");
    *response.body_mut() = Body::new(Part(Some(body.to_owned().into())));
    response
}

/// A body that ends in an error.
struct Part(Option<Bytes>);

impl HttpBody for Part {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, io::Error>>> {
        let next = self.0.take().map(Frame::data).ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
        Poll::Ready(Some(next))
    }
}

fn plain(status: u16, content_type: &'static str, body: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
    response
}

fn returned(answer: &Answer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body.clone()));
    *response.status_mut() = answer.status;
    for name in RETURNED {
        if let Some(value) = answer.headers.get(*name) {
            response.headers_mut().insert(HeaderName::from_static(name), value.clone());
        }
    }
    response
}
