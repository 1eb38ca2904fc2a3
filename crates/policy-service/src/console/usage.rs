//! Requests over time, and refusals by their reason: of an API, of a subscription, or of all that the person sees.
//!
//! The figures are those of `/v1/usage`, added up by the database, and for the same rows.

use axum::{Router, response::Response, routing::get};
use keygate::reason::Reason;
use management::{
    access,
    port::{
        overview::{Spans, Spent},
        usage::UsageFilter,
    },
};
use maud::{Markup, html};

use super::{
    Console,
    parts::{
        chart::{Bar, Length, bars, shares},
        field::{Field, Wrong, hidden},
        table::{empty, number},
    },
    visit::Visit,
};
use crate::{http::problem::Problem, routes::list::check_length};

/// The outcome of a request that was let through.
const ALLOWED: &str = keygate::usage::report::ALLOWED;
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// A span that a person chooses: the parameter, the words, days, and the length of a bar. A span has at most 366 bars.
type Span = (&'static str, &'static str, i64, i64);

const WEEK: Span = ("7", "The last 7 days", 7, HOUR);
const SPANS: [Span; 4] = [
    WEEK,
    ("1", "The last 24 hours", 1, HOUR),
    ("30", "The last 30 days", 30, DAY),
    ("365", "The last year", 365, DAY),
];

/// The parameter that says how many seconds east of UTC the reader's clock is. The script sends it, and days are of that zone.
const EAST: &str = "utc_offset";
/// The westernmost and the easternmost zone.
const ZONES: std::ops::RangeInclusive<i64> = -12 * HOUR..=14 * HOUR;

pub fn router() -> Router<Console> {
    Router::new().route("/console/usage", get(page))
}

/// The page.
async fn page(visit: Visit) -> Result<Response, Problem> {
    let (api, application) = (visit.asked.get("api"), visit.asked.get("application"));
    for (name, given) in [("api", api), ("application", application)] {
        check_length(name, Some(given))?;
    }
    let east = east(visit.asked.get(EAST))?;
    let spans = SPANS.map(|(value, words, ..)| (value, words));
    let wrong = Wrong::default();
    let body = html! {
        form.filter method="get" action=(visit.at(&["usage"])) aria-label="Choose the usage" {
            (Field::new("days", "Time", "").one_of(&spans, &visit.asked, &wrong))
            (Field::new("api", "API: its id", "").typed("text", &visit.asked, &wrong))
            (Field::new("application", "Application: its id", "").typed("text", &visit.asked, &wrong))
            (hidden(EAST, visit.asked.get(EAST)))
            p.actions { button type="submit" { "Show" } }
        }
        (figures(&visit, api, application, visit.asked.get("days"), east).await?)
    };
    Ok(visit.page("Usage", &[], body))
}

/// The requests of one subscription.
pub async fn of_subscription(visit: &Visit, application: &str, api: &str) -> Result<Markup, Problem> {
    figures(visit, api, application, "7", 0).await
}

/// Seconds east of UTC; none without the script.
fn east(given: &str) -> Result<i64, Problem> {
    let read = || given.parse().ok().filter(|east| ZONES.contains(east));
    let wrong = || Problem::parameter(EAST, "expected seconds east of UTC, from -43200 to 50400");
    if given.is_empty() { Ok(0) } else { read().ok_or_else(wrong) }
}

async fn figures(visit: &Visit, api: &str, application: &str, days: &str, east: i64) -> Result<Markup, Problem> {
    let (_, words, days, step) = SPANS.into_iter().find(|(value, ..)| *value == days).unwrap_or(WEEK);
    let (length, ahead) = if step == DAY { (Length::Day(east), east) } else { (Length::Hour, 0) };
    let spans = Spans { seconds: step, ahead };
    let end = spans.begin_of(visit.now).saturating_add(step);
    let begin = end.saturating_sub(days.saturating_mul(DAY));
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let filter = UsageFilter {
        application: some(application),
        api: some(api),
        from: Some(begin),
        to: Some(end),
        sight: access::sight_of_usage(&visit.actor()),
    };
    let spent = visit.console.store().spent(&filter, spans).await?;
    let drawn = drawn(&spent, begin, end, step);
    let reasons = reasons(&spent);
    let sum = |count: fn(&Bar) -> u64| drawn.iter().map(count).fold(0_u64, u64::saturating_add);
    let (allowed, refused) = (sum(|bar| bar.allowed), sum(|bar| bar.refused));
    Ok(html! {
        @if spent.is_empty() {
            (empty("No request that you may see was reported in this time. Gateways report about once a minute.", None))
        } @else {
            section.panel aria-labelledby="usage-title" {
                h2 #usage-title { "Requests" }
                (bars(&format!("{words}: {} allowed, {} refused", number(allowed), number(refused)), &drawn, length))
            }
            @if !reasons.is_empty() {
                section aria-labelledby="reasons-title" {
                    h2 #reasons-title { "Why requests were refused" }
                    (shares("Refusals by reason", &reasons))
                }
            }
        }
    })
}

fn requests(spent: &Spent) -> u64 {
    u64::try_from(spent.requests).unwrap_or_default()
}

/// A bar for each step of the time, also where nothing was reported.
fn drawn(spent: &[Spent], begin: i64, end: i64, step: i64) -> Vec<Bar> {
    let count = usize::try_from(end.saturating_sub(begin).div_euclid(step)).unwrap_or_default();
    let mut bars: Vec<Bar> = (0..count)
        .map(|number| {
            let after = i64::try_from(number).unwrap_or_default().saturating_mul(step);
            Bar { begin: begin.saturating_add(after), ..Bar::default() }
        })
        .collect();
    for one in spent {
        let at = usize::try_from(one.begin.saturating_sub(begin).div_euclid(step)).ok();
        let Some(bar) = at.and_then(|at| bars.get_mut(at)) else { continue };
        let sum = if one.outcome == ALLOWED { &mut bar.allowed } else { &mut bar.refused };
        *sum = sum.saturating_add(requests(one));
    }
    bars
}

/// Reasons of refusals with their requests, the most frequent first.
fn reasons(spent: &[Spent]) -> Vec<(Markup, u64)> {
    let mut sums: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    for one in spent.iter().filter(|one| one.outcome != ALLOWED) {
        let sum = sums.entry(&one.outcome).or_default();
        *sum = sum.saturating_add(requests(one));
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
    let when = |reason: &str| Reason::parse(reason).map(Reason::when);
    let cell = |reason: &str| {
        html! { code { bdi { (reason) } } @if let Some(when) = when(reason) { br; span.hint { (when) } } }
    };
    sums.into_iter().map(|(reason, sum)| (cell(reason), sum)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_has_a_bar() {
        let spent = |begin: i64, outcome: &str, requests: i64| Spent { begin, outcome: outcome.to_owned(), requests };
        let all =
            [spent(0, ALLOWED, 5), spent(0, "a", 1), spent(0, "b", 2), spent(7_200, "a", 9), spent(-3_600, "a", 1)];
        let found = drawn(&all, 0, 4 * HOUR, HOUR);
        let figures: Vec<_> = found.iter().map(|bar| (bar.begin, bar.allowed, bar.refused)).collect();
        assert_eq!(figures, [(0, 5, 3), (3_600, 0, 0), (7_200, 0, 9), (10_800, 0, 0)]);
        let sums: Vec<u64> = reasons(&all).into_iter().map(|(_, sum)| sum).collect();
        assert_eq!(sums, [11, 2]);
    }
}
