//! A form that comes too late: the row was changed meanwhile, by somebody else or by another window. Says field by field what
//! was typed and what is there. If that is the same, two clicks or two people meant the same, and nothing needs to be said.

use maud::{Markup, html};

use super::{
    form::Form,
    parts::table::{name, table},
};

/// The fields of a form in which the owner stands only for those who may give it, with what people call them.
pub fn with_owner(names: &'static [(&'static str, &'static str)], gives: bool) -> Vec<(&'static str, &'static str)> {
    names.iter().copied().chain(gives.then_some(("owner", "Owner"))).collect()
}

/// Whether the row is what the form asks for.
pub fn is_same(typed: &Form, now: &Form, names: &[(&str, &str)]) -> bool {
    names.iter().all(|(field, _)| normal(typed, field) == normal(now, field))
}

fn normal(form: &Form, field: &str) -> String {
    form.as_typed(field).trim().replace("\r\n", "\n")
}

/// What differs between the form and the row as it is now. `names` has the fields and what people call them.
pub fn told(typed: &Form, now: &Form, names: &[(&str, &str)]) -> Markup {
    let shown = |form: &Form, field: &str| match form.as_typed(field) {
        "" => html! { span.none { "empty" } },
        text => html! { (name(text)) },
    };
    let rows: Vec<Vec<Markup>> = names
        .iter()
        .filter(|(field, _)| normal(typed, field) != normal(now, field))
        .map(|(field, words)| vec![html! { (words) }, shown(typed, field), shown(now, field)])
        .collect();
    html! {
        div.alert role="alert" tabindex="-1" data-focus="" {
            p { strong { "This was changed meanwhile, so your form changed nothing." } }
            p { "The form still has what you typed. If you send it again, it replaces what is there now:" }
        }
        @if !rows.is_empty() { (table("What you typed and what is there", &["Field", "You typed", "There now"], &rows)) }
    }
}
