//! A form that comes too late: somebody else has changed the row meanwhile. Says field by field what was typed and what is there.

use maud::{Markup, html};

use super::{
    form::Form,
    parts::table::{name, table},
};

/// What differs between the form and the row as it is now. `names` has the fields and what people call them.
pub fn told(typed: &Form, now: &Form, names: &[(&str, &str)]) -> Markup {
    let shown = |form: &Form, field: &str| match form.as_typed(field) {
        "" => html! { span.none { "empty" } },
        text => html! { (name(text)) },
    };
    let normal = |form: &Form, field: &str| form.as_typed(field).trim().replace("\r\n", "\n");
    let rows: Vec<Vec<Markup>> = names
        .iter()
        .filter(|(field, _)| normal(typed, field) != normal(now, field))
        .map(|(field, words)| vec![html! { (words) }, shown(typed, field), shown(now, field)])
        .collect();
    html! {
        div.alert role="alert" tabindex="-1" data-focus="" {
            p { strong { "Somebody else changed this meanwhile, so nothing was changed." } }
            @if rows.is_empty() { p { "What is there now is what you typed." } } @else {
                p { "The form still has what you typed. If you send it again, it replaces what is there now:" }
            }
        }
        @if !rows.is_empty() { (table("What you typed and what is there", &["Field", "You typed", "There now"], &rows)) }
    }
}
