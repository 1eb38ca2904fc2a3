//! Fields of a page that keygate does not know: they are ignored, and their names are kept so that the log can tell them.
//! Whoever writes `status` or `expires` means a field of the page, and the row allows more than was meant.
//!
//! A page can hold any number of such names, of any length, so only the first few are kept, each cut. When a line is
//! written is decided in [`crate::refresh`].

use std::fmt;

use crate::naming::{beginning, nearest};

/// Names that are kept of one page.
const MAX_NAMES: usize = 5;

/// The unknown fields of a page, as far as they are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownFields {
    fields: Vec<UnknownField>,
    /// Where the object that is read stands.
    place: Place,
}

/// A field that keygate does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// The first characters of its name.
    name: String,
    /// Whether the name is longer.
    is_cut: bool,
    place: Place,
    /// The known name that was probably meant.
    close: Option<&'static str>,
}

/// Where an object of a page stands. The list is empty for the page itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    list: &'static str,
    /// Bytes from the beginning of the page, of a row.
    offset: Option<usize>,
}

impl UnknownFields {
    /// The objects that are read from now on stand in the row of this list that begins so many bytes from the beginning of
    /// the page, or in an object of the page itself.
    pub(super) fn enter(&mut self, list: &'static str, offset: Option<usize>) {
        self.place = Place { list, offset };
    }

    /// Keeps the name of a field beside which only `known` ones may stand.
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

    /// Whether no field was unknown.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The first of them that differ in name.
    pub fn fields(&self) -> &[UnknownField] {
        &self.fields
    }
}

impl UnknownField {
    /// The first characters of its name, as written.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for UnknownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A digest of a key must not reach a log, and somebody may have made a field's name of one.
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
