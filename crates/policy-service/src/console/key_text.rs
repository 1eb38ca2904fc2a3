//! Texts that may have a key or a token in them, so that no page shows them again.

use management::key_form;

/// How the tokens of people, the secrets of gateways and those of sessions begin.
const OTHERS: [&str; 3] = ["kgt_", "kgg_", "kgs_"];
/// A value that is at least so long may be a key.
pub const MAY_BE_A_KEY: usize = 16;

/// Whether a text has a key, a token or a gateway's secret of this service in it.
pub fn has_key(text: &str) -> bool {
    text.match_indices("kg").any(|(place, _)| {
        let rest = text.get(place..).unwrap_or_default();
        key_form::Form::of(rest) != key_form::Form::Other || OTHERS.iter().any(|prefix| rest.starts_with(prefix))
    })
}

/// Whether a text that was typed where an id or another short word belongs may be a key. The ids of keys that the service
/// makes are none.
pub fn may_be_key(text: &str) -> bool {
    let is_id = text.strip_prefix("k-").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    has_key(text) || !is_id && text.len() >= MAY_BE_A_KEY
}

/// Whether a name speaks of a secret.
pub fn names_secret(name: &str) -> bool {
    const WORDS: [&str; 14] = [
        "auth", "cert", "cookie", "cred", "csrf", "jwt", "key", "nonce", "pass", "pwd", "secret", "session", "sig",
        "token",
    ];
    let lower = name.to_ascii_lowercase();
    WORDS.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_may_be_a_key_is_known() {
        for text in ["kg_live_abc", "x kg_test_", "http://a/kgt_0123", "0123456789abcdef", "k-0123456789abcdeg"] {
            assert!(may_be_key(text), "{text}");
        }
        for text in ["", "k-1", "k-8bf5ed73f6198571a4d3e01f", "shop", "G ET", "kgb"] {
            assert!(!may_be_key(text), "{text}");
        }
        assert!(names_secret("X-Api-Key") && names_secret("Session_Id") && !names_secret("accept"));
    }
}
