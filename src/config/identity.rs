//! Digests of two things: which policy a configuration means, and which credentials it presents. A digest reveals no
//! secret.
//!
//! The digests depend on settings only. The store decides what it keeps under them.

use super::PolicySource;
use crate::digest::Digest;

impl PolicySource {
    /// The digest of all settings that decide which policy is meant. Without a name these include the headers and
    /// credentials, because a feed may answer each gateway differently.
    pub fn identity(&self) -> Digest {
        let mut parts = Parts::default();
        parts.add(&self.cluster);
        parts.add(&self.authority);
        parts.add(&self.path);
        match &self.name {
            // This arm adds two parts and the other arm an odd number. So a policy with a name never has the digest of
            // one without a name.
            Some(name) => parts.add("name").add(name),
            None => parts.add_proof(self),
        };
        parts.digest()
    }

    /// A tag of the headers and credentials. Gateways with the same tag present the same headers and credentials.
    pub fn proof_tag(&self) -> u64 {
        let digest = Parts::default().add_proof(self).digest();
        digest.0.first_chunk().copied().map_or(0, u64::from_le_bytes)
    }
}

/// A list of texts. The length precedes each text, so two different lists never give the same bytes.
#[derive(Default)]
struct Parts {
    bytes: Vec<u8>,
}

impl Parts {
    fn add(&mut self, text: &str) -> &mut Self {
        self.bytes.extend(u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    fn add_proof(&mut self, policy: &PolicySource) -> &mut Self {
        self.add(policy.authorization.as_deref().unwrap_or_default());
        for (name, value) in &policy.headers {
            self.add(name).add(value);
        }
        self
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use crate::config;

    fn of(policy: &str) -> (crate::digest::Digest, u64) {
        let json = format!(r#"{{"policy": {{"cluster": "c"{policy}}}}}"#);
        let policy = config::parse(json.as_bytes(), &|_| None).unwrap().policy;
        (policy.identity(), policy.proof_tag())
    }

    #[test]
    fn a_policy_is_identified_by_its_name_or_else_by_headers_and_credentials() {
        let secret = |secret: &str| format!(r#", "credentials": {{"client_id": "g", "client_secret": "{secret}"}}"#);
        let header = |value: &str| format!(r#", "headers": {{"x-tenant": "{value}"}}"#);
        let named = |rest: &str| format!(r#", "name": "edge"{rest}"#);
        let proofs = [String::new(), secret("a"), secret("b"), header("a"), header("b")];
        for (at, one) in proofs.iter().enumerate() {
            for other in proofs.get(at + 1..).unwrap_or_default() {
                assert_ne!(of(one), of(other), "{one} {other}");
                assert_ne!(of(one).1, of(other).1, "{one} {other}");
                assert_eq!(of(&named(one)).0, of(&named(other)).0, "{one} {other}");
                assert_ne!(of(&named(one)).1, of(&named(other)).1, "{one} {other}");
            }
            for other in
                [r#", "name": "x""#, r#", "name": "edge", "path": "/x""#, r#", "name": "edge", "authority": "x""#]
            {
                assert_ne!(of(&named(one)).0, of(other).0, "{one} {other}");
            }
            assert_ne!(of(one).0, of(&named(one)).0, "{one}");
        }
        // A header with the same name as the literal part before a policy name.
        let odd = r#", "headers": {"name": "edge"}"#;
        assert_ne!(of(odd).0, of(&named("")).0);
    }
}
