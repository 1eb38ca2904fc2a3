//! What a gateway asks of the feed, and the links to further pages and polls.
//!
//! Links are queries on the feed's path: `since` for a delta; `revision`, `after` and, in a delta, `part` for a further
//! page. Each link carries the epoch as this gateway knows it. If a link was made under another epoch, or for a gateway
//! that saw other APIs, the service answers 410 and the gateway starts over. Each link also carries a signed mark,
//! which tells the histories of one epoch apart ([`Mark`]). Links of earlier versions have no mark.

use std::fmt;

use keygate::policy::MAX_REVISION;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::problem::Problem;
use management::port::{Mark, Secret};

/// The path of the feed.
pub const PATH: &str = "/v1/policy";

/// The query as sent. Unknown parameters are ignored, so that later versions can add some.
#[derive(Debug, Default, Deserialize)]
pub struct Query {
    epoch: Option<String>,
    since: Option<String>,
    revision: Option<String>,
    part: Option<String>,
    after: Option<String>,
    mark: Option<String>,
}

impl Query {
    /// Whether it names a revision that the gateway holds, whether that can be read or not.
    pub fn has_cursor(&self) -> bool {
        self.since.is_some()
    }
}

/// The part of a delta in which a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Part {
    /// Removed rows; they come first.
    Removed,
    /// Rows that exist now.
    Changed,
}

impl Part {
    fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// Where a further page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The revision of the first page.
    pub revision: i64,
    /// The part; a full policy has only `Changed`.
    pub part: Part,
    /// The position in the part.
    pub after: i64,
}

/// A request to the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The epoch that the gateway holds, if it says so.
    pub epoch: Option<String>,
    /// The revision that the gateway holds; `None` asks for the full policy.
    pub since: Option<i64>,
    /// The start of a further page.
    pub place: Option<Cursor>,
    /// The history that the gateway follows, at the revision of the further page or else at `since`. `None` if the link
    /// does not name it.
    pub mark: Option<Mark>,
}

impl Ask {
    /// Parses a query. A mark that `secret` did not sign is answered with 410.
    pub fn read(query: Query, secret: &Secret) -> Result<Self, Problem> {
        let since = query.since.as_deref().map(|text| number("since", text)).transpose()?;
        let revision = query.revision.as_deref().map(|text| number("revision", text)).transpose()?;
        let after = query.after.as_deref().map(|text| number("after", text)).transpose()?;
        let part = match query.part.as_deref() {
            None => Part::Changed,
            Some("changed") => Part::Changed,
            Some("removed") => Part::Removed,
            Some(_) => return Err(Problem::parameter("part", "expected removed or changed")),
        };
        let place = match (revision, after) {
            (None, None) => None,
            (Some(revision), Some(after)) => Some(Cursor { revision, part, after }),
            (None, Some(_)) => return Err(Problem::parameter("revision", "a further page needs revision and after")),
            (Some(_), None) => return Err(Problem::parameter("after", "a further page needs revision and after")),
        };
        if let (Some(since), Some(place)) = (since, place)
            && since > place.revision
        {
            return Err(Problem::parameter("since", "expected a revision that is not above the page's"));
        }
        let mark = match (query.mark, place.map(|place| place.revision).or(since)) {
            (Some(text), Some(revision)) => {
                let mark = secret.read(&text, revision);
                Some(mark.ok_or_else(|| super::gone("the mark of this cursor was not made by this service"))?)
            }
            // A request for the full policy needs no mark.
            (None, _) | (_, None) => None,
        };
        Ok(Self { epoch: query.epoch, since, place, mark })
    }
}

impl fmt::Display for Ask {
    /// Writes the query with its question mark. The service writes only its own epochs, which are hexadecimal and need
    /// no escapes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = '?';
        let mut argument = |name: &str, value: &dyn fmt::Display| {
            write!(f, "{separator}{name}={value}")?;
            separator = '&';
            Ok(())
        };
        if let Some(since) = self.since {
            argument("since", &since)?;
        }
        if let Some(place) = self.place {
            argument("revision", &place.revision)?;
            if self.since.is_some() {
                argument("part", &place.part.as_str())?;
            }
            argument("after", &place.after)?;
        }
        if let Some(epoch) = &self.epoch {
            argument("epoch", epoch)?;
        }
        match &self.mark {
            Some(mark) => argument("mark", mark),
            None => Ok(()),
        }
    }
}

fn number(name: &str, text: &str) -> Result<i64, Problem> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<u64>()
        .ok()
        .filter(|number| digits && *number <= MAX_REVISION)
        .and_then(|number| i64::try_from(number).ok())
        .ok_or_else(|| Problem::parameter(name, "expected an integer from 0 to 2^53 - 1"))
}
