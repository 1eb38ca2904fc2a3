//! Times in sentences, as they are written and as they are found again.

use std::time::{Duration, UNIX_EPOCH};

use keygate::policy::MAX_UNIX_SECONDS;

/// How each time that [`shown`] writes goes on after its date.
const AFTER_DATE: &str = " GMT (";
/// Bytes of a date before that, such as `Sun, 01 Jun 2025 00:00:00`.
const DATE_BYTES: usize = 25;

/// A time as people read it, such as `Sun, 01 Jun 2025 00:00:00 GMT`, and in Unix seconds. A time beyond the year 9999
/// counts as its last second.
pub fn shown(seconds: u64) -> String {
    let within = Duration::from_secs(seconds.min(MAX_UNIX_SECONDS.unsigned_abs()));
    match UNIX_EPOCH.checked_add(within) {
        Some(time) => format!("{} ({seconds})", httpdate::fmt_http_date(time)),
        None => seconds.to_string(),
    }
}

/// A part of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'s> {
    /// Words.
    Words(&'s str),
    /// A time that [`shown`] wrote, Unix seconds.
    Time(u64),
}

/// The parts of a sentence of an explanation, for who shows its times in another form or in another zone. Nothing but what
/// [`shown`] writes counts as a time.
pub fn parts(sentence: &str) -> Vec<Part<'_>> {
    let (mut parts, mut rest, mut looked) = (Vec::new(), sentence, 0);
    while let Some(found) = rest.get(looked..).and_then(|later| later.find(AFTER_DATE)) {
        let after_date = looked.saturating_add(found);
        looked = after_date.saturating_add(AFTER_DATE.len());
        let Some((begin, seconds, end)) = time_at(rest, after_date) else { continue };
        parts.extend(words(rest.get(..begin)));
        parts.push(Part::Time(seconds));
        (rest, looked) = (rest.get(end..).unwrap_or_default(), 0);
    }
    parts.extend(words(Some(rest)));
    parts
}

fn words(text: Option<&str>) -> Option<Part<'_>> {
    text.filter(|text| !text.is_empty()).map(Part::Words)
}

/// Where a time begins whose date ends at `after_date`, its seconds, and where it ends.
fn time_at(text: &str, after_date: usize) -> Option<(usize, u64, usize)> {
    let begin = after_date.checked_sub(DATE_BYTES)?;
    let digits = text.get(after_date.saturating_add(AFTER_DATE.len())..)?;
    let seconds: u64 = digits.split_once(')')?.0.parse().ok()?;
    let time = shown(seconds);
    text.get(begin..)?.starts_with(&time).then(|| (begin, seconds, begin.saturating_add(time.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_for_people_and_programs() {
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT (0)"),
            (1_748_736_000, "Sun, 01 Jun 2025 00:00:00 GMT (1748736000)"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT (253402300799)"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT (18446744073709551615)"),
        ] {
            assert_eq!(shown(seconds), expected);
            assert_eq!(parts(expected), [Part::Time(seconds)]);
        }
    }

    #[test]
    fn a_sentence_has_its_times_as_parts() {
        use Part::{Time, Words};
        let june = "Sun, 01 Jun 2025 00:00:00 GMT (1748736000)";
        for (sentence, expected) in [
            (
                format!("good from {june} until {june}."),
                vec![Words("good from "), Time(1_748_736_000), Words(" until "), Time(1_748_736_000), Words(".")],
            ),
            (format!("{june}{june}"), vec![Time(1_748_736_000), Time(1_748_736_000)]),
            (format!(" GMT (0) \u{1f511}{june}"), vec![Words(" GMT (0) \u{1f511}"), Time(1_748_736_000)]),
            ("no time".to_owned(), vec![Words("no time")]),
            (String::new(), vec![]),
        ] {
            assert_eq!(parts(&sentence), expected, "{sentence}");
        }
        // What only looks like a time stays words.
        for other in [
            "Sun, 01 Jun 2025 00:00:00 GMT (1748736001)",
            "Mon, 01 Jun 2025 00:00:00 GMT (1748736000)",
            "Sun, 01 Jun 2025 00:00:00 GMT (+1748736000)",
            "Sun, 01 Jun 2025 00:00:00 GMT (1748736000",
            "\u{1f511}, 01 Jun 2025 00:00:00 GMT (1748736000)",
            " GMT (0)",
        ] {
            assert_eq!(parts(other), [Words(other)], "{other}");
        }
    }
}
