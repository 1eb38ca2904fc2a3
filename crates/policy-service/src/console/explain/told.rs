//! The explanation: the verdict, the rules up to the one that decided, and what nobody but a gateway knows.

use axum::http::Method;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::{
    super::{
        form::Form,
        parts::{
            badge::badge,
            table::{facts, name, table},
            time::{in_sentence, time},
        },
        visit::Visit,
    },
    again::path_without_keys,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Explanation {
    verdict: String,
    reason: String,
    status: Option<u16>,
    reply: Option<Value>,
    api: Option<String>,
    application: Option<String>,
    key_id: Option<String>,
    subscription: Option<String>,
    plan: Option<String>,
    steps: Vec<Step>,
    notes: Vec<String>,
    revision: i64,
    now: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Step {
    rule: String,
    outcome: String,
    because: String,
}

/// The explanation of what the form asked for.
pub fn told(visit: &Visit, form: &Form, answer: &Value) -> Markup {
    let Ok(explanation) = Explanation::deserialize(answer) else {
        return html! { p.alert role="alert" { "The answer of the service cannot be read." } };
    };
    let Explanation { verdict, reason, status, reply, steps, notes, revision, now, .. } = &explanation;
    let is_shadow = notes.iter().any(|note| is_about_mode(note));
    let is_allowed = verdict == "allow" || is_shadow;
    html! {
        section.panel aria-labelledby="verdict-title" {
            h2 #verdict-title { (badge(if is_allowed { "allow" } else { "deny" })) " " code { (reason) } }
            p { code { bdi { (form.get("method")) " " (place(form.get("url"))) } } }
            @for note in notes.iter().filter(|note| is_about_mode(note)) { p.warn { (in_sentence(note)) } }
            @if let Some(status) = status {
                p { (if is_shadow { "In the mode enforce the client would get the status " } else { "The client gets the status " })
                    strong { (status) } (with(form, reply.as_ref())) }
                @if let Some(reply) = reply.as_ref().filter(|_| !is_head(form)) { p { code { bdi { (reply.as_str().map_or_else(|| reply.to_string(), str::to_owned)) } } } }
            }
            (facts(&facts_of(visit, &explanation)))
        }
        section aria-labelledby="steps-title" {
            h2 #steps-title { "The rules, in the order of the decision" }
            (table("Rules", &["Rule", "Outcome", "Because"], &rows(steps)))
        }
        @let unknown: Vec<&String> = notes.iter().filter(|note| !is_about_mode(note)).collect();
        @if !unknown.is_empty() {
            section aria-labelledby="notes-title" {
                h2 #notes-title { "What this cannot know" }
                ul { @for note in unknown { li { (in_sentence(note)) } } }
            }
        }
        p.hint { "Decided at " (time(*now)) ", by revision " (revision) "." }
        p { a.button href=(visit.at(&["explain"])) { "Explain another request" } }
    }
}

/// Whether a note says that the request passes all the same, which stands beside the verdict.
fn is_about_mode(note: &str) -> bool {
    note.starts_with("`mode` is shadow")
}

fn is_head(form: &Form) -> bool {
    form.get("method").eq_ignore_ascii_case("HEAD")
}

/// What the client gets with the status.
fn with(form: &Form, reply: Option<&Value>) -> &'static str {
    match reply {
        None => ".",
        Some(_) if is_head(form) => " without a body, since the method is HEAD.",
        Some(reply) if reply.get("grpc_status").is_some() => " with this status and message of gRPC:",
        Some(_) => " with this body:",
    }
}

/// A URL without its query and other parts that may have a key.
fn place(url: &str) -> String {
    match url.split_once('?') {
        Some((place, _)) => format!("{}?…", path_without_keys(place)),
        None => path_without_keys(url),
    }
}

fn facts_of(visit: &Visit, explanation: &Explanation) -> Vec<(&'static str, Markup)> {
    let Explanation { api, application, key_id, subscription, plan, .. } = explanation;
    let rows = [
        ("API", api, Some("apis")),
        ("Application", application, Some("applications")),
        ("Key", key_id, Some("keys")),
        ("Subscription", subscription, Some("subscriptions")),
        ("Plan", plan, Some("plans")),
    ];
    rows.into_iter()
        .filter_map(|(words, id, folder)| {
            let (id, folder) = (id.as_deref()?, folder?);
            // A publisher opens no application and no key.
            let opens = visit.may(Method::GET, &format!("/v1/{folder}/{{id}}"));
            Some((words, html! { @if opens { a href=(visit.at(&[folder, id])) { (name(id)) } } @else { (name(id)) } }))
        })
        .collect()
}

fn rows(steps: &[Step]) -> Vec<Vec<Markup>> {
    let row = |step: &Step| vec![html! { code { (step.rule) } }, badge(&step.outcome), in_sentence(&step.because)];
    steps.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_not_shown_again() {
        assert_eq!(place("https://a.example/x?apikey=secret&b=1"), "https://a.example/x?…");
        assert_eq!((place("/x"), place("/kg_live_x/y?b=1")), ("/x".to_owned(), "/removed/y?…".to_owned()));
    }
}
