//! The receipt of a change, as it fills: how many gateways decide by it, which do not yet, and which are silent.
//!
//! The region is there from the beginning and polite, so that a screen reader says what changes and nothing else. Asked for
//! what is shown already, the service answers nothing new (204), and nothing is said again.

use maud::{Markup, html};

use super::{
    late::late,
    table::{counted, name},
};
use crate::{
    console::rows::{Gateways, Receipt},
    web::place::query,
};

/// Names that are shown of many gateways. A page with all 10,000 would have a megabyte.
const NAMES: usize = 20;
/// A receipt that is not complete after so many milliseconds is looked at again only when somebody asks.
const PATIENCE_MS: i64 = 600_000;

/// The id of the message that a receipt is not updated.
const LATE: &str = "receipt-late";

/// What a person has seen of a receipt: the same word means that nothing has changed.
pub fn seen(receipt: &Receipt) -> String {
    let Receipt { revision, live, have, missing, silent, complete, .. } = receipt;
    format!("{revision}-{live}-{have}-{}-{}-{complete}", missing.count(), silent.count())
}

/// The receipt, in a region that fills by itself. `place` is the page of the receipt, and `here` the page that shows it.
pub fn panel(receipt: &Receipt, place: &str, here: &str) -> Markup {
    html! {
        section.panel.receipt aria-labelledby="receipt-title" {
            h2 #receipt-title { "Receipt of revision " (receipt.revision) }
            div role="status" aria-live="polite" { (state(receipt, place)) }
            (late(LATE))
            @if !receipt.complete { noscript { p { a.button href=(here) { "Look again" } } } }
            p.hint { "The change holds whether you wait or not. A later change has a receipt of its own. "
                a href=(place) { "This receipt has a page of its own." } }
        }
    }
}

/// The part that changes. It asks for itself again until the receipt is complete.
pub fn state(receipt: &Receipt, place: &str) -> Markup {
    let Receipt { live, have, missing, silent, after_ms, complete, .. } = receipt;
    let is_asked_again = !complete && after_ms.is_none_or(|after| after < PATIENCE_MS);
    // Who is silent now may stay so for long.
    let trigger = if missing.count() > 0 { "every 1s" } else { "every 5s" };
    html! {
        div.state hx-get=[is_asked_again.then(|| format!("{place}{}", query(&[("seen", &seen(receipt))])))]
            hx-trigger=[is_asked_again.then_some(trigger)] hx-swap=[is_asked_again.then_some("outerHTML")]
            data-late=[is_asked_again.then_some(LATE)] {
            @if *complete && *live == 0 {
                p.done { span.shape aria-hidden="true" { "✓" } "No gateway is known, so none decides by an older policy." }
            } @else if *complete {
                p.done { span.shape aria-hidden="true" { "✓" }
                    "Complete: " (counted(*live, "live gateway decides", "live gateways decide")) " by it, with all workers. "
                    "No request that arrives from now on is decided by the older policy." }
            } @else {
                p { strong { (have) " of " (counted(*live, "live gateway", "live gateways")) } (if *live == 1 { " decides by it." } else { " decide by it." })
                    @if *live > 0 { " " progress max=(live) value=(have) aria-label="Gateways that decide by it" {} } }
                @if missing.count() > 0 { p { "Not yet: " (listed(missing)) } }
                @if silent.count() > 0 {
                    p.warn { span.shape aria-hidden="true" { "!" }
                        (counted(silent.count(), "gateway is silent", "gateways are silent"))
                        @if !silent.names().is_empty() { ": " (listed(silent)) }
                        ". The service does not hear from " (if silent.count() == 1 { "it" } else { "them" })
                        ". Requests there may still be decided by the older policy, until it is heard of again or its policy expires. "
                        "An operator removes a gateway that was stopped for good from the list of gateways." }
                }
                @if missing.count() == 0 && silent.count() == 0 {
                    p.warn { span.shape aria-hidden="true" { "!" }
                        "There may be gateways that the service does not know: its database has lost a part of its history, or cannot be "
                        "read now. It waits until all had the time to call." }
                }
                @if !is_asked_again { p { a href=(place) { "Look again" } } }
            }
        }
    }
}

fn listed(gateways: &Gateways) -> Markup {
    let names = gateways.names();
    let more = u64::try_from(names.len().saturating_sub(NAMES)).unwrap_or(u64::MAX);
    html! {
        @if names.is_empty() { (counted(gateways.count(), "gateway", "gateways")) }
        @for (number, gateway) in names.iter().take(NAMES).enumerate() {
            @if number > 0 { ", " }
            (name(gateway.instance.as_deref().unwrap_or("an unnamed gateway"))) " (" (name(&gateway.client_id)) ")"
        }
        @if more > 0 { " and " (counted(more, "other", "others")) }
    }
}
