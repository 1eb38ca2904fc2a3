//! Times in sentences.

use std::time::{Duration, UNIX_EPOCH};

use keygate::policy::MAX_UNIX_SECONDS;

/// A time as people read it, such as `Sun, 01 Jun 2025 00:00:00 GMT`, and in Unix seconds. A time beyond the year 9999
/// counts as its last second.
pub fn shown(seconds: u64) -> String {
    let within = Duration::from_secs(seconds.min(MAX_UNIX_SECONDS.unsigned_abs()));
    match UNIX_EPOCH.checked_add(within) {
        Some(time) => format!("{} ({seconds})", httpdate::fmt_http_date(time)),
        None => seconds.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_time_is_shown_for_people_and_programs() {
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT (0)"),
            (1_748_736_000, "Sun, 01 Jun 2025 00:00:00 GMT (1748736000)"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT (253402300799)"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT (18446744073709551615)"),
        ] {
            assert_eq!(shown(seconds), expected);
        }
    }
}
