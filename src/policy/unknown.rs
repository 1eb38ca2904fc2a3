//! Fields of a page that keygate does not know. keygate ignores them but keeps their names for the log. A writer who
//! spells a field wrongly, such as `status` or `expires`, gets a row that allows more than was meant.
//!
//! A page can hold any number of such names, of any length. So only the first few names are kept, and long names are
//! cut. [`crate::refresh`] decides when the log line is written.

use std::fmt;

use crate::naming::{beginning, nearest};

/// Number of names that are kept for one page.
const MAX_NAMES: usize = 5;

/// The unknown fields of a page, as far as they are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownFields {
    fields: Vec<UnknownField>,
    /// The place of the object that is being read.
    place: Place,
}

/// A field that keygate does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// The first characters of the name.
    name: String,
    /// Whether the name is longer.
    is_cut: bool,
    place: Place,
    /// The known name that was probably meant.
    close: Option<&'static str>,
}

/// The place of an object in a page. `list` is empty for the page itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    list: &'static str,
    /// For a row: bytes from the beginning of the page.
    offset: Option<usize>,
}

impl UnknownFields {
    /// Sets the place of the objects that are read from now on: the row of `list` at `offset`. Without an offset: an
    /// object of the page itself.
    pub(super) fn enter(&mut self, list: &'static str, offset: Option<usize>) {
        self.place = Place { list, offset };
    }

    /// Keeps the name of an unknown field. `known` lists the names that are allowed beside it.
    #[cold]
    #[inline(never)]
    pub(crate) fn note(&mut self, name: &str, known: &[&'static str]) {
        let start = beginning(name);
        if self.fields.len() >= MAX_NAMES || self.fields.iter().any(|field| field.name == start) {
            return;
        }
        let is_cut = start.len() < name.len();
        let close = nearest(name, known);
        self.fields.push(UnknownField { name: start.to_owned(), is_cut, place: self.place, close });
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The first unknown fields with different names.
    pub fn fields(&self) -> &[UnknownField] {
        &self.fields
    }
}

impl UnknownField {
    /// The first characters of the name, as written.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for UnknownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A digest of a key must not reach a log, and a page may use one as the name of a field.
        if self.name.bytes().filter(u8::is_ascii_hexdigit).count() >= crate::naming::MAX_SHOWN {
            f.write_str("a name of hexadecimal digits")?;
        } else {
            let rest = if self.is_cut { "…" } else { "" };
            write!(f, "`{}{rest}`", self.name.escape_debug())?;
        }
        match (self.place.list, self.place.offset) {
            ("", _) => f.write_str(" of the page itself")?,
            (list, Some(offset)) => write!(f, " in `{list}`, row at byte {offset}")?,
            (list, None) => write!(f, " in `{list}`")?,
        }
        self.close.map_or(Ok(()), |close| write!(f, "; did you mean `{close}`?"))
    }
}
