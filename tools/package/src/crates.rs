//! The crates that are compiled into an artifact, as Cargo names them: with licence, checksum and dependencies. Only
//! what ends up in the artifact counts, not what compiles it.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

/// A crate by name and version.
pub type Name = (String, String);

/// What is known of a crate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crate {
    /// The licence as an SPDX expression, empty if the crate names none.
    pub license: String,
    /// The SHA-256 of its file on crates.io. None for a crate of this project.
    pub checksum: Option<String>,
    /// The crates that it needs.
    pub needs: BTreeSet<Name>,
}

pub type Crates = BTreeMap<Name, Crate>;

/// The crates of the package `package`, built for `target`, or for this machine.
pub fn of(package: &str, target: Option<&str>, lock: &str) -> Result<Crates, String> {
    let mut command = Command::new("cargo");
    command.args(["tree", "--locked", "--offline", "--edges", "normal,no-proc-macro", "--prefix", "depth"]);
    command.args(["--format", "|{p}|{l}", "--package", package]);
    if let Some(target) = target {
        command.args(["--target", target]);
    }
    let output = command.output().map_err(|error| format!("cargo tree: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo tree: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let mut crates = parse_tree(&String::from_utf8_lossy(&output.stdout))?;
    let checksums = checksums(lock);
    for (name, found) in &mut crates {
        found.checksum = checksums.get(name).cloned();
    }
    Ok(crates)
}

/// Reads the lines `2|name v1.2.3 (/path)|MIT OR Apache-2.0`, in which 2 is the depth. A line ends with ` (*)` if its
/// dependencies stood before.
fn parse_tree(text: &str) -> Result<Crates, String> {
    let mut crates = Crates::new();
    let mut above: Vec<Name> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let odd = || format!("cargo tree wrote a line that is not understood: `{line}`");
        let (depth, rest) = line.split_once('|').ok_or_else(odd)?;
        let (package, license) = rest.split_once('|').ok_or_else(odd)?;
        let depth: usize = depth.parse().map_err(|_| odd())?;
        let (name, rest) = package.split_once(" v").ok_or_else(odd)?;
        let name = (name.to_owned(), rest.split(' ').next().unwrap_or_default().to_owned());
        above.truncate(depth);
        if let Some(needing) = above.last() {
            crates.entry(needing.clone()).or_default().needs.insert(name.clone());
        }
        // Old manifests have a slash, which is no SPDX.
        let license = license.trim_end_matches(" (*)").replace('/', " OR ");
        crates.entry(name.clone()).or_default().license = license;
        above.push(name);
    }
    if crates.is_empty() { Err("cargo tree wrote nothing".to_owned()) } else { Ok(crates) }
}

/// The checksums in a `Cargo.lock`.
fn checksums(lock: &str) -> BTreeMap<Name, String> {
    let value = |package: &str, field: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(" = \""));
        Some(line?.trim_end_matches('"').to_owned())
    };
    let packages = lock.split("[[package]]\n").filter_map(|package| {
        Some(((value(package, "name")?, value(package, "version")?), value(package, "checksum")?))
    });
    packages.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "only test code: a panic is how it reports")]
mod tests {
    use super::*;

    fn name(name: &str, version: &str) -> Name {
        (name.to_owned(), version.to_owned())
    }

    #[test]
    fn a_tree_gives_each_crate_its_licence_and_its_needs() {
        let tree = "0|top v0.1.0 (/a b/c)|Apache-2.0\n1|left v1.0.0|MIT/Apache-2.0\n2|deep v2.0.0+x|MIT\n\
                    1|deep v2.0.0+x|MIT (*)\n1|none v3.0.0|\n";
        let crates = parse_tree(tree).unwrap();
        let needs = |of: &Name| crates[of].needs.iter().cloned().collect::<Vec<_>>();
        assert_eq!(crates.len(), 4);
        let (top, left, deep) = (name("top", "0.1.0"), name("left", "1.0.0"), name("deep", "2.0.0+x"));
        assert_eq!(needs(&top), [deep.clone(), left.clone(), name("none", "3.0.0")]);
        assert_eq!(needs(&left), std::slice::from_ref(&deep));
        assert!(needs(&deep).is_empty());
        assert_eq!(crates[&left].license, "MIT OR Apache-2.0");
        assert_eq!(crates[&deep].license, "MIT");
        for odd in ["", "top v0.1.0", "0|top|MIT", "x|top v1|MIT"] {
            parse_tree(odd).unwrap_err();
        }
    }

    #[test]
    fn only_crates_from_a_registry_have_a_checksum() {
        let lock = "version = 4\n\n[[package]]\nname = \"one\"\nversion = \"1.0.0\"\nsource = \"registry+x\"\n\
                    checksum = \"abc\"\ndependencies = [\n \"two\",\n]\n\n[[package]]\nname = \"two\"\nversion = \"2.0.0\"\n";
        assert_eq!(checksums(lock), BTreeMap::from([(name("one", "1.0.0"), "abc".to_owned())]));
    }

    #[test]
    fn the_service_of_this_project_has_its_database_and_no_build_script_of_it() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let lock = std::fs::read_to_string(format!("{root}/Cargo.lock")).unwrap();
        let crates = of("policy-service", None, &lock).unwrap();
        let has = |wanted: &str| crates.keys().any(|(name, _)| name == wanted);
        assert!(has("policy-service") && has("keygate") && has("libsqlite3-sys") && has("rustls"));
        assert!(!has("cc") && !has("serde_derive") && !has("proxy-wasm"), "{:?}", crates.keys());
        for (name, found) in &crates {
            let is_ours = ["policy-service", "keygate", "explain", "management", "store"].contains(&name.0.as_str());
            assert_eq!(found.checksum.is_none(), is_ours, "{name:?}");
            assert!(!found.license.is_empty(), "{name:?}");
        }
    }
}
