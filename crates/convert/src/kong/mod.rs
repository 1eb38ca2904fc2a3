//! Kong's decK files: services, routes, consumers with their keys and groups, and the plugins that decide about them.
//!
//! A service becomes an API, and so does a route that has rules of its own. Consumers become applications, subscribed to
//! the APIs that their ACL groups open, with the limits of the rate limiting plugins as plans.

mod consumer;
mod entities;
mod limits;
mod rules;
mod service;
mod write;

use self::entities::Entities;
use crate::{
    Input,
    draft::Draft,
    finding::Error,
    yaml::{self, At},
};

/// Reads all files into the draft.
pub fn read(draft: &mut Draft<'_>, inputs: &[Input]) -> Result<(), Vec<Error>> {
    let mut documents = Vec::new();
    for input in inputs {
        let file = draft.open(&input.name);
        documents.extend(yaml::documents(draft, file, &input.bytes)?.into_iter().map(|node| (file, node)));
    }
    let mut entities = Entities::default();
    for (file, node) in &documents {
        entities.read(draft, &At::root(node, *file))?;
    }
    if entities.is_empty() && draft.errors.is_empty() {
        let expected = "a file of decK with services and consumers";
        return Err(vec![draft.error_at(Default::default(), "", "neither services, routes nor consumers", expected)]);
    }
    write::write(draft, &entities)
}
