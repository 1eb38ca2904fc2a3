//! The shipped manifests as data, and what a test changes in them: addresses, ports, digests. Everything else reaches the
//! control plane as it is shipped.

use std::{fs, path::Path};

use keygate_e2e::artifacts;
use serde_json::Value;

/// All documents of the files `envoy/<name>.yaml`.
pub struct Manifests(pub Vec<Value>);

impl Manifests {
    pub fn read(names: &[&str]) -> Self {
        let mut found = Vec::new();
        for name in names {
            let text = fs::read_to_string(artifacts::root().join(format!("envoy/{name}.yaml"))).unwrap();
            found.extend(Self::parse(&text).0);
        }
        Self(found)
    }

    pub fn parse(text: &str) -> Self {
        let documents = serde_norway::Deserializer::from_str(text);
        Self(documents.map(|document| serde::Deserialize::deserialize(document).unwrap()).collect())
    }

    /// The resource with this kind and name.
    pub fn get(&mut self, kind: &str, name: &str) -> &mut Value {
        let found = self.0.iter_mut().find(|document| document["kind"] == kind && document["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind}/{name}"))
    }

    /// Replaces a value that must exist.
    pub fn set(&mut self, kind: &str, name: &str, pointer: &str, value: Value) -> &mut Self {
        let place = self.get(kind, name).pointer_mut(pointer);
        *place.unwrap_or_else(|| panic!("{kind}/{name} has no {pointer}")) = value;
        self
    }

    /// Adds a field to an object that must exist.
    pub fn add(&mut self, kind: &str, name: &str, pointer: &str, field: &str, value: Value) -> &mut Self {
        let place = self.get(kind, name).pointer_mut(pointer).and_then(Value::as_object_mut);
        place.unwrap_or_else(|| panic!("{kind}/{name} has no object {pointer}")).insert(field.to_owned(), value);
        self
    }

    /// Removes a field that must exist.
    pub fn remove(&mut self, kind: &str, name: &str, pointer: &str, field: &str) -> &mut Self {
        let place = self.get(kind, name).pointer_mut(pointer).and_then(Value::as_object_mut);
        let removed = place.and_then(|place| place.remove(field));
        assert!(removed.is_some(), "{kind}/{name} has no {pointer}/{field}");
        self
    }

    /// Replaces a part of a text, which must occur once in it.
    pub fn replace(&mut self, kind: &str, name: &str, pointer: &str, from: &str, to: &str) -> &mut Self {
        let text = self.get(kind, name).pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        assert_eq!(text.matches(from).count(), 1, "{kind}/{name} {pointer}: {from}");
        self.set(kind, name, pointer, text.replace(from, to).into())
    }

    pub fn push(&mut self, document: Value) -> &mut Self {
        self.0.push(document);
        self
    }

    /// Writes all documents to one file, at once, as the API server would keep them.
    pub fn write(&self, file: &Path) {
        let documents: Vec<_> = self.0.iter().map(Value::to_string).collect();
        // In the folder above, because the control plane reads every file of the folder itself.
        let new = file.parent().unwrap().with_extension("new");
        fs::write(&new, documents.join("\n---\n")).unwrap();
        fs::rename(new, file).unwrap();
    }
}
