//! The feed: `GET /v1/policy`, from which gateways load the policy.
//!
//! A gateway loads the whole policy in pages, and then deltas on the revision that it holds. The service answers a poll
//! with `prefer: wait` as soon as this gateway has something new to load. A waiting poll costs a task that sleeps until
//! the revision changes. After a change, the first gateway that asks makes the page for all gateways with the same
//! revision ([`shared`]).

pub mod ask;
pub mod coalesce;
pub mod page;
pub mod prefer;
pub mod proof;
pub mod shared;
mod shown;

use std::{collections::HashSet, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Extension,
    body::Bytes,
    extract::State as Shared,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

use self::{
    ask::{Ask, Cursor, Part},
    coalesce::Coalescing,
    page::{GatewayView, Links},
    proof::Proof,
    shared::Pages,
};
use crate::{
    auth::{Caller, Gateway},
    clock::act_of_service,
    gateways::{Call, Gateways, Held, Said},
    guesses::Peer,
    hexadecimal::short_name,
    http::{credential::Credential, problem::Problem, query::Query},
};
use management::port::{Error, Latest, Mark, Scope, Store};

/// Filters that send this header resolve relative references. Earlier filters accept absolute paths only.
const KEYGATE_VERSION: HeaderName = HeaderName::from_static("keygate-version");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Rows of a change that are looked at, to find one that a limited gateway sees. If there are more, it counts as seen.
const ROWS_LOOKED_AT: usize = 100;

/// How the feed is served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Maximum number of rows on a page.
    pub page_rows: usize,
    /// Whether pages say `confirm_removal`.
    pub confirm_removal: bool,
    /// Maximum time for which an answer is held.
    pub max_wait: Duration,
    /// How long a gateway is silent until it is gone, if it can allow nothing any more.
    pub gone_after: Duration,
}

/// The state of the feed.
#[derive(Clone, Debug)]
pub struct Feed {
    store: Store,
    settings: Settings,
    pages: Arc<Pages>,
    coalescing: Arc<Coalescing>,
    left_out: Arc<HashSet<String>>,
    gateways: Gateways,
    stopping: CancellationToken,
}

impl Feed {
    /// Serves `store` to `gateways`. Long polls end when `stopping` is cancelled.
    pub fn new(store: Store, settings: Settings, stopping: CancellationToken) -> Self {
        let coalescing = Arc::new(Coalescing::new(Instant::now()));
        let gateways = Gateways::new(store.clone(), settings.gone_after);
        Self { store, settings, pages: Arc::default(), coalescing, left_out: Arc::default(), gateways, stopping }
    }

    /// Leaves these stored documents out, because the filter would refuse them.
    pub fn leaving_out(self, documents: HashSet<String>) -> Self {
        Self { left_out: documents.into(), ..self }
    }

    /// The gateways that are heard of.
    pub fn gateways(&self) -> &Gateways {
        &self.gateways
    }

    /// Whether the service is about to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Waits until the service is about to stop.
    pub async fn stopped(&self) {
        self.stopping.cancelled().await;
    }

