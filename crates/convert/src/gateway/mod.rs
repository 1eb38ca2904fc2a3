//! Envoy Gateway: a SecurityPolicy with `apiKeyAuth`, its Secrets, and the routes that it is attached to.
//!
//! Clients become applications. The requests that one policy decides become one API for each of its targets: a route, a
//! rule of a route, or a Gateway. The other resources of the files are not read.

mod policy;
mod resource;
mod route;
mod secret;
mod write;

use self::{policy::Policy, resource::Resource, route::Routes, secret::Secrets};
use crate::{
    Input,
    draft::Draft,
    finding::Error,
    yaml::{self, At},
};

/// The group of a SecurityPolicy.
const GROUP: &str = "gateway.envoyproxy.io";
/// The group of routes and Gateways.
const ROUTES: &str = "gateway.networking.k8s.io";
/// The namespace of what names none.
const NAMESPACE: &str = "default";

/// Reads all files into the draft.
pub fn read(draft: &mut Draft<'_>, inputs: &[Input]) -> Result<(), Vec<Error>> {
    let mut documents = Vec::new();
    for input in inputs {
        let file = draft.open(&input.name);
        documents.extend(yaml::documents(draft, file, &input.bytes)?.into_iter().map(|node| (file, node)));
    }
    let mut resources = Vec::new();
    for (file, node) in &documents {
        Resource::all(draft, &At::root(node, *file), &mut resources);
    }
    let (mut policies, mut secrets, mut routes) = (Vec::new(), Secrets::default(), Routes::default());
    let mut first = None;
    for resource in resources {
        first = first.or_else(|| Some(resource.at.spot()));
        match (resource.group.as_str(), resource.kind.as_str()) {
            (GROUP, "SecurityPolicy") => policies.extend(Policy::read(draft, resource)),
            ("", "Secret") => secrets.add(draft, resource),
            (ROUTES, "HTTPRoute" | "GRPCRoute") => routes.read(draft, resource),
            _ => {}
        }
        draft.check_room()?;
    }
    if policies.is_empty() && draft.errors.is_empty() {
        let spot = first.unwrap_or_default();
        let expected = "a SecurityPolicy of gateway.envoyproxy.io with apiKeyAuth, its Secrets and routes";
        return Err(vec![draft.error_at(spot, "", "no SecurityPolicy with apiKeyAuth", expected)]);
    }
    write::write(draft, policies, &secrets, &routes)
}
