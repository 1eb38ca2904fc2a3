//! Errors of a page: a row that is left out, or the reason why the whole page is refused. This file has the data and
//! one sentence for each error. Other files detect them.

use std::fmt;

use super::{MAX_PAGE_BYTES, left_out::Concerns, rows::InvalidRow, wire};

/// A row that was left out, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    /// Name of the list.
    pub list: &'static str,
    /// Bytes from the beginning of the page; `None` once the page has been dropped.
    pub offset: Option<usize>,
    pub why: InvalidRow,
    /// What the row is about.
    pub concerns: Concerns,
}

impl fmt::Display for RejectedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            Some(offset) => write!(f, "`{}`, row at byte {offset}: {}", self.list, self.why),
            None => write!(f, "`{}`, row of {}: {}", self.list, self.concerns, self.why),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidPage {
    Empty,
    /// It is longer than [`MAX_PAGE_BYTES`].
    TooLarge,
    /// It begins with a byte order mark.
    ByteOrderMark,
    /// The first bytes are those of gzip.
    Compressed,
    NotUtf8 {
        /// Number of bytes before the first bad one.
        offset: usize,
    },
    /// Not JSON, or not in the shape of a page.
    Json(String),
    /// A format other than [`wire::FORMAT`].
    Format(u64),
    /// A bad field of the header.
    Header {
        field: &'static str,
        what: &'static str,
    },
    /// A bad row of a small list. Without it the page could allow too much.
    Row(Box<RejectedRow>),
    TooManyRows {
        list: &'static str,
        limit: usize,
    },
}

impl fmt::Display for InvalidPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the body is empty"),
            Self::TooLarge => write!(f, "the body is longer than {MAX_PAGE_BYTES} bytes"),
            Self::ByteOrderMark => f.write_str("the body begins with a byte order mark; a page is UTF-8 without one"),
            Self::Compressed => f.write_str("the body is compressed (gzip); the filter reads plain JSON only"),
            Self::NotUtf8 { offset } => write!(f, "the body is not UTF-8 at byte {offset}"),
            Self::Json(what) => write!(f, "the body is not a policy page: {what}"),
            Self::Format(format) => write!(f, "`format` is {format}, and this filter reads {}", wire::FORMAT),
            Self::Header { field, what } => write!(f, "`{field}` {what}"),
            Self::Row(row) => write!(f, "{row}; a page without it could allow too much, so it is refused whole"),
            Self::TooManyRows { list, limit } => write!(f, "`{list}` has more than {limit} rows"),
        }
    }
}
