//! The page that asks before something is done. It works without scripts.

use maud::{Markup, html};

use super::field::{Wrong, actions, hidden};

/// What is asked.
#[derive(Debug)]
pub struct Confirm<'a> {
    /// The field with the session's token.
    pub token: Markup,
    /// Where the form is sent to.
    pub to: &'a str,
    /// The version that the person has seen.
    pub etag: Option<&'a str>,
    /// What will happen.
    pub what: Markup,
    /// Further fields.
    pub fields: Markup,
    /// The words of the button.
    pub button: &'a str,
    /// Where "Cancel" leads.
    pub back: &'a str,
    /// Whether it cannot be undone.
    pub is_dangerous: bool,
}

impl Confirm<'_> {
    /// The body of the page.
    pub fn body(&self, wrong: &Wrong) -> Markup {
        html! {
            (wrong.summary())
            form.panel method="post" action=(self.to) {
                (self.token)
                @if let Some(etag) = self.etag { (hidden("etag", etag)) }
                (self.what)
                (self.fields)
                (actions(self.button, self.is_dangerous, self.back))
            }
        }
    }
}
