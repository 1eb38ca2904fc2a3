//! The bill of materials in CycloneDX 1.6: the artifacts, the crates, foreign files and Debian's packages in them, and the
//! compilers.
//! It has neither a time nor a random number, so that the same release has the same bill.

use serde_json::{Value, json};

use crate::{
    crates::{Crates, Name},
    image::{sorted, text},
    vendored::Vendored,
};

const SPEC_VERSION: &str = "1.6";

/// An artifact of a release.
pub struct Artifact<'a> {
    /// The name of its file.
    pub file: String,
    /// CycloneDX's word for it.
    pub kind: &'a str,
    /// The SHA-256 of its file.
    pub sha256: String,
    pub crates: &'a Crates,
    /// Debian's packages in it.
    pub debian: &'a [Debian],
    /// What it has of others beside crates and packages.
    pub vendored: &'a [Vendored],
}

/// A Debian package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debian {
    pub name: String,
    pub version: String,
    pub architecture: String,
    pub sha256: String,
    /// `debian-12`: the distribution and its version.
    pub distribution: String,
}

impl Debian {
    /// Reads the table that `tools/base` writes.
    pub fn parse(table: &str, distribution: &str) -> Result<Vec<Self>, String> {
        let line = |line: &str| match line.split('\t').collect::<Vec<_>>().as_slice() {
            [name, version, architecture, sha256] => Ok(Self {
                name: (*name).to_owned(),
                version: (*version).to_owned(),
                architecture: (*architecture).to_owned(),
                sha256: (*sha256).to_owned(),
                distribution: distribution.to_owned(),
            }),
            _ => Err(format!("a package of Debian has four columns, not `{line}`")),
        };
        table.lines().map(line).collect()
    }

    fn purl(&self) -> String {
        let vendor = self.distribution.split('-').next().unwrap_or_default();
        let (name, version) = (encoded(&self.name), encoded(&self.version));
        format!("pkg:deb/{vendor}/{name}@{version}?arch={}&distro={}", self.architecture, self.distribution)
    }
}

