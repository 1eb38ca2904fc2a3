//! What a person has typed into the form of a request, for the page that says that the request did not do what it asks. It is
//! kept until that request is answered, and nowhere else. A form that may have a key is not shown again.

use std::sync::{Arc, Mutex, PoisonError};

use maud::{Markup, html};

use super::{form::Form, key_text::has_key};
use crate::{signin::CSRF_FIELD, web::place::CONSOLE};

/// Hidden fields, which tell a person nothing.
const HIDDEN: [&str; 4] = [CSRF_FIELD, "once", "etag", "seen"];
/// Characters of a value that the page shows. The form has all of them.
const SHOWN: usize = 200;

/// The form of the request that is being answered, for the page of a problem.
#[derive(Clone, Debug, Default)]
pub struct Typed(Arc<Mutex<Option<Form>>>);

impl Typed {
    /// Keeps the form until its request is answered.
    pub fn keep(&self, form: &Form) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(form.clone());
    }

    /// Takes it.
    pub fn take(&self) -> Option<Form> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Whether a form at this path may be shown again.
pub fn may_be_kept(path: &str, form: &Form) -> bool {
    let rest = path.strip_prefix(CONSOLE).unwrap_or(path);
    let is_of_a_secret = matches!(rest, "/find" | "/explain") || rest.starts_with("/keys/") && rest.ends_with("/kept");
    !is_of_a_secret && !form.pairs().any(|(_, value)| has_key(value))
}

/// What the form says, for the person to look at.
pub fn typed(form: &Form) -> Markup {
    let is_hidden = |name: &str| HIDDEN.contains(&name) || name.ends_with("_shown") || name.ends_with("_at");
    let is_shown = |name: &str, value: &str| !value.trim().is_empty() && !is_hidden(name);
    html! {
        @if form.pairs().any(|(name, value)| is_shown(name, value)) {
            h2 { "What you typed" }
            dl.facts {
                @for (name, value) in form.pairs().filter(|(name, value)| is_shown(name, value)) {
                    div { dt { bdi { (name) } } dd { bdi { (value.chars().take(SHOWN).collect::<String>()) @if value.chars().nth(SHOWN).is_some() { "…" } } } }
                }
            }
        }
    }
}
