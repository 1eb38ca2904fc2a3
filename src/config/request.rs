//! The part of a configuration about the client's request: where the key stands, which API is meant, and which headers
//! are sent upstream.

use super::{
    ApiSource, BasicPart, CredentialSource, Fact, Forward,
    error::{Expected, Fault, Problem},
    fields,
    header::{self, MAX_NAME_BYTES, TOKEN},
    json::Value,
    read::{Item, Object, Rule, TEXT},
};

/// Places where a key may stand. The filter searches each of them in every request; real gateways have two or three.
pub(super) const MAX_SOURCES: usize = 16;

/// A source has exactly one of these fields.
const KINDS: [&str; 4] = ["header", "query", "cookie", "basic"];

/// A decoded name: percent-encoding can express every character. Only control characters are refused.
const QUERY_NAME: Rule = Rule {
    min: 1,
    max: MAX_NAME_BYTES,
    of: "without control characters",
    holds: |text| !text.chars().any(char::is_control),
};

/// `credential_sources`.
pub(super) fn credential_sources(item: &Item<'_>) -> Result<Vec<CredentialSource>, Fault> {
    let mut sources = Vec::new();
    for item in item.list("sources", 1, MAX_SOURCES)? {
        let source = credential_source(&item)?;
        if sources.iter().any(|other| same_source(other, &source)) {
            return Err(item.place.fault(Problem::Twice));
        }
        sources.push(source);
    }
    Ok(sources)
}

fn credential_source(item: &Item<'_>) -> Result<CredentialSource, Fault> {
    let object = item.object(&["header", "scheme", "query", "cookie", "basic"])?;
    let mut kinds = KINDS.iter().filter_map(|kind| object.find(kind).map(|value| (*kind, value)));
    let (Some((kind, value)), None) = (kinds.next(), kinds.next()) else {
        return Err(item.refuse(Expected::Is("exactly one of `header`, `query`, `cookie` or `basic`")));
    };
    if let (Some(scheme), false) = (object.find("scheme"), kind == "header") {
        return Err(scheme.refuse(Expected::Is("`scheme` beside `header` only")));
    }
    Ok(match kind {
        "header" => {
            let name = header::request_header(value)?;
            match object.find("scheme") {
                Some(scheme) => CredentialSource::Scheme { name, scheme: scheme.text(&TOKEN)?.to_owned() },
                None => CredentialSource::Header { name },
            }
        }
        "query" => CredentialSource::Query { name: value.text(&QUERY_NAME)?.to_owned() },
        "cookie" => CredentialSource::Cookie { name: value.text(&TOKEN)?.to_owned() },
        _ => {
            let part = value.one_of(&[("username", BasicPart::Username), ("password", BasicPart::Password)])?;
            CredentialSource::Basic { part }
        }
    })
}

/// Whether two sources read the same place. Schemes are compared without case.
fn same_source(one: &CredentialSource, other: &CredentialSource) -> bool {
    match (one, other) {
        (CredentialSource::Scheme { name, scheme }, CredentialSource::Scheme { name: n, scheme: s }) => {
            name == n && scheme.eq_ignore_ascii_case(s)
        }
        _ => one == other,
    }
}

/// The header that a source reads and removes.
fn header_of(source: &CredentialSource) -> Option<&str> {
    match source {
        CredentialSource::Header { name } | CredentialSource::Scheme { name, .. } => Some(name),
        CredentialSource::Basic { .. } => Some("authorization"),
        CredentialSource::Query { .. } | CredentialSource::Cookie { .. } => None,
    }
}

/// `api`. Its default has no JSON form.
pub(super) fn api(item: Option<&Item<'_>>) -> Result<ApiSource, Fault> {
    let Some(item) = item else { return Ok(ApiSource::Match) };
    let object = item.object(&["fixed", "route_metadata"])?;
    match (object.find("fixed"), object.find("route_metadata")) {
        (Some(id), None) => Ok(ApiSource::Fixed(id.text(&TEXT)?.to_owned())),
        (None, Some(place)) => {
            let [namespace, key] = place
                .list("strings, a namespace and a key", 2, 2)?
                .try_into()
                .map_err(|_| place.refuse(Expected::Is("a namespace and a key")))?;
            Ok(ApiSource::RouteMetadata {
                namespace: namespace.text(&TEXT)?.to_owned(),
                key: key.text(&TEXT)?.to_owned(),
            })
        }
        _ => Err(item.refuse(Expected::Is("exactly one of `fixed` or `route_metadata`"))),
    }
}

/// The facts that `forward` has a field for, in the order in which their headers are set. A test holds the list to the
/// fields, because a field that is missing here would be accepted, and its header neither removed nor set.
const FORWARDED: [Fact; 7] =
    [Fact::ApplicationId, Fact::KeyId, Fact::KeyType, Fact::ApplicationName, Fact::Owner, Fact::ApiId, Fact::Plan];

/// `forward`. The filter first removes these headers from each request. So one header can neither carry two facts nor
/// be the key's header.
pub(super) fn forward(item: &Item<'_>, sources: &[CredentialSource]) -> Result<Forward, Fault> {
    let object = item.object(&fields::names("forward"))?;
    let mut taken: Vec<(String, String)> = sources
        .iter()
        .enumerate()
        .filter_map(|(index, source)| Some((header_of(source)?.to_owned(), format!("credential_sources[{index}]"))))
        .collect();
    let mut headers = Vec::new();
    for fact in FORWARDED {
        let header = forward_header(&object, fact.as_str(), &mut taken)?;
        headers.extend(header.map(|header| (fact, header)));
    }
    Ok(Forward { headers, credential: object.field("credential")?.boolean()? })
}

/// The header of one fact. `taken` lists the headers in use, each with the path of its use.
fn forward_header(
    object: &Object<'_>,
    name: &'static str,
    taken: &mut Vec<(String, String)>,
) -> Result<Option<String>, Fault> {
    let item = object.field(name)?;
    // `null` and `false` both leave a fact out. Some tools, such as `kubectl apply`, drop nulls but keep false.
    if matches!(item.value, Value::Null | Value::Boolean(false)) {
        return Ok(None);
    }
    let header = header::request_header(item)?;
    if let Some((_, by)) = taken.iter().find(|(other, _)| *other == header) {
        return Err(item.place.fault(Problem::HeaderTaken { header, by: by.clone() }));
    }
    taken.push((header.clone(), item.place.path.as_str().to_owned()));
    Ok(Some(header))
}
