//! A service in this process with its own database, an HTTP client for it, and a gateway that follows the feed. Each
//! test file uses a part of this module.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "only tests"
)]

pub mod browser;
pub mod certificates;
pub mod dice;
pub mod envoy;
pub mod follower;
pub mod import;
pub mod load;
pub mod passing;
pub mod program;

use std::{
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};

use jsonschema::Validator;
use management::port::{Act, Actor, Store};
use policy_service::{
    auth::{Administrator, Credentials, Gateways},
    cli::SignIn as SignInArguments,
    clock,
    feed::{self, Feed},
    metrics::Metrics,
    server::{self, Served},
    signin::{Settings, SignIn},
};
use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};
use store::SqliteStore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The documented schema of a page.
static PAGE: LazyLock<Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(include_str!("../../../../docs/policy-page.schema.json")).unwrap();
    jsonschema::options().build(&schema).unwrap()
});

pub const TOKEN: &str = "the-administrators-token";

/// How the service of a test differs from the default.
#[derive(Clone, Copy)]
pub struct Options {
    pub page_rows: usize,
    pub history_rows: i64,
    pub gateways: &'static str,
    pub gateway_apis: Option<&'static str>,
    /// How long a gateway is silent until it is gone.
    pub gone_after: Duration,
    /// The arguments of sign-in; `None` for the default ones.
    pub sign_in: Option<&'static SignInArguments>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            page_rows: 5_000,
            history_rows: 100_000,
            gateways: "gw:secret,other:other-secret",
            gateway_apis: None,
            gone_after: Duration::from_secs(3_600),
            sign_in: None,
        }
    }
}

/// A running service.
pub struct Service {
    pub url: String,
    pub store: Store,
    /// The same store, with its SQLite-specific functions.
    pub sqlite: Arc<SqliteStore>,
    pub stopping: CancellationToken,
    pub client: reqwest::Client,
    pub serving: JoinHandle<()>,
    pub directory: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body without the `etag` of its rows, because most tests compare rows with the sent ones.
    pub fn json(&self) -> Value {
        let mut body = self.whole();
        for row in body.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
            row.as_object_mut().map(|row| row.remove("etag"));
        }
        body.as_object_mut().map(|row| row.remove("etag"));
        body
    }

    /// The unchanged body.
    pub fn whole(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks the status and returns the answer.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Checks that the answer is a problem in its documented shape that names `field`.
    #[track_caller]
    pub fn expect_problem(self, status: u16, field: Option<&str>) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{}", answer.text);
        let problem = answer.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 5), "{problem}");
        assert_eq!(problem.get("field").and_then(Value::as_str), field, "{problem}");
        answer
    }
}

impl Service {
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        Self::in_directory(tempfile::tempdir().unwrap(), options).await
    }

    /// Starts a service on the database in `directory`, which is created if it does not exist.
    pub async fn in_directory(directory: tempfile::TempDir, options: Options) -> Self {
        let url = format!("sqlite:{}", directory.path().join("policy.db").display());
        let settings = store::Settings { history_rows: options.history_rows, ..store::Settings::default() };
        let sqlite = Arc::new(SqliteStore::open(&url, settings).await.unwrap());
        let store: Store = Arc::clone(&sqlite) as Store;
        let stopping = CancellationToken::new();
        let gateways = Gateways::parse(Some(options.gateways), options.gateway_apis).unwrap();
        let settings = feed::Settings {
            page_rows: options.page_rows,
            confirm_removal: false,
            max_wait: Duration::from_secs(50),
            gone_after: options.gone_after,
        };
        let feed = Feed::new(store.clone(), settings, stopping.clone());
        tokio::spawn({
            let (gateways, stopping) = (feed.gateways().clone(), stopping.clone());
            async move { gateways.watch(stopping).await }
        });
        let credentials = Credentials::new(Administrator::new(TOKEN).unwrap(), gateways, store.clone());
        let metrics = Metrics::new().unwrap();
        let default = SignInArguments { console: true, ..SignInArguments::default() };
        let settings = Settings::new(options.sign_in.unwrap_or(&default), false).unwrap();
        let sign_in = settings.console.then(|| SignIn::new(settings).unwrap());
        let served = Served { store: store.clone(), feed, credentials, metrics: metrics.clone(), sign_in };
        let router = server::router(served);
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(server::serve(listener, router, metrics, stopping.clone()));
        Self { url, store, sqlite, stopping, client: client(), serving, directory }
    }

    /// A connection of its own to the database, outside the service.
    pub async fn connection(&self) -> SqliteConnection {
        let url = format!("sqlite:{}", self.directory.path().join("policy.db").display());
        SqliteConnection::connect(&url).await.unwrap()
    }

    /// Writes a backup of the database to `file` while the service runs.
    pub async fn back_up(&self, file: &Path) {
        let mut connection = self.connection().await;
        sqlx::query("VACUUM INTO ?").bind(file.to_str().unwrap()).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Stops the service, replaces its database by the backup `file`, and starts it again.
    pub async fn put_back(self, file: &Path, options: Options) -> Self {
        self.stopping.cancel();
        self.serving.await.unwrap();
        self.store.close().await;
        let database = self.directory.path().join("policy.db");
        std::fs::remove_file(&database).unwrap();
        std::fs::copy(file, database).unwrap();
        Self::in_directory(self.directory, options).await
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A request of the administrator. A body of `null` means no body.
    pub async fn admin(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.request(method, path).bearer_auth(TOKEN);
        send(if body.is_null() { request } else { request.json(&body) }).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.admin(Method::GET, path, Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.admin(Method::POST, path, body).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.admin(Method::PUT, path, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.admin(Method::DELETE, path, Value::Null).await
    }

    /// A request of the unlimited gateway.
    pub fn poll(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path).basic_auth("gw", Some("secret"))
    }

    /// Fetches a page as the unlimited gateway. Each page must match its documented schema.
    pub async fn feed(&self, path: &str) -> Answer {
        let answer = send(self.poll(path)).await;
        if answer.status == 200 {
            let page = answer.whole();
            let wrong: Vec<_> = PAGE.iter_errors(&page).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{path}: {wrong:?} in {page}");
        }
        answer
    }

    pub async fn revision(&self) -> i64 {
        self.store.state().await.unwrap().revision
    }

    /// An API, an application with a key and a subscription: `api-1`, `app-1`, `k-1`, `s-1`.
    pub async fn seed(&self) {
        self.post("/v1/apis", json!({"id": "api-1", "match": [{"path": "/one"}]})).await.expect(201);
        self.post("/v1/applications", json!({"id": "app-1", "owner": "alice"})).await.expect(201);
        self.post("/v1/keys", json!({"id": "k-1", "application": "app-1", "sha256": digest(1)})).await.expect(201);
        let subscription = json!({"id": "s-1", "application": "app-1", "api": "api-1"});
        self.post("/v1/subscriptions", subscription).await.expect(201);
    }
}

/// An act of the administrator at the current time.
pub fn act() -> Act {
    clock::act(Actor::administrator())
}

pub fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap()
}

pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

/// A digest that no key has.
pub fn digest(number: u64) -> String {
    format!("{number:064x}")
}
