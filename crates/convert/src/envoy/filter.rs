//! The filter's configuration and a route's override of it.

use std::collections::{BTreeMap, BTreeSet};

use keygate::digest::Digest;

use crate::{
    draft::Draft,
    finding::{Spot, shown},
    key,
    plugin::Source,
    yaml::{At, Object},
};

/// A key of a client.
#[derive(Clone, Debug)]
pub struct Credential {
    pub client: String,
    pub spot: Spot,
    pub path: String,
}

/// How an allowed request is handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding {
    pub header: Option<String>,
    pub hides_credential: bool,
}

/// A configuration or an override: what it says, each part of which may be absent.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    /// By digest.
    pub credentials: Option<BTreeMap<Digest, Credential>>,
    pub sources: Option<Vec<Source>>,
    pub forwarding: Option<Forwarding>,
    /// The clients that a route allows; none are named: all.
    pub allowed: BTreeSet<String>,
}

impl Auth {
    /// Reads the filter's configuration.
    pub fn read(draft: &mut Draft<'_>, mut fields: Object<'_>) -> Self {
        let auth = Self::read_common(draft, &mut fields);
        fields.ignore(&["@type"]);
        lose_rest(draft, fields);
        auth
    }

    /// Reads an override.
    pub fn read_override(draft: &mut Draft<'_>, mut fields: Object<'_>) -> Self {
        let mut auth = Self::read_common(draft, &mut fields);
        let allowed = fields.texts(draft, &["allowed_clients", "allowedClients"]).unwrap_or_default();
        auth.allowed = allowed.into_iter().map(str::to_owned).collect();
        fields.ignore(&["@type"]);
        lose_rest(draft, fields);
        auth
    }

    fn read_common(draft: &mut Draft<'_>, fields: &mut Object<'_>) -> Self {
        let credentials = fields.list(draft, &["credentials"]);
        let sources = fields.list(draft, &["key_sources", "keySources"]);
        let forwarding = fields.take(&["forwarding"]).and_then(|at| at.object(draft));
        Self {
            // Empty lists count as absent.
            credentials: (!credentials.is_empty()).then(|| read_credentials(draft, &credentials)),
            sources: (!sources.is_empty()).then(|| read_sources(draft, &sources)),
            forwarding: forwarding.map(|fields| read_forwarding(draft, fields)),
            allowed: BTreeSet::new(),
        }
    }
}

fn lose_rest(draft: &mut Draft<'_>, fields: Object<'_>) {
    fields.lose_rest(draft, "the converter does not know it", "look it up in Envoy's reference of api_key_auth");
}

fn read_credentials(draft: &mut Draft<'_>, items: &[At<'_>]) -> BTreeMap<Digest, Credential> {
    let mut found: BTreeMap<Digest, Credential> = BTreeMap::new();
    let mut refused = BTreeSet::new();
    for item in items {
        let Some(mut fields) = item.object(draft) else { continue };
        let key = fields.take(&["key"]);
        let client = fields.take(&["client"]);
        lose_rest(draft, fields);
        let (Some(key), Some(client)) = (key, client) else {
            item.refuse(draft, "key and client, both of them texts with a character");
            continue;
        };
        let (Some(text), Some(client)) = (key.text(draft), client.text(draft)) else { continue };
        let digest = match key::digest(text) {
            Ok(digest) => digest,
            Err(invalid) => {
                draft.refuse(key.spot(), &key.path, invalid.found(), &invalid.expected());
                continue;
            }
        };
        if let Some(first) = found.get(&digest) {
            let line = first.spot.line;
            let found = format!(
                "the key of the client {}, which is that of {} at line {line} as well",
                shown(client),
                shown(&first.client)
            );
            draft.refuse(key.spot(), &key.path, &found, "a key once, as Envoy wants it; the key is left out");
            refused.insert(digest);
            continue;
        }
        found.insert(digest, Credential { client: client.to_owned(), spot: key.spot(), path: item.path.clone() });
    }
    found.retain(|digest, _| !refused.contains(digest));
    found
}

fn read_sources(draft: &mut Draft<'_>, items: &[At<'_>]) -> Vec<Source> {
    let mut sources = Vec::new();
    for item in items {
        let Some(mut fields) = item.object(draft) else { continue };
        // Envoy takes the first of the three that is there.
        let places = [fields.take(&["header"]), fields.take(&["query"]), fields.take(&["cookie"])];
        lose_rest(draft, fields);
        let mut given = places.into_iter().enumerate().filter_map(|(number, at)| Some((number, at?)));
        let Some((number, at)) = given.next() else {
            item.refuse(draft, "one of header, query and cookie");
            continue;
        };
        for (_, at) in given {
            at.lose(
                draft,
                "a second place of one source",
                "Envoy reads only the first of header, query and cookie",
                "",
            );
        }
        let Some(name) = at.text(draft).map(str::to_owned) else { continue };
        match number {
            0 => {
                let name = name.to_lowercase();
                // Envoy cuts `Bearer ` off any header.
                sources.push(Source::Scheme(name.clone(), "Bearer"));
                sources.push(Source::Header(name));
            }
            1 => sources.push(Source::Query(name)),
            _ => sources.push(Source::Cookie(name)),
        }
    }
    sources
}

fn read_forwarding(draft: &mut Draft<'_>, mut fields: Object<'_>) -> Forwarding {
    let header = fields.text(draft, &["header"]).filter(|header| !header.is_empty()).map(str::to_lowercase);
    let hides_credential = fields.truth(draft, &["hide_credentials", "hideCredentials"]).unwrap_or_default();
    lose_rest(draft, fields);
    Forwarding { header, hides_credential }
}
