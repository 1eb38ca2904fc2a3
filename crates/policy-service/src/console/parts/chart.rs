//! Charts as SVG that the service draws, each with a table that says the same.
//!
//! A bar has two parts, told apart by their pattern as well as by their colour: requests that were allowed, and requests that
//! were refused.

use maud::{Markup, html};

use super::{
    table::{number, table},
    time::{AXIS, AXIS_FORM, for_programs, hour, in_utc, on_axis},
};

/// The drawing's size, in its own units. It is stretched to the page's width, and its words stand beside it.
const WIDTH: u64 = 1_440;
const HEIGHT: u64 = 200;
/// Times that are written below the bars, each where its share of them begins.
const LABELS: usize = 4;

/// One bar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bar {
    /// Where its time begins, Unix seconds.
    pub begin: i64,
    /// Requests that were allowed.
    pub allowed: u64,
    /// Requests that were refused.
    pub refused: u64,
}

impl Bar {
    fn sum(self) -> u64 {
        self.allowed.saturating_add(self.refused)
    }
}

/// The least "round" number that is not below: 1, 2 or 5 with zeros.
fn round(most: u64) -> u64 {
    let mut step: u64 = 1;
    loop {
        for times in [1, 2, 5] {
            let round = step.saturating_mul(times);
            if round >= most || round == u64::MAX {
                return round;
            }
        }
        step = step.saturating_mul(10);
    }
}

/// `amount` of `top`, in units of `height`.
fn scaled(amount: u64, top: u64, height: u64) -> u64 {
    let scaled = u128::from(amount).saturating_mul(u128::from(height)).checked_div(u128::from(top));
    scaled.and_then(|scaled| u64::try_from(scaled).ok()).unwrap_or_default()
}

/// How long each bar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// An hour. The script shows its begin in the reader's zone.
    Hour,
    /// A day of a zone, which is as many seconds east of UTC.
    Day(i64),
}

impl Length {
    /// The begin of a bar, on the axis.
    fn on_axis(self, begin: i64) -> Markup {
        match self {
            Self::Hour => on_axis(begin),
            Self::Day(east) => html! { span { (day(begin, east, "%-d %b")) } },
        }
    }

    /// The begin of a bar, in the table.
    fn in_table(self, begin: i64) -> Markup {
        match self {
            Self::Hour => hour(begin),
            Self::Day(east) => html! { (day(begin, east, "%-d %b %Y")) },
        }
    }

    /// What a bar of the drawing says. The script puts the time of an hour into the reader's zone, up to the first colon that
    /// a space follows.
    fn title(self, begin: i64, counts: &str) -> Markup {
        match self {
            Self::Hour => html! {
                title data-zone=(AXIS) data-datetime=(for_programs(begin)) { (in_utc(begin, AXIS_FORM)) ": " (counts) }
            },
            Self::Day(east) => html! { title { (day(begin, east, "%-d %b %Y")) ": " (counts) } },
        }
    }

    /// The zone of all that.
    fn zone(self) -> Markup {
        match self {
            Self::Hour => html! { "Times in " span data-zone-name { "UTC" } },
            Self::Day(east) => html! { "Days of " (zone(east)) },
        }
    }
}

/// The day that begins at a time in a zone.
fn day(begin: i64, east: i64, form: &str) -> String {
    in_utc(begin.saturating_add(east), form)
}

/// The name of a zone, such as `UTC+05:30`.
fn zone(east: i64) -> String {
    let minutes = east.unsigned_abs() / 60;
    match east.signum() {
        0 => "UTC".to_owned(),
        sign => format!("UTC{}{:02}:{:02}", if sign < 0 { '\u{2212}' } else { '+' }, minutes / 60, minutes % 60),
    }
}

/// A chart of bars over time.
pub fn bars(title: &str, bars: &[Bar], length: Length) -> Markup {
    let top = round(bars.iter().map(|bar| bar.sum()).max().unwrap_or_default());
    let every = bars.len().div_ceil(LABELS).max(1);
    html! {
        figure.chart {
            figcaption { (title) }
            div.plot {
                div.scale aria-hidden="true" {
                    span { (number(top)) } @if top > 1 { span { (number(top / 2)) } } span { "0" }
                }
                (drawn(title, bars, top, length))
                div.times aria-hidden="true" {
                    @for bar in bars.iter().step_by(every) { (length.on_axis(bar.begin)) }
                }
            }
            ul.legend {
                li { span.key.allowed aria-hidden="true" {} "Allowed (filled)" }
                li { span.key.refused aria-hidden="true" {} "Refused (striped)" }
                li.hint { (length.zone()) }
            }
            details {
                summary { "Show as a table" }
                (table(title, &[if length == Length::Hour { "Hour" } else { "Day" }, "Allowed", "Refused"], &rows(bars, length)))
            }
        }
    }
}

