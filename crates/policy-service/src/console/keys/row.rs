//! A key, as `/v1` answers it: never the key itself.

use serde::Deserialize;

/// Keys that end within so many seconds are named on the start page: 30 days.
const SOON: i64 = 30 * 86_400;

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Key {
    pub id: String,
    #[serde(default)]
    pub sha256: Option<String>,
    #[serde(default)]
    pub application: Option<String>,
    #[serde(rename = "type", default)]
    pub key_type: Option<String>,
    #[serde(default)]
    pub state: Option<String>,
    #[serde(default)]
    pub not_before: Option<i64>,
    #[serde(default)]
    pub expires_at: Option<i64>,
    #[serde(default)]
    pub apis: Option<Vec<String>>,
    #[serde(default)]
    pub permitted_ips: Option<Vec<String>>,
    #[serde(default)]
    pub permitted_referers: Option<Vec<String>>,
    #[serde(default)]
    pub last_used: Option<i64>,
    #[serde(default)]
    pub replaced_by: Option<String>,
    #[serde(default)]
    pub etag: Option<String>,
}

impl Key {
    pub fn application(&self) -> &str {
        self.application.as_deref().unwrap_or_default()
    }

    pub fn is_for_production(&self) -> bool {
        self.key_type.as_deref() != Some("SANDBOX")
    }

    /// Its state in words of the badges: REVOKED, expired, early, replaced or ACTIVE.
    pub fn state(&self, now: i64) -> &str {
        if self.state.as_deref() == Some("REVOKED") {
            "REVOKED"
        } else if self.expires_at.is_some_and(|end| end <= now) {
            "expired"
        } else if self.replaced_by.is_some() {
            "replaced"
        } else if self.not_before.is_some_and(|begin| begin > now) {
            "early"
        } else {
            "ACTIVE"
        }
    }

    /// Whether requests with it are accepted now or later.
    pub fn works(&self, now: i64) -> bool {
        !matches!(self.state(now), "REVOKED" | "expired")
    }

    /// Whether it ends soon.
    pub fn ends_soon(&self, now: i64) -> bool {
        self.works(now) && self.expires_at.is_some_and(|end| end <= now.saturating_add(SOON))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_key_is_what_a_gateway_makes_of_it() {
        let key = |state: &str, not_before, expires_at, replaced: bool| Key {
            state: Some(state.to_owned()),
            not_before,
            expires_at,
            replaced_by: replaced.then(|| "k".to_owned()),
            ..Key::default()
        };
        for (key, state, works, soon) in [
            (key("ACTIVE", None, None, false), "ACTIVE", true, false),
            (key("ACTIVE", Some(100), Some(101), false), "ACTIVE", true, true),
            (key("ACTIVE", Some(101), None, false), "early", true, false),
            (key("ACTIVE", None, Some(100), false), "expired", false, false),
            (key("ACTIVE", None, Some(100 + SOON), false), "ACTIVE", true, true),
            (key("ACTIVE", None, Some(101 + SOON), false), "ACTIVE", true, false),
            (key("ACTIVE", None, Some(200), true), "replaced", true, true),
            (key("ACTIVE", None, Some(100), true), "expired", false, false),
            (key("REVOKED", None, Some(100), true), "REVOKED", false, false),
        ] {
            assert_eq!((key.state(100), key.works(100), key.ends_soon(100)), (state, works, soon), "{key:?}");
        }
    }
}
