//! Envoy's native `api_key_auth`: the filter in a bootstrap, a listener, a route configuration, or alone.
//!
//! Clients become applications. The routes on which the same clients are allowed become one API; without overrides it
//! is all of the connection manager's routes. What else is in the files stays in Envoy as it is, so it is no loss.

mod filter;
mod manager;
mod write;

use self::{filter::Auth, manager::Manager};
use crate::{
    Input, Options,
    draft::Draft,
    finding::Error,
    yaml::{self, At, Node, Value},
};

/// The end of the type of the filter's configuration.
const FILTER: &str = "api_key_auth.v3.ApiKeyAuth";
/// The end of the type of a route's override.
const OVERRIDE: &str = "api_key_auth.v3.ApiKeyAuthPerRoute";
/// The end of the type of a wrapper around any override.
const WRAPPER: &str = "config.route.v3.FilterConfig";

/// Reads all files into the draft.
pub fn read(draft: &mut Draft<'_>, inputs: &[Input], options: &Options) -> Result<(), Vec<Error>> {
    let mut documents = Vec::new();
    for input in inputs {
        let file = draft.open(&input.name);
        documents.extend(yaml::documents(draft, file, &input.bytes)?.into_iter().map(|node| (file, node)));
    }
    let mut found = Found::default();
    for (file, node) in &documents {
        found.look(At::root(node, *file));
    }
    if found.managers.is_empty() && found.alone.is_empty() {
        let spot = documents.first().map(|(file, node)| At::root(node, *file).spot()).unwrap_or_default();
        let expected = "http_filters with a filter of type envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth, or \
                        its credentials and key_sources alone";
        return Err(vec![draft.error_at(spot, "", "no api_key_auth", expected)]);
    }
    let mut managers = Vec::new();
    for at in &found.managers {
        managers.extend(Manager::read(draft, at, &found.routes));
        draft.check_room()?;
    }
    for at in &found.alone {
        let Some(fields) = at.object(draft) else { continue };
        let auth = Auth::read(draft, fields);
        managers.push(Manager::alone(at, auth));
    }
    write::write(draft, managers, options.api.as_deref())
}

/// What the files hold.
#[derive(Default)]
struct Found<'n> {
    /// Connection managers with the filter.
    managers: Vec<At<'n>>,
    /// Route configurations that are not part of a connection manager.
    routes: Vec<At<'n>>,
    /// Filters without a connection manager.
    alone: Vec<At<'n>>,
}

impl<'n> Found<'n> {
    fn look(&mut self, at: At<'n>) {
        match &at.node.value {
            Value::Text { .. } => {}
            Value::List(items) => {
                for (number, node) in items.iter().enumerate() {
                    self.look(at.item(number, node));
                }
            }
            Value::Map(_) if has(at.node, &["http_filters", "httpFilters"]) => {
                if holds_filter(at.node) {
                    self.managers.push(at);
                }
            }
            Value::Map(_) if has(at.node, &["virtual_hosts", "virtualHosts"]) => self.routes.push(at),
            Value::Map(_) if is_filter(at.node, at.path.is_empty()) => self.alone.push(at),
            Value::Map(_) => {
                let Some(mut fields) = at.fields() else { return };
                for (_, at) in fields.rest() {
                    self.look(at);
                }
            }
        }
    }
}

fn has(node: &Node, names: &[&str]) -> bool {
    matches!(&node.value, Value::Map(entries) if entries.iter().any(|entry| names.contains(&entry.name.as_str())))
}

/// Whether an object has this type.
fn is_of(node: &Node, kind: &str) -> bool {
    let Value::Map(entries) = &node.value else { return false };
    let found = entries.iter().find(|entry| entry.name == "@type");
    matches!(found.map(|entry| &entry.value.value), Some(Value::Text { text, .. }) if text.ends_with(kind))
}

/// Whether it is the filter's configuration. Only a whole document may leave its type out.
fn is_filter(node: &Node, is_root: bool) -> bool {
    is_of(node, FILTER)
        || is_root && has(node, &["credentials"]) && has(node, &["key_sources", "keySources"]) && !has(node, &["@type"])
}

/// Whether the filter is anywhere in it.
fn holds_filter(node: &Node) -> bool {
    match &node.value {
        Value::Text { .. } => false,
        Value::List(items) => items.iter().any(holds_filter),
        Value::Map(entries) => {
            is_of(node, FILTER) || is_of(node, OVERRIDE) || entries.iter().any(|entry| holds_filter(&entry.value))
        }
    }
}
