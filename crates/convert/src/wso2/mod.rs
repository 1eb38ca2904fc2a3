//! WSO2 API Manager: exports of APIs, applications and rate limiting policies by `apictl`, and lists of its REST APIs.
//!
//! Tiers become plans. Subscriptions keep their states. Consumer keys and API keys are tokens that WSO2 signs, so the
//! applications get new keys.

mod api;
mod application;
mod policy;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Input,
    draft::Draft,
    finding::{Error, shown},
    plugin::{ApiOf, Plugin, Source},
    yaml::{self, At, Object},
};

/// What documents refer to each other by.
#[derive(Default)]
struct Known {
    /// APIs by name and version.
    apis: BTreeMap<(String, String), String>,
    /// APIs by their UUID.
    api_ids: BTreeMap<String, String>,
    /// Applications by owner and name.
    applications: BTreeMap<(String, String), String>,
    /// Applications by their UUID.
    application_ids: BTreeMap<String, String>,
    /// Paths of APIs, with their version, for deny policies.
    contexts: BTreeMap<String, String>,
    /// Plans that are named.
    tiers: BTreeSet<String>,
    /// The headers that keys come in.
    headers: BTreeSet<String>,
}

/// What a document is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Policy,
    Api,
    Application,
    Subscription,
    Deny,
    Nothing,
}

/// The order in which documents are read: what is referred to comes first.
const ORDER: [About; 5] = [About::Policy, About::Api, About::Application, About::Subscription, About::Deny];

/// Reads all files into the draft.
pub fn read(draft: &mut Draft<'_>, inputs: &[Input]) -> Result<(), Vec<Error>> {
    let mut documents = Vec::new();
    for input in inputs {
        let file = draft.open(&input.name);
        documents.extend(yaml::documents(draft, file, &input.bytes)?.into_iter().map(|node| (file, node)));
    }
    let mut objects = Vec::new();
    for (file, node) in &documents {
        collect(draft, &At::root(node, *file), &mut objects);
    }
    let (mut known, mut is_any) = (Known::default(), false);
    for about in ORDER {
        for (_, at) in objects.iter().filter(|(of, _)| *of == about) {
            is_any = true;
            match about {
                About::Policy => policy::read(draft, at),
                About::Api => api::read(draft, at, &mut known),
                About::Application => application::read(draft, at, &mut known),
                About::Subscription => application::read_subscription(draft, at, &mut known),
                About::Deny => policy::read_deny(draft, at, &known),
                About::Nothing => {}
            }
            draft.check_room()?;
        }
    }
    if !is_any && draft.errors.is_empty() {
        let expected = "api.yaml, an export of an application, a list of subscriptions or a rate limiting policy";
        return Err(vec![draft.error_at(Default::default(), "", "nothing of these kinds", expected)]);
    }
    policy::add_defaults(draft, &known.tiers);
    note(draft, &known);
    Ok(())
}

/// The objects of a document: itself, what is under `data`, or the items of a list.
fn collect<'n>(draft: &mut Draft<'_>, at: &At<'n>, found: &mut Vec<(About, At<'n>)>) {
    if at.is_list() {
        for item in at.list(draft) {
            collect(draft, &item, found);
        }
        return;
    }
    let Some(mut fields) = at.object(draft) else { return };
    if fields.has("list") {
        for item in fields.list(draft, &["list"]) {
            collect(draft, &item, found);
        }
        return;
    }
    let kind = if fields.has("data") { fields.text(draft, &["type"]) } else { None };
    let about = match kind {
        Some("api" | "api_product") => About::Api,
        Some("application") => About::Application,
        Some("throttling policy") => About::Policy,
        Some(other) => {
            let what = format!("a document of the type {}", shown(other));
            at.lose(draft, what, "keygate has nothing like it", "");
            return;
        }
        None => about(&fields),
    };
    let inner = if kind.is_some() { fields.take(&["data"]) } else { None };
    if about == About::Nothing {
        at.lose(draft, "a document", "it is no API, application, subscription or policy", "");
        return;
    }
    found.push((about, inner.unwrap_or_else(|| at.clone())));
}

fn about(fields: &Object<'_>) -> About {
    let has = |name| fields.has(name);
    if has("subscriptionId") || has("subscriptionUUID") {
        About::Subscription
    } else if has("conditionType") {
        About::Deny
    } else if has("policyName") {
        About::Policy
    } else if has("applicationInfo") || has("subscribedAPIs") || has("applicationId") || has("subName") {
        About::Application
    } else if has("context") {
        About::Api
    } else {
        About::Nothing
    }
}

fn note(draft: &mut Draft<'_>, known: &Known) {
    let mut sources = Vec::new();
    for header in &known.headers {
        sources.push(Source::Header(header.clone()));
    }
    if known.headers.is_empty() || !known.headers.contains("apikey") {
        sources.push(Source::Header("apikey".to_owned()));
    }
    sources.push(Source::Query("apikey".to_owned()));
    let plugin =
        Plugin { sources, api: ApiOf::Match, application_header: None, key_header: None, shows_credential: false };
    draft.notes.push(format!(
        "Configuration of a plugin that looks for keys where WSO2 does, for a run in shadow mode; the replies are those of \
         WSO2 already:\n{}",
        plugin.text()
    ));
    if !known.applications.is_empty() {
        draft.notes.push(
            "No application has a key: WSO2's API keys and consumer keys are tokens that it signs. Issue new keys with \
             keygatectl keys issue, and hand them to the owners before the switch."
                .to_owned(),
        );
    }
}
