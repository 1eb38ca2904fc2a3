//! What the policy service contains of others beside crates and Debian's packages: files that stand in this project, and
//! C libraries in the sources of a crate. Scanners look for these names, and not for those of the crate around them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::image::hex;

/// The folder of the console's files, which are compiled into the service.
const STATIC: &str = "crates/policy-service/src/web/static";

/// A foreign part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vendored {
    pub name: &'static str,
    pub version: String,
    /// Its licence, as SPDX names it.
    pub license: &'static str,
    /// The SHA-256 of the file that is compiled.
    pub sha256: String,
    pub purl: String,
    /// The name by which lists of vulnerabilities know it.
    pub cpe: Option<String>,
}

/// All of them.
pub fn of_service() -> Result<Vec<Vendored>, String> {
    Ok(vec![htmx(Path::new(STATIC))?, sqlite(&source_of("libsqlite3-sys")?)?])
}

fn htmx(folder: &Path) -> Result<Vendored, String> {
    let (path, text) = read(folder, "htmx.min.js")?;
    let version = between(&text, "version:\"", "\"").ok_or_else(|| format!("{path}: no version"))?;
    Ok(Vendored {
        name: "htmx.org",
        version: version.to_owned(),
        license: "0BSD",
        sha256: hex(text.as_bytes()),
        purl: format!("pkg:npm/htmx.org@{version}"),
        cpe: None,
    })
}

/// SQLite, in the sources of the crate that binds it.
fn sqlite(folder: &Path) -> Result<Vendored, String> {
    let (path, text) = read(folder, "sqlite3/sqlite3.c")?;
    let version = between(&text, "#define SQLITE_VERSION", "\n").map(|rest| rest.trim().trim_matches('"'));
    let version = version.filter(|version| !version.is_empty()).ok_or_else(|| format!("{path}: no SQLITE_VERSION"))?;
    Ok(Vendored {
        name: "sqlite",
        version: version.to_owned(),
        license: "blessing",
        sha256: hex(text.as_bytes()),
        purl: format!("pkg:generic/sqlite@{version}"),
        cpe: Some(format!("cpe:2.3:a:sqlite:sqlite:{version}:*:*:*:*:*:*:*")),
    })
}

/// The path of a file, and its text.
fn read(folder: &Path, name: &str) -> Result<(String, String), String> {
    let path = folder.join(name);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((path.display().to_string(), text))
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}

/// The folder with the sources of a crate.
fn source_of(name: &str) -> Result<PathBuf, String> {
    let mut command = Command::new("cargo");
    command.args(["metadata", "--format-version", "1", "--locked", "--offline"]);
    let output = command.output().map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata.get("packages").and_then(Value::as_array).into_iter().flatten();
    let mut named = packages.filter(|package| package.get("name").is_some_and(|found| found == name));
    let manifest = named.next().and_then(|package| package.get("manifest_path")?.as_str());
    let folder = manifest.and_then(|manifest| Path::new(manifest).parent());
    folder.map(Path::to_owned).ok_or_else(|| format!("cargo metadata: there is no crate `{name}`"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "only test code: a panic is how it reports")]
mod tests {
    use super::*;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(STATIC)
    }

    /// The table beside the files says which are foreign.
    #[test]
    fn each_foreign_file_of_the_console_is_listed() {
        let table = fs::read_to_string(folder().join("README.md")).unwrap();
        let mut known: Vec<String> = Vec::new();
        for row in table.lines().filter(|line| line.starts_with("| `")) {
            let files: Vec<_> =
                row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2).map(str::to_owned).collect();
            if !row.contains("written here") {
                let part = htmx(&folder()).unwrap();
                assert!(row.contains(&format!("[{} {}]", part.name, part.version)), "{row}");
                assert!(files.iter().any(|file| file == "htmx.LICENSE.txt"), "{row}: no licence");
                assert_eq!(files.iter().filter(|file| !file.contains("LICENSE")).collect::<Vec<_>>(), ["htmx.min.js"]);
            }
            known.extend(files);
        }
        for entry in fs::read_dir(folder()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name == "README.md" || known.contains(&name), "{name}: the table does not say where it is from");
        }
    }

    #[test]
    fn sqlite_is_found_in_the_sources_of_its_crate() {
        let part = sqlite(&source_of("libsqlite3-sys").unwrap()).unwrap();
        assert!(part.version.starts_with("3.") && part.version.split('.').count() == 3, "{part:?}");
        assert_eq!(part.purl, format!("pkg:generic/sqlite@{}", part.version));
        source_of("no-such-crate").unwrap_err();
    }
}