/// The drawing.
fn drawn(title: &str, bars: &[Bar], top: u64, length: Length) -> Markup {
    let count = u64::try_from(bars.len()).unwrap_or(1).max(1);
    let at = |number: usize| scaled(u64::try_from(number).unwrap_or_default(), count, WIDTH);
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
            aria-label={ (title) ". The table below says the same." } {
            defs { pattern #refused-pattern width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                rect.refused width="6" height="6" {} line.stripe x1="0" y1="0" x2="0" y2="6" {}
            } }
            @for y in [1, HEIGHT / 2, HEIGHT - 1] { line.grid x1="0" x2=(WIDTH) y1=(y) y2=(y) {} }
            @for (number_, bar) in bars.iter().enumerate().filter(|(_, bar)| bar.sum() > 0) {
                @let x = at(number_);
                @let wide = at(number_.saturating_add(1)).saturating_sub(x).saturating_sub(2).max(1);
                @let allowed = scaled(bar.allowed, top, HEIGHT);
                @let refused = scaled(bar.sum(), top, HEIGHT).saturating_sub(allowed).max(2);
                g {
                    (length.title(bar.begin, &counts(*bar)))
                    @if bar.allowed > 0 {
                        rect.allowed x=(x) width=(wide) y=(HEIGHT.saturating_sub(allowed)) height=(allowed.max(1)) {}
                    }
                    @if bar.refused > 0 {
                        rect.outline x=(x) width=(wide) y=(HEIGHT.saturating_sub(allowed).saturating_sub(refused))
                            height=(refused) fill="url(#refused-pattern)" {}
                    }
                }
            }
        }
    }
}

fn counts(bar: Bar) -> String {
    format!("{} allowed, {} refused", number(bar.allowed), number(bar.refused))
}

fn rows(bars: &[Bar], length: Length) -> Vec<Vec<Markup>> {
    let row =
        |bar: &Bar| vec![length.in_table(bar.begin), html! { (number(bar.allowed)) }, html! { (number(bar.refused)) }];
    bars.iter().filter(|bar| bar.sum() > 0).map(row).collect()
}

/// Bars that lie: names with their numbers and shares, the greatest first.
pub fn shares(title: &str, names: &[(Markup, u64)]) -> Markup {
    let sum = names.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    let rows: Vec<Vec<Markup>> = names
        .iter()
        .map(|(name, count)| {
            let percent = percent(*count, sum);
            let share =
                html! { progress max=(sum.max(1)) value=(count) aria-label={ (percent) " %" } {} " " (percent) " %" };
            vec![name.clone(), html! { (number(*count)) }, share]
        })
        .collect();
    table(title, &["Reason", "Requests", "Share"], &rows)
}

/// A share in percent, rounded to a tenth. Equal counts have equal shares, so all together may miss a hundred by some tenths.
fn percent(count: u64, sum: u64) -> String {
    let (count, sum) = (u128::from(count), u128::from(sum));
    let doubled = count.saturating_mul(2_000).saturating_add(sum);
    let tenths = doubled.checked_div(sum.saturating_mul(2)).unwrap_or_default();
    match (tenths / 10, tenths % 10) {
        (whole, 0) => whole.to_string(),
        (whole, tenths) => format!("{whole}.{tenths}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_round_and_never_too_small() {
        for (most, expected) in [(0, 1), (1, 1), (3, 5), (10, 10), (11, 20), (999, 1_000), (1_001, 2_000)] {
            assert_eq!(round(most), expected);
        }
        assert_eq!(round(u64::MAX), u64::MAX);
        assert_eq!((scaled(5, 10, 100), scaled(1, 0, 100), scaled(u64::MAX, u64::MAX, 7)), (50, 0, 7));
    }

    #[test]
    fn equal_counts_have_equal_shares() {
        for (count, sum, expected) in [
            (12, 37, "32.4"),
            (1, 3, "33.3"),
            (2, 3, "66.7"),
            (5, 5, "100"),
            (1, 2_001, "0"),
            (1, 1_999, "0.1"),
            (0, 0, "0"),
            (u64::MAX - 1, u64::MAX, "100"),
        ] {
            assert_eq!(percent(count, sum), expected, "{count} of {sum}");
        }
    }

    #[test]
    fn a_chart_says_the_same_in_a_table() {
        let text = bars("Requests", &[Bar { begin: 0, allowed: 7, refused: 3 }, Bar::default()], Length::Hour).0;
        assert!(
            text.contains("7 allowed, 3 refused")
                && text.contains("<td data-label=\"Refused\"><div class=\"cell\">3</div></td>"),
            "{text}"
        );
        assert!(!text.contains("style="), "{text}");
    }

    #[test]
    fn a_day_is_named_as_in_its_zone() {
        const HOUR: i64 = 3_600;
        for (east, begin, name, date) in [
            (0, 1_748_736_000, "Days of UTC<", "1 Jun 2025"),
            (5 * HOUR + 1_800, 1_748_736_000 - 5 * HOUR - 1_800, "Days of UTC+05:30<", "1 Jun 2025"),
            (-8 * HOUR, 1_748_736_000 + 8 * HOUR, "Days of UTC\u{2212}08:00<", "1 Jun 2025"),
            (-1_800, 1_748_736_000 + 1_800, "Days of UTC\u{2212}00:30<", "1 Jun 2025"),
        ] {
            let text = bars("Requests", &[Bar { begin, allowed: 7, refused: 3 }], Length::Day(east)).0;
            assert!(text.contains(name) && text.contains(&format!("{date}: 7 allowed")), "{text}");
            assert!(text.contains("<span>1 Jun</span>") && !text.contains("data-zone"), "{text}");
        }
    }
}
