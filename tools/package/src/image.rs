//! An image in the OCI layout: one manifest with one layer. It knows nothing of what the layer holds.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::archive::{Tree, gzip};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What an image says of itself. Each pair is a label of the image and an annotation of its manifest.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// An image that is to be written.
pub struct Image<'a> {
    pub layer: Tree,
    /// The processor, by the name that Go has for it.
    pub architecture: &'a str,
    /// The member `config` of the image's configuration: how it is run. An object.
    pub run: Map<String, Value>,
    pub labels: Labels<'a>,
    /// The tag in the layout.
    pub tag: &'a str,
}

/// A layout as one file, and its names.
pub struct Layout {
    pub tar: Vec<u8>,
    /// `sha256:…` of the manifest, by which a registry knows the image.
    pub digest: String,
}

impl Image<'_> {
    pub fn layout(self) -> Result<Layout, String> {
        let tar = self.layer.tar()?;
        let layer = gzip(&tar)?;
        let labels: Map<String, Value> =
            self.labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let mut run = self.run;
        run.insert("Labels".to_owned(), Value::Object(labels.clone()));
        let config = text(&json!({
            "architecture": self.architecture,
            "config": run,
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [digest(&tar)]},
        }));
        let manifest = text(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &config),
            "layers": [descriptor(LAYER, &layer)],
            "annotations": labels,
        }));
        let mut named = descriptor(MANIFEST, &manifest);
        if let Some(named) = named.as_object_mut() {
            named.insert("annotations".to_owned(), json!({"org.opencontainers.image.ref.name": self.tag}));
        }
        let index = text(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]}));

        let mut files = Tree::default();
        files.file("oci-layout", 0o644, text(&json!({"imageLayoutVersion": "1.0.0"})));
        files.file("index.json", 0o644, index);
        let digest_of_manifest = digest(&manifest);
        for blob in [config, manifest, layer] {
            files.file(format!("blobs/sha256/{}", hex(&blob)), 0o644, blob);
        }
        Ok(Layout { tar: files.with_parents().tar()?, digest: digest_of_manifest })
    }
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(blob), "size": blob.len()})
}

/// `sha256:…` of `bytes`.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

/// The SHA-256 of `bytes`, in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A document as text, with the names of each object sorted, whichever features serde_json was built with.
pub fn text(document: &Value) -> Vec<u8> {
    sorted(document).to_string().into_bytes()
}

/// `value` with the names of each object sorted.
pub fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "only test code: a panic is how it reports")]
mod tests {
    use std::{collections::BTreeMap, io::Read as _};

    use flate2::read::GzDecoder;

    use super::*;

    fn unpacked(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(tar);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.path().unwrap().display().to_string(), bytes)
        });
        entries.collect()
    }

    fn image() -> Layout {
        let mut layer = Tree::default();
        layer.file("plugin.wasm", 0o644, b"\0asm".as_slice());
        let labels = [("org.opencontainers.image.version", "1.2.3"), ("org.opencontainers.image.title", "a")];
        Image { layer, architecture: "amd64", run: Map::new(), labels: &labels, tag: "1.2.3" }.layout().unwrap()
    }

    /// The blob that a descriptor names, whose digest and size must be true.
    fn blob(files: &BTreeMap<String, Vec<u8>>, descriptor: &Value) -> Vec<u8> {
        let named = descriptor["digest"].as_str().unwrap();
        let blob = &files[&format!("blobs/{}", named.replace(':', "/"))];
        assert_eq!(digest(blob), named);
        assert_eq!(u64::try_from(blob.len()).unwrap(), descriptor["size"].as_u64().unwrap());
        blob.clone()
    }

    #[test]
    fn every_descriptor_is_true_down_to_the_file_in_the_layer() {
        let layout = image();
        let files = unpacked(&layout.tar);
        let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        assert_eq!(parsed(&files["oci-layout"]), json!({"imageLayoutVersion": "1.0.0"}));
        let index = parsed(&files["index.json"]);
        assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
        assert_eq!(index["manifests"][0]["digest"], layout.digest.as_str());
        let manifest = parsed(&blob(&files, &index["manifests"][0]));
        assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
        assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
        let config = parsed(&blob(&files, &manifest["config"]));
        let mut tar = Vec::new();
        GzDecoder::new(blob(&files, &manifest["layers"][0]).as_slice()).read_to_end(&mut tar).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"], json!([digest(&tar)]));
        assert_eq!(unpacked(&tar), BTreeMap::from([("plugin.wasm".to_owned(), b"\0asm".to_vec())]));
        for labels in [&manifest["annotations"], &config["config"]["Labels"]] {
            assert_eq!(labels["org.opencontainers.image.version"], "1.2.3");
        }
        // Beside the documents and their blobs there is nothing.
        assert_eq!(files.keys().filter(|path| !path.ends_with('/')).count(), 5);
    }

    #[test]
    fn the_same_content_is_the_same_layout_to_the_byte() {
        let (one, other) = (image(), image());
        assert_eq!(one.tar, other.tar);
        assert_eq!(one.digest, other.digest);
    }

    #[test]
    fn names_are_sorted_at_every_depth() {
        let document: Value = serde_json::from_str(r#"{"b": [{"d": 1, "c": 2}], "a": {"z": 0, "y": null}}"#).unwrap();
        assert_eq!(text(&document), br#"{"a":{"y":null,"z":0},"b":[{"c":2,"d":1}]}"#);
    }
}
