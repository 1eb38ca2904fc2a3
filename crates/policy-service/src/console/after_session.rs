//! A form that comes after its session: the session has ended, or somebody signed in anew since the page was loaded.
//!
//! Nothing was changed then, and the answer has what was typed, so that the person can send it again. It goes back to
//! the browser that sent it and is kept nowhere. A form that may have a key is not shown again.

use management::port::Principal;
use maud::{Markup, html};

use super::{
    form::Form,
    frame::Frame,
    parts::field::hidden,
    typed::{may_be_kept, typed},
};
use crate::{
    signin::CSRF_FIELD,
    web::{
        place::CONSOLE,
        shell::{Shell, nothing},
    },
};

/// The page for a form without a session. `prefix` is the part of the address before `/console`.
pub fn without_session(prefix: &str, path: &str, form: &Form, why: &str) -> Markup {
    let title = "Sign in, then send the form again";
    let body = html! {
        div.sign-in {
            p.brand { "keygate" }
            h1 { (title) }
            p.alert role="alert" { (why) " What you typed is on this page." }
            ol {
                li { a href={ (prefix) (CONSOLE) } target="_blank" rel="noopener" { "Sign in in another tab" } ", and leave this one open." }
                li { "Then come back to this tab, and send the form again." }
            }
            (typed(form))
            (sender(&format!("{prefix}{path}"), form, form.get(CSRF_FIELD), "Send the form again"))
        }
    };
    Shell { prefix, title, has_scripts: false, head: nothing(), top: nothing(), body }.document()
}

/// The page for a form that was loaded in another session than that of the person who is signed in now.
pub fn of_another_session(frame: &Frame, principal: &Principal, path: &str, form: &Form) -> Markup {
    let place = format!("{}{path}", frame.prefix());
    let is_kept = may_be_kept(path, form);
    let body = html! {
        p.alert role="alert" {
            "The form was loaded in another session, so nothing was changed. In this browser "
            strong { bdi { (principal.subject) } } " (" (principal.role.as_str()) ") is signed in now."
        }
        @if is_kept {
            p { "If that is you, look at what the form says and send it again. If not, sign out and sign in first." }
            (typed(form))
            (sender(&place, &form.clone().with(CSRF_FIELD, frame.csrf()), frame.csrf(), "Send the form again"))
        } @else {
            p { "The form may have a key in it, so it is not shown again. Load its page, and fill it in once more." }
        }
        p { a href=(place) { "Load the page of the form" } }
    };
    frame.page("This form is of another session", &[], "", body)
}

/// The form once more, ready to be sent. Without a session its token is the old one.
fn sender(place: &str, form: &Form, token: &str, words: &str) -> Markup {
    html! {
        form method="post" action=(place) {
            (hidden(CSRF_FIELD, if token.is_empty() { "none" } else { token }))
            @for (name, value) in form.pairs().filter(|(name, _)| *name != CSRF_FIELD) { (hidden(name, value)) }
            p.actions { button.main type="submit" { (words) } }
        }
    }
}
