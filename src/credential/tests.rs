//! Tests of what the table of cases cannot express: the parts of a header with a scheme, arbitrary bytes, and the
//! secrets that a log must not show.

#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed")]

use super::*;

/// Numbers that look random and are the same in every run.
pub(crate) struct Random(pub u64);

impl Random {
    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        // Marsaglia's Xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }

    /// Fewer than `most` of the `pieces`, one after the other.
    pub fn text(&mut self, pieces: &[&[u8]], most: usize) -> Vec<u8> {
        (0..self.below(most)).flat_map(|_| pieces[self.below(pieces.len())].to_vec()).collect()
    }
}

/// Sources of every kind. Two of them share a header.
pub(crate) fn every_source() -> Vec<CredentialSource> {
    let name = |name: &str| name.to_owned();
    vec![
        CredentialSource::Header { name: name("k") },
        CredentialSource::Scheme { name: name("authorization"), scheme: name("Bearer") },
        CredentialSource::Scheme { name: name("x"), scheme: name("Key") },
        CredentialSource::Query { name: name("q") },
        CredentialSource::Query { name: name("q r") },
        CredentialSource::Cookie { name: name("c") },
        CredentialSource::Basic { part: BasicPart::Password },
    ]
}

/// The pieces of the requests: separators that the readers look for, and text that could mislead them.
const PIECES: &[&[u8]] = &[
    b"q",
    b"c",
    b"=",
    b"&",
    b"; ",
    b";",
    b",",
    b", ",
    b" ",
    b"\t",
    b"\"",
    b"%",
    b"%71",
    b"%zz",
    b"%4",
    b"+",
    b"?",
    b"a",
    b"kk",
    b"Bearer",
    b"bearer ",
    b"Bearer\t",
    b"Basic",
    b"basic ",
    b"Key ",
    b"OmE=",
    b"dTpr",
    b"!!",
    b"\xff",
    b"\0",
    b"q%20r",
];

