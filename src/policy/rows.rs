//! Valid rows of a policy, made from the rows of [`super::wire`].
//!
//! A row is accepted as a whole or not at all. [`InvalidRow`] names the field and the problem. [`super::page`] decides
//! whether a bad row costs only itself or its whole page. Nothing here decides about requests.

use std::{borrow::Cow, fmt};

use ipnet::IpNet;

use super::{
    ApiState, ApplicationState, InvalidText, KeyState, KeyType, MAX_LIST_ENTRIES, MAX_UNIX_SECONDS, Security,
    SubscriptionState, Text, block::Block, ip_range::parse_range, wire,
};
use crate::{
    digest::Digest,
    request::{
        hostname::{HostPattern, MAX_SUFFIX_LABELS},
        path::{MAX_PREFIX_SEGMENTS, PathPrefix},
        referer::{MAX_SEARCHED, RefererPattern},
        template::{MAX_SEGMENTS, PathTemplate},
    },
};

/// Methods of one operation.
pub const MAX_METHODS: usize = 64;
/// Segments and methods of all operations of a plan. Comparing one takes some 8 ns: 0.1 ms in all. 1,000 operations may
/// have twelve each.
pub const MAX_OPERATION_PARTS: usize = 12_000;
/// Largest limit of a plan. A counter can hold it plus a batch.
pub const MAX_LIMIT_REQUESTS: u64 = 1 << 40;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRow {
    /// Name of the field in JSON.
    pub field: &'static str,
    pub problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The row's JSON does not have the shape of such a row.
    Shape(String),
    /// Not a valid id, name or owner.
    Text(InvalidText),
    /// Not 64 hexadecimal digits.
    NotADigest,
    /// Not a time between 1970 and 9999.
    TimeOutOfRange,
    EndsBeforeItBegins,
    /// More than [`MAX_LIST_ENTRIES`].
    TooManyEntries,
    /// Not an absolute path, or a path that can be read in two ways.
    NotAPath,
    /// Not an address or a range.
    NotAnAddress,
    /// An unknown value. A guess could allow too much.
    UnknownValue(&'static str),
    /// Not between 1 and [`MAX_LIMIT_REQUESTS`].
    LimitOutOfRange,
    /// The packed row is larger than a record may be.
    TooLarge,
    /// The record for this row is full.
    NoRoom,
    /// The policy has reached `policy.max_bytes`.
    PolicyFull,
    /// More patterns that need a search than are allowed.
    TooManySearches,
    /// The path has more segments than the path of an API may have.
    TooManySegments,
    /// The suffix has more labels than a host pattern may have.
    TooManyLabels,
    /// This many entries can never apply.
    NeverApply(usize),
}

impl fmt::Display for InvalidRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, problem } = self;
        match problem {
            Problem::Shape(what) => f.write_str(what),
            Problem::Text(what) => write!(f, "`{field}` {what}"),
            Problem::NotADigest => write!(f, "`{field}` is not 64 hexadecimal digits"),
            Problem::EndsBeforeItBegins => write!(f, "`{field}` is not after `blocked_from`"),
            Problem::TimeOutOfRange => write!(f, "`{field}` is not a Unix time in seconds between 1970 and 9999"),
            Problem::TooManyEntries => write!(f, "`{field}` has more than {MAX_LIST_ENTRIES} entries"),
            Problem::NotAPath => write!(f, "`{field}` is not an absolute path that can be read only one way"),
            Problem::NotAnAddress => write!(f, "`{field}` is neither an address nor a range in CIDR notation"),
            Problem::UnknownValue(known) => write!(f, "`{field}` is none of {known}"),
            Problem::LimitOutOfRange => write!(f, "`{field}` is not between 1 and {MAX_LIMIT_REQUESTS}"),
            Problem::TooManySearches => {
                write!(f, "`{field}` has more than {MAX_SEARCHED} patterns with something between two stars")
            }
            Problem::TooManySegments => write!(f, "`{field}` has more than {MAX_PREFIX_SEGMENTS} segments"),
            Problem::TooManyLabels => {
                write!(f, "`{field}` has a host with a star and more than {MAX_SUFFIX_LABELS} labels")
            }
            Problem::TooLarge => write!(f, "`{field}` is larger than a record may be"),
            Problem::NeverApply(entries) => write!(
                f,
                "`{field}` has {entries} that apply to no request: look for braces, `*`, blanks and `?` in a path, for more \
                 than {MAX_SEGMENTS} segments, for hosts that are neither a name nor `*.` and a name, for more than {MAX_METHODS} methods, and for more than {MAX_OPERATION_PARTS} segments and methods in all"
            ),
            Problem::PolicyFull => {
                write!(f, "`{field}` is new, and the policy takes as much as `policy.max_bytes` allows")
            }
            Problem::NoRoom => write!(f, "`{field}` has more subscriptions than its record may hold"),
        }
    }
}

