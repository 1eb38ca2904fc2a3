//! Prepares texts for statements. PostgreSQL's texts cannot contain the character U+0000.

use std::borrow::Cow;

/// Replaces U+0000 in a text. No stored id, name or owner contains a control character. So a search for a text with
/// U+0000 finds nothing, and neither does a search for its replacement.
pub fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{1}")) } else { Cow::Borrowed(text) }
}

/// The same for several texts.
pub fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Vec<String> {
    texts.into_iter().map(|one| text(one).into_owned()).collect()
}
