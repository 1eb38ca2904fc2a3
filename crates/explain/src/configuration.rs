//! A plugin configuration, read as the filter reads it but without its secrets.
//!
//! `policy` only says where a gateway fetches the policy, which an explanation does not need. Its shape is checked. A
//! secret that comes from a variable is not looked up: neither this program's variables nor its files are read.

use keygate::config::{self, Config, InvalidConfig};

/// `policy` for a configuration without one.
const SOURCE: &str = r#""policy":{"cluster":"policy-service"}"#;

/// The value of every variable that a configuration names.
const ANY: &[u8] = b"not read";

/// Reads a configuration. One without `policy` is complete, because an explanation needs no place to fetch from.
pub fn parse(json: &str) -> Result<Config, InvalidConfig> {
    let read = |json: &str| config::parse(json.as_bytes(), &|_| Some(ANY.to_vec()));
    match with_source(json) {
        Some(complete) => read(&complete),
        None => read(json),
    }
}

/// The configuration of a gateway that sets nothing but the place of its policy.
pub fn default() -> Result<Config, InvalidConfig> {
    parse("{}")
}

/// The same object with a `policy`, at its end so that no other field moves. `None` if it has one, or is no object.
fn with_source(json: &str) -> Option<String> {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).ok()?;
    if fields.contains_key("policy") {
        return None;
    }
    let open = json.trim_end().strip_suffix('}')?;
    let comma = if fields.is_empty() { "" } else { "," };
    Some(format!("{open}{comma}{SOURCE}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_without_a_policy_is_complete() {
        let sparse = parse(" { \"mode\" : \"shadow\" } ").map(|config| config.mode);
        assert_eq!(sparse, Ok(config::Mode::Shadow));
        assert!(default().is_ok());
    }

    #[test]
    fn no_variable_is_looked_up_and_no_secret_is_kept() {
        let json =
            r#"{"policy": {"cluster": "c", "credentials": {"client_id": "g", "client_secret": {"env": "HOME"}}}}"#;
        let home = std::env::var("HOME").unwrap_or_default();
        let config = format!("{:?}", parse(json).map(|config| config.policy.authorization));
        assert!(config.contains("Basic"), "{config}");
        assert!(home.is_empty() || !config.contains(&home));
    }

    #[test]
    fn an_error_has_the_place_in_the_text_that_was_sent() {
        for (json, line, column) in [
            ("{\n  \"mode\": \"shadows\"\n}", 2, 11),
            ("{\"policy\": {\"cluster\": 5}}", 1, 24),
            ("{\"policy\": null, \"policy\": {\"cluster\": \"c\"}}", 1, 18),
            ("[]", 1, 1),
            ("{\"mode\": ", 1, 10),
        ] {
            let error = parse(json).map(|_| ()).expect_err(json);
            assert_eq!((error.position.line, error.position.column), (line, column), "{json}: {error}");
        }
    }
}