fn invalid(field: &'static str, problem: Problem) -> InvalidRow {
    InvalidRow { field, problem }
}

fn text<'a>(field: &'static str, text: wire::Str<'a>) -> Result<Text<'a>, InvalidRow> {
    Text::new(text.0).map_err(|what| invalid(field, Problem::Text(what)))
}

fn optional_text<'a>(field: &'static str, value: Option<wire::Str<'a>>) -> Result<Option<Text<'a>>, InvalidRow> {
    value.map(|value| text(field, value)).transpose()
}

fn time(field: &'static str, value: Option<i64>) -> Result<Option<u64>, InvalidRow> {
    match value {
        None => Ok(None),
        Some(seconds @ 0..=MAX_UNIX_SECONDS) => Ok(Some(seconds.unsigned_abs())),
        Some(_) => Err(invalid(field, Problem::TimeOutOfRange)),
    }
}

/// Reads a list whose entries are independent. An entry that cannot be read permits nothing; the others remain valid.
fn list<'a, T>(
    field: &'static str,
    list: wire::List<'a>,
    parse: impl Fn(Cow<'a, str>) -> Option<T>,
) -> Result<Option<Vec<T>>, InvalidRow> {
    let Some(list) = list else { return Ok(None) };
    bounded(field, &list)?;
    Ok(Some(list.into_iter().filter_map(|entry| entry.0).filter_map(parse).collect()))
}

fn bounded<T>(field: &'static str, list: &[T]) -> Result<(), InvalidRow> {
    if list.len() > MAX_LIST_ENTRIES { Err(invalid(field, Problem::TooManyEntries)) } else { Ok(()) }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Key<'a> {
    /// Digest of the key's bytes.
    pub digest: Digest,
    /// The public id of the key.
    pub id: Text<'a>,
    pub application: Text<'a>,
    pub key_type: KeyType,
    pub state: KeyState,
    /// First second in which the key is valid, Unix time.
    pub not_before: Option<u64>,
    /// First second in which the key is no longer valid, Unix time.
    pub expires_at: Option<u64>,
    /// The only APIs that the key may call. `None` means all.
    pub apis: Option<Vec<Text<'a>>>,
    /// The only addresses that may use the key. `None` means all.
    pub permitted_ips: Option<Vec<IpNet>>,
    /// The only referers that may use the key. `None` means all.
    pub permitted_referers: Option<Vec<RefererPattern>>,
}

impl<'a> TryFrom<wire::KeyRow<'a>> for Key<'a> {
    type Error = InvalidRow;

    fn try_from(row: wire::KeyRow<'a>) -> Result<Self, InvalidRow> {
        Ok(Self {
            digest: Digest::from_hex(&row.sha256.0).ok_or(invalid("sha256", Problem::NotADigest))?,
            id: text("id", row.id)?,
            application: text("application", row.application)?,
            key_type: KeyType::parse(row.key_type.as_ref().map(|text| &*text.0)),
            state: KeyState::parse(row.state.as_ref().map(|text| &*text.0)),
            not_before: time("not_before", row.not_before)?,
            expires_at: time("expires_at", row.expires_at)?,
            apis: list("apis", row.apis, |entry| Text::new(entry).ok())?,
            permitted_ips: list("permitted_ips", row.permitted_ips, |entry| parse_range(&entry))?,
            permitted_referers: referers(row.permitted_referers)?,
        })
    }
}

