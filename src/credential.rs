//! Finds the key in a request. A credential is absent, malformed, ambiguous or present, so it is never an `Option`.
//!
//! [`find`] collects the values of the configured sources, in their order. [`Candidates::resolve`] turns them into one
//! [`Credential`]. [`crate::answer::edit`] removes them from the request. Values are bytes, and no value is ever logged.

use std::borrow::Cow;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::{
    config::{Ambiguous, BasicPart, CredentialSource},
    digest::{Digest, hex_digit},
    request::head::Head,
};

/// Size limit of a credential in bytes. Far above any real key, and far below Envoy's limit for all headers (60 KiB).
pub const MAX_CREDENTIAL_BYTES: usize = 4096;
/// Number of different values that are checked in one request. One more makes the request ambiguous, whatever the
/// configuration says. This bounds the digests of a request (0.35 µs each, and 10 µs for the longest value).
pub const MAX_CANDIDATES: usize = 16;

/// The values of the configured sources in one request.
#[derive(Debug, Default)]
pub struct Candidates<'a> {
    /// The first value. Most requests have only this one, and then nothing is allocated.
    first: Option<Candidate<'a>>,
    /// Further values that differ from it, in the order of the sources.
    others: Vec<Candidate<'a>>,
    overflow: bool,
    /// Sources that are present, even if what they contain is not a valid key.
    pub carried: Carried,
}

/// The sources that are present in a request, as a set of positions in the configuration. Their content is removed with
/// the credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried(u32);

impl Carried {
    fn note(&mut self, place: usize) {
        self.0 |= Self::bit(place);
    }

    /// Whether the source at this position is present.
    pub fn has(self, place: usize) -> bool {
        self.0 & Self::bit(place) != 0
    }

    /// The number of sources is far below the number of bits. A source beyond the last bit would count as all of them.
    fn bit(place: usize) -> u32 {
        u32::try_from(place).ok().and_then(|place| 1u32.checked_shl(place)).unwrap_or(u32::MAX)
    }
}

enum Candidate<'a> {
    Value(Cow<'a, [u8]>),
    Malformed,
}

impl std::fmt::Debug for Candidate<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Value(_) => "Value(hidden)",
            Self::Malformed => "Malformed",
        })
    }
}

/// The credential of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'f> {
    /// No source has a value.
    Absent,
    /// A source has a value that cannot be a key.
    Malformed,
    /// Several different keys.
    Ambiguous,
    /// One key, as the client sent it.
    Present(&'f [u8]),
}

impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Malformed => "Malformed",
            Self::Ambiguous => "Ambiguous",
            Self::Present(_) => "Present(hidden)",
        })
    }
}

impl<'a> Candidates<'a> {
    #[inline(always)]
    fn push(&mut self, value: Cow<'a, [u8]>) {
        if value.is_empty() {
            return;
        }
        if value.len() > MAX_CREDENTIAL_BYTES {
            return self.push_malformed();
        }
        let known = |candidate: &Candidate<'_>| matches!(candidate, Candidate::Value(known) if *known == value);
        if !self.candidates().any(known) {
            self.push_candidate(Candidate::Value(value));
        }
    }

    /// Collects the values of a source that is not a whole header. A separate function, because most requests do not
    /// need it.
    #[inline(never)]
    fn collect(&mut self, head: &Head<'a>, sources: &[CredentialSource], place: usize, source: &CredentialSource) {
        match source {
            // [`find`] reads these sources.
            CredentialSource::Header { .. } => {}
            CredentialSource::Scheme { name, scheme } => {
                for credential in head
                    .values(name.as_bytes())
                    .flat_map(|value| schemed(value, scheme, |rest| ends(sources, name, rest)))
                {
                    self.carried.note(place);
                    self.push(Cow::Borrowed(credential));
                }
            }
            CredentialSource::Query { name } => {
                for argument in arguments(head).filter(|argument| is_named(argument, name)) {
                    self.carried.note(place);
                    match percent_decode(value_of(argument)) {
                        (value, true) => self.push(value),
                        (_, false) => self.push_malformed(),
                    }
                }
            }
            CredentialSource::Cookie { name } => {
                for cookie in cookies(head).filter(|cookie| is_cookie(cookie, name)) {
                    self.carried.note(place);
                    self.push(Cow::Borrowed(unquote(trim_blanks(value_of(cookie)))));
                }
            }
            CredentialSource::Basic { part } => {
                for encoded in head
                    .values(b"authorization")
                    .flat_map(|value| schemed(value, "basic", |rest| ends(sources, "authorization", rest)))
                {
                    self.carried.note(place);
                    match basic(encoded, *part) {
                        _ if encoded.is_empty() => {}
                        Some(value) => self.push(Cow::Owned(value)),
                        None => self.push_malformed(),
                    }
                }
            }
        }
    }

