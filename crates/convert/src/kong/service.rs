//! Services and routes.

use super::entities::{Entities, Scope, lose_labels, reference};
use crate::{
    draft::Draft,
    finding::Spot,
    routes::PathOf,
    yaml::{At, Object},
};

/// A service.
pub struct Service {
    /// Its name and its id, the first of which is shown.
    pub names: Vec<String>,
    pub is_enabled: bool,
    pub spot: Spot,
    pub at: String,
}

/// A route.
pub struct Route {
    pub names: Vec<String>,
    /// A name of its service.
    pub service: Option<String>,
    pub hosts: Option<Vec<String>>,
    pub paths: Vec<PathOf>,
    /// It has methods, headers or other conditions.
    pub has_conditions: bool,
    pub spot: Spot,
    pub at: String,
}

/// The names by which others refer to an entity.
pub fn names(draft: &mut Draft<'_>, fields: &mut Object<'_>, of: &[&str]) -> Vec<String> {
    of.iter().filter_map(|name| fields.text(draft, &[name])).map(str::to_owned).collect()
}

/// Reads a service with its routes.
pub fn read<'n>(draft: &mut Draft<'_>, entities: &mut Entities<'n>, at: &At<'n>) {
    let Some(mut fields) = at.object(draft) else { return };
    let names = names(draft, &mut fields, &["name", "id"]);
    let Some(name) = names.first().cloned() else {
        at.refuse(draft, "a service with a name or an id");
        return;
    };
    if entities.services.iter().any(|held| held.names.contains(&name)) {
        at.refuse(draft, "a service of another name; this one is there already");
        return;
    }
    let is_enabled = fields.truth(draft, &["enabled"]).unwrap_or(true);
    for route in fields.list(draft, &["routes"]) {
        read_route(draft, entities, &route, Some(&name));
    }
    let scope = Scope { service: Some(name), ..Scope::default() };
    entities.plugins(draft, &mut fields, &scope);
    lose_labels(draft, &mut fields);
    // Where it is and how it is reached is for Envoy's clusters to say.
    for (_, at) in fields.rest() {
        let instead = "say it in Envoy's cluster or route";
        draft.tally(at.spot(), &at.path, "how a service is reached", "keygate does not route requests", instead);
    }
    entities.services.push(Service { names, is_enabled, spot: at.spot(), at: at.path.clone() });
}

/// Reads a route of a service, or one that stands alone.
pub fn read_route<'n>(draft: &mut Draft<'_>, entities: &mut Entities<'n>, at: &At<'n>, service: Option<&str>) {
    let Some(mut fields) = at.object(draft) else { return };
    let names = names(draft, &mut fields, &["name", "id"]);
    let service = match fields.take(&["service"]) {
        Some(at) => reference(draft, &at),
        None => service.map(str::to_owned),
    };
    let hosts = fields.texts(draft, &["hosts"]).filter(|hosts| !hosts.is_empty());
    let hosts = hosts.map(|hosts| hosts.into_iter().map(str::to_owned).collect());
    let paths = fields.texts(draft, &["paths"]).unwrap_or_default();
    let of = |path: &str| match path.starts_with('~') {
        true => PathOf::Other,
        false => PathOf::Prefix(path.to_owned()),
    };
    let mut paths: Vec<PathOf> = paths.into_iter().map(of).collect();
    if fields.take(&["expression"]).is_some() {
        paths = vec![PathOf::Other];
    }
    if paths.is_empty() {
        paths.push(PathOf::Prefix("/".to_owned()));
    }
    let mut has_conditions = false;
    for name in ["methods", "headers", "snis", "sources", "destinations"] {
        has_conditions |= fields.take(&[name]).is_some();
    }
    // A route without a name is known by its place.
    let label = names.first().cloned().unwrap_or_else(|| at.path.clone());
    let scope = Scope { route: Some(label.clone()), service: service.clone(), ..Scope::default() };
    entities.plugins(draft, &mut fields, &scope);
    lose_labels(draft, &mut fields);
    for (_, at) in fields.rest() {
        let instead = "say it in Envoy's route";
        draft.tally(at.spot(), &at.path, "how a route hands requests on", "keygate does not route requests", instead);
    }
    let names = if names.is_empty() { vec![label] } else { names };
    entities.routes.push(Route { names, service, hosts, paths, has_conditions, spot: at.spot(), at: at.path.clone() });
}
