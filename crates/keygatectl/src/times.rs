//! Times: as people write them on a command line, and as tables show them. The service knows Unix seconds alone.

use std::str::FromStr;

use jiff::{
    SpanRelativeTo, Timestamp, civil,
    tz::{AmbiguousOffset, Offset, TimeZone},
};

/// A time on the command line: from now on, or a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// So many seconds from now.
    In(i64),
    /// A point in time, in Unix seconds.
    At(i64),
}

impl Moment {
    /// In Unix seconds.
    pub fn seconds(self, now: i64) -> i64 {
        match self {
            Self::In(seconds) => now.saturating_add(seconds),
            Self::At(seconds) => seconds,
        }
    }

    /// The same for a time in the past: `2h` means two hours ago.
    pub fn past(self, now: i64) -> i64 {
        match self {
            Self::In(seconds) => now.saturating_sub(seconds),
            Self::At(seconds) => seconds,
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::At).map_err(|_| expected());
        }
        if let Some(Span(seconds)) = span(text) {
            return Ok(Self::In(seconds));
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Self::At(time.as_second()));
        }
        let local = text.parse::<civil::DateTime>().map_err(|_| expected())?;
        of_local(local, TimeZone::system()).map(Self::At)
    }
}

fn expected() -> String {
    "expected a span such as 2h or 90d, a time such as 2027-01-31T08:00 (local) or 2027-01-31T08:00:00Z, or Unix seconds"
        .to_owned()
}

/// A span of time on the command line, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub i64);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        span(text).ok_or_else(|| "expected a span such as 90s, 2h, 1h30m or 90d".to_owned())
    }
}

fn span(text: &str) -> Option<Span> {
    if !text.starts_with(|first: char| first.is_ascii_digit()) || text.contains('-') {
        return None;
    }
    let span: jiff::Span = text.parse().ok()?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    (length.as_secs() > 0).then(|| Span(length.as_secs()))
}

/// Unix seconds of a local time. Where clocks are changed, a local time is no point in time, or two: to guess could end a
/// block an hour too early.
fn of_local(local: civil::DateTime, zone: TimeZone) -> Result<i64, String> {
    let found = zone.to_ambiguous_zoned_datetime(local);
    let (what, before, after) = match found.offset() {
        AmbiguousOffset::Unambiguous { .. } => {
            return found.unambiguous().map(|time| time.timestamp().as_second()).map_err(|_| expected());
        }
        AmbiguousOffset::Gap { before, after } => ("does not exist", before, after),
        AmbiguousOffset::Fold { before, after } => ("comes twice", before, after),
    };
    let with = |offset: Offset| format!("{local}{}", offset_text(offset));
    Err(format!(
        "this local time {what}, because clocks are changed then; expected {} or {}",
        with(before),
        with(after)
    ))
}

/// `+02:00`.
fn offset_text(offset: Offset) -> String {
    let minutes = offset.seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

/// Now, in Unix seconds.
pub fn now() -> i64 {
    Timestamp::now().as_second()
}

/// A time in the local zone, to the minute.
pub fn local(seconds: i64) -> String {
    format(seconds, "%Y-%m-%d %H:%M")
}

/// A time in the local zone, to the second.
pub fn local_second(seconds: i64) -> String {
    format(seconds, "%Y-%m-%d %H:%M:%S")
}

/// A time in the local zone, to the second, with the zone.
pub fn local_exact(seconds: i64) -> String {
    format(seconds, "%Y-%m-%d %H:%M:%S %:z")
}

/// The time of day in the local zone.
pub fn local_clock(seconds: i64) -> String {
    format(seconds, "%H:%M:%S")
}

fn format(seconds: i64, form: &str) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => time.to_zoned_datetime(TimeZone::system()).strftime(form).to_string(),
        Err(_) => seconds.to_string(),
    }
}

/// RFC 3339 in UTC, as documents have it. `None` for the last day of the year 9999, which has no such text in all zones.
pub fn rfc3339(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}

/// Unix seconds of a time in a document, in RFC 3339.
pub fn of_rfc3339(text: &str) -> Option<i64> {
    let time: Timestamp = text.parse().ok()?;
    // A document has whole seconds; a part of one would be lost.
    (time.subsec_nanosecond() == 0).then(|| time.as_second())
}

