//! Reads the manifests of `envoy/kubernetes`, `envoy/gateway` and `envoy/istio`, for tests that check them. The tests
//! say what the manifests must contain.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only test code, of which each test uses a part: a panic is how it reports"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The folders with manifests.
pub const FOLDERS: [&str; 3] = ["envoy/kubernetes", "envoy/gateway", "envoy/istio"];

/// One document of a YAML file.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The path of the file from the project's folder.
    pub file: String,
    pub content: Value,
}

impl Manifest {
    /// `kind/name`, as kubectl names it.
    pub fn name(&self) -> String {
        format!("{}/{}", self.text("/kind"), self.text("/metadata/name"))
    }

    /// The text at a JSON pointer, or an empty one.
    pub fn text(&self, pointer: &str) -> &str {
        self.content.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether a control plane reads it. A kustomization and the values of a chart are for programs on the way there.
    pub fn is_resource(&self) -> bool {
        !self.text("/kind").is_empty() && self.text("/kind") != "Kustomization"
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The YAML files of a folder, sorted.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    for path in &found {
        assert!(path.extension().is_some_and(|extension| extension == "yaml"), "{}: no .yaml", path.display());
    }
    found.sort();
    found
}

/// The documents of a YAML text.
pub fn parse(file: &str, text: &str) -> Vec<Manifest> {
    let documents = serde_norway::Deserializer::from_str(text)
        .map(|document| serde::Deserialize::deserialize(document).unwrap_or_else(|error| panic!("{file}: {error}")));
    documents.map(|content| Manifest { file: file.to_owned(), content }).collect()
}

/// All documents of a file, named from the project's folder.
pub fn read(file: &str) -> Vec<Manifest> {
    let text = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    parse(file, &text)
}

/// All documents of all folders.
pub fn all() -> Vec<Manifest> {
    let mut found = Vec::new();
    for path in FOLDERS.into_iter().flat_map(files) {
        found.extend(read(path.strip_prefix(root()).unwrap().to_str().unwrap()));
    }
    found
}

/// The one document of a file with this kind and name.
pub fn one(file: &str, name: &str) -> Manifest {
    let mut found: Vec<_> = read(file).into_iter().filter(|manifest| manifest.name() == name).collect();
    assert_eq!(found.len(), 1, "{file}: {name}");
    found.remove(0)
}

/// A configuration of the filter, as a manifest has it.
pub struct Plugin {
    /// The file, and which resource of it.
    pub place: String,
    pub configuration: Configuration,
    /// The environment variables that the filter gets.
    pub environment: Vec<String>,
    /// Where the module is, and the digest of its image.
    pub image: String,
    pub digest: String,
}

/// The two forms of a configuration.
pub enum Configuration {
    /// Fields of the resource. The control plane makes JSON of them.
    Fields(Value),
    /// JSON in a string, which reaches the filter as it is.
    Text(String),
}

impl Configuration {
    pub fn fields(&self) -> Value {
        match self {
            Self::Fields(value) => value.clone(),
            Self::Text(text) => serde_json::from_str(text).unwrap(),
        }
    }
}

/// All configurations of the filter in `manifests`.
pub fn plugins(manifests: &[Manifest]) -> Vec<Plugin> {
    let mut found = Vec::new();
    for manifest in manifests {
        let place = format!("{}: {}", manifest.file, manifest.name());
        let texts = |values: &Value, field: &str| -> Vec<String> {
            let values = values.as_array().into_iter().flatten();
            values
                .map(|value| if field.is_empty() { value } else { &value[field] }.as_str().unwrap().to_owned())
                .collect()
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let spec = &manifest.content["spec"];
        match manifest.text("/kind") {
            "WasmPlugin" => found.push(Plugin {
                place,
                configuration: Configuration::Fields(spec["pluginConfig"].clone()),
                environment: texts(&spec["vmConfig"]["env"], "name"),
                image: text(&spec["url"]),
                digest: text(&spec["sha256"]),
            }),
            "EnvoyExtensionPolicy" => {
                for wasm in spec["wasm"].as_array().unwrap() {
                    found.push(Plugin {
                        place: place.clone(),
                        configuration: Configuration::Fields(wasm["config"].clone()),
                        environment: texts(&wasm["env"]["hostKeys"], ""),
                        image: format!("oci://{}", text(&wasm["code"]["image"]["url"])),
                        digest: text(&wasm["code"]["image"]["sha256"]),
                    });
                }
            }
            "EnvoyFilter" => {
                for patch in spec["configPatches"].as_array().unwrap() {
                    let config = &patch["patch"]["value"]["typed_config"]["config"];
                    if patch["applyTo"] == "EXTENSION_CONFIG" {
                        let remote = &config["vm_config"]["code"]["remote"];
                        found.push(Plugin {
                            place: place.clone(),
                            configuration: Configuration::Text(text(&config["configuration"]["value"])),
                            environment: texts(&config["vm_config"]["environment_variables"]["host_env_keys"], ""),
                            image: text(&remote["http_uri"]["uri"]),
                            digest: text(&remote["sha256"]),
                        });
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// The JSON that Istio makes of fields: a protobuf Struct, so keys are sorted and all numbers are doubles, printed by
/// Go's `jsonpb`, which prints whole numbers without a fraction up to 1e21 and escapes three characters of HTML.
pub fn jsonpb(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            let fields: Vec<_> =
                sorted.into_iter().map(|(name, value)| format!("{}:{}", quoted(name), jsonpb(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(jsonpb).collect::<Vec<_>>().join(",")),
        Value::String(text) => quoted(text),
        Value::Number(number) => {
            let double = number.as_f64().unwrap();
            if double.abs() < 1e21 { format!("{double}") } else { format!("{double:e}") }
        }
        Value::Bool(_) | Value::Null => value.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let quoted = Value::String(text.to_owned()).to_string();
    quoted.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Every value in `document` whose field `name` is `value`.
pub fn with_field<'a>(document: &'a Value, name: &str, value: &str, found: &mut Vec<&'a Value>) {
    if document[name] == value {
        found.push(document);
    }
    match document {
        Value::Object(fields) => fields.values().for_each(|inner| with_field(inner, name, value, found)),
        Value::Array(values) => values.iter().for_each(|inner| with_field(inner, name, value, found)),
        _ => {}
    }
}
