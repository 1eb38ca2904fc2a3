//! Explains why a gateway allows or refuses a request, by the policy of any kept revision.
//!
//! The crate [`explain`] decides and says why. This file reads the request, the few rows that it concerns, and who may see
//! them. Nothing is stored or logged, and no message repeats a key.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json as Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use explain::{
    Explanation, NotExplained, View, configuration,
    policy::{InvalidPolicy, Policy},
    request::{Address, Credential, InvalidRequest, MAX_HEADERS, Request},
};
use keygate::{
    config::Config,
    decision::parse_address,
    digest::Digest,
    policy::{MAX_REVISION, MAX_UNIX_SECONDS, Text},
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Value, value::RawValue};
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{NoQuery, history::not_kept, lookup::MAX_KEY_BYTES};
use crate::{
    auth::Caller,
    clock::{random_word, unix_seconds},
    http::{body::Json, problem::Problem},
};
use management::{
    access,
    explained::{Part, digest_of, part},
    port::{
        Actor, Database, Kind, Snapshot, Store,
        sight::{Reach, Sight},
    },
};

/// How long one explanation may take, with the wait for its turn. A catalogue of 10,000 rows of each small list, 4 MB, takes
/// one second.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Explanations that are made at once. Each takes a processor, and 170 MB for 10,000 rows of each small list.
const MAX_EXPLANATIONS: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(MAX_EXPLANATIONS);

/// The request to explain, and what to explain it by. At most one of `key`, `sha256` and `key_id` is given; without one,
/// the request has only the keys in its URL and headers.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AskedExplanation {
    /// The key as clients send it. It is put where the configuration looks for keys first.
    #[serde(default, deserialize_with = "hidden")]
    #[schema(write_only)]
    key: Option<String>,
    /// The key's SHA-256, 64 hexadecimal digits.
    #[serde(default)]
    sha256: Option<String>,
    /// The key's public id.
    #[serde(default)]
    key_id: Option<String>,
    /// The method, such as GET.
    method: String,
    /// The URL as clients send it, with its query; or only a path, which is then asked of the host `localhost`.
    #[serde(deserialize_with = "shown")]
    url: String,
    /// The client's address. Without it, deny policies of addresses are not checked.
    #[serde(default)]
    address: Option<String>,
    /// The value of the header `referer`.
    #[serde(default, deserialize_with = "hidden")]
    referer: Option<String>,
    /// Further headers: for each name its value, or a list of values.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    headers: Option<BTreeMap<String, Values>>,
    /// The plugin configuration of the gateway, as an object or as its text; the default one unless given. `policy` may be
    /// left out. It is checked, but no variable that it names is read.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    configuration: Option<Box<RawValue>>,
    /// The revision of the policy; the latest unless given.
    #[serde(default)]
    at_revision: Option<i64>,
    /// The time of the request, in Unix seconds; the service's time unless given.
    #[serde(default)]
    now: Option<i64>,
}

/// The values of a header.
struct Values(Vec<String>);

/// serde's own message would repeat a wrong value, which may be a key.
fn hidden<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(D::Error::custom("expected a string")),
    }
}

fn shown<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    hidden(deserializer)?.ok_or_else(|| D::Error::custom("expected a string"))
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = || D::Error::custom("expected a string or a list of strings");
        let text = |value: Value| match value {
            Value::String(text) => Ok(text),
            _ => Err(expected()),
        };
        match Value::deserialize(deserializer)? {
            Value::Array(values) => Ok(Self(values.into_iter().map(text).collect::<Result<_, _>>()?)),
            value => Ok(Self(vec![text(value)?])),
        }
    }
}

/// One rule of the decision.
#[derive(Debug, Serialize, ToSchema)]
struct ExplainedStep {
    /// The reason that the rule gives if it refuses, or its own name if it only lets requests pass.
    rule: &'static str,
    /// `passed`, `skipped` (it does not apply), `unknown` (only a gateway knows), or of the last rule `refused` or
    /// `allowed`.
    #[schema(value_type = String)]
    outcome: explain::Outcome,
    /// Why, in a sentence.
    because: String,
}