fn referers(row: wire::List<'_>) -> Result<Option<Vec<RefererPattern>>, InvalidRow> {
    const FIELD: &str = "permitted_referers";
    let patterns = list(FIELD, row, |entry| RefererPattern::parse(&entry))?;
    let searched = patterns.iter().flatten().filter(|pattern| pattern.is_searched()).count();
    if searched > MAX_SEARCHED { Err(invalid(FIELD, Problem::TooManySearches)) } else { Ok(patterns) }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Application<'a> {
    pub id: Text<'a>,
    pub name: Option<Text<'a>>,
    pub owner: Option<Text<'a>>,
    pub state: ApplicationState,
    /// The plan that counts the requests to all APIs together.
    pub plan: Option<Text<'a>>,
    /// First second in which the plan is no longer used up, Unix time.
    pub used_up_until: Option<u64>,
}

impl<'a> TryFrom<wire::ApplicationRow<'a>> for Application<'a> {
    type Error = InvalidRow;

    fn try_from(row: wire::ApplicationRow<'a>) -> Result<Self, InvalidRow> {
        Ok(Self {
            id: text("id", row.id)?,
            name: optional_text("name", row.name)?,
            owner: optional_text("owner", row.owner)?,
            state: ApplicationState::parse(row.state.as_ref().map(|text| &*text.0)),
            plan: optional_text("plan", row.plan)?,
            used_up_until: time("used_up_until", row.used_up_until)?,
        })
    }
}

/// The subscription of one application to one API.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription<'a> {
    pub application: Text<'a>,
    pub api: Text<'a>,
    pub state: SubscriptionState,
    pub plan: Option<Text<'a>>,
    /// First second in which the plan is no longer used up, Unix time.
    pub used_up_until: Option<u64>,
    /// Times and note of a block.
    pub block: Option<Block<Text<'a>>>,
}

impl<'a> TryFrom<wire::SubscriptionRow<'a>> for Subscription<'a> {
    type Error = InvalidRow;

    fn try_from(row: wire::SubscriptionRow<'a>) -> Result<Self, InvalidRow> {
        Ok(Self {
            application: text("application", row.application)?,
            api: text("api", row.api)?,
            state: SubscriptionState::parse(row.state.as_ref().map(|text| &*text.0)),
            plan: optional_text("plan", row.plan)?,
            used_up_until: time("used_up_until", row.used_up_until)?,
            block: block(row.blocked_from, row.blocked_until, row.blocked_state, row.block_note)?,
        })
    }
}

/// `None` if the row has neither times nor a note.
fn block<'a>(
    from: Option<i64>,
    until: Option<i64>,
    state: Option<wire::Str<'a>>,
    note: Option<wire::Str<'a>>,
) -> Result<Option<Block<Text<'a>>>, InvalidRow> {
    let (from, until) = (time("blocked_from", from)?, time("blocked_until", until)?);
    let note = optional_text("block_note", note)?;
    if from.zip(until).is_some_and(|(from, until)| from >= until) {
        return Err(invalid("blocked_until", Problem::EndsBeforeItBegins));
    }
    let planned = state.as_ref().map_or(SubscriptionState::Blocked, |text| SubscriptionState::planned(&text.0));
    let has_any = from.is_some() || until.is_some() || note.is_some();
    Ok(has_any.then_some(Block { from, until, planned, note }))
}

#[derive(Clone, Debug, PartialEq)]
pub struct Api {
    pub id: Text<'static>,
    pub state: ApiState,
    /// Which requests belong to the API. Empty: only requests whose route or configuration names it.
    pub matches: Vec<Match>,
    /// Which credential the API requires.
    pub security: Security,
    /// Whether the application must have a subscription.
    pub subscription_required: bool,
    /// Whether the API has an endpoint for production keys.
    pub production: bool,
    /// Whether the API has an endpoint for sandbox keys.
    pub sandbox: bool,
    /// Number of matches and hosts that can never apply. They are not in `matches`.
    pub left_out: usize,
}

