//! The form once more, after a mistake: with everything that was typed but what may be a secret.
//!
//! A key may stand in any field, so a field keeps what cannot be one. Of the URL the names of its arguments stay, of a
//! header its name, and of a configuration its shape.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{
    super::{
        form::Form,
        key_text::{MAY_BE_A_KEY, has_key, may_be_key, names_secret},
        when,
    },
    configuration::masked,
};

/// What stands for a part of a path that may be a key.
const REMOVED: &str = "removed";

/// The form without what may be a secret.
pub fn again(form: &Form) -> Form {
    let sources = Sources::of(form.get("configuration"));
    let mut again = form.clone().with("key", "");
    let is_time = when::moment(form, "now").is_ok();
    for name in ["method", "key_id", "address", "at_revision", "now"] {
        if may_be_key(form.get(name)) && !(name == "now" && is_time) {
            again = again.with(name, "");
        }
    }
    let url = |name: &str| without_secrets(form.get(name), &sources);
    // A line without a colon after a header without a value may be that value.
    let (mut headers, mut before): (Vec<String>, &str) = (Vec::new(), "");
    for line in form.lines("headers") {
        let may_be_value = before.ends_with(':') && !line.contains(':');
        headers.extend(sources.header(line).filter(|_| !may_be_value));
        before = line;
    }
    again
        .with("url", url("url"))
        .with("referer", url("referer"))
        .with("headers", headers.join("\n"))
        .with("configuration", masked(form.as_typed("configuration")))
}

/// Where the configuration that was typed looks for keys.
#[derive(Debug, Default)]
struct Sources {
    headers: Vec<String>,
    arguments: Vec<String>,
    /// Nobody can tell, so anything may be a key.
    is_unknown: bool,
}

impl Sources {
    fn of(configuration: &str) -> Self {
        if configuration.is_empty() {
            return Self::default();
        }
        // In a text that cannot be read, each word may be the name of a source.
        let unknown = || {
            let is_part = |char: char| char.is_alphanumeric() || "-_.".contains(char);
            let words: Vec<String> = configuration.split(|char| !is_part(char)).map(str::to_owned).collect();
            Self { headers: words.clone(), arguments: words, is_unknown: configuration.contains('\\') }
        };
        let Ok(Value::Object(fields)) = serde_json::from_str(configuration) else { return unknown() };
        let rows = match fields.get("credential_sources") {
            None | Some(Value::Null) => return Self::default(),
            Some(Value::Array(rows)) => rows,
            Some(_) => return unknown(),
        };
        let named = |field: &str| {
            let names = rows.iter().filter_map(|row| row.get(field).and_then(Value::as_str));
            names.map(str::to_owned).collect()
        };
        Self { headers: named("header"), arguments: named("query"), is_unknown: false }
    }

    /// An argument of a query, without its value if that may be a key.
    fn argument(&self, pair: &str) -> String {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name_read, value_read) = (decoded(name), decoded(value));
        if has_key(&name_read) {
            return String::new();
        }
        let is_secret = self.is_unknown
            || names_secret(&name_read)
            || self.arguments.contains(&name_read)
            || value_read.len() >= MAY_BE_A_KEY
            || has_key(&value_read);
        if is_secret && pair.contains('=') { format!("{name}=") } else { pair.to_owned() }
    }

    /// A line with a header, without its value if that may be a key. Of a line without a colon its first word stays, unless
    /// that may be a key. `None` if the line has no name.
    fn header(&self, line: &str) -> Option<String> {
        let parts = line.split_once(':').or_else(|| line.split_once(' ').filter(|(name, _)| is_usual(name)));
        let (name, value) = parts.unwrap_or((line.split_whitespace().next().unwrap_or_default(), ""));
        let name = name.trim();
        if !::explain::request::is_name(name) || has_key(name) {
            return None;
        }
        if parts.is_none() {
            return (!self.is_unknown && !may_be_key(name)).then(|| name.to_owned());
        }
        let is_source = self.headers.iter().any(|source| source.eq_ignore_ascii_case(name));
        let is_short = !self.is_unknown && value.trim().len() < MAY_BE_A_KEY;
        let is_shown = !is_source && !names_secret(name) && !has_key(value) && (is_usual(name) || is_short);
        Some(if is_shown { line.to_owned() } else { format!("{name}:") })
    }
}

