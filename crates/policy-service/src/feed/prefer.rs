//! Parses `prefer: wait=…` (RFC 7240): how long a client wants its answer to be held.

use std::time::Duration;

use axum::http::HeaderMap;

/// The requested wait, at most `max`. The first one counts; `None` if it is missing or not understood.
pub fn wait(headers: &HeaderMap, max: Duration) -> Option<Duration> {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|preference| {
            let (name, value) = preference.split(';').next()?.split_once('=')?;
            name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"'))
        })
        .filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        // A number that does not fit is a very long wait.
        .map(|digits| Duration::from_secs(digits.parse().unwrap_or(u64::MAX)).min(max))
        .filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_wait_that_can_be_understood_holds_an_answer() {
        for (values, expected) in [
            (&["wait=25"][..], Some(25)),
            (&["Wait = 25"], Some(25)),
            (&["wait=\"25\""], Some(25)),
            (&["respond-async, wait=10; foo=bar, wait=20"], Some(10)),
            (&["respond-async", "wait=10"], Some(10)),
            (&["wait=49"], Some(49)),
            (&["wait=51"], Some(50)),
            (&["wait=99999999999999999999999999"], Some(50)),
            (&["wait=0"], None),
            (&["wait=-1"], None),
            (&["wait=1.5"], None),
            (&["wait="], None),
            (&["wait"], None),
            (&["waiting=5"], None),
            (&["return=minimal"], None),
            (&[""], None),
            (&[], None),
        ] {
            let headers = values.iter().map(|value| ("prefer".parse().unwrap(), value.parse().unwrap())).collect();
            let max = Duration::from_secs(50);
            assert_eq!(wait(&headers, max), expected.map(Duration::from_secs), "{values:?}");
            assert_eq!(wait(&headers, Duration::ZERO), None, "{values:?}: nothing is held");
        }
    }
}
