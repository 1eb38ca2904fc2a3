//! The fields of rows: their order for people, which of them are times, and which the service derives.

/// Fields in the order in which they read well. Others follow in the order of their names.
const ORDER: &[&str] = &[
    "kind", "deleted", "id", "name", "version", "owner", "application", "api", "sha256", "type", "value", "state", "plan",
    "by", "at", "reason", "note", "from", "until", "before", "match", "hosts", "methods", "path", "requests", "per",
];

/// The fields of an object in the order in which they read well.
pub fn ordered(fields: &serde_json::Map<String, serde_json::Value>) -> Vec<(&String, &serde_json::Value)> {
    let place = |name: &str| ORDER.iter().position(|other| *other == name).unwrap_or(ORDER.len());
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_by_key(|(name, _)| place(name));
    fields
}

/// Fields that the service derives, and that no client sets.
pub const DERIVED: &[&str] = &["etag", "last_used", "replaced_by", "used_up_until", "applies"];

/// Fields of documents whose values are times.
pub const TIMES: &[&str] = &["at", "expires_at", "from", "not_before", "until"];
