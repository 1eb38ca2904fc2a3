//! Secrets: a client's id and its key in each entry.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use keygate::digest::Digest;

use super::resource::Resource;
use crate::{
    draft::Draft,
    finding::{Spot, shown},
    key,
    yaml::At,
};

/// The key of a client.
#[derive(Clone)]
pub struct ClientKey {
    pub digest: Digest,
    pub spot: Spot,
    pub path: String,
}

/// The Secrets of all files, by namespace and name. Only those that a policy names are read: a cluster has many others.
#[derive(Default)]
pub struct Secrets<'n> {
    found: BTreeMap<(String, String), Vec<(bool, At<'n>)>>,
}

impl<'n> Secrets<'n> {
    /// Keeps a Secret. `stringData` comes before `data`, as for Kubernetes.
    pub fn add(&mut self, draft: &mut Draft<'_>, mut resource: Resource<'n>) {
        let parts = [false, true].map(|is_data| {
            let name = if is_data { "data" } else { "stringData" };
            resource.fields.take(&[name]).map(|at| (is_data, at))
        });
        let name = (resource.namespace, resource.name);
        if self.found.contains_key(&name) {
            let found = format!("the Secret {} again", shown(&format!("{}/{}", name.0, name.1)));
            draft.refuse(resource.at.spot(), &resource.at.path, &found, "each Secret once; this one is left out");
            return;
        }
        self.found.insert(name, parts.into_iter().flatten().collect());
    }

    /// Reads the clients of a Secret.
    pub fn read(&self, draft: &mut Draft<'_>, namespace: &str, name: &str) -> Option<Vec<(String, ClientKey)>> {
        let parts = self.found.get(&(namespace.to_owned(), name.to_owned()))?;
        let mut clients: Vec<(String, ClientKey)> = Vec::new();
        let mut known = BTreeSet::new();
        for (is_data, at) in parts {
            let Some(mut fields) = at.object(draft) else { continue };
            for (client, at) in fields.rest() {
                if !known.insert(client) {
                    continue;
                }
                let Some(text) = at.text(draft) else { continue };
                let key = if *is_data { decoded(draft, &at, text) } else { Some(text.to_owned()) };
                match key.map(|key| key::digest(&key)) {
                    Some(Ok(digest)) => {
                        let key = ClientKey { digest, spot: at.spot(), path: at.path.clone() };
                        clients.push((client.to_owned(), key));
                    }
                    Some(Err(invalid)) => draft.refuse(at.spot(), &at.path, invalid.found(), &invalid.expected()),
                    None => {}
                }
            }
        }
        Some(clients)
    }
}

fn decoded(draft: &mut Draft<'_>, at: &At<'_>, text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    let key = STANDARD.decode(plain).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    if key.is_none() {
        let found = format!("a text of {} bytes that is not base64 of UTF-8", text.len());
        draft.refuse(at.spot(), &at.path, &found, "base64 under data, or the key itself under stringData");
    }
    key
}
