//! Reads the query of a request. An error names the parameter, and says which parameters the route takes or which values
//! a parameter has. Limits on values are no part of this; each route checks its own.

use std::error::Error as _;

use axum::{
    extract::{FromRequestParts, Query as Parsed, rejection::QueryRejection},
    http::{StatusCode, Uri, request::Parts},
};
use serde::de::{DeserializeOwned, value::Error as ValueError};

use super::problem::Problem;

/// The query of a request in the shape `T`. A parameter that `T` does not have is an error if `T` denies unknown fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<T>(pub T);

/// Parameters that a layer around the route takes off the request. It puts them into the request's extensions, so that
/// an error names them too.
#[derive(Clone, Copy, Debug)]
pub struct TakenBefore(pub &'static [&'static str]);

impl TakenBefore {
    fn of(parts: &Parts) -> &'static [&'static str] {
        parts.extensions.get::<Self>().map_or(&[], |Self(names)| *names)
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read(&parts.uri, TakenBefore::of(parts)).map(Self)
    }
}

/// Rejects a request with a query. Otherwise the service would ignore what the client asks for there.
#[derive(Debug)]
pub struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        has_only(&parts.uri, TakenBefore::of(parts)).map(|()| Self)
    }
}

/// Rejects the first parameter that is none of `names`.
pub fn has_only(uri: &Uri, names: &[&str]) -> Result<(), Problem> {
    let Some(query) = uri.query().filter(|query| !query.is_empty()) else { return Ok(()) };
    let given = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    match given.map(decoded).find(|name| !names.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) if names.is_empty() => {
            Err(Problem::parameter(&name, "this route takes no parameters; leave it out"))
        }
        Some(name) => Err(unknown(&name, &names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>())),
    }
}

/// Reads a query. `others` are further parameters of the route, which errors name.
pub fn read<T: DeserializeOwned>(uri: &Uri, others: &[&str]) -> Result<T, Problem> {
    match Parsed::try_from_uri(uri) {
        Ok(Parsed(value)) => Ok(value),
        Err(rejection) => Err(problem(&rejection, others)),
    }
}

/// The problem with a query that has not the shape of a route's parameters.
fn problem(rejection: &QueryRejection, others: &[&str]) -> Problem {
    let Some(error) = cause(rejection) else {
        return Problem::new(StatusCode::BAD_REQUEST, rejection.body_text());
    };
    let message = error.inner().to_string();
    let named = |prefix: &str| message.strip_prefix(prefix)?.split('`').next().map(str::to_owned);
    if let Some(name) = named("unknown field `") {
        let known = message.split_once(", expected ").map_or("", |(_, known)| known);
        let known = known.split('`').skip(1).step_by(2).chain(others.iter().copied());
        return unknown(&name, &known.map(|name| format!("`{name}`")).collect::<Vec<_>>());
    }
    if let Some(name) = named("duplicate field `") {
        return Problem::parameter(&name, "expected it once");
    }
    if let Some(name) = named("missing field `") {
        return Problem::parameter(&name, "it is missing");
    }
    // Not the value: the client knows it, and a log may not.
    let expected = message.split_once(", expected ").map_or(message.clone(), |(_, what)| format!("expected {what}"));
    Problem::parameter(&error.path().to_string(), expected)
}

/// What serde says, with the parameter.
fn cause(rejection: &QueryRejection) -> Option<&serde_path_to_error::Error<ValueError>> {
    let mut cause = rejection.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

fn unknown(name: &str, known: &[String]) -> Problem {
    let known = match known {
        [one] => one.clone(),
        known => format!("one of {}", known.join(", ")),
    };
    Problem::parameter(name, format!("there is no such parameter here; expected {known}, or leave it out"))
}

fn decoded(name: &str) -> String {
    percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "only test code: a panic is how it reports")]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq, Eq)]
    #[serde(rename_all = "UPPERCASE")]
    enum State {
        One,
        Other,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        state: Option<State>,
        #[serde(default)]
        dry_run: bool,
        limit: Option<String>,
    }

    #[test]
    fn an_error_names_the_parameter_and_what_is_allowed() {
        for (query, field, detail) in [
            (
                "stat=ONE",
                "stat",
                "there is no such parameter here; expected one of `state`, `dry_run`, `limit`, `also`, or leave it out",
            ),
            (
                "limit=1&st%61t=",
                "stat",
                "there is no such parameter here; expected one of `state`, `dry_run`, `limit`, `also`, or leave it out",
            ),
            (
                "State=ONE",
                "State",
                "there is no such parameter here; expected one of `state`, `dry_run`, `limit`, `also`, or leave it out",
            ),
            ("state=one", "state", "expected `ONE` or `OTHER`"),
            ("state=ONE&state=ONE", "state", "expected it once"),
            ("dry_run=maybe", "dry_run", "provided string was not `true` or `false`"),
        ] {
            let uri: Uri = format!("/?{query}").parse().unwrap();
            let problem = read::<Asked>(&uri, &["also"]).unwrap_err();
            assert_eq!((problem.wrong_field(), problem.detail()), (Some(field), detail), "{query}");
            assert_eq!(problem.status(), StatusCode::BAD_REQUEST, "{query}");
        }
    }

    #[test]
    fn a_query_without_mistakes_is_read() {
        let uri = "/?state=OTHER&dry_run=true&limit=5".parse().unwrap();
        let Asked { state, dry_run, limit } = read(&uri, &[]).unwrap();
        assert_eq!((state, dry_run, limit.as_deref()), (Some(State::Other), true, Some("5")));
        assert!(!read::<Asked>(&"/".parse().unwrap(), &[]).unwrap().dry_run);
    }

    #[test]
    fn a_route_takes_only_the_parameters_that_it_names() {
        let check = |query: &str, names: &[&str]| has_only(&format!("/?{query}").parse().unwrap(), names);
        for (query, names) in [("", &[][..]), ("a=1", &["a"]), ("a=1&%61=2", &["a"]), ("b&a", &["a", "b"])] {
            assert_eq!(check(query, names), Ok(()), "{query}");
        }
        for (query, names, field, detail) in [
            ("a=1", &[][..], "a", "this route takes no parameters; leave it out"),
            ("a=1&c=2", &["a"], "c", "there is no such parameter here; expected `a`, or leave it out"),
            ("%63", &["a", "b"], "c", "there is no such parameter here; expected one of `a`, `b`, or leave it out"),
        ] {
            let problem = check(query, names).unwrap_err();
            assert_eq!((problem.wrong_field(), problem.detail()), (Some(field), detail), "{query}");
        }
    }
}
