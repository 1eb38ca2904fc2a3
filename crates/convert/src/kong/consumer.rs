//! Consumers, their keys and groups. A key becomes its digest here.

use keygate::digest::Digest;

use super::{
    entities::{Entities, Scope, lose_labels, reference},
    service::names,
};
use crate::{
    draft::Draft,
    finding::{Spot, shown},
    key,
    yaml::{At, Object},
};

/// The lists of a consumer's credentials and groups, which may also stand beside the consumers.
pub const CREDENTIALS: [&str; 8] = [
    "keyauth_credentials",
    "acls",
    "basicauth_credentials",
    "hmacauth_credentials",
    "jwt_secrets",
    "mtls_auth_credentials",
    "oauth2_credentials",
    "keyauth_enc_credentials",
];
/// What begins a text that Kong or decK replaces by a secret.
const REFERENCES: [&str; 3] = ["{vault://", "${{", "$(env"];

/// A consumer.
pub struct Consumer {
    /// Its username, custom id and id; the first is shown.
    pub names: Vec<String>,
    pub keys: Vec<ConsumerKey>,
    pub groups: Vec<String>,
    pub spot: Spot,
    pub at: String,
}

/// A key of a consumer.
#[derive(Clone)]
pub struct ConsumerKey {
    pub digest: Digest,
    pub id: Option<String>,
    pub expires_at: Option<i64>,
    pub spot: Spot,
    pub at: String,
}

/// Reads a consumer.
pub fn read<'n>(draft: &mut Draft<'_>, entities: &mut Entities<'n>, at: &At<'n>) {
    let Some(mut fields) = at.object(draft) else { return };
    let has_both = fields.has("username");
    if let Some(custom) = fields.take(&["custom_id"]).filter(|_| has_both) {
        let why = "an application has one id, which is the username";
        let instead = "look the username up where the upstream has used x-consumer-custom-id";
        draft.tally(custom.spot(), &custom.path, "custom ids of consumers", why, instead);
    }
    let mut again = at.fields();
    let names = again.as_mut().map_or_else(Vec::new, |fields| names(draft, fields, &["username", "custom_id", "id"]));
    fields.ignore(&["username"]);
    let Some(name) = names.first().cloned() else {
        at.refuse(draft, "a consumer with a username, a custom_id or an id");
        return;
    };
    if entities.by_name.contains_key(&name) {
        at.refuse(draft, "a consumer of another name; this one is there already and is left out");
        return;
    }
    let mut consumer = Consumer { names, keys: Vec::new(), groups: Vec::new(), spot: at.spot(), at: at.path.clone() };
    for list in CREDENTIALS {
        for at in fields.list(draft, &[list]) {
            credential(draft, &mut consumer, list, &at);
        }
    }
    for at in fields.list(draft, &["groups"]) {
        if let Some(group) = reference(draft, &at) {
            entities.members.entry(name.clone()).or_default().push(group);
        }
    }
    let scope = Scope { consumer: Some(name), ..Scope::default() };
    entities.plugins(draft, &mut fields, &scope);
    lose_labels(draft, &mut fields);
    fields.lose_rest(draft, "the converter does not know it", "look it up in Kong's reference of consumers");
    for name in &consumer.names {
        entities.by_name.entry(name.clone()).or_insert(entities.consumers.len());
    }
    entities.consumers.push(consumer);
}

/// Reads a credential that stands beside the consumers and names one.
pub fn read_flat(draft: &mut Draft<'_>, entities: &mut Entities<'_>, list: &str, at: &At<'_>) {
    let name = at.fields().and_then(|mut fields| fields.take(&["consumer"]));
    let name = name.and_then(|at| reference(draft, &at));
    let place = name.and_then(|name| entities.by_name.get(&name).copied());
    match place.and_then(|place| entities.consumers.get_mut(place)) {
        Some(consumer) => credential(draft, consumer, list, at),
        None => at.refuse(draft, "a consumer that is in the file"),
    }
}

fn credential(draft: &mut Draft<'_>, consumer: &mut Consumer, list: &str, at: &At<'_>) {
    match list {
        "keyauth_credentials" => consumer.keys.extend(read_key(draft, at)),
        "acls" => {
            let Some(mut fields) = at.object(draft) else { return };
            match fields.text(draft, &["group"]) {
                Some(group) => consumer.groups.push(group.to_owned()),
                None => at.refuse(draft, "a group"),
            }
            finish(draft, fields);
        }
        _ => {
            let name = consumer.names.first().map(|name| shown(name)).unwrap_or_default();
            let what = format!("{list} of the consumer {name}");
            let instead = "issue a key for the application, or check these credentials by a filter of Envoy";
            at.lose(draft, what, "keygate knows keys only", instead);
        }
    }
}

fn finish(draft: &mut Draft<'_>, mut fields: Object<'_>) {
    fields.ignore(&["consumer"]);
    lose_labels(draft, &mut fields);
    fields.lose_rest(draft, "the converter does not know it", "look it up in Kong's reference of credentials");
}

fn read_key(draft: &mut Draft<'_>, at: &At<'_>) -> Option<ConsumerKey> {
    let mut fields = at.object(draft)?;
    let key = fields.take(&["key"]);
    let id = fields.text(draft, &["id"]).map(str::to_owned);
    let ttl = fields.take(&["ttl"]);
    finish(draft, fields);
    let seconds = match ttl {
        // Without its end the key would be valid for ever.
        Some(at) => Some((at.number(draft)?, at)).filter(|(ttl, _)| *ttl > 0),
        None => None,
    };
    let Some(key) = key else {
        at.refuse(draft, "a key; without one Kong draws it, and the file does not say it");
        return None;
    };
    let text = key.text(draft)?;
    if REFERENCES.iter().any(|reference| text.trim_start().starts_with(reference)) {
        let expected = "the key itself: write the file with the values in place, as deck file render does";
        draft.refuse(key.spot(), &key.path, "a reference to a secret in place of the key", expected);
        return None;
    }
    let expires_at = seconds.map(|(ttl, at)| {
        let why = "Kong writes the seconds that are left, not when the file was written";
        draft.tally(
            at.spot(),
            &at.path,
            "ttl of keys counts from this conversion",
            why,
            "set expires_at if it is known",
        );
        draft.options.now.saturating_add(i64::try_from(ttl).unwrap_or(i64::MAX))
    });
    match key::digest(text) {
        Ok(digest) => Some(ConsumerKey { digest, id, expires_at, spot: key.spot(), at: key.path.clone() }),
        Err(invalid) => {
            draft.refuse(key.spot(), &key.path, invalid.found(), &invalid.expected());
            None
        }
    }
}
