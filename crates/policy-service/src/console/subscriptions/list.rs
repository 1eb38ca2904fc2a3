//! The list of subscriptions, over all APIs that the person looks after.

use axum::response::Response;
use management::port::{Kind, Role};
use maud::{Markup, html};

use super::{
    super::{
        parts::{
            badge::words,
            field::{Field, Wrong},
            listed::{Asked, Listed, ROWS},
            table::empty,
        },
        rows::{Api, Subscription},
        said,
        visit::Visit,
    },
    figures::seen,
    table::subscriptions,
};
use crate::http::problem::Problem;

/// States of a subscription, as the filter offers them.
const STATES: [&str; 7] =
    ["UNBLOCKED", "BLOCKED", "PROD_ONLY_BLOCKED", "ON_HOLD", "REJECTED", "TIER_UPDATE_PENDING", "DELETE_PENDING"];

/// The list.
pub async fn page(mut visit: Visit) -> Result<Response, Problem> {
    let receipt = said::of_listed(&mut visit, &["subscriptions"], Kind::Subscription).await?;
    let place = visit.at(&["subscriptions"]);
    let filters = [("q", visit.asked.get("q")), ("state", visit.asked.get("state")), ("api", visit.asked.get("api"))];
    let body = html! {
        (receipt)
        (filter(&visit, &place, true))
        (listed(&visit, &place, &filters, true, none(&visit)).await?)
    };
    Ok(visit.page("Subscriptions", &[], body))
}

/// What an empty list says to the person.
fn none(visit: &Visit) -> Markup {
    match visit.principal.role {
        Role::Subscriber => empty(
            "You have no subscription yet. Find an API, and subscribe one of your applications to it.",
            Some(("Find an API", visit.at(&["catalogue"]))),
        ),
        Role::Publisher => empty(
            "None of your APIs has a subscription yet. Subscribers make one for an application of theirs; it then stands here.",
            None,
        ),
        _ => empty(
            "There is no subscription yet. Subscribers make one for an application of theirs; it then stands here.",
            None,
        ),
    }
}

/// What the empty list of an API says to the person. Who is not its owner may not see the subscriptions of others.
pub fn none_at(visit: &Visit, api: &Api) -> Markup {
    match visit.principal.role {
        Role::Subscriber => empty(
            "None of your applications subscribes to this API.",
            Some(("Subscribe to it", visit.at_with(&["catalogue"], &[("q", &api.id)]))),
        ),
        Role::Publisher if !visit.owns(api.owner.as_deref()) => {
            empty("The API belongs to somebody else. Only its owner and operators see its subscriptions.", None)
        }
        _ => none(visit),
    }
}

/// The rows that fit the filters, with links to the other pages of the list at `place`. If the whole list is empty, `none`
/// says so.
pub async fn listed(
    visit: &Visit,
    place: &str,
    filters: &[(&str, &str)],
    has_api: bool,
    none: Markup,
) -> Result<Markup, Problem> {
    let asked = Asked { path: "/v1/subscriptions", sort: "id", filters, rows: ROWS };
    let mut list = Listed::<Subscription>::read(visit, asked).await?;
    let rows = seen(visit, std::mem::take(&mut list.items)).await?;
    // The page of an API names it in its path.
    let kept: Vec<_> = filters.iter().filter(|(name, _)| has_api || *name != "api").copied().collect();
    let is_filtered = kept.iter().any(|(_, value)| !value.is_empty());
    Ok(html! {
        (list.wrong())
        @if rows.is_empty() && is_filtered {
            (empty("No subscription fits the filter.", Some(("Show all", place.to_owned()))))
        } @else if rows.is_empty() {
            (none)
        } @else {
            (subscriptions(visit, "Subscriptions", &rows, has_api))
        }
        @if !rows.is_empty() || is_filtered { (list.pages(place, &kept, "subscription", "subscriptions")) }
    })
}

/// The filter of a list at `place`.
pub fn filter(visit: &Visit, place: &str, has_api: bool) -> Markup {
    let mut states = vec![("", "Any state")];
    states.extend(STATES.map(|state| (state, words(state))));
    let (asked, wrong) = (&visit.asked, Wrong::default());
    html! {
        form.filter method="get" action=(place) role="search" aria-label="Filter the subscriptions" {
            (Field::new("q", "Application: part of its name or id", "").typed("search", asked, &wrong))
            (Field::new("state", "State", "").one_of(&states, asked, &wrong))
            @if has_api { (Field::new("api", "API: its id", "").typed("text", asked, &wrong)) }
            p.actions { button type="submit" { "Filter" } }
        }
    }
}
