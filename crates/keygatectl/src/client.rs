//! HTTP to the policy service: the token, limits on time and size, and problem documents as errors.
//!
//! It follows no redirect, because a redirect could hand the token to another machine.

use std::{
    io::Read,
    time::{Duration, Instant},
};

use management::resource::Resource;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{
    Method, Url,
    blocking::{Body, Client as Http, RequestBuilder, Response},
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, IF_MATCH, LOCATION},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    cli::Global,
    failure::{Failure, Refusal},
    files,
    secret::Secret,
    settings::{Settings, is_loopback},
};

/// What a change without a whole answer may have done.
const UNKNOWN: &str = "; the change may have been made all the same, or be made later: look before you repeat it";
/// Paths that are asked by POST and change nothing.
const QUESTIONS: [&str; 2] = ["/v1/explain", "/v1/keys/lookup"];
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a request may take. The service holds a change up to 30 s for its receipt.
const REQUEST: Duration = Duration::from_secs(60);
/// How long an import may take. The service ends it after an hour.
const IMPORT: Duration = Duration::from_secs(3_700);
/// Bytes of an answer: a page of 1,000 rows of 250 KB, which is far more than rows have.
const MAX_REPLY_BYTES: u64 = 256 << 20;
/// Bytes of a file with certificates: those of a whole system have 200 KB.
const MAX_AUTHORITY_BYTES: u64 = 16 << 20;
/// Rows of a page of a list, the most that the service gives.
pub const PAGE_ROWS: u64 = 1_000;

/// Characters that need no escape in a path (RFC 3986, unreserved).
const PATH_SEGMENT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A policy service, and who asks it.
#[derive(Debug)]
pub struct Client {
    http: Http,
    url: Url,
    token: Secret,
}

/// An answer that is no problem.
#[derive(Debug)]
pub struct Answer {
    /// The body, null if there is none.
    pub body: Value,
    /// The policy's revision, if the answer tells it.
    pub revision: Option<i64>,
    /// When the request was sent.
    pub sent: Instant,
}

