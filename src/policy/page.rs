//! One page of the feed: turns JSON bytes into a header and rows.
//!
//! Reading has two steps, so that a large page can be processed in slices. [`Page::scan`] checks the JSON and the
//! header and finds the place of each row. [`Page::rows`] turns a range of rows into valid values. A bad row of keys,
//! applications or subscriptions is reported and left out. A bad row of a small list refuses the page, because without
//! it the policy could allow too much. Other files decide what a page means for the current policy.

use std::ops::Range;

use super::{
    MAX_PAGE_BYTES, MAX_REVISION, MAX_TEXT_BYTES, Text,
    cursor::{is_cursor, resolve},
    describe::describe,
    differing::Differing,
    error::{InvalidPage, RejectedRow},
    left_out::Concerns,
    list::{CatalogueList, RowKind},
    object,
    raw::{parse, place},
    rows::{Application, InvalidRow, Key, Subscription},
    small::CatalogueReader,
    unknown::UnknownFields,
    wire,
};

use crate::{digest::Digest, index::Index};

pub use super::small::{CatalogueRow, CatalogueRows};

/// Byte order marks of UTF-8, UTF-16 (both orders) and UTF-32 (one order; the other begins like UTF-16).
const BYTE_ORDER_MARKS: [&[u8]; 4] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff"];
/// The first bytes of gzip (RFC 1952, 2.3.1).
const GZIP: &[u8] = b"\x1f\x8b";

/// A page that has been checked as a whole. Its rows remain JSON text in the body.
#[derive(Debug)]
pub struct Page {
    body: String,
    pub header: Header,
    /// The small lists, decoded.
    pub catalogue: CatalogueRows,
    pub removed: Removed,
    /// Unknown fields of the page, except those in rows of the long lists.
    pub unknown: UnknownFields,
    /// Rows of the small lists with parts that can never apply. Only these parts are left out.
    pub left_out: Vec<RejectedRow>,
    catalogue_rows: Vec<(CatalogueList, String, Range<usize>)>,
    rows: Vec<(RowKind, Range<usize>)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Identifies the policy that `revision` belongs to. Absent means the empty text.
    pub epoch: String,
    pub revision: Option<u64>,
    /// The revision that this delta builds on. `None` for a full policy.
    pub base: Option<u64>,
    /// The next page of this revision.
    pub next: Option<String>,
    /// The address of the next revision.
    pub poll: Option<String>,
    /// How many rows a full policy announces. Only a hint; the filter does not rely on it.
    pub counts: Option<wire::Counts>,
    /// Tells the shrink guard to accept this policy.
    pub confirm_removal: bool,
}

impl Header {
    /// Turns the cursors `next` and `poll` into paths. `asked` is the path of the request.
    pub fn resolve_cursors(&mut self, asked: &str) {
        self.next = self.next.take().map(|cursor| resolve(asked, cursor));
        self.poll = self.poll.take().map(|cursor| resolve(asked, cursor));
    }
}

/// What a delta removes.
#[derive(Debug, Default, PartialEq)]
pub struct Removed {
    pub apis: Vec<String>,
    pub applications: Vec<String>,
    pub keys: Vec<Digest>,
    /// Application and API of each subscription.
    pub subscriptions: Vec<(String, String)>,
    pub plans: Vec<String>,
    pub deny_policies: Vec<String>,
}

