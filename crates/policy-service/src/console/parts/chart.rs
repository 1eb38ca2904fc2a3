//! Charts as SVG that the service draws, each with a table that says the same.
//!
//! A bar has two parts, told apart by their pattern as well as by their colour: requests that were allowed, and requests that
//! were refused.

use maud::{Markup, html};

use super::{
    table::{number, table},
    time::{hour, in_utc},
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

/// A chart of bars over time. `by_day`: each bar is a day, otherwise an hour.
pub fn bars(title: &str, bars: &[Bar], by_day: bool) -> Markup {
    let top = round(bars.iter().map(|bar| bar.sum()).max().unwrap_or_default());
    let every = bars.len().div_ceil(LABELS).max(1);
    let form = if by_day { "%-d %b" } else { "%-d %b %H:00" };
    html! {
        figure.chart {
            figcaption { (title) }
            div.plot {
                div.scale aria-hidden="true" {
                    span { (number(top)) } @if top > 1 { span { (number(top / 2)) } } span { "0" }
                }
                (drawn(title, bars, top, form))
                div.times aria-hidden="true" {
                    @for bar in bars.iter().step_by(every) { span { (in_utc(bar.begin, form)) } }
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

/// The drawing.
fn drawn(title: &str, bars: &[Bar], top: u64, form: &str) -> Markup {
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
                    title { (in_utc(bar.begin, form)) " UTC: " (number(bar.allowed)) " allowed, " (number(bar.refused)) " refused" }
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
    let counts: Vec<u64> = names.iter().map(|(_, count)| *count).collect();
    let sum: u64 = counts.iter().fold(0, |sum, count| sum.saturating_add(*count));
    let rows: Vec<Vec<Markup>> = names
        .iter()
        .zip(percents(&counts, sum))
        .map(|((name, count), percent)| {
            let share =
                html! { progress max=(sum.max(1)) value=(count) aria-label={ (percent) " %" } {} " " (percent) " %" };
            vec![name.clone(), html! { (number(*count)) }, share]
        })
        .collect();
    table(title, &["Reason", "Requests", "Share"], &rows)
}

/// The shares in whole percent, which make 100 together: what is cut off goes to those that lose most.
fn percents(counts: &[u64], sum: u64) -> Vec<u64> {
    let mut shares: Vec<u64> = counts.iter().map(|count| scaled(*count, sum, 100)).collect();
    let rest_of = |count: u64| u128::from(count).saturating_mul(100).checked_rem(u128::from(sum)).unwrap_or_default();
    let mut by_loss: Vec<usize> = (0..counts.len()).collect();
    by_loss.sort_by_key(|place| std::cmp::Reverse(counts.get(*place).map_or(0, |count| rest_of(*count))));
    let missing = if sum == 0 { 0 } else { 100_u64.saturating_sub(shares.iter().sum()) };
    for place in by_loss.into_iter().take(usize::try_from(missing).unwrap_or_default()) {
        shares.get_mut(place).into_iter().for_each(|share| *share = share.saturating_add(1));
    }
    shares
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
    fn shares_make_a_hundred() {
        for (counts, shares) in [
            (&[326, 325, 325, 24][..], &[33, 33, 32, 2][..]),
            (&[1, 1, 1], &[34, 33, 33]),
            (&[5], &[100]),
            (&[0, 0], &[0, 0]),
            (&[], &[]),
            (&[u64::MAX - 1, 1], &[100, 0]),
        ] {
            assert_eq!(percents(counts, counts.iter().sum()), shares, "{counts:?}");
        }
    }

    #[test]
    fn a_chart_says_the_same_in_a_table() {
        let text = bars("Requests", &[Bar { begin: 0, allowed: 7, refused: 3 }, Bar::default()], false).0;
        assert!(
            text.contains("7 allowed, 3 refused")
                && text.contains("<td data-label=\"Refused\"><div class=\"cell\">3</div></td>"),
            "{text}"
        );
        assert!(!text.contains("style="), "{text}");
    }
}
