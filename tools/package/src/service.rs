//! The content of the policy service's image: what `tools/base` took from Debian, the program, and the few files that a
//! program expects to find. How it is run, too. Debian's part is read from a folder, and nothing is fetched here.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::{Map, Value, json};

use crate::archive::Tree;

/// The user and group as which the service runs. It is none of Debian's, and not root.
pub const USER: u32 = 65532;
/// The folder of the database. A volume is mounted here, so that the rest may be read-only.
const DATA: &str = "data";
/// Room for one service: the API, the feed and the console.
const PORT: u16 = 8085;

/// The layer: `program` as `/usr/bin/policy-service`, and everything below `base`.
pub fn layer(base: &Path, program: Vec<u8>, license: Vec<u8>) -> Result<Tree, String> {
    let mut tree = Tree::default();
    add_all(&mut tree, base, "")?;
    tree.file("usr/bin/policy-service", 0o755, program);
    tree.file("usr/share/doc/keygate/copyright", 0o644, license);
    tree.file("etc/passwd", 0o644, format!("root:x:0:0:root:/:/none\nkeygate:x:{USER}:{USER}:keygate:/{DATA}:/none\n"));
    tree.file("etc/group", 0o644, format!("root:x:0:\nkeygate:x:{USER}:\n"));
    tree.file("etc/nsswitch.conf", 0o644, "hosts: files dns\n");
    tree.folder(DATA, 0o700, USER);
    tree.folder("tmp", 0o1777, 0);
    Ok(tree.with_parents())
}

/// How the image is run, in the words of its configuration.
pub fn run() -> Map<String, Value> {
    let mut run = Map::new();
    let volume = format!("/{DATA}");
    run.insert("User".to_owned(), json!(format!("{USER}:{USER}")));
    run.insert("Entrypoint".to_owned(), json!(["/usr/bin/policy-service"]));
    run.insert("Cmd".to_owned(), json!(["serve"]));
    run.insert("ExposedPorts".to_owned(), json!({format!("{PORT}/tcp"): {}}));
    run.insert("Volumes".to_owned(), json!({volume.as_str(): {}}));
    run.insert("WorkingDir".to_owned(), json!(volume));
    run.insert(
        "Env".to_owned(),
        json!([
            "PATH=/usr/bin",
            format!("POLICY_LISTEN=0.0.0.0:{PORT}"),
            format!("POLICY_DATABASE=sqlite:{volume}/policy.db"),
            // Large queries write temporary files. Nothing but the volume need be writable.
            format!("SQLITE_TMPDIR={volume}"),
        ]),
    );
    run
}

/// Adds the files below `folder` with the mode 0755 or 0644. Folders follow from them. Anything else is an error.
fn add_all(tree: &mut Tree, folder: &Path, path: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().into_string().map_err(|name| format!("{} is not UTF-8", name.display()))?;
        let path = if path.is_empty() { name } else { format!("{path}/{name}") };
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            add_all(tree, &entry.path(), &path)?;
        } else if kind.is_file() {
            let is_program = entry.metadata().map_err(failed)?.permissions().mode() & 0o100 != 0;
            let bytes = fs::read(entry.path()).map_err(failed)?;
            tree.file(path, if is_program { 0o755 } else { 0o644 }, bytes);
        } else {
            return Err(format!("{}: neither a file nor a folder", entry.path().display()));
        }
    }
    Ok(())
}

/// The folder of a Helm chart as `helm package` packs it: everything below the chart's name.
pub fn chart(folder: &Path, name: &str) -> Result<Tree, String> {
    let mut tree = Tree::default();
    add_all(&mut tree, folder, name)?;
    Ok(tree)
}