/// A row of one of the long lists.
#[derive(Debug, PartialEq)]
pub enum Row<'a> {
    Key(Key<'a>),
    Application(Application<'a>),
    Subscription(Subscription<'a>),
}

impl Page {
    /// Checks a body as a whole and finds its rows.
    pub fn scan(body: Vec<u8>) -> Result<Self, InvalidPage> {
        if body.is_empty() {
            return Err(InvalidPage::Empty);
        }
        if body.len() > MAX_PAGE_BYTES {
            return Err(InvalidPage::TooLarge);
        }
        if BYTE_ORDER_MARKS.iter().any(|mark| body.starts_with(mark)) {
            return Err(InvalidPage::ByteOrderMark);
        }
        if body.starts_with(GZIP) {
            return Err(InvalidPage::Compressed);
        }
        let body = String::from_utf8(body)
            .map_err(|error| InvalidPage::NotUtf8 { offset: error.utf8_error().valid_up_to() })?;
        let mut unknown = UnknownFields::default();
        let page: wire::PageIn<'_> =
            object::from_str(&body, &mut unknown).map_err(|error| InvalidPage::Json(describe(&error, "")))?;
        if page.format != wire::FORMAT {
            return Err(InvalidPage::Format(page.format));
        }
        let header = header(&page, &mut unknown)?;
        let mut small =
            CatalogueReader { body: &body, places: Vec::new(), left_out: Vec::new(), unknown: &mut unknown };
        let catalogue = small.read_all(page.apis, page.plans, page.deny_policies)?;
        let CatalogueReader { places: catalogue_rows, left_out, .. } = small;
        let removed = match page.removed {
            Some(raw) if header.base.is_some() => {
                let invalid = |error| InvalidPage::Json(format!("`removed`: {}", describe(&error, " of it")));
                unknown.enter("removed", None);
                removed(object::from_str(raw.get(), &mut unknown).map_err(invalid)?)?
            }
            _ => Removed::default(),
        };
        let mut rows = Vec::new();
        for (kind, list) in [
            (RowKind::Application, page.applications),
            (RowKind::Key, page.keys),
            (RowKind::Subscription, page.subscriptions),
        ] {
            rows.extend(list.unwrap_or_default().into_iter().map(|raw| (kind, place(&body, raw))));
        }
        Ok(Self { header, catalogue, removed, unknown, left_out, catalogue_rows, rows, body })
    }

    /// The rows of the small lists as they stand in the page: list, id and JSON.
    pub fn catalogue_rows(&self) -> impl Iterator<Item = (CatalogueList, &str, &str)> {
        let rows = self.catalogue_rows.iter();
        rows.map(|(list, id, place)| (*list, id.as_str(), self.body.get(place.clone()).unwrap_or_default()))
    }

    /// The rows of the small lists that differ from an earlier row with the same id.
    pub fn differing(&self) -> Differing {
        let mut differing = Differing::default();
        let mut known = Index::default();
        for (number, (list, id, json)) in self.catalogue_rows().enumerate() {
            let name = format!("{} {id}", list.as_str());
            let before = known.insert(name.as_bytes(), number);
            if before.is_some_and(|before| self.small_row(before) != json) {
                differing.note(|| format!("`{id}` in `{}`", list.as_str()));
            }
        }
        differing
    }

    fn small_row(&self, number: usize) -> &str {
        let place = self.catalogue_rows.get(number).map(|(_, _, place)| place.clone());
        place.and_then(|place| self.body.get(place)).unwrap_or_default()
    }

    /// The digest of the whole body.
    pub fn digest(&self) -> Digest {
        Digest::of(self.body.as_bytes())
    }

    /// Number of rows in the long lists.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the long lists have no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The place of a row of the long lists, in bytes from the beginning of the page.
    pub fn offset(&self, row: usize) -> Option<usize> {
        self.rows.get(row).map(|(_, place)| place.start)
    }

    /// The rows of a range. Each is a valid value or the reason why the row is left out. Rows beyond the end do not
    /// exist. The names of unknown fields go to `unknown`.
    pub fn rows<'p>(
        &'p self,
        range: Range<usize>,
        unknown: &'p mut UnknownFields,
    ) -> impl Iterator<Item = Result<Row<'p>, RejectedRow>> {
        let end = range.end.min(self.rows.len());
        let rows = self.rows.get(range.start.min(end)..end).unwrap_or_default();
        rows.iter().map(move |(kind, place)| {
            // `place` was measured on this body. If it did not fit, the row would be rejected like any bad row.
            let json = self.body.get(place.clone()).unwrap_or_default();
            unknown.enter(kind.list(), Some(place.start));
            row(*kind, json, unknown).map_err(|why| {
                let concerns = Concerns::of(*kind, json);
                RejectedRow { list: kind.list(), offset: Some(place.start), why, concerns }
            })
        })
    }
}

