//! Tests that hold for every request, whatever its bytes: the edits remove every credential and change nothing else.

#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed")]

use super::*;
use crate::{
    config::{self, Ambiguous, Fact},
    credential::{
        self, Credential,
        tests::{Random, every_source, with_random_head},
    },
    subject::{Key, Subject},
};

/// An edit as an owned value. An edit without a value removes the header.
type Done = (String, Option<Vec<u8>>);

/// The edits that `edit` passes to its callback.
fn collect(edit: impl FnOnce(&mut dyn FnMut(Edit<'_>))) -> Vec<Done> {
    let mut edits = Vec::new();
    edit(&mut |edit| {
        edits.push(match edit {
            Edit::Remove(name) => (name.to_owned(), None),
            Edit::Set(name, value) => (name.to_owned(), Some(value.to_vec())),
        });
    });
    edits
}

fn removed(head: &Head<'_>, sources: &[CredentialSource]) -> Vec<Done> {
    let carried = credential::find(head, sources).carried;
    collect(|mut edit| remove_credentials(head, sources, carried, &mut edit))
}

/// The headers that the upstream gets after the edits.
fn apply<'a>(head: &Head<'a>, edits: &'a [Done]) -> Vec<(&'a [u8], &'a [u8])> {
    let names = [":path", "k", "authorization", "x", "cookie", "other", "f", "g"];
    let mut headers: Vec<(&[u8], &[u8])> = Vec::new();
    for name in names {
        let values =
            if name == ":path" { head.target.iter().map(|target| target.whole).collect() } else { values(head, name) };
        headers.extend(values.into_iter().map(|value| (name.as_bytes(), value)));
    }
    for (name, value) in edits {
        match value {
            None => headers.retain(|(given, _)| *given != name.as_bytes()),
            Some(value) => match headers.iter_mut().find(|(given, _)| *given == name.as_bytes()) {
                Some((_, old)) => *old = value,
                None => headers.push((name.as_bytes(), value)),
            },
        }
    }
    headers
}

fn values<'a>(head: &Head<'a>, name: &'static str) -> Vec<&'a [u8]> {
    head.values(name.as_bytes()).collect()
}

/// All cookies of a head in order, without the blanks around them.
fn cookies(head: &Head<'_>) -> Vec<Vec<u8>> {
    let lines = values(head, "cookie");
    let cookies = lines.iter().flat_map(|line| line.split(|&byte| byte == b';')).map(<[u8]>::trim_ascii);
    cookies.filter(|cookie| !cookie.is_empty()).map(<[u8]>::to_vec).collect()
}

fn arguments(head: &Head<'_>) -> Vec<Vec<u8>> {
    let query = head.target.and_then(|target| target.query).unwrap_or_default();
    query.split(|&byte| byte == b'&').map(<[u8]>::to_vec).collect()
}

#[test]
fn every_credential_is_removed_and_everything_else_stays() {
    let (sources, mut random) = (every_source(), Random(7));
    let mut touched = 0;
    for _ in 0..20_000 {
        with_random_head(&mut random, |before| {
            let edits = removed(before, &sources);
            let headers = apply(before, &edits);
            let after = Head::new(headers);
            let found = credential::find(&after, &sources);
            let left = found.resolve(Ambiguous::First);
            assert_eq!(left, Credential::Absent, "{before:?} became {after:?}");
            touched += usize::from(!edits.is_empty());

            assert_eq!(values(&after, "other"), values(before, "other"));
            let kept = |argument: &Vec<u8>| !is_named(argument, "q") && !is_named(argument, "q r");
            let expected: Vec<_> = arguments(before).into_iter().filter(kept).collect();
            let expected = if expected.is_empty() { vec![Vec::new()] } else { expected };
            assert_eq!(arguments(&after), expected, "{before:?}");
            let expected: Vec<_> = cookies(before).into_iter().filter(|cookie| !is_cookie(cookie, "c")).collect();
            assert_eq!(cookies(&after), expected, "{before:?}");

            let again = removed(&after, &sources);
            assert_eq!(again, [], "a second time there is nothing to do: {after:?}");
        });
    }
    assert!(touched > 5_000, "many of these requests have one: {touched}");
}

#[test]
fn a_request_without_a_credential_is_not_touched() {
    let sources = every_source();
    for (target, headers) in [
        ("/p?", &[][..]),
        ("/p?Q=1&qq=2&%71x=3", &[]),
        ("/q?x=q", &[("cookie", "C=1; cc=2; c"), ("cookie", ""), ("x", "Other a"), ("authorization", "Digest a")]),
    ] {
        let mut all: Vec<(&[u8], &[u8])> = vec![(b":path", target.as_bytes())];
        all.extend(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        let head = Head::new(all);
        let edits = removed(&head, &sources);
        assert_eq!(edits, [], "{head:?}");
    }
}

#[test]
fn an_identity_is_the_only_value_of_its_header() {
    let headers = vec![(Fact::ApplicationId, "f".to_owned()), (Fact::ApplicationName, "g".to_owned())];
    let forward = Forward { credential: false, headers };
    for given in 0..4 {
        for known in [None, Some("ours")] {
            let forged: Vec<(&[u8], &[u8])> =
                (0..given).flat_map(|_| [(&b"f"[..], &b"forged"[..]), (b"other", b"o")]).collect();
            let head = Head::new(forged);
            let ours = known.map(|id: &str| Key { application: id.as_bytes(), ..Key::default() });
            let subject = ours.map(|key| Subject::new(key, None, None));
            let identity = subject.as_ref().map(Identity::of).unwrap_or_default();
            let edits = collect(|mut edit| set_identity(&head, &forward, &identity, &mut edit));
            let after = Head::new(apply(&head, &edits));
            let expected: Vec<_> = known.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(values(&after, "f"), expected, "{given} {known:?}");
            assert_eq!(values(&after, "g"), Vec::<&[u8]>::new());
            assert_eq!(after.count(b"other"), given);
        }
    }
}

#[test]
fn trailers_lose_the_names_of_identity_and_credentials() {
    let sources = r#""credential_sources": [{"header": "k"}, {"query": "q"}, {"header": "x", "scheme": "Bearer"}, {"cookie": "c"},
        {"basic": "password"}], "forward": {"application_id": "f", "key_id": null, "key_type": "g"}"#;
    let credentials = ["k", "x", "cookie", "authorization"];
    for (mode, expected) in [("enforce", &credentials[..]), ("shadow", &[])] {
        let text = format!(r#"{{"policy": {{"cluster": "p"}}, "mode": "{mode}", {sources}}}"#);
        let config = config::parse(text.as_bytes(), &|_| None).unwrap();
        let mut names: Vec<_> = forbidden_trailers(&config).collect();
        names.sort_unstable();
        let mut expected = [&["f", "g"], expected].concat();
        expected.sort_unstable();
        assert_eq!(names, expected, "{mode}");
    }
}