/// A part of a query.
pub type Pair = (&'static str, String);

impl Client {
    /// A client with these settings.
    pub fn new(global: &Global) -> Result<Self, Failure> {
        Self::of(Settings::load(global)?, global)
    }

    /// A client for this service.
    pub fn of(Settings { url, token }: Settings, global: &Global) -> Result<Self, Failure> {
        let version = concat!("keygatectl/", env!("CARGO_PKG_VERSION"));
        let mut http = Http::builder().user_agent(version).connect_timeout(CONNECT).timeout(REQUEST);
        http = http.redirect(reqwest::redirect::Policy::none()).tcp_keepalive(Duration::from_secs(30));
        // An import that waits for its turn is not read meanwhile. The system would end its connection after 30 s.
        http = http.tcp_user_timeout(None);
        if url.scheme() == "http" && is_loopback(&url) {
            // A proxy would get the token in clear, and could not reach this machine anyway.
            http = http.no_proxy();
        }
        if let Some(path) = &global.ca_file {
            let text = files::bytes(path, MAX_AUTHORITY_BYTES, "expected certificates in PEM")?;
            let found = reqwest::Certificate::from_pem_bundle(&text).ok().filter(|found| !found.is_empty());
            let wrong = || Failure::Usage(format!("{}: expected certificates in PEM", path.display()));
            for certificate in found.ok_or_else(wrong)? {
                http = http.add_root_certificate(certificate);
            }
        }
        let http = http.build().map_err(|error| Failure::Other(format!("TLS cannot be set up: {error}")))?;
        Ok(Self { http, url, token })
    }

    /// Where the service is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    pub fn get(&self, path: &str, query: &[Pair]) -> Result<Answer, Failure> {
        self.send(self.request(Method::GET, path, query)?)
    }

    pub fn delete(&self, path: &str, query: &[Pair]) -> Result<Answer, Failure> {
        self.send(self.request(Method::DELETE, path, query)?)
    }

    pub fn post(&self, path: &str, query: &[Pair], body: &impl Serialize) -> Result<Answer, Failure> {
        self.send_json(Method::POST, path, query, body)
    }

    pub fn put(&self, path: &str, query: &[Pair], body: &impl Serialize) -> Result<Answer, Failure> {
        self.send_json(Method::PUT, path, query, body)
    }

    fn send_json(&self, method: Method, path: &str, query: &[Pair], body: &impl Serialize) -> Result<Answer, Failure> {
        let text = serde_json::to_vec(body).map_err(|error| Failure::Other(error.to_string()))?;
        let request = self.request(method, path, query)?.header(CONTENT_TYPE, "application/json").body(text);
        self.send(request)
    }

    /// Sends rows, one a line, while they are made. With `at`, the service takes them only if the policy is at this revision.
    pub fn import(&self, query: &[Pair], at: Option<i64>, rows: impl Read + Send + 'static) -> Result<Answer, Failure> {
        let mut request = self.request(Method::POST, "/v1/import", query)?;
        if let Some(revision) = at {
            request = request.header(IF_MATCH, format!("\"{revision}\""));
        }
        let request = request.header(CONTENT_TYPE, "application/x-ndjson").timeout(IMPORT).body(Body::new(rows));
        self.send(request)
    }

    /// One object of a kind; `None` if there is none, or the caller does not see it.
    pub fn find<R: Resource>(&self, id: &str) -> Result<Option<Value>, Failure> {
        match self.get(&path_of(R::PATH, id), &[]) {
            Ok(answer) => Ok(Some(answer.body)),
            Err(failure) if failure.status() == Some(404) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The pages of a list, one after the other.
    pub fn pages<'c>(&'c self, path: &str, query: &[Pair]) -> Pages<'c> {
        Pages { client: self, path: path.to_owned(), query: query.to_vec(), cursor: None, is_over: false, total: None }
    }

    fn request(&self, method: Method, path: &str, query: &[Pair]) -> Result<RequestBuilder, Failure> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query.iter().map(|(name, value)| (*name, value.as_str())));
        }
        let mut token = HeaderValue::from_str(&format!("Bearer {}", self.token.reveal()))
            .map_err(|_| Failure::Usage("the token has characters that no token has".to_owned()))?;
        token.set_sensitive(true);
        Ok(self.http.request(method, url).header(AUTHORIZATION, token))
    }

    fn send(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        let sent = Instant::now();
        let request = request.build().map_err(|error| self.unreachable(&error, false))?;
        let is_change =
            *request.method() != Method::GET && !QUESTIONS.iter().any(|path| request.url().path().ends_with(path));
        let response = self.http.execute(request).map_err(|error| self.unreachable(&error, is_change))?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (status, request_id) = (response.status(), header("x-request-id"));
        let revision = header("x-policy-revision").and_then(|text| text.parse().ok());
        if status.is_redirection() {
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("another address");
            return Err(Failure::Unreachable(format!(
                "{} answers with a redirect to {}; if that is the policy service, set KEYGATE_URL to it",
                self.url,
                crate::plain::plain(to)
            )));
        }
        let body = self.read(response, is_change)?;
        if !status.is_success() {
            return Err(Failure::Refused(Refusal::of(status.as_u16(), &body, request_id)));
        }
        if body.is_empty() {
            return Ok(Answer { body: Value::Null, revision, sent });
        }
        let body = serde_json::from_slice(&body).map_err(|_| {
            Failure::Unreachable(format!(
                "{} answers with something that is not JSON; is it the policy service?",
                self.url
            ))
        })?;
        Ok(Answer { body, revision, sent })
    }

    fn read(&self, response: Response, is_change: bool) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        let read = response.take(MAX_REPLY_BYTES.saturating_add(1)).read_to_end(&mut body);
        let but = if is_change { UNKNOWN } else { "" };
        read.map_err(|error| Failure::Unreachable(format!("the answer of {} broke off: {error}{but}", self.url)))?;
        if u64::try_from(body.len()).is_ok_and(|length| length > MAX_REPLY_BYTES) {
            return Err(Failure::Unreachable(format!("the answer of {} has more than 256 MiB", self.url)));
        }
        Ok(body)
    }

    /// Why no answer came, with the cause that a person can do something about. A change may have been made without an answer.
    fn unreachable(&self, error: &reqwest::Error, is_change: bool) -> Failure {
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let what = if error.is_timeout() {
            format!("did not answer within {} s", REQUEST.as_secs())
        } else if error.is_connect() {
            format!("cannot be reached: {cause}")
        } else {
            format!("gave no answer: {cause}")
        };
        let but = if is_change && !error.is_connect() { UNKNOWN } else { "" };
        Failure::Unreachable(format!("{} {what}{but}", self.url))
    }
}

/// The path of an object.
pub fn path_of(list: &str, id: &str) -> String {
    format!("{list}/{}", utf8_percent_encode(id, &PATH_SEGMENT))
}

/// Reads an answer, or a part of one, into the type that this program needs.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Failure> {
    T::deserialize(value)
        .map_err(|error| Failure::Unreachable(format!("the service answers in a form that is not known here: {error}")))
}

/// The pages of a list.
pub struct Pages<'c> {
    client: &'c Client,
    path: String,
    query: Vec<Pair>,
    cursor: Option<String>,
    is_over: bool,
    /// Number of rows in the whole list, once a page has told it.
    pub total: Option<u64>,
}

impl Pages<'_> {
    /// The rows of the next page, at most so many; `None` after the last.
    pub fn next(&mut self, most: u64) -> Result<Option<Vec<Value>>, Failure> {
        if self.is_over {
            return Ok(None);
        }
        let mut query = self.query.clone();
        query.push(("limit", most.clamp(1, PAGE_ROWS).to_string()));
        query.extend(self.cursor.take().map(|cursor| ("cursor", cursor)));
        let Answer { mut body, .. } = self.client.get(&self.path, &query)?;
        self.total = body.get("total").and_then(Value::as_u64).or(self.total);
        self.cursor = body.get("next").and_then(Value::as_str).map(str::to_owned);
        self.is_over = self.cursor.is_none();
        match body.get_mut("items").map(Value::take) {
            Some(Value::Array(rows)) => Ok(Some(rows)),
            _ => Err(Failure::Unreachable("a list of the service has no `items`".to_owned())),
        }
    }

    /// All rows, for lists that are known to be short.
    pub fn all(mut self, most: usize) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        while all.len() < most
            && let Some(rows) = self.next(PAGE_ROWS)?
        {
            all.extend(rows);
        }
        all.truncate(most);
        Ok(all)
    }
}