fn row<'a>(kind: RowKind, json: &'a str, unknown: &mut UnknownFields) -> Result<Row<'a>, InvalidRow> {
    Ok(match kind {
        RowKind::Application => Row::Application(parse::<wire::ApplicationRow<'_>, _>(json, unknown)?),
        RowKind::Key => Row::Key(parse::<wire::KeyRow<'_>, _>(json, unknown)?),
        RowKind::Subscription => Row::Subscription(parse::<wire::SubscriptionRow<'_>, _>(json, unknown)?),
    })
}

fn header(page: &wire::PageIn<'_>, unknown: &mut UnknownFields) -> Result<Header, InvalidPage> {
    let epoch = page.epoch.as_ref().map_or("", |epoch| &epoch.0);
    if epoch.len() > MAX_TEXT_BYTES || epoch.chars().any(char::is_control) {
        return Err(InvalidPage::Header { field: "epoch", what: "is too long or has a control character" });
    }
    for (field, revision) in [("revision", page.revision), ("base", page.base)] {
        if revision.is_some_and(|revision| revision > MAX_REVISION) {
            return Err(InvalidPage::Header { field, what: "is not below 2^53" });
        }
    }
    if page.base.is_some() && page.revision.is_none() {
        return Err(InvalidPage::Header { field: "base", what: "needs a `revision` beside it" });
    }
    if let (Some(base), Some(revision)) = (page.base, page.revision)
        && base > revision
    {
        return Err(InvalidPage::Header { field: "base", what: "is above `revision`" });
    }
    unknown.enter("counts", None);
    // Counts that cannot be read are ignored: they are only a hint.
    let counts = page.counts.and_then(|raw| object::from_str::<wire::CountsIn>(raw.get(), unknown).ok());
    Ok(Header {
        epoch: epoch.to_owned(),
        revision: page.revision,
        base: page.base,
        next: cursor("next", page.next.as_ref())?,
        poll: cursor("poll", page.poll.as_ref())?,
        counts: counts.map(wire::Counts::from),
        confirm_removal: page.confirm_removal.unwrap_or(false),
    })
}

fn cursor(field: &'static str, value: Option<&wire::Str<'_>>) -> Result<Option<String>, InvalidPage> {
    let Some(wire::Str(text)) = value else { return Ok(None) };
    if !is_cursor(text) {
        return Err(InvalidPage::Header {
            field,
            what: "is neither a query alone nor an absolute path on the same authority",
        });
    }
    Ok(Some(text.clone().into_owned()))
}

/// A removal that cannot be read refuses the page. Otherwise the removed thing would stay allowed.
fn removed(removed: wire::Removed<'_>) -> Result<Removed, InvalidPage> {
    fn ids(field: &'static str, ids: Option<Vec<wire::Str<'_>>>) -> Result<Vec<String>, InvalidPage> {
        ids.unwrap_or_default().into_iter().map(|id| id_of(field, id)).collect()
    }
    fn id_of(field: &'static str, id: wire::Str<'_>) -> Result<String, InvalidPage> {
        match Text::new(id.0) {
            Ok(text) => Ok(text.as_str().to_owned()),
            Err(_) => Err(InvalidPage::Header { field, what: "has an entry that is no id" }),
        }
    }
    let digest = |hex: wire::Str<'_>| {
        Digest::from_hex(&hex.0)
            .ok_or(InvalidPage::Header { field: "removed.keys", what: "has an entry that is no digest" })
    };
    let pair = |id: wire::SubscriptionId<'_>| {
        let field = "removed.subscriptions";
        Ok((id_of(field, id.application)?, id_of(field, id.api)?))
    };
    Ok(Removed {
        apis: ids("removed.apis", removed.apis)?,
        applications: ids("removed.applications", removed.applications)?,
        keys: removed.keys.unwrap_or_default().into_iter().map(digest).collect::<Result<_, _>>()?,
        subscriptions: removed.subscriptions.unwrap_or_default().into_iter().map(pair).collect::<Result<_, _>>()?,
        plans: ids("removed.plans", removed.plans)?,
        deny_policies: ids("removed.deny_policies", removed.deny_policies)?,
    })
}