    fn push_malformed(&mut self) {
        self.push_candidate(Candidate::Malformed);
    }

    #[inline(always)]
    fn push_candidate(&mut self, candidate: Candidate<'a>) {
        if self.first.is_none() {
            self.first = Some(candidate);
        } else if self.others.len() < MAX_CANDIDATES - 1 {
            self.others.push(candidate);
        } else {
            self.overflow = true;
        }
    }

    fn candidates(&self) -> impl Iterator<Item = &Candidate<'a>> {
        self.first.iter().chain(&self.others)
    }

    /// The credential that the values amount to.
    #[inline(always)]
    pub fn resolve(&self, ambiguous: Ambiguous) -> Credential<'_> {
        let Some(first) = &self.first else { return Credential::Absent };
        let first_alone = ambiguous == Ambiguous::First && !self.overflow;
        let others = if first_alone { &[][..] } else { &self.others };
        let is_malformed = |candidate: &Candidate<'_>| matches!(candidate, Candidate::Malformed);
        match first {
            Candidate::Malformed => Credential::Malformed,
            Candidate::Value(_) if others.iter().any(is_malformed) => Credential::Malformed,
            Candidate::Value(value) if others.is_empty() => Credential::Present(value),
            Candidate::Value(_) => Credential::Ambiguous,
        }
    }

    /// Whether `digests`, which must be sorted, contain the digest of any value.
    #[inline(always)]
    pub fn any_in(&self, digests: &[Digest]) -> bool {
        !digests.is_empty()
            && self.candidates().any(|candidate| match candidate {
                Candidate::Value(value) => digests.binary_search(&Digest::of(value)).is_ok(),
                Candidate::Malformed => false,
            })
    }
}

/// Collects the values of the sources of a request.
pub fn find<'a>(head: &Head<'a>, sources: &[CredentialSource]) -> Candidates<'a> {
    let mut found = Candidates::default();
    for (place, source) in sources.iter().enumerate() {
        match source {
            CredentialSource::Header { name } => {
                for value in head.values(name.as_bytes()) {
                    // A value is one credential: if a source with a scheme reads it, it is not read again as a whole
                    // header.
                    if sources.iter().any(|other| has_scheme(other) && taken(other, name, value).is_some()) {
                        continue;
                    }
                    found.carried.note(place);
                    found.push(Cow::Borrowed(trim_blanks(value)));
                }
            }
            CredentialSource::Query { .. } if head.target.is_none_or(|target| target.query.is_none()) => {}
            _ => found.collect(head, sources, place, source),
        }
    }
    found
}

/// Whether a credential in this header ends before `rest`, because another source reads `rest` by its scheme. Proxies
/// join header lines with commas.
fn ends(sources: &[CredentialSource], name: &str, rest: &[u8]) -> bool {
    sources.iter().any(|source| taken(source, name, rest).is_some_and(|taken| !taken.is_empty()))
}

/// Whether a source reads its header by a scheme. [`taken`] finds that out too, but it is not inlined, and most
/// configurations have no such source.
fn has_scheme(source: &CredentialSource) -> bool {
    matches!(source, CredentialSource::Scheme { .. } | CredentialSource::Basic { .. })
}

/// The part of this header value that a source with a scheme reads. `None` if the value does not begin with its scheme.
fn taken<'v>(source: &CredentialSource, name: &str, value: &'v [u8]) -> Option<&'v [u8]> {
    let scheme = match source {
        CredentialSource::Scheme { name: of, scheme } if of == name => scheme.as_bytes(),
        CredentialSource::Basic { .. } if name == "authorization" => b"basic",
        _ => return None,
    };
    after_scheme(trim_blanks(value), scheme)
}

fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The credentials of one scheme in a header's value. Envoy joins several `authorization` headers with a comma, so a
/// credential may begin after each comma. A comma without a scheme after it belongs to the credential.
pub(crate) fn schemed<'v>(
    value: &'v [u8],
    scheme: &str,
    ends: impl Fn(&[u8]) -> bool,
) -> impl Iterator<Item = &'v [u8]> {
    let mut rest = trim_blanks(value);
    let scheme = scheme.as_bytes().to_vec();
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let Some(after) = after_scheme(rest, &scheme) else {
                rest = behind_comma(rest);
                continue;
            };
            let end = next_credential(after, &ends);
            let (credential, tail) = after.split_at_checked(end).unwrap_or((after, &[]));
            rest = behind_comma(tail);
            return Some(trim_blanks(credential));
        }
        None
    })
}

