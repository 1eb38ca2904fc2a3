//! Times. The page has them in UTC and names the zone; the script shows them in the reader's zone.

use ::explain::times::{Part, parts};
use chrono::DateTime;
use maud::{Markup, html};

/// The latest time that has a form of its own, the end of the year 9999.
const LATEST: i64 = keygate::policy::MAX_UNIX_SECONDS;

/// A time in Unix seconds in a form of chrono.
pub fn in_utc(seconds: i64, form: &str) -> String {
    let seconds = seconds.clamp(0, LATEST);
    DateTime::from_timestamp(seconds, 0).map(|time| time.format(form).to_string()).unwrap_or_default()
}

/// A time as programs read it.
pub fn for_programs(seconds: i64) -> String {
    in_utc(seconds, "%Y-%m-%dT%H:%M:%SZ")
}

/// A time that the script shows in the reader's zone, in its form of the name `zone`. `form` is the one without the script.
fn in_zone(seconds: i64, zone: &str, form: &str) -> Markup {
    html! { time datetime=(for_programs(seconds)) data-zone=(zone) { (in_utc(seconds, form)) } }
}

/// A time, to the minute.
pub fn time(seconds: i64) -> Markup {
    in_zone(seconds, "minute", "%-d %b %Y, %H:%M UTC")
}

/// A time, to the second.
pub fn second(seconds: i64) -> Markup {
    in_zone(seconds, "second", "%-d %b %Y, %H:%M:%S UTC")
}

/// A sentence of an explanation, with its times.
pub fn in_sentence(sentence: &str) -> Markup {
    html! {
        bdi {
            @for part in parts(sentence) {
                @match part {
                    Part::Words(words) => (words),
                    Part::Time(seconds) => (second(i64::try_from(seconds).unwrap_or(LATEST))),
                }
            }
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
    in_zone(seconds, "hour", "%-d %b %Y, %H:00 UTC")
}

/// The hour that begins at a time, as short as an axis needs it. The zone stands elsewhere.
pub fn on_axis(seconds: i64) -> Markup {
    in_zone(seconds, AXIS, AXIS_FORM)
}

/// The name of the script's form for an axis, and the form without it.
pub const AXIS: &str = "axis";
pub const AXIS_FORM: &str = "%-d %b, %H:%M UTC";

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
