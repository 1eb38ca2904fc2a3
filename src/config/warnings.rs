//! Settings that are valid but probably a mistake. The filter logs each warning once when it accepts a configuration. A
//! warning never refuses a configuration.

use super::{Config, CredentialSource, parse};

impl Config {
    /// One sentence per warning, without secrets.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let policy = &self.policy;
        let least = parse::least_age(policy.refresh_interval, policy.long_poll, policy.timeout);
        if policy.stale_after < least {
            warnings.push(format!(
                "policy.stale_after_ms is {}, but a policy gets {} ms old while all is well, so it will be reported as stale \
                 now and then",
                policy.stale_after.as_millis(),
                least.as_millis()
            ));
        }
        for source in &self.credential_sources {
            if let CredentialSource::Header { name } | CredentialSource::Scheme { name, .. } = source
                && name.contains('_')
            {
                warnings.push(format!(
                    "credential_sources has the header `{name}`: Envoy refuses or drops names with an underscore where \
                     headers_with_underscores_action says so, before the filter sees them"
                ));
            }
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use crate::config;

    #[test]
    fn settings_that_are_probably_mistakes_are_reported_and_others_are_not() {
        for (policy, sources, expected) in [
            ("", "", &[][..]),
            (r#", "stale_after_ms": 35000"#, "", &[]),
            (r#", "stale_after_ms": 34999"#, "", &["35000 ms old"]),
            (r#", "stale_after_ms": 15000, "long_poll_ms": 0"#, "", &[]),
            (r#", "stale_after_ms": 14999, "long_poll_ms": 0"#, "", &["15000 ms old"]),
            ("", r#", "credential_sources": [{"header": "X_Api_Key"}, {"query": "api_key"}]"#, &["`x_api_key`"]),
            ("", r#", "credential_sources": [{"header": "x_a", "scheme": "Key"}]"#, &["`x_a`"]),
        ] {
            let json = format!(r#"{{"policy": {{"cluster": "c"{policy}}}{sources}}}"#);
            let warnings = config::parse(json.as_bytes(), &|_| None).unwrap().warnings();
            assert_eq!(warnings.len(), expected.len(), "{json}: {warnings:?}");
            for (warning, part) in warnings.iter().zip(expected) {
                assert!(warning.contains(part), "{json}: {warning}");
            }
        }
    }
}