/// The rest of `value` after `scheme` and at least one blank. Empty if the scheme stands alone.
fn after_scheme<'v>(value: &'v [u8], scheme: &[u8]) -> Option<&'v [u8]> {
    let (name, rest) = value.split_at_checked(scheme.len())?;
    let separated = matches!(rest.first(), None | Some(b' ' | b'\t'));
    (name.eq_ignore_ascii_case(scheme) && separated).then_some(rest)
}

/// The rest of the value after the first comma, without blanks at its ends.
fn behind_comma(value: &[u8]) -> &[u8] {
    match value.iter().position(|&byte| byte == b',') {
        Some(comma) => trim_blanks(value.get(comma..).and_then(|tail| tail.split_first()).unwrap_or((&0, &[])).1),
        None => &[],
    }
}

/// Position of the comma after which the next credential begins. The end if there is none.
fn next_credential(value: &[u8], begins: impl Fn(&[u8]) -> bool) -> usize {
    let commas = value.iter().enumerate().filter(|(_, byte)| **byte == b',');
    commas
        .map(|(comma, _)| comma)
        .find(|&comma| {
            let tail = value.get(comma..).unwrap_or_default();
            begins(behind_comma(tail))
        })
        .unwrap_or(value.len())
}

/// The arguments of a request's query, not decoded.
fn arguments<'a>(head: &Head<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let query = head.target.and_then(|target| target.query);
    query.into_iter().flat_map(|query| query.split(|&byte| byte == b'&'))
}

/// Whether an argument of a query has this name after decoding. An invalid escape is kept as it is.
pub(crate) fn is_named(argument: &[u8], name: &str) -> bool {
    let given = argument.split(|&byte| byte == b'=').next().unwrap_or_default();
    percent_decode(given).0.as_ref() == name.as_bytes()
}

/// The part after the first equals sign.
fn value_of(pair: &[u8]) -> &[u8] {
    pair.splitn(2, |&byte| byte == b'=').nth(1).unwrap_or_default()
}

fn cookies<'h, 'a>(head: &'h Head<'a>) -> impl Iterator<Item = &'a [u8]> + 'h {
    head.values(b"cookie").flat_map(|value| value.split(|&byte| byte == b';'))
}

/// Whether one pair of a `cookie` header has this name.
pub(crate) fn is_cookie(cookie: &[u8], name: &str) -> bool {
    let given = cookie.split(|&byte| byte == b'=').next().unwrap_or_default();
    trim_blanks(given) == name.as_bytes() && cookie.contains(&b'=')
}

fn unquote(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

/// Decodes percent-encoding. The flag says whether every escape was valid; an invalid escape is kept as it is. `+` is
/// not decoded.
fn percent_decode(value: &[u8]) -> (Cow<'_, [u8]>, bool) {
    if !value.contains(&b'%') {
        return (Cow::Borrowed(value), true);
    }
    let mut out = Vec::with_capacity(value.len());
    let mut well_formed = true;
    let mut rest = value;
    while let Some((&byte, tail)) = rest.split_first() {
        let escape = tail.split_first_chunk::<2>().filter(|_| byte == b'%');
        let decoded = escape.and_then(|(&[high, low], tail)| Some((hex_digit(high)? << 4 | hex_digit(low)?, tail)));
        well_formed &= byte != b'%' || decoded.is_some();
        let (byte, tail) = decoded.unwrap_or((byte, tail));
        out.push(byte);
        rest = tail;
    }
    (Cow::Owned(out), well_formed)
}

/// One half of HTTP Basic. `None` if the encoding is invalid or there is no colon.
fn basic(encoded: &[u8], part: BasicPart) -> Option<Vec<u8>> {
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let decoded = BASE64.decode(encoded).ok()?;
    let mut halves = decoded.splitn(2, |&byte| byte == b':');
    let (username, password) = (halves.next()?, halves.next()?);
    Some(match part {
        BasicPart::Username => username.to_vec(),
        BasicPart::Password => password.to_vec(),
    })
}

#[cfg(test)]
pub(crate) mod tests;
