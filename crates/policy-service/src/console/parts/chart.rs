//! Charts as SVG that the service draws, each with a table that says the same.
//!
//! A bar has two parts, told apart by their pattern as well as by their colour: requests that were allowed, and requests that
//! were refused.

use maud::{Markup, html};

use super::{
    table::{number, table},
    time::{hour, in_utc},
};

/// The drawing's size, in its own units.
const WIDTH: u64 = 720;
const HEIGHT: u64 = 200;
/// What is left free: on the left for numbers, below for times, above for the greatest bar's number.
const LEFT: u64 = 64;
const BELOW: u64 = 24;
const ABOVE: u64 = 12;
/// Times that are written below the bars.
const LABELS: usize = 6;

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

/// A chart of bars over time. `by_day`: each bar is a day, otherwise an hour.
pub fn bars(title: &str, bars: &[Bar], by_day: bool) -> Markup {
    let top = round(bars.iter().map(|bar| bar.sum()).max().unwrap_or_default());
    let (height, width) = (HEIGHT.saturating_sub(BELOW).saturating_sub(ABOVE), WIDTH.saturating_sub(LEFT));
    let count = u64::try_from(bars.len()).unwrap_or(1).max(1);
    let base = ABOVE.saturating_add(height);
    let at = |number: usize| {
        let number = u64::try_from(number).unwrap_or_default();
        LEFT.saturating_add(scaled(number, count, width))
    };
    let every = bars.len().div_ceil(LABELS).max(1);
    let form = if by_day { "%-d %b" } else { "%-d %b %H:00" };
    html! {
        figure.chart {
            figcaption { (title) }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label={ (title) ". The table below says the same." } {
                defs { pattern #refused-pattern width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect.refused width="6" height="6" {} line.stripe x1="0" y1="0" x2="0" y2="6" {}
                } }
                @for (share, amount) in [(0, top), (1, top / 2), (2, 0)] {
                    @let y = ABOVE.saturating_add(height.saturating_mul(share) / 2);
                    @if share != 1 || top > 1 {
                        line.grid x1=(LEFT) x2=(WIDTH) y1=(y) y2=(y) {}
                        text.tick x=(LEFT.saturating_sub(8)) y=(y.saturating_add(4)) text-anchor="end" { (number(amount)) }
                    }
                }
                @for (number_, bar) in bars.iter().enumerate() {
                    @let x = at(number_);
                    @let wide = at(number_.saturating_add(1)).saturating_sub(x).saturating_sub(1).max(1);
                    @let allowed = scaled(bar.allowed, top, height);
                    @let refused = scaled(bar.sum(), top, height).saturating_sub(allowed);
                    @if bar.sum() > 0 {
                        g {
                            title { (in_utc(bar.begin, form)) " UTC: " (number(bar.allowed)) " allowed, " (number(bar.refused)) " refused" }
                            @if bar.allowed > 0 {
                                rect.allowed x=(x) width=(wide) y=(base.saturating_sub(allowed)) height=(allowed.max(1)) {}
                            }
                            @if bar.refused > 0 {
                                rect.outline x=(x) width=(wide) y=(base.saturating_sub(allowed).saturating_sub(refused.max(2)))
                                    height=(refused.max(2)) fill="url(#refused-pattern)" {}
                            }
                        }
                    }
                    @if number_ % every == 0 {
                        text.tick x=(x) y=(HEIGHT.saturating_sub(6)) { (in_utc(bar.begin, form)) }
                    }
                }
            }
            ul.legend {
                li { span.key.allowed aria-hidden="true" {} "Allowed (filled)" }
                li { span.key.refused aria-hidden="true" {} "Refused (striped)" }
                li.hint { "Times in UTC" }
            }
            details {
                summary { "Show as a table" }
                (table(title, &[if by_day { "Day (UTC)" } else { "Hour" }, "Allowed", "Refused"], &rows(bars, by_day)))
            }
        }
    }
}

fn rows(bars: &[Bar], by_day: bool) -> Vec<Vec<Markup>> {
    let row = |bar: &Bar| {
        let begin = if by_day {
            html! { (in_utc(bar.begin, "%-d %b %Y")) }
        } else {
            hour(bar.begin)
        };
        vec![begin, html! { (number(bar.allowed)) }, html! { (number(bar.refused)) }]
    };
    bars.iter().filter(|bar| bar.sum() > 0).map(row).collect()
}

/// Bars that lie: names with their numbers and shares, the greatest first.
pub fn shares(title: &str, names: &[(Markup, u64)]) -> Markup {
    let sum: u64 = names.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count));
    let rows: Vec<Vec<Markup>> = names
        .iter()
        .map(|(name, count)| {
            let percent = scaled(*count, sum, 100);
            let share =
                html! { progress max=(sum.max(1)) value=(count) aria-label={ (percent) " %" } {} " " (percent) " %" };
            vec![name.clone(), html! { (number(*count)) }, share]
        })
        .collect();
    table(title, &["Reason", "Requests", "Share"], &rows)
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
    fn a_chart_says_the_same_in_a_table() {
        let text = bars("Requests", &[Bar { begin: 0, allowed: 7, refused: 3 }, Bar::default()], false).0;
        assert!(text.contains("7 allowed, 3 refused") && text.contains("<td data-label=\"Refused\">3</td>"), "{text}");
        assert!(!text.contains("style="), "{text}");
    }
}