/// Passes to `use_head` the head of a request that is made of these pieces.
pub(crate) fn with_random_head(random: &mut Random, use_head: impl FnOnce(&Head<'_>)) {
    let target = [b"/p", &b"?"[..random.below(2)], &random.text(PIECES, 12)].concat();
    let names: [&[u8]; 6] = [b"k", b"authorization", b"x", b"cookie", b"cookie", b"other"];
    let headers: Vec<_> = (0..random.below(8)).map(|_| (names[random.below(6)], random.text(PIECES, 10))).collect();
    let mut all: Vec<(&[u8], &[u8])> = vec![(b":method", b"GET"), (b":path", &target)];
    all.extend(headers.iter().map(|(name, value)| (*name, &**value)));
    use_head(&Head::new(all));
}

#[test]
fn credentials_of_a_scheme_end_where_the_next_begins() {
    for (value, expected) in [
        ("Bearer a", &["a"][..]),
        ("bEaReR \t a \t", &["a"]),
        ("Bearer a b", &["a b"]),
        ("Bearer", &[""]),
        ("Bearer ", &[""]),
        ("Bearera", &[]),
        ("", &[]),
        (",", &[]),
        ("a", &[]),
        ("Basic b", &[]),
        ("Bearer a,Bearer b", &["a", "b"]),
        ("Bearer a , bearer b", &["a", "b"]),
        ("Bearer a,b", &["a,b"]),
        ("Bearer a,b,Bearer c,d", &["a,b", "c,d"]),
        ("Bearer a,Bearer", &["a,Bearer"]),
        ("Bearer a,Bearerb", &["a,Bearerb"]),
        ("Bearer a,,Bearer b", &["a,", "b"]),
        ("Basic b, Bearer a", &["a"]),
        ("Basic b, Bearer a, Bearer c", &["a", "c"]),
        ("Basic Bearer a", &[]),
        ("Bearer a,Basic b", &["a"]),
        ("Bearer a, Basic", &["a, Basic"]),
        ("Bearer a,Digest b", &["a,Digest b"]),
        ("Bearer Bearer a", &["Bearer a"]),
    ] {
        let found: Vec<_> =
            schemed(value.as_bytes(), "Bearer", |rest| ends(&[bearer(), basic()], "authorization", rest))
                .map(|found| std::str::from_utf8(found).unwrap())
                .collect();
        assert_eq!(found, expected, "{value:?}");
    }
}

fn bearer() -> CredentialSource {
    CredentialSource::Scheme { name: "authorization".to_owned(), scheme: "Bearer".to_owned() }
}

fn basic() -> CredentialSource {
    CredentialSource::Basic { part: BasicPart::Password }
}

#[test]
fn an_invalid_escape_is_kept_and_reported() {
    for (value, expected, well_formed) in [
        ("", &b""[..], true),
        ("a+b", b"a+b", true),
        ("%41%6a%6A", b"Ajj", true),
        ("%00%ff", b"\0\xff", true),
        ("%2541", b"%41", true),
        ("%", b"%", false),
        ("%4", b"%4", false),
        ("%g1%41", b"%g1A", false),
        ("%%41", b"%A", false),
    ] {
        assert_eq!(percent_decode(value.as_bytes()), (Cow::Borrowed(expected), well_formed), "{value}");
    }
}

#[test]
fn no_bytes_can_make_the_readers_panic_or_find_a_key_of_no_length() {
    let (sources, mut random) = (every_source(), Random(1));
    for _ in 0..20_000 {
        with_random_head(&mut random, |head| {
            let found = find(head, &sources);
            let empty = |candidate: &Candidate<'_>| matches!(candidate, Candidate::Value(value) if value.is_empty());
            assert!(!found.candidates().any(empty), "{head:?}");
            for ambiguous in [Ambiguous::Reject, Ambiguous::First] {
                let absent = found.resolve(ambiguous) == Credential::Absent;
                assert_eq!(absent, found.candidates().next().is_none(), "{head:?}");
            }
        });
    }
}

#[test]
fn a_key_beyond_those_that_are_looked_at_is_never_overlooked() {
    let sources = [CredentialSource::Query { name: "q".to_owned() }];
    for (count, reject, first) in [
        (1, "present", "present"),
        (2, "ambiguous", "present"),
        (MAX_CANDIDATES, "ambiguous", "present"),
        (MAX_CANDIDATES.saturating_add(1), "ambiguous", "ambiguous"),
    ] {
        let arguments: Vec<_> = (0..count).map(|number| format!("q={number}")).collect();
        let target = format!("/?{}", arguments.join("&"));
        let found_in = Head::new(vec![(b":path", target.as_bytes())]);
        let found = find(&found_in, &sources);
        for (ambiguous, expected) in [(Ambiguous::Reject, reject), (Ambiguous::First, first)] {
            let is = match found.resolve(ambiguous) {
                Credential::Present(b"0") => "present",
                Credential::Ambiguous => "ambiguous",
                _ => "another",
            };
            assert_eq!(is, expected, "{count} {ambiguous:?}");
        }
    }
}

#[test]
fn a_source_that_holds_something_is_never_forgotten() {
    for place in 0..100 {
        let mut carried = Carried::default();
        assert!(!carried.has(place));
        carried.note(place);
        assert!(carried.has(place), "{place}");
        let others = (0..32).filter(|&other| other != place && carried.has(other)).count();
        assert_eq!(others, if place < 32 { 0 } else { 32 }, "{place}");
    }
}

#[test]
fn no_key_reaches_a_log() {
    let head = Head::new(vec![(b"k", b"a-secret"), (b":path", b"/?q=another")]);
    let found = find(&head, &every_source());
    let text = format!("{found:?} {:?}", found.resolve(Ambiguous::First));
    assert!(!text.contains("secret") && !text.contains("another"), "{text}");
}
