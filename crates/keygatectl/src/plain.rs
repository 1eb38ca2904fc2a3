//! Texts of others on a terminal: nothing of them may steer it, hide, or pass for something else.

use std::borrow::Cow;

/// A text without what would steer a terminal or hide from a reader: control characters, line separators, characters that
/// turn the direction of a line, and those that are not seen at all. What joins letters and emoji stays.
pub fn plain(text: &str) -> Cow<'_, str> {
    let steers = |letter: char| {
        letter.is_control()
            || matches!(
                letter,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
            )
    };
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let shown = |letter: char| if steers(letter) { letter.escape_unicode().to_string() } else { letter.to_string() };
    Cow::Owned(text.chars().map(shown).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_the_service_does_not_steer_the_terminal() {
        for (text, expected) in [
            ("Zürich ✓", "Zürich ✓"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\nb", "a\\u{a}b"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\u{61c}b", "a\\u{61c}b"),
            ("a\u{2028}b", "a\\u{2028}b"),
            ("a\u{200b}b", "a\\u{200b}b"),
            ("a\u{9b}2Jb", "a\\u{9b}2Jb"),
            ("a\u{e0041}b", "a\\u{e0041}b"),
            ("👨‍👩‍👧 می‌خواهم", "👨‍👩‍👧 می‌خواهم"),
        ] {
            assert_eq!(plain(text), expected);
        }
    }
}