/// Headers that browsers and proxies send to everybody.
fn is_usual(name: &str) -> bool {
    const NAMES: [&str; 14] = [
        "accept",
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "date",
        "host",
        "origin",
        "pragma",
        "range",
        "te",
        "user-agent",
        "via",
        "x-requested-with",
    ];
    const BEGINNINGS: [&str; 6] = ["accept-", "access-control-", "content-", "if-", "sec-", "x-forwarded-"];
    let lower = name.trim().to_ascii_lowercase();
    NAMES.contains(&lower.as_str()) || BEGINNINGS.iter().any(|beginning| lower.starts_with(beginning))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A URL without a password, without a fragment, and without those parts of its path and values of its query that may be
/// keys.
fn without_secrets(url: &str, sources: &Sources) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let (place, query) = url.split_once('?').map_or((url, None), |(place, query)| (place, Some(query)));
    let mut shown = path_without_keys(place);
    if let Some(query) = query {
        let pairs: Vec<String> = query.split('&').map(|pair| sources.argument(pair)).collect();
        shown.push('?');
        shown.push_str(&pairs.join("&"));
    }
    shown
}

/// What stands before the query of a URL, without a password and without keys of this service.
pub fn path_without_keys(place: &str) -> String {
    let (scheme, rest) = match place.split_once("//") {
        Some((scheme, rest)) if scheme.is_empty() || scheme.ends_with(':') => (Some(scheme), rest),
        _ => (None, place),
    };
    let mut parts = rest.split('/');
    let authority = parts.next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let clean = |part: &str| if has_key(&decoded(part)) { REMOVED.to_owned() } else { part.to_owned() };
    let parts: Vec<String> = std::iter::once(clean(authority)).chain(parts.map(clean)).collect();
    let path = parts.join("/");
    scheme.map_or_else(|| path.clone(), |scheme| format!("{scheme}//{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_in_a_url_again() {
        let named = Sources::of(r#"{"credential_sources": [{"query": "k"}]}"#);
        let (usual, broken) = (Sources::of(""), Sources::of("credential_sources: [{query: k}]"));
        let escaped = Sources::of(r#"{"credential_sources": [{"query": "\u006b"}"#);
        for (sources, url, shown) in [
            (&usual, "/x?apikey=abc&a=1&b=0123456789abcdef", "/x?apikey=&a=1&b="),
            (&usual, "https://a.example/x", "https://a.example/x"),
            (&usual, "https://user:pw@a.example/kg_live_x/y?k=abc#s", "https://a.example/removed/y?k=abc"),
            (&usual, "/kg%5Flive_x?kg_live_x&y", "/removed?&y"),
            (&named, "/x?k=abc&%6b=abc&l=abc", "/x?k=&%6b=&l=abc"),
            (&broken, "/x?k=abc&l=abc", "/x?k=&l=abc"),
            (&escaped, "/x?l=abc", "/x?l="),
            (&usual, "/a//b", "/a//b"),
            (&usual, "", ""),
        ] {
            assert_eq!(without_secrets(url, sources), shown, "{url}");
        }
    }

    #[test]
    fn harmless_headers_stay() {
        let named = Sources::of(r#"{"credential_sources": [{"header": "x-k"}, {"cookie": "c"}]}"#);
        for (line, shown) in [
            ("accept: application/json", Some("accept: application/json")),
            ("user-agent: Mozilla/5.0 (X11; Linux x86_64)", Some("user-agent: Mozilla/5.0 (X11; Linux x86_64)")),
            ("x-foo: BAR", Some("x-foo: BAR")),
            ("x-foo: 0123456789abcdef", Some("x-foo:")),
            ("accept: kg_live_x", Some("accept:")),
            ("X-K: abc", Some("X-K:")),
            ("Authorization: Basic abc", Some("Authorization:")),
            ("cookie: a=b", Some("cookie:")),
            ("x-api-key abc", Some("x-api-key")),
            ("x-foo", Some("x-foo")),
            ("kg_live_x", None),
            ("0123456789abcdef BAR", None),
            ("accept text/html", Some("accept text/html")),
            ("authorization Bearer a: b", None),
            ("kg_live_x: y", None),
        ] {
            assert_eq!(named.header(line).as_deref(), shown, "{line}");
        }
    }
}
