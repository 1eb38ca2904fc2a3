//! Names from configurations and pages in messages: long names are cut, and a message suggests the known name that was
//! probably meant.
//!
//! Other files decide which names are known, and what follows from an unknown name.

/// Characters of a name or a value that a message repeats. A longer text is cut, so that no message floods a log.
pub const MAX_SHOWN: usize = 64;
/// Edits (letters changed, added, dropped or swapped) between an unknown name and the suggested one: at most one in
/// three letters, and at most a forgotten `_ms`.
const MAX_SLIPS: usize = 3;

/// The known name that `name` probably means. A name of more than [`MAX_SHOWN`] bytes is not compared.
pub fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    if name.len() > MAX_SHOWN {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let slips = |known: &&'k str| (strsim::osa_distance(&name, known), *known);
    let near = |(slips, known): &(usize, &str)| *slips <= MAX_SLIPS.min(known.len().max(name.len()) / 3);
    known.iter().map(slips).filter(near).min_by_key(|(slips, _)| *slips).map(|(_, known)| known)
}

/// The first [`MAX_SHOWN`] characters.
pub fn beginning(text: &str) -> &str {
    let end = text.char_indices().nth(MAX_SHOWN).map_or(text.len(), |(end, _)| end);
    text.get(..end).unwrap_or_default()
}

/// At most [`MAX_SHOWN`] characters of `text`. If the text is cut, the last of them is `…`.
pub fn shown(text: &str) -> String {
    let mut short = beginning(text).to_owned();
    if short.len() < text.len() {
        short.pop();
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_distant_one_is_not() {
        let known = ["id", "application", "api", "state", "expires_at", "deny_policies", "type"];
        for (name, expected) in [
            ("status", Some("state")),
            ("State", Some("state")),
            ("expires", Some("expires_at")),
            ("expiresAt", Some("expires_at")),
            ("denyPolicies", Some("deny_policies")),
            ("applications", Some("application")),
            ("apis", Some("api")),
            ("revoked", None),
            ("", None),
            ("x", None),
            ("kind", None),
            (&"a".repeat(1_000_000), None),
        ] {
            assert_eq!(nearest(name, &known), expected, "{name:.20}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        for (text, expected) in [
            (String::new(), String::new()),
            ("é".repeat(64), "é".repeat(64)),
            ("é".repeat(65), format!("{}…", "é".repeat(63))),
        ] {
            assert_eq!(shown(&text), expected);
        }
    }
}
