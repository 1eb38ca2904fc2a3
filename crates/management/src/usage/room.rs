//! Limits how many requests a gateway can report. Reported requests beyond the limit are dropped.
//!
//! The room of a gateway grows by [`MAX_RATE`] a second, and each report uses some of it. The limit stops a compromised
//! gateway from writing unlimited bills and using up plans. It does not know what a gateway really served.
//! into from writing bills and using up plans without end. It does not know what a gateway really served.

use crate::port::usage::UsageRow;

/// Requests a second of all Envoys with one client id. One Envoy serves some 20,000 a second on each core, so this is a
/// fleet of 50 fully loaded cores.
pub const MAX_RATE: i64 = 1_000_000;
/// Maximum number of seconds for which the room grows: as long as batches are remembered. That is 1.7e11 requests.
pub const LONGEST: i64 = 48 * 3_600;
/// Seconds of room before a gateway's first report. They also cover requests from before this table existed.
pub const FIRST: i64 = 3_600;

/// The room at `now` of a gateway that had `left` at `reported_at`; `None` if it never reported.
pub fn at(now: i64, before: Option<(i64, i64)>) -> i64 {
    let (reported_at, left) = before.unwrap_or((now.saturating_sub(FIRST), 0));
    // A clock that was set back neither adds room nor removes any.
    let elapsed = now.saturating_sub(reported_at).clamp(0, LONGEST);
    left.saturating_add(elapsed.saturating_mul(MAX_RATE)).clamp(0, LONGEST.saturating_mul(MAX_RATE))
}

/// The part of a report beyond the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Excess {
    /// Rows that were cut or dropped.
    pub rows: u64,
    /// Requests that were dropped.
    pub requests: i64,
}

/// Cuts `rows` to `room`, the last ones first, and subtracts them from it.
pub fn cut(rows: &mut Vec<UsageRow>, room: &mut i64) -> Excess {
    let mut excess = Excess::default();
    for row in rows.iter_mut() {
        let taken = row.requests.min(*room);
        if taken < row.requests {
            excess.rows = excess.rows.saturating_add(1);
            excess.requests = excess.requests.saturating_add(row.requests.saturating_sub(taken));
        }
        row.requests = taken;
        *room = room.saturating_sub(taken);
    }
    rows.retain(|row| row.requests > 0);
    excess
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_grows_with_time_and_no_further() {
        let most = LONGEST * MAX_RATE;
        for (now, before, room) in [
            (5_000, None, FIRST * MAX_RATE),
            (5_000, Some((5_000, 0)), 0),
            (5_000, Some((5_000, 7)), 7),
            (5_001, Some((5_000, 7)), 7 + MAX_RATE),
            (4_000, Some((5_000, 7)), 7),
            (5_000 + LONGEST, Some((5_000, 0)), most),
            (i64::MAX, Some((0, most)), most),
        ] {
            assert_eq!(at(now, before), room, "{now} {before:?}");
        }
    }

    #[test]
    fn what_is_beyond_the_room_is_dropped_and_told() {
        let rows = |requests: &[i64]| -> Vec<UsageRow> {
            requests.iter().map(|requests| UsageRow { requests: *requests, ..UsageRow::default() }).collect()
        };
        for (sent, mut room, taken, left, excess) in [
            (vec![5, 5], 10, vec![5, 5], 0, (0, 0)),
            (vec![5, 5], 11, vec![5, 5], 1, (0, 0)),
            (vec![5, 5], 9, vec![5, 4], 0, (1, 1)),
            (vec![5, 5, 5], 5, vec![5], 0, (2, 10)),
            (vec![5, 5], 0, vec![], 0, (2, 10)),
            (vec![], 3, vec![], 3, (0, 0)),
        ] {
            let mut cut_rows = rows(&sent);
            let told = cut(&mut cut_rows, &mut room);
            assert_eq!((cut_rows, room), (rows(&taken), left), "{sent:?}");
            assert_eq!((told.rows, told.requests), excess, "{sent:?}");
        }
    }
}