/// A host-and-path pair of an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// `None` matches any host.
    pub hosts: Option<Vec<HostPattern>>,
    pub path: PathPrefix,
    /// Number of hosts that can never apply. They are not in `hosts`.
    pub left_out: usize,
}

impl<'a> TryFrom<wire::ApiRow<'a>> for Api {
    type Error = InvalidRow;

    fn try_from(row: wire::ApiRow<'a>) -> Result<Self, InvalidRow> {
        // Name and version are for people only. The row is refused all the same if they are invalid.
        optional_text("name", row.name)?;
        optional_text("version", row.version)?;
        let mut matches = row.matches.unwrap_or_default();
        bounded("match", &matches)?;
        let given = matches.len();
        matches.retain(|one| !PathPrefix::never_applies(&one.path.0));
        let matches = matches.into_iter().map(Match::try_from).collect::<Result<Vec<_>, _>>()?;
        // A host that cannot be read matches no request.
        let hosts = matches.iter().fold(0usize, |sum, one| sum.saturating_add(one.left_out));
        let left_out = given.saturating_sub(matches.len()).saturating_add(hosts);
        let endpoints = list("endpoints", row.endpoints, Some)?;
        let has_endpoint =
            |name| endpoints.as_ref().is_none_or(|list| list.iter().any(|entry: &Cow<'_, str>| entry == name));
        Ok(Self {
            id: text("id", row.id)?.into_owned(),
            state: ApiState::parse(row.state.as_ref().map(|text| &*text.0)),
            matches,
            security: Security::parse(row.security.as_ref().map(|text| &*text.0)),
            subscription_required: row.subscription_required.unwrap_or(true),
            production: has_endpoint(KeyType::Production.as_str()),
            sandbox: has_endpoint(KeyType::Sandbox.as_str()),
            left_out,
        })
    }
}

impl<'a> TryFrom<wire::MatchRow<'a>> for Match {
    type Error = InvalidRow;

    fn try_from(row: wire::MatchRow<'a>) -> Result<Self, InvalidRow> {
        let given = row.hosts.as_ref().map_or(0, Vec::len);
        let hosts = list("match.hosts", row.hosts, |entry| HostPattern::parse(&entry))?;
        if hosts.iter().flatten().any(|host| host.labels() > MAX_SUFFIX_LABELS) {
            return Err(invalid("match.hosts", Problem::TooManyLabels));
        }
        let path = PathPrefix::parse(&row.path.0).ok_or(invalid("match.path", Problem::NotAPath))?;
        if path.segments() > MAX_PREFIX_SEGMENTS {
            return Err(invalid("match.path", Problem::TooManySegments));
        }
        let left_out = given.saturating_sub(hosts.as_ref().map_or(0, Vec::len));
        Ok(Self { hosts, path, left_out })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub id: Text<'static>,
    /// Requests per window.
    pub limits: Vec<Limit>,
    pub burst: Option<Limit>,
    /// Whether a request is refused when a limit is used up.
    pub stop_on_quota_reach: bool,
    /// The only operations that the plan opens. `None` means all.
    pub operations: Option<Vec<Operation>>,
    /// Number of operations that cannot be read and so open nothing. They are not in `operations`.
    pub left_out: usize,
}

/// A number of requests in each window of one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// At least one.
    pub requests: u64,
    pub per: Unit,
}

/// A window of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    /// A calendar month.
    Month,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// `None` matches any method.
    pub methods: Option<Vec<String>>,
    /// Relative to the API's prefix.
    pub path: PathTemplate,
}

impl<'a> TryFrom<wire::PlanRow<'a>> for Plan {
    type Error = InvalidRow;

