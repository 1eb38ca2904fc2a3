//! `validate`: every file and every block of the documents that it can read is valid, and what is not is told.

use std::{
    fs,
    path::{Path, PathBuf},
};

use keygatectl::validate::{self, plugin};

use crate::support::Ctl;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, extensions, found);
        } else if path.extension().is_some_and(|extension| extensions.iter().any(|other| extension == *other)) {
            found.push(path);
        }
    }
}

#[test]
fn every_configuration_that_is_shipped_is_valid() {
    let mut found = Vec::new();
    files(&root().join("envoy"), &["yaml", "json"], &mut found);
    let mut plugins = 0;
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        for plugin in plugin::find(&path, &text).unwrap_or_else(|error| panic!("{}: {error}", path.display())) {
            if !plugin.json.contains("\"policy\"") {
                continue;
            }
            plugin.check().unwrap_or_else(|error| panic!("{error}"));
            plugins += 1;
        }
    }
    assert!(plugins >= 8, "{plugins}");
}

/// The blocks of a document in these languages, with the line that each begins with.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let (mut blocks, mut inside) = (Vec::new(), None);
    for (number, line) in text.lines().enumerate() {
        match &mut inside {
            None if line.trim() == format!("```{language}") => inside = Some((number + 2, String::new())),
            Some(_) if line.trim() == "```" => blocks.extend(inside.take()),
            Some((_, block)) => block.push_str(&format!("{line}\n")),
            None => {}
        }
    }
    blocks
}

#[test]
fn every_block_of_the_documents_is_valid() {
    let mut documents = vec![root().join("README.md")];
    files(&root().join("docs"), &["md"], &mut documents);
    let folder = tempfile::tempdir().unwrap();
    let (mut plugins, mut rows, mut pages) = (0, 0, 0);
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for (line, block) in blocks(&text, "yaml") {
            let place = || format!("{}:{line}", document.display());
            let file = folder.path().join("block.yaml");
            fs::write(&file, &block).unwrap();
            let found = plugin::find(&file, &block).unwrap_or_else(|error| panic!("{}: {error}", place()));
            for plugin in &found {
                plugin.check().unwrap_or_else(|error| panic!("{}: {error}", place()));
                plugins += 1;
            }
            let is_document = block.lines().any(|line| line == "kind: application");
            if is_document {
                let checked = validate::check(&file).unwrap();
                assert!(checked.errors.is_empty(), "{}: {:?}", place(), checked.errors);
                rows += 1;
            }
        }
        for (line, block) in blocks(&text, "json") {
            let Ok(value) = serde_json::from_str::<serde_json::Value>(&block) else { continue };
            let is_plugin = value.pointer("/policy/cluster").is_some();
            let is_page = value.pointer("/format").is_some() && value.get("batch").is_none();
            if !is_plugin && !is_page {
                continue;
            }
            let file = folder.path().join("block.json");
            fs::write(&file, &block).unwrap();
            let checked = validate::check(&file).unwrap();
            assert!(checked.errors.is_empty(), "{}:{line}: {:?}", document.display(), checked.errors);
            if is_plugin { plugins += 1 } else { pages += 1 }
        }
    }
    assert!(rows >= 1 && plugins >= 1, "{plugins} plugins, {rows} documents, {pages} pages");
    let example = validate::check(&root().join("docs/policy-page.example.json")).unwrap();
    assert!(example.errors.is_empty() && example.what == "a policy page", "{example:?}");
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("plugin.json", "{\"policy\": {\"cluster\": \"c\"},\n \"modus\": 1}");
    write("good.json", "{\"policy\": {\"cluster\": \"c\", \"headers\": {\"x-token\": {\"env\": \"NOT_SET\"}}}}");
    write("page.json", "{\"format\": 1,\n \"keys\": [{\"expires\": 1}]}");
    write("wasm.yaml", "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nspec:\n  pluginConfig:\n    policy:\n      cluster: c\n      timeout_ms: 0\n");
    write("rows.yaml", "---\nkind: plan\nid: gold\nlimits: 5\n");
    write("other.yaml", "apiVersion: v1\nkind: Service\n");
    let validate = |files: &[&str]| {
        let arguments: Vec<&str> = ["validate"].iter().chain(files).copied().collect();
        Ctl::new(folder.path(), &arguments)
    };
    assert_eq!(validate(&["good.json"]).expect(0).out, "good.json: 1 plugin configuration, valid\n");
    let wrong = validate(&["plugin.json", "good.json", "page.json", "wasm.yaml", "rows.yaml"]).expect(1);
    for part in ["plugin.json:2:2: ", "mode", "page.json:2:", "wasm.yaml:7:19: ", "timeout_ms", "rows.yaml:4:1: limits: "] {
        assert!(wrong.err.contains(part), "{part} {wrong:?}");
    }
    assert_eq!(wrong.out, "good.json: 1 plugin configuration, valid\n");
    let json = validate(&["plugin.json", "-o", "json"]).expect(1).json();
    assert_eq!((json["valid"].as_bool(), json["errors"][0]["line"].as_u64()), (Some(false), Some(2)), "{json}");
    assert!(validate(&["other.yaml"]).expect(1).err.contains("neither a policy page"));
    assert!(validate(&["nowhere.json"]).expect(1).err.contains("nowhere.json: "));
}
