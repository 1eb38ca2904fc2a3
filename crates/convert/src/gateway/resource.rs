//! A Kubernetes resource: what it is and what it is called.

use super::NAMESPACE;
use crate::{
    draft::Draft,
    yaml::{At, Object},
};

/// A resource, with the fields beside its metadata.
pub struct Resource<'n> {
    pub group: String,
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub at: At<'n>,
    pub fields: Object<'n>,
}

impl<'n> Resource<'n> {
    /// The resources of a document, those of a List one by one.
    pub fn all(draft: &mut Draft<'_>, at: &At<'n>, found: &mut Vec<Self>) {
        let Some(mut fields) = at.object(draft) else { return };
        let version = fields.text(draft, &["apiVersion"]).unwrap_or_default();
        let kind = fields.text(draft, &["kind"]).unwrap_or_default();
        if version == "v1" && kind == "List" || kind.ends_with("List") && fields.has("items") {
            for item in fields.list(draft, &["items"]) {
                Self::all(draft, &item, found);
            }
            return;
        }
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let (mut name, mut namespace) = (String::new(), NAMESPACE.to_owned());
        if let Some(mut metadata) = fields.take(&["metadata"]).and_then(|at| at.object(draft)) {
            metadata.text(draft, &["name"]).unwrap_or_default().clone_into(&mut name);
            if let Some(given) = metadata.text(draft, &["namespace"]) {
                given.clone_into(&mut namespace);
            }
        }
        let (group, kind) = (group.to_owned(), kind.to_owned());
        found.push(Self { group, kind, namespace, name, at: at.clone(), fields });
    }
}
