//! HTTPRoutes and GRPCRoutes: hosts and paths, and the Gateways that serve them.

use super::{NAMESPACE, resource::Resource};
use crate::{
    draft::Draft,
    finding::Spot,
    routes::PathOf,
    yaml::{At, Object},
};

/// A route.
pub struct Found {
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// The namespaces and names of its Gateways.
    pub gateways: Vec<(String, String)>,
    pub hosts: Option<Vec<String>>,
    pub rules: Vec<Rule>,
    pub spot: Spot,
    pub at: String,
}

/// A rule of a route.
pub struct Rule {
    pub name: Option<String>,
    /// Each with whether it takes only requests with a method or a header.
    pub paths: Vec<(PathOf, bool)>,
}

/// All routes.
#[derive(Default)]
pub struct Routes {
    pub found: Vec<Found>,
}

impl Routes {
    /// Reads a route.
    pub fn read(&mut self, draft: &mut Draft<'_>, mut resource: Resource<'_>) {
        let spec = resource.fields.take(&["spec"]).and_then(|at| at.object(draft));
        let Some(mut spec) = spec else { return };
        let mut gateways = Vec::new();
        for at in spec.list(draft, &["parentRefs"]) {
            let Some(mut fields) = at.object(draft) else { continue };
            let kind = fields.text(draft, &["kind"]).unwrap_or("Gateway");
            let namespace = fields.text(draft, &["namespace"]).unwrap_or(&resource.namespace).to_owned();
            let name = fields.text(draft, &["name"]).filter(|_| kind == "Gateway");
            gateways.extend(name.map(|name| (namespace, name.to_owned())));
        }
        let hosts = spec.texts(draft, &["hostnames"]).map(|hosts| hosts.into_iter().map(str::to_owned).collect());
        let is_grpc = resource.kind == "GRPCRoute";
        let mut rules = Vec::new();
        for at in spec.list(draft, &["rules"]) {
            let Some(mut fields) = at.object(draft) else { continue };
            let name = fields.text(draft, &["name"]).map(str::to_owned);
            let matches = fields.list(draft, &["matches"]);
            let mut paths: Vec<_> = matches.iter().map(|at| path_of(draft, at, is_grpc)).collect();
            if paths.is_empty() {
                paths.push((PathOf::Segments("/".to_owned()), false));
            }
            rules.push(Rule { name, paths });
        }
        let Resource { kind, namespace, name, at, .. } = resource;
        self.found.push(Found { kind, namespace, name, gateways, hosts, rules, spot: at.spot(), at: at.path });
    }
}

fn path_of(draft: &mut Draft<'_>, at: &At<'_>, is_grpc: bool) -> (PathOf, bool) {
    let Some(mut fields) = at.object(draft) else { return (PathOf::Other, false) };
    let path = if is_grpc { of_method(draft, &mut fields) } else { of_path(draft, &mut fields) };
    (path, !fields.rest().is_empty())
}

fn of_path(draft: &mut Draft<'_>, fields: &mut Object<'_>) -> PathOf {
    let Some(mut fields) = fields.take(&["path"]).and_then(|at| at.object(draft)) else {
        return PathOf::Segments("/".to_owned());
    };
    let kind = fields.text(draft, &["type"]).unwrap_or("PathPrefix");
    let value = fields.text(draft, &["value"]).unwrap_or("/").to_owned();
    match kind {
        "PathPrefix" => PathOf::Segments(value),
        "Exact" => PathOf::Exact(value),
        _ => PathOf::Other,
    }
}

fn of_method(draft: &mut Draft<'_>, fields: &mut Object<'_>) -> PathOf {
    let Some(mut fields) = fields.take(&["method"]).and_then(|at| at.object(draft)) else {
        return PathOf::Segments("/".to_owned());
    };
    let kind = fields.text(draft, &["type"]).unwrap_or("Exact");
    let (service, method) = (fields.text(draft, &["service"]), fields.text(draft, &["method"]));
    match (kind, service, method) {
        ("Exact", Some(service), Some(method)) => PathOf::Exact(format!("/{service}/{method}")),
        ("Exact", Some(service), None) => PathOf::Segments(format!("/{service}")),
        _ => PathOf::Other,
    }
}

/// The namespace and name, as they are written.
pub fn full_name(namespace: &str, name: &str) -> String {
    let namespace = if namespace.is_empty() { NAMESPACE } else { namespace };
    format!("{namespace}/{name}")
}