/// How far away a time is, in words: `in 2 h`, `5 min ago`.
pub fn away(seconds: i64, now: i64) -> String {
    let distance = seconds.abs_diff(now);
    let text = length(distance);
    match seconds.cmp(&now) {
        std::cmp::Ordering::Greater => format!("in {text}"),
        std::cmp::Ordering::Less => format!("{text} ago"),
        std::cmp::Ordering::Equal => "now".to_owned(),
    }
}

/// A length of time in its largest unit, rounded to the nearest number of it. So two hours that began a second ago are
/// still `2 h`.
fn length(seconds: u64) -> String {
    // By halves of a unit, so that no sum overflows.
    let rounded = |half: u64| seconds.checked_div(half).unwrap_or_default().div_ceil(2);
    let (minutes, hours, days) = (rounded(30), rounded(1_800), rounded(43_200));
    if seconds < 120 {
        format!("{seconds} s")
    } else if minutes < 120 {
        format!("{minutes} min")
    } else if hours < 48 {
        format!("{hours} h")
    } else {
        format!("{days} days")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_people_write_it() {
        for (text, expected) in [
            ("2h", Some(Moment::In(7_200))),
            ("1h30m", Some(Moment::In(5_400))),
            ("90d", Some(Moment::In(7_776_000))),
            ("2w", Some(Moment::In(1_209_600))),
            ("1748736000", Some(Moment::At(1_748_736_000))),
            ("2025-06-01T00:00:00Z", Some(Moment::At(1_748_736_000))),
            ("2025-06-01T02:00:00+02:00", Some(Moment::At(1_748_736_000))),
            ("", None),
            ("-2h", None),
            ("0s", None),
            ("soon", None),
            ("2 parsecs", None),
            ("2025-13-01", None),
        ] {
            assert_eq!(text.parse::<Moment>().ok(), expected, "{text}");
        }
        let local = Moment::from_str("2025-06-01T08:00").unwrap();
        let Moment::At(local) = local else { panic!("{local:?}") };
        assert_eq!(format(local, "%Y-%m-%dT%H:%M"), "2025-06-01T08:00");
        assert_eq!("2025-06-01".parse::<Moment>().map(|day| matches!(day, Moment::At(_))), Ok(true));
    }

    #[test]
    fn a_local_time_that_is_not_one_point_in_time_is_refused() {
        let zone = || TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let read = |text: &str| of_local(text.parse().unwrap(), zone());
        assert_eq!(read("2026-10-25T01:59"), Ok(1_792_886_340));
        assert_eq!(read("2026-10-25T03:00"), Ok(1_792_893_600));
        assert_eq!(read("2026-06-01"), Ok(1_780_264_800));
        for (text, what, one, other) in [
            ("2026-10-25T02:30", "comes twice", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"),
            ("2026-03-29T02:30", "does not exist", "2026-03-29T02:30:00+01:00", "2026-03-29T02:30:00+02:00"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(what) && said.ends_with(&format!("expected {one} or {other}")), "{said}");
            // What is proposed can be read.
            assert!([one, other].iter().all(|text| text.parse::<Moment>().is_ok()));
        }
    }

    #[test]
    fn distances_are_told_in_one_unit() {
        for (seconds, expected) in [
            (0, "now"),
            (119, "in 119 s"),
            (120, "in 2 min"),
            (-300, "5 min ago"),
            (7_168, "in 119 min"),
            // Time passes between an order and its answer.
            (7_170, "in 2 h"),
            (7_200, "in 2 h"),
            (86_400 * 2 - 1, "in 2 days"),
            (86_400 * 9, "in 9 days"),
        ] {
            assert_eq!(away(1_000_000 + seconds, 1_000_000), expected, "{seconds}");
        }
        for seconds in [i64::MIN, i64::MAX] {
            assert!(away(seconds, 0).contains(" days"), "{seconds}");
        }
    }

    #[test]
    fn a_time_of_a_document_comes_back() {
        for seconds in [0, 1_748_736_000, 253_402_207_200] {
            assert_eq!(rfc3339(seconds).and_then(|text| of_rfc3339(&text)), Some(seconds), "{seconds}");
        }
        assert_eq!(rfc3339(keygate::policy::MAX_UNIX_SECONDS), None);
        assert_eq!(of_rfc3339("2025-06-01T00:00:00.5Z"), None);
    }
}