    /// Whether a gateway with this scope sees what the revisions after `from` changed, up to `to`. What cannot be read any
    /// more counts as seen.
    pub async fn shows(&self, scope: &Scope, from: i64, to: i64) -> Result<bool, Error> {
        if *scope == Scope::All {
            return Ok(true);
        }
        let mut snapshot = self.store.snapshot().await?;
        let view = GatewayView { rows: ROWS_LOOKED_AT, ..self.view(scope, Links::Query, &snapshot.state().epoch) };
        let place = Some(Cursor { revision: to, part: Part::Removed, after: 0 });
        let ask = Ask { epoch: None, since: Some(from), place, mark: None };
        match page::build(&view, &mut *snapshot, &ask).await {
            Ok(page) => Ok(!page.empty),
            Err(Error::Gone(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// What `gateway` sees under the policy's `epoch`. Its `headers` decide how links are written.
    fn source(&self, gateway: &Gateway, headers: &HeaderMap, epoch: &str) -> GatewayView {
        let links = if headers.contains_key(KEYGATE_VERSION) { Links::Query } else { Links::Absolute };
        self.view(&gateway.scope, links, epoch)
    }

    fn view(&self, scope: &Scope, links: Links, epoch: &str) -> GatewayView {
        GatewayView {
            scope: scope.clone(),
            epoch: scoped_epoch(epoch, scope),
            rows: self.settings.page_rows,
            confirm_removal: self.settings.confirm_removal,
            links,
            left_out: Arc::clone(&self.left_out),
            secret: self.store.secret().clone(),
        }
    }

    /// Notes that a gateway calls. `None` if no filter seems to call.
    async fn hear(
        &self,
        gateway: &Gateway,
        headers: &HeaderMap,
        address: Option<IpAddr>,
        has_cursor: bool,
        ask: &Result<Ask, Problem>,
    ) -> Option<Held> {
        let is_held = prefer::wait(headers, Duration::MAX).is_some();
        let said = Said::read(headers, is_held)?;
        let shown = shown::shown(&gateway.scope, has_cursor, ask, &self.store.revisions().borrow());
        let (client_id, scope) = (gateway.client_id.clone(), gateway.scope.clone());
        Some(self.gateways.arrive(Call { client_id, scope, address, said, shown }).await)
    }
}

/// The epoch for a limited gateway. Its policy differs from the whole policy, so it has an epoch of its own. If an
/// operator changes the gateway's APIs, the epoch changes and the gateway starts over.
fn scoped_epoch(epoch: &str, scope: &Scope) -> String {
    match scope {
        Scope::All => epoch.to_owned(),
        Scope::Apis(apis) => {
            let mut digest = Sha256::new();
            digest.update(epoch);
            // The set serialises as a list in the order of the ids.
            digest.update(serde_json::json!(apis).to_string());
            short_name(&digest.finalize())
        }
    }
}

/// An answer to a gateway.
#[derive(Clone, Debug)]
struct Answer {
    /// A page as JSON; `None` if nothing is new.
    body: Option<Bytes>,
    /// Names the revision that the gateway then holds.
    etag: HeaderValue,
}

/// Reads the policy, or its changes since a revision.
#[utoipa::path(
    get, path = "/v1/policy", tag = "feed", operation_id = "read_policy", security(("gateway" = []), ("gateway_secret" = [])),
    params(
        ("since" = Option<u64>, Query, description = "the revision that the gateway holds; without it the answer is the full policy"),
        ("epoch" = Option<String>, Query, description = "the epoch that the gateway holds; 410 if it is not the policy's"),
        ("revision" = Option<u64>, Query, description = "part of the link to a further page, see `next`"),
        ("part" = inline(Option<ask::Part>), Query, description = "part of the link to a further page, see `next`"),
        ("after" = Option<u64>, Query, description = "part of the link to a further page, see `next`"),
        ("mark" = Option<String>, Query, description = "the history that the link belongs to; part of `next` and `poll`"),
        ("prefer" = Option<String>, Header, description = "`wait=25`: hold the answer until there is something new"),
        ("keygate-version" = Option<String>, Header, description = "with it, `next` and `poll` are queries, to be resolved against the requested path; without it, they are absolute paths"),
        ("if-none-match" = Option<String>, Header, description = "the `etag` of an earlier answer to the same link; 304 if the answer has not changed"),
    ),
    responses(
        (status = 200, description = "a page of the policy, or of a delta on `since`", body = Object),
        (status = 304, description = "nothing is new"),
        (status = 400, description = "a parameter cannot be read", body = Problem),
        (status = 401, description = "not a gateway's credentials", body = Problem),
        (status = 410, description = "`since` or the page is too old, or belongs to another epoch or history; fetch the full policy", body = Problem),
    )
)]
pub async fn policy(
    Shared(feed): Shared<Feed>,
    caller: Result<Caller, Problem>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    query: Result<Query<ask::Query>, Problem>,
) -> Result<Response, Problem> {
    let gateway = match caller.and_then(Caller::gateway) {
        Ok(gateway) => gateway,
        Err(problem) => {
            if let Some((instance, process)) = Said::read(&headers, false).and_then(|said| said.name) {
                feed.gateways.hear_refused(instance, process).await;
            }
            return Err(problem);
        }
    };
    let Query(query) = query?;
    let has_cursor = query.has_cursor();
    let ask = Ask::read(query, feed.store.secret());
    let address = peer.map(|Extension(Peer(address))| address);
    // Heard of until the answer is made, or until the client is gone.
    let mut held = feed.hear(&gateway, &headers, address, has_cursor, &ask).await;
    let answered = feed.serve(gateway, ask, &headers).await;
    if let (Some(held), Err(problem)) = (&mut held, &answered) {
        held.tell_to_wait(problem.retry_after().unwrap_or_default());
    }
    answered
}

impl Feed {
    /// The answer to a poll.
    async fn serve(
        &self,
        gateway: Gateway,
        ask: Result<Ask, Problem>,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let ask = ask?;
        let wait = prefer::wait(headers, self.settings.max_wait);
        let answer = match self.answer(gateway, &ask, headers, wait).await {
            Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => return Ok(Credential::Ended.mark(problem)),
            answer => answer?,
        };
        let mut response = match answer.body {
            Some(body) => {
                ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
            }
            None => StatusCode::NOT_MODIFIED.into_response(),
        };
        let fields = response.headers_mut();
        fields.insert(header::ETAG, answer.etag);
        fields.insert(header::VARY, HeaderValue::from_static("authorization, prefer, keygate-version"));
        // Only the gateway may store the answer, and it must revalidate it each time.
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        // A gateway that sees this header asks again at once. A service that is about to stop must avoid that.
        if wait.is_some() && !self.stopping.is_cancelled() {
            fields.insert(PREFERENCE_APPLIED, HeaderValue::from_static("wait"));
        }
        Ok(response)
    }

    /// Answers as soon as something is new, or when the wait is over.
    async fn answer(
        &self,
        mut gateway: Gateway,
        ask: &Ask,
        headers: &HeaderMap,
        wait: Option<Duration>,
    ) -> Result<Answer, Problem> {
        let deadline = wait.and_then(|wait| Instant::now().checked_add(wait));
        let mut revisions = self.store.revisions();
        let mut proof = Proof::new(&self.store);
        // A further page belongs to a revision that is known already. What a held poll does not know yet wakes it.
        if ask.place.is_none() && (wait.is_none() || ask.since.is_none()) {
            self.store.catch_up().await;
        }
        loop {
            proof.check(&mut gateway).await?;
            if wait.is_some() && ask.place.is_none() {
                self.coalesce(&mut revisions, ask, deadline).await;
            }
            // Read the revision before the database, so that a change in between ends the wait below at once. A poll
            // without news never reads the database.
            let latest = revisions.borrow_and_update().clone();
            let over = deadline.is_none_or(|deadline| Instant::now() >= deadline) || self.stopping.is_cancelled();
            if let Some(answer) = self.answer_now(&gateway, ask, headers, &latest, over).await? {
                return Ok(answer);
            }
            let Some(deadline) = deadline else { continue };
            tokio::select! {
                _ = timeout_at(deadline, revisions.changed()) => {}
                () = proof.may_be_over(&gateway) => {}
                () = self.stopping.cancelled() => {}
            }
        }
    }

    /// Waits for further changes if something is new for too many polls.
    async fn coalesce(&self, revisions: &mut watch::Receiver<Latest>, ask: &Ask, deadline: Option<Instant>) {
        let is_new = ask.since.is_some_and(|since| since != revisions.borrow().revision);
        if is_new && let Some(due) = self.coalescing.due(Instant::now()) {
            sleep_until(deadline.map_or(due, |deadline| due.min(deadline))).await;
        }
    }

    /// The current answer. `None` if nothing is new and the wait is not `over`.
    async fn answer_now(
        &self,
        gateway: &Gateway,
        ask: &Ask,
        headers: &HeaderMap,
        latest: &Latest,
        over: bool,
    ) -> Result<Option<Answer>, Problem> {
        let is_other = |source: &GatewayView| ask.epoch.as_ref().is_some_and(|epoch| *epoch != source.epoch);
        let mut latest = latest.clone();
        let mut source = self.source(gateway, headers, &latest.epoch);
        if is_other(&source) {
            // Another service on this database may have renewed the epoch, and this one not heard of it yet.
            latest = Latest::of(&self.store.state().await?);
            source = self.source(gateway, headers, &latest.epoch);
        }
        if is_other(&source) {
            if let Some(mark) = &ask.mark {
                self.renew_if_lost(gateway, mark).await;
            }
            return Err(gone("the link belongs to another epoch"));
        }
        let etag_of_latest = || etag(&source, latest.revision, latest.word);
        let nothing_new = match (ask.since, ask.place) {
            (_, Some(_)) => false,
            (Some(since), None) => since == latest.revision && ask.mark.as_ref().is_none_or(|mark| latest.has(mark)),
            (None, None) => names(headers, &etag_of_latest()),
        };
        if nothing_new {
            return Ok(over.then(|| Answer { body: None, etag: etag_of_latest() }));
        }
        let page = match (self.pages.page(&self.store, &source, &latest, ask).await, &ask.mark) {
            (Err(error @ Error::OtherHistory(_)), Some(mark)) => {
                self.renew_if_lost(gateway, mark).await;
                return Err(problem(error));
            }
            (page, _) => page.map_err(problem)?,
        };
        // A change that this gateway does not see is not news. When the wait is over, the gateway gets the new
        // revision.
        if page.empty && ask.since.is_some() && ask.place.is_none() && !over {
            return Ok(None);
        }
        let etag = etag(&source, page.mark.revision, page.mark.word);
        // The gateway already has this answer to this link.
        if names(headers, &etag) {
            return Ok((over || ask.place.is_some()).then_some(Answer { body: None, etag }));
        }
        Ok(Some(Answer { etag, body: Some(page.body) }))
    }

    /// Renews the epoch if `mark` belongs to a history that the database has lost. Even if this fails, the gateway is
    /// told to load the full policy.
    async fn renew_if_lost(&self, gateway: &Gateway, mark: &Mark) {
        match self.store.renew_if_lost(mark, &act_of_service()).await {
            Ok(None) => {}
            Ok(Some(renewal)) => tracing::warn!(
                gateway = gateway.client_id,
                revision = mark.revision,
                before = renewal.before,
                epoch = renewal.now,
                "a gateway holds a revision that this database has lost: it was put back from a backup, or is a copy of \
                 another database; the policy has a new epoch now, and gateways fetch it anew"
            ),
            Err(error) => tracing::error!(
                %error,
                gateway = gateway.client_id,
                revision = mark.revision,
                "a gateway holds a revision that this database has lost, and the epoch could not be renewed"
            ),
        }
    }
}

/// The entity tag of a revision with this random word. Together with the link, which is the same for all its pages, it
/// identifies the answer. A restored database can reach the same revision with other content, but then the word
/// differs.
fn etag(source: &GatewayView, revision: i64, word: i64) -> HeaderValue {
    let links = match source.links {
        Links::Query => ".q",
        Links::Absolute => "",
    };
    let tag = format!("\"{}.{revision}.{word:016x}{links}\"", source.epoch);
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Whether `if-none-match` names `etag`.
fn names(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim())
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes())
}

fn gone(detail: &str) -> Problem {
    Problem::new(StatusCode::GONE, format!("{detail}; fetch the full policy from {}", ask::PATH))
}

fn problem(error: Error) -> Problem {
    match error {
        Error::Gone(_) | Error::OtherHistory(_) => gone(&error.to_string()),
        error => error.into(),
    }
}