/// Why a gateway allows or refuses a request.
#[derive(Debug, Serialize, ToSchema)]
struct ExplainedRequest {
    /// `allow` or `deny`.
    #[schema(value_type = String)]
    verdict: explain::Verdict,
    /// `allowed`, or the reason of the refusal.
    reason: &'static str,
    /// Status of the reply; null if the request is allowed.
    status: Option<u16>,
    /// Body of the reply; null if the request is allowed. Of a gRPC reply: `grpc_status` and `grpc_message`.
    reply: Option<Value>,
    /// Headers of the reply.
    reply_headers: BTreeMap<&'static str, String>,
    /// Id of the API that the request belongs to; null if the decision did not get that far, as for the fields below.
    api: Option<String>,
    /// Id of the key's application.
    application: Option<String>,
    /// Id of the key.
    key_id: Option<String>,
    /// Id of the subscription.
    subscription: Option<String>,
    /// Id of the subscription's plan.
    plan: Option<String>,
    /// The rules in the order of the decision, up to the one that decided.
    steps: Vec<ExplainedStep>,
    /// What an explanation cannot know, and what the configuration makes of the verdict.
    notes: Vec<String>,
    /// The revision of the policy.
    revision: i64,
    /// The time of the request, in Unix seconds.
    now: i64,
}

/// Explains why a gateway allows or refuses a request. Changes nothing.
#[utoipa::path(post, path = "/v1/explain", tag = "explain", operation_id = "explain_request", request_body = AskedExplanation, responses(
    (status = 200, description = "the verdict, and each rule up to the one that decided", body = ExplainedRequest),
    (status = 401, description = "no valid token", body = Problem),
    (status = 404, description = "there is no such key, or the role does not see what the request concerns", body = Problem),
    (status = 409, description = "gateways refuse the policy of this revision", body = Problem),
    (status = 410, description = "the revision is no longer kept, or does not exist yet", body = Problem),
    (status = 422, description = "a field cannot be used; `field` says which", body = Problem),
))]
async fn explain_request(
    State(store): State<Store>,
    caller: Caller,
    _: NoQuery,
    Json(asked): Json<AskedExplanation>,
) -> Result<Response, Problem> {
    let work = async {
        let _turn = TURNS.acquire().await;
        answer(&store, &caller.actor(), asked).await
    };
    let answered = tokio::time::timeout(TIMEOUT, work)
        .await
        .map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the explanation took too long; try again later"))?;
    // What a key opens is for nobody's cache.
    Ok(([(header::CACHE_CONTROL, "no-store")], Body(answered?)).into_response())
}

async fn answer(store: &Store, actor: &Actor, asked: AskedExplanation) -> Result<ExplainedRequest, Problem> {
    let now = asked.now.unwrap_or_else(unix_seconds);
    let seconds = u64::try_from(now).ok().filter(|_| now <= MAX_UNIX_SECONDS);
    let seconds =
        seconds.ok_or_else(|| Problem::invalid("now", "expected a time in Unix seconds, such as 1748736000"))?;
    let config = configured(asked.configuration.as_deref())?;
    let mut request = request(&asked)?;
    let mut view = store.snapshot().await?;
    let latest = view.state().revision;
    let revision = asked.at_revision.unwrap_or(latest);
    if !u64::try_from(revision).is_ok_and(|revision| revision <= MAX_REVISION) {
        return Err(Problem::invalid("at_revision", "expected a revision, such as 42"));
    }
    let limited = access::limited(actor).map(|(principal, _)| principal.subject.as_str());
    let named = named(&asked, &request, &config);
    if limited.is_some() && revision != latest {
        return Err(Problem::field(StatusCode::NOT_FOUND, "at_revision", "your role sees the latest revision only"));
    }
    let eyes = limited.map(|_| Eyes { store: &**store, sight: access::sight(actor, Kind::Subscription) });
    let read = read(&mut *view, &mut request, &config, revision, eyes.as_ref(), named).await;
    drop(view);
    let Rows { part, is_hidden } = match read {
        Err(problem) if problem.status() == StatusCode::GONE => {
            return Err(not_kept(&**store, "at_revision", revision).await?);
        }
        read => read?,
    };
    let may_see = if limited.is_some() { View::OfOneApi } else { View::All };
    let pages = part.pages.clone();
    let decided = tokio::task::spawn_blocking(move || decide(pages, &config, &request, seconds, may_see, named));
    let explanation = decided.await.map_err(|_| failed())??;
    if let Some(subject) = limited {
        check_sight(&**store, subject, &explanation).await?;
    }
    // A key that is named by its id must be there, whatever decides. Of another the decision may not get to the key.
    if is_hidden && (explanation.api.is_some() || named == Some("key_id")) {
        return Err(no_such_key(named));
    }
    Ok(told(explanation, &part, revision, now))
}

