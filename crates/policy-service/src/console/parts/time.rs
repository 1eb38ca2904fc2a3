//! Times. The page has them in UTC and names the zone; the script shows them in the reader's zone.

use chrono::DateTime;
use maud::{Markup, html};

/// The latest time that has a form of its own, the end of the year 9999.
const LATEST: i64 = keygate::policy::MAX_UNIX_SECONDS;

/// A time in Unix seconds in a form of chrono.
pub fn in_utc(seconds: i64, form: &str) -> String {
    let seconds = seconds.clamp(0, LATEST);
    DateTime::from_timestamp(seconds, 0).map(|time| time.format(form).to_string()).unwrap_or_default()
}

/// A time, to the minute.
pub fn time(seconds: i64) -> Markup {
    html! {
        time datetime=(in_utc(seconds, "%Y-%m-%dT%H:%M:%SZ")) data-zone="minute" {
            (in_utc(seconds, "%-d %b %Y, %H:%M UTC"))
        }
    }
}

/// A time, to the second.
pub fn second(seconds: i64) -> Markup {
    html! {
        time datetime=(in_utc(seconds, "%Y-%m-%dT%H:%M:%SZ")) data-zone="second" {
            (in_utc(seconds, "%-d %b %Y, %H:%M:%S UTC"))
        }
    }
}

/// A time, or a word for none.
pub fn time_or(seconds: Option<i64>, none: &str) -> Markup {
    match seconds {
        Some(seconds) => time(seconds),
        None => html! { span.none { (none) } },
    }
}

/// The hour that begins at a time.
pub fn hour(seconds: i64) -> Markup {
    html! {
        time datetime=(in_utc(seconds, "%Y-%m-%dT%H:%M:%SZ")) data-zone="hour" {
            (in_utc(seconds, "%-d %b %Y, %H:00 UTC"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_names_its_zone() {
        let text = time(1_764_473_400).0;
        assert!(text.contains("2025-11-30T03:30:00Z") && text.contains("30 Nov 2025, 03:30 UTC"), "{text}");
        for odd in [i64::MIN, i64::MAX] {
            assert!(time(odd).0.contains("UTC"));
        }
    }
}
