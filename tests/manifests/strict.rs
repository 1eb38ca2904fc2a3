//! Validates manifests against the schemas in `tests/e2e/mesh/schemas`, in which unknown fields are errors. Rules that an
//! API server has as CEL expressions are not checked; `make e2e-mesh` runs the control planes' own validation.

use std::{collections::BTreeMap, fs, path::Path, sync::OnceLock};

use jsonschema::Validator;
use serde_json::Value;

use crate::manifests::Manifest;

/// What is wrong with a resource, or with the Envoy configuration in it. Empty if nothing is.
pub fn faults(manifest: &Manifest) -> Vec<String> {
    let place = format!("{}: {}", manifest.file, manifest.name());
    let version = manifest.text("/apiVersion");
    let (group, version) = version.split_once('/').unwrap_or(("core", version));
    let schema = format!("{group}_{}_{version}", manifest.text("/kind"));
    let Some(validator) = validators().get(&schema) else {
        return vec![format!("{place}: tests/e2e/mesh/schemas has no {schema}.json")];
    };
    let errors = validator.iter_errors(&manifest.content);
    errors.map(|error| format!("{place}: {}: {error}", error.instance_path())).collect()
}

fn validators() -> &'static BTreeMap<String, Validator> {
    static VALIDATORS: OnceLock<BTreeMap<String, Validator>> = OnceLock::new();
    VALIDATORS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/mesh/schemas");
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let schema: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
                let validator = jsonschema::options().build(&schema);
                let validator = validator.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                found.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), validator);
            }
        }
        found
    })
}