/// The field with the key that is looked up. `None` if there is none.
fn named(asked: &AskedExplanation, request: &Request, config: &Config) -> Option<&'static str> {
    match (&asked.key, &asked.sha256, &asked.key_id) {
        (Some(_), ..) => Some("key"),
        (_, Some(_), _) => Some("sha256"),
        (.., Some(_)) => Some("key_id"),
        _ => {
            let of_url = Request { headers: Vec::new(), ..request.clone() };
            let is_in_url = explain::looked_up(config, &of_url).is_ok_and(|digest| digest.is_some());
            let is_sent = explain::looked_up(config, request).is_ok_and(|digest| digest.is_some());
            is_sent.then_some(if is_in_url { "url" } else { "headers" })
        }
    }
}

/// The subscriptions that a limited reader sees.
struct Eyes<'a> {
    store: &'a dyn Database,
    sight: Sight,
}

impl Eyes<'_> {
    /// Whether the reader sees a key: its application is subscribed to an own API.
    async fn see_key(&self, part: &Part) -> Result<bool, Problem> {
        for subscription in part.subscriptions.iter().filter(|_| part.key.is_some()) {
            if self.store.sees(Kind::Subscription, &subscription.id, &self.sight).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What an explanation is made of.
struct Rows {
    part: Part,
    /// The request has a key that is not there for the reader.
    is_hidden: bool,
}

/// Reads the rows that the request concerns. A key that is named by its id gets its digest.
///
/// A key that a limited reader does not see counts as one that is not there, from here on: the decision is made without
/// its rows, and an id stands for a digest that no key has. So nothing of the answer depends on them.
async fn read(
    view: &mut dyn Snapshot,
    request: &mut Request,
    config: &Config,
    revision: i64,
    eyes: Option<&Eyes<'_>>,
    named: Option<&'static str>,
) -> Result<Rows, Problem> {
    let mut is_hidden = false;
    if let Credential::Id(id) = &request.credential {
        let mut digest = digest_of(view, id, revision).await?.and_then(|hex| Digest::from_hex(&hex));
        if let (Some(eyes), Some(found)) = (eyes, digest)
            && !eyes.see_key(&part(view, Some(&found.to_hex()), revision).await?).await?
        {
            digest = None;
        }
        is_hidden = digest.is_none();
        if is_hidden && eyes.is_none() {
            return Err(no_such_key(named));
        }
        request.credential = Credential::Digest(digest.unwrap_or_else(|| Digest::of(random_word().as_bytes())));
    }
    let digest = explain::looked_up(config, request).map_err(|error| not_explained(error, named))?;
    let digest = digest.map(|digest| digest.to_hex());
    let part_of = part(view, digest.as_deref(), revision).await?;
    match eyes {
        Some(eyes) if digest.is_some() && !eyes.see_key(&part_of).await? => {
            Ok(Rows { part: part(view, None, revision).await?, is_hidden: true })
        }
        _ => Ok(Rows { part: part_of, is_hidden }),
    }
}

fn decide(
    pages: Vec<Vec<u8>>,
    config: &Config,
    request: &Request,
    now: u64,
    view: View,
    named: Option<&'static str>,
) -> Result<Explanation, Problem> {
    let policy = Policy::of(pages).map_err(|error| refused_policy(&error))?;
    explain::explain(&policy, config, request, now, view).map_err(|error| not_explained(error, named))
}

/// Gateways refuse the stored policy as well, and go on with the last one that they took.
fn refused_policy(error: &InvalidPolicy) -> Problem {
    tracing::error!(%error, "the policy cannot be explained, because gateways refuse it");
    let detail =
        "gateways refuse the policy of this revision, so it decides nothing; `policy-service check` names the row";
    Problem::new(StatusCode::CONFLICT, detail)
}

fn told(explanation: Explanation, part: &Part, revision: i64, now: i64) -> ExplainedRequest {
    let Explanation { verdict, reason, status, reply, reply_headers, api, application, key_id, plan, .. } = explanation;
    let subscription = api.as_deref().filter(|_| explanation.is_subscribed).and_then(|api| part.subscription_to(api));
    let steps = explanation.steps.into_iter();
    ExplainedRequest {
        verdict,
        reason,
        status,
        reply,
        reply_headers,
        subscription: subscription.map(str::to_owned),
        api,
        application,
        key_id,
        plan,
        steps: steps
            .map(|step| ExplainedStep { rule: step.rule, outcome: step.outcome, because: step.because })
            .collect(),
        notes: explanation.notes,
        revision,
        now,
    }
}

/// Reads the plugin configuration, which may be an object or its text.
fn configured(sent: Option<&RawValue>) -> Result<Config, Problem> {
    let raw = sent.map_or("null", RawValue::get);
    let text = match serde_json::from_str(raw) {
        Ok(Value::Null) => "{}".to_owned(),
        Ok(Value::String(text)) => text,
        _ => raw.to_owned(),
    };
    let config = configuration::parse(&text).map_err(|error| {
        let path = if error.path.is_empty() { String::new() } else { format!(".{}", error.path) };
        Problem::invalid(format!("configuration{path}"), error.to_string())
    })?;
    if let keygate::config::ApiSource::RouteMetadata { .. } = config.api {
        let detail =
            "the service does not know the routes of gateways; put {\"fixed\": ID} with the API that the route names";
        return Err(Problem::invalid("configuration.api.route_metadata", detail));
    }
    Ok(config)
}

/// Reads the request without its configuration.
fn request(asked: &AskedExplanation) -> Result<Request, Problem> {
    let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, values) in asked.headers.iter().flatten() {
        if asked.referer.is_some() && name.eq_ignore_ascii_case("referer") {
            return Err(Problem::invalid("referer", "it is among `headers` as well; send it once"));
        }
        headers.extend(values.0.iter().map(|value| (name.clone(), value.clone().into_bytes())));
        if headers.len() > MAX_HEADERS {
            break;
        }
    }
    if asked.referer.as_deref() == Some("") {
        return Err(Problem::invalid("referer", "it is empty; leave it out"));
    }
    headers.extend(asked.referer.iter().map(|value| ("referer".to_owned(), value.clone().into_bytes())));
    let mut request = Request::new(&asked.method, &asked.url, headers).map_err(|error| {
        let field = match &error {
            InvalidRequest::Method => "method".to_owned(),
            InvalidRequest::Url(_) => "url".to_owned(),
            InvalidRequest::Value(name) if name == "referer" && asked.referer.is_some() => "referer".to_owned(),
            InvalidRequest::Name(_) | InvalidRequest::TooMany | InvalidRequest::TooLong => "headers".to_owned(),
            InvalidRequest::Value(name) => format!("headers.{name}"),
        };
        Problem::invalid(field, error.to_string())
    })?;
    if let Some(address) = &asked.address {
        let known = parse_address(address).ok_or_else(|| Problem::invalid("address", "expected an IP address"))?;
        request.address = Address::Known(known);
    }
    request.credential = credential(asked)?;
    Ok(request)
}

fn credential(asked: &AskedExplanation) -> Result<Credential, Problem> {
    match (&asked.key, &asked.sha256, &asked.key_id) {
        (None, None, None) => Ok(Credential::AsSent),
        (Some(key), None, None) if (1..=MAX_KEY_BYTES).contains(&key.len()) => {
            Ok(Credential::Key(key.clone().into_bytes()))
        }
        (Some(_), None, None) => Err(Problem::invalid("key", format!("expected 1 to {MAX_KEY_BYTES} bytes"))),
        (None, Some(sha256), None) => Digest::from_hex(sha256).map(Credential::Digest).ok_or_else(|| {
            Problem::invalid("sha256", "expected the SHA-256 of the key's bytes as 64 hexadecimal digits")
        }),
        (None, None, Some(id)) => match Text::new(id.as_str()) {
            Ok(_) => Ok(Credential::Id(id.clone())),
            Err(invalid) => Err(Problem::invalid("key_id", invalid.to_string())),
        },
        (key, ..) => {
            let field = if key.is_some() { "key" } else { "sha256" };
            Err(Problem::invalid(field, "expected only one of key, sha256 and key_id"))
        }
    }
}

/// A publisher sees what concerns an own API. Everything else counts as missing.
async fn check_sight(store: &dyn Database, subject: &str, explanation: &Explanation) -> Result<(), Problem> {
    let own = Sight::Only(vec![Reach::Own(subject.to_owned())]);
    let is_own = match &explanation.api {
        Some(api) => store.sees(Kind::Api, api, &own).await?,
        // A request that was refused before its API was looked for says nothing about any row.
        None => explanation.reason != "api_not_found" && explanation.reason != "allowed",
    };
    match is_own {
        true => Ok(()),
        false => Err(Problem::field(StatusCode::NOT_FOUND, "url", "no API of yours is served at this address")),
    }
}

/// `named` is the field with the key.
fn no_such_key(named: Option<&str>) -> Problem {
    Problem::field(StatusCode::NOT_FOUND, named.unwrap_or("key"), "there is no such key")
}

fn not_explained(error: NotExplained, named: Option<&str>) -> Problem {
    match error {
        NotExplained::NoSuchKey(_) => no_such_key(named),
        NotExplained::NoSource => Problem::invalid(named.unwrap_or("key"), error.to_string()),
        NotExplained::NoPolicy => failed(),
    }
}

fn failed() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the service failed; its log says why; nothing was changed")
}

/// The route of explanations.
pub fn router() -> OpenApiRouter<Store> {
    OpenApiRouter::new().routes(routes!(explain_request))
}