/// The whole bill. `tools` are the compilers, as they name themselves.
pub fn bill(version: &str, commit: &str, artifacts: &[Artifact<'_>], tools: &[(&str, String)]) -> Vec<u8> {
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    for artifact in artifacts {
        let parts = artifact.crates.keys().map(cargo_purl).chain(artifact.debian.iter().map(Debian::purl));
        let parts = parts.chain(artifact.vendored.iter().map(|part| part.purl.clone()));
        components.push(json!({
            "type": artifact.kind, "bom-ref": artifact.file, "name": artifact.file, "version": version,
            "hashes": [{"alg": "SHA-256", "content": artifact.sha256}],
        }));
        dependencies.push(json!({"ref": artifact.file, "dependsOn": parts.collect::<Vec<_>>()}));
        components.extend(artifact.debian.iter().map(debian_component));
        components.extend(artifact.vendored.iter().map(vendored_component));
    }
    let mut crates = Crates::new();
    for (name, found) in artifacts.iter().flat_map(|artifact| artifact.crates) {
        // A crate may need less in one artifact than in another.
        let known = crates.entry(name.clone()).or_insert_with(|| found.clone());
        known.needs.extend(found.needs.iter().cloned());
    }
    for (name, found) in &crates {
        let mut component = json!({
            "type": "library", "bom-ref": cargo_purl(name), "purl": cargo_purl(name), "name": name.0, "version": name.1,
        });
        if let Some(members) = component.as_object_mut() {
            if !found.license.is_empty() {
                members.insert("licenses".to_owned(), json!([{"expression": found.license}]));
            }
            if let Some(checksum) = &found.checksum {
                members.insert("hashes".to_owned(), json!([{"alg": "SHA-256", "content": checksum}]));
            }
        }
        components.push(component);
        let needs: Vec<String> = found.needs.iter().map(cargo_purl).collect();
        dependencies.push(json!({"ref": cargo_purl(name), "dependsOn": needs}));
    }
    let tools = tools.iter().map(|(name, version)| json!({"type": "application", "name": name, "version": version}));
    let document = json!({
        "bomFormat": "CycloneDX", "specVersion": SPEC_VERSION, "version": 1,
        "metadata": {
            "component": {"type": "application", "bom-ref": "keygate", "name": "keygate", "version": version,
                          "licenses": [{"license": {"id": "Apache-2.0"}}],
                          "properties": [{"name": "commit", "value": commit}]},
            "tools": {"components": tools.collect::<Vec<_>>()},
        },
        "components": components,
        "dependencies": dependencies,
    });
    let mut pretty = serde_json::to_vec_pretty(&sorted(&document)).unwrap_or_else(|_| text(&document));
    pretty.push(b'\n');
    pretty
}

fn debian_component(package: &Debian) -> Value {
    json!({
        "type": "library", "bom-ref": package.purl(), "purl": package.purl(),
        "name": package.name, "version": package.version,
        "hashes": [{"alg": "SHA-256", "content": package.sha256}],
    })
}

fn vendored_component(part: &Vendored) -> Value {
    let mut component = json!({
        "type": "library", "bom-ref": part.purl, "purl": part.purl, "name": part.name, "version": part.version,
        "licenses": [{"license": {"id": part.license}}],
        "hashes": [{"alg": "SHA-256", "content": part.sha256}],
    });
    if let (Some(members), Some(cpe)) = (component.as_object_mut(), &part.cpe) {
        members.insert("cpe".to_owned(), json!(cpe));
    }
    component
}

fn cargo_purl((name, version): &Name) -> String {
    format!("pkg:cargo/{name}@{}", encoded(version))
}

/// A text in a package URL: everything but a few characters is percent-encoded.
fn encoded(text: &str) -> String {
    let one = |byte: u8| {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if is_plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "only test code: a panic is how it reports")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::crates::Crate;

    fn name(name: &str) -> Name {
        (name.to_owned(), "1.0.0+up".to_owned())
    }

    fn some(needs: &[&str], checksum: Option<&str>) -> Crate {
        Crate {
            license: "MIT OR Apache-2.0".to_owned(),
            checksum: checksum.map(str::to_owned),
            needs: needs.iter().map(|needed| name(needed)).collect(),
        }
    }

    #[test]
    fn every_part_is_named_once_and_every_reference_leads_to_one() {
        let filter = Crates::from([(name("core"), some(&["hash"], None)), (name("hash"), some(&[], Some("0a")))]);
        let service = Crates::from([
            (name("core"), some(&["hash", "json"], None)),
            (name("hash"), some(&[], Some("0a"))),
            (name("json"), some(&[], Some("0b"))),
        ]);
        let vendored = [Vendored {
            name: "htmx.org",
            version: "2.0.0".to_owned(),
            license: "0BSD",
            sha256: "0c".to_owned(),
            purl: "pkg:npm/htmx.org@2.0.0".to_owned(),
            cpe: None,
        }];
        let debian = Debian::parse("libc6\t2.36-9+deb12u14\tamd64\tff\n", "debian-12").unwrap();
        let artifacts = [
            Artifact {
                file: "a.wasm".to_owned(),
                kind: "file",
                sha256: "aa".to_owned(),
                crates: &filter,
                debian: &[],
                vendored: &[],
            },
            Artifact {
                file: "b.tar".to_owned(),
                kind: "container",
                sha256: "bb".to_owned(),
                crates: &service,
                debian: &debian,
                vendored: &vendored,
            },
        ];
        let written = bill("0.1.0", "abc", &artifacts, &[("rustc", "1".to_owned())]);
        assert_eq!(written, bill("0.1.0", "abc", &artifacts, &[("rustc", "1".to_owned())]));
        let bill: Value = serde_json::from_slice(&written).unwrap();
        let references: Vec<&str> =
            bill["components"].as_array().unwrap().iter().map(|part| part["bom-ref"].as_str().unwrap()).collect();
        let distinct: BTreeSet<&str> = references.iter().copied().collect();
        assert_eq!(distinct.len(), references.len());
        assert_eq!(references.len(), 2 + 1 + 1 + 3);
        assert!(
            distinct.contains("pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12"),
            "{distinct:?}"
        );
        let vendored = bill["components"].as_array().unwrap().iter().find(|part| part["name"] == "htmx.org").unwrap();
        assert_eq!(vendored["licenses"][0]["license"]["id"], "0BSD");
        for dependency in bill["dependencies"].as_array().unwrap() {
            let needed = dependency["dependsOn"].as_array().unwrap().iter().map(|part| part.as_str().unwrap());
            for reference in needed.chain(dependency["ref"].as_str()) {
                assert!(distinct.contains(reference), "{reference} leads nowhere");
            }
        }
        // What one of two artifacts needs of a crate is not lost.
        let core =
            bill["dependencies"].as_array().unwrap().iter().find(|part| part["ref"] == "pkg:cargo/core@1.0.0%2Bup");
        assert_eq!(core.unwrap()["dependsOn"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_table_with_another_shape_is_an_error() {
        for table in ["libc6\t1\tamd64", "libc6\t1\tamd64\tff\tmore", "libc6 1 amd64 ff"] {
            Debian::parse(table, "debian-12").unwrap_err();
        }
    }
}