    fn try_from(row: wire::PlanRow<'a>) -> Result<Self, InvalidRow> {
        let limits = row.limits.unwrap_or_default();
        bounded("limits", &limits)?;
        if let Some(operations) = &row.operations {
            bounded("operations", operations)?;
        }
        let given = row.operations.as_ref().map_or(0, Vec::len);
        let mut budget = MAX_OPERATION_PARTS;
        let mut fits = |operation: &Operation| {
            let left = budget.checked_sub(operation.parts());
            budget = left.unwrap_or(budget);
            left.is_some()
        };
        let operations =
            row.operations.map(|rows| rows.into_iter().filter_map(operation).filter(&mut fits).collect::<Vec<_>>());
        Ok(Self {
            id: text("id", row.id)?.into_owned(),
            limits: limits.into_iter().map(|row| limit("limits", row)).collect::<Result<_, _>>()?,
            burst: row.burst.map(|row| limit("burst", row)).transpose()?,
            stop_on_quota_reach: row.stop_on_quota_reach.unwrap_or(true),
            left_out: given.saturating_sub(operations.as_ref().map_or(0, Vec::len)),
            operations,
        })
    }
}

fn limit(field: &'static str, row: wire::LimitRow<'_>) -> Result<Limit, InvalidRow> {
    let per = match &*row.per.0 {
        "second" => Unit::Second,
        "minute" => Unit::Minute,
        "hour" => Unit::Hour,
        "day" => Unit::Day,
        "month" => Unit::Month,
        _ => return Err(invalid(field, Problem::UnknownValue("second, minute, hour, day, month"))),
    };
    if !(1..=MAX_LIMIT_REQUESTS).contains(&row.requests) {
        return Err(invalid(field, Problem::LimitOutOfRange));
    }
    Ok(Limit { requests: row.requests, per })
}

impl Operation {
    /// Number of parts that are compared with a request.
    fn parts(&self) -> usize {
        self.path.segments().saturating_add(self.methods.as_ref().map_or(0, Vec::len))
    }
}

/// An operation that cannot be read opens nothing.
fn operation(row: wire::OperationRow<'_>) -> Option<Operation> {
    let methods = list("methods", row.methods, |entry| Some(entry.into_owned())).ok()?;
    if methods.as_ref().is_some_and(|methods| methods.len() > MAX_METHODS) {
        return None;
    }
    Some(Operation { methods, path: PathTemplate::parse(&row.path.0)? })
}

/// A rule that denies requests whatever the key says.
#[derive(Clone, Debug, PartialEq)]
pub struct DenyPolicy {
    pub id: Text<'static>,
    pub target: DenyTarget,
    /// Denies everything except the target.
    pub invert: bool,
}

/// The target of a deny policy.
#[derive(Clone, Debug, PartialEq)]
pub enum DenyTarget {
    /// `IP` and `IP_RANGE`.
    Range(IpNet),
    /// `APPLICATION`.
    Application(Text<'static>),
    /// `API`.
    Api(Text<'static>),
    /// `USER`: the application's owner.
    Owner(Text<'static>),
}

impl<'a> TryFrom<wire::DenyPolicyRow<'a>> for DenyPolicy {
    type Error = InvalidRow;

    fn try_from(row: wire::DenyPolicyRow<'a>) -> Result<Self, InvalidRow> {
        let target = match &*row.kind.0 {
            "IP" | "IP_RANGE" => {
                DenyTarget::Range(parse_range(&row.value.0).ok_or(invalid("value", Problem::NotAnAddress))?)
            }
            "APPLICATION" => DenyTarget::Application(text("value", row.value)?.into_owned()),
            "API" => DenyTarget::Api(text("value", row.value)?.into_owned()),
            "USER" => DenyTarget::Owner(text("value", row.value)?.into_owned()),
            _ => return Err(invalid("type", Problem::UnknownValue("IP, IP_RANGE, APPLICATION, API, USER"))),
        };
        Ok(Self { id: text("id", row.id)?.into_owned(), target, invert: row.invert.unwrap_or(false) })
    }
}
