//! What can be wrong with a page: a row that is left out, or the reason why the whole page is refused. Data and one sentence
//! each; where they are found is said elsewhere.

use std::fmt;

use super::{MAX_PAGE_BYTES, left_out::Concerns, rows::InvalidRow, wire};

/// A row that was left out, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    /// The list.
    pub list: &'static str,
    /// Bytes from the beginning of the page; `None` once the page is gone.
    pub offset: Option<usize>,
    /// What is wrong.
    pub why: InvalidRow,
    /// What it spoke of.
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

/// Why a page is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidPage {
    /// It has no bytes.
    Empty,
    /// It is longer than [`MAX_PAGE_BYTES`].
    TooLarge,
    /// It begins with a byte order mark.
    ByteOrderMark,
    /// Its first bytes are those of gzip.
    Compressed,
    /// Not UTF-8.
    NotUtf8 {
        /// Bytes before the first bad one.
        offset: usize,
    },
    /// Not JSON, or not in the shape of a page.
    Json(String),
    /// Another format than [`wire::FORMAT`].
    Format(u64),
    /// A field of the header.
    Header {
        /// Its name.
        field: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A bad row in a list whose loss could widen access.
    Row(Box<RejectedRow>),
    /// A list is longer than its limit.
    TooManyRows {
        /// Its name.
        list: &'static str,
        /// The limit.
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
