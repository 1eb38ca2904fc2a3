//! Texts on their way into statements. PostgreSQL's texts have no character U+0000.

use std::borrow::Cow;

/// The text as PostgreSQL can take it. No stored id, name or owner has a control character, so a text that is looked for is
/// not found with U+0000, and not with what stands for it here either.
pub fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{1}")) } else { Cow::Borrowed(text) }
}

/// The same of many.
pub fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Vec<String> {
    texts.into_iter().map(|one| text(one).into_owned()).collect()
}
