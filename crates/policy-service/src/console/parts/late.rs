//! The message that a part of a page, which asks for itself again, gets no answer.
//!
//! It is there from the beginning and empty, so that a screen reader says it when the script fills it. The part names it
//! by `data-late`.

use maud::{Markup, html};

/// The message with this id.
pub fn late(id: &str) -> Markup {
    html! { p .late .warn id=(id) role="status" aria-live="polite" {} }
}
