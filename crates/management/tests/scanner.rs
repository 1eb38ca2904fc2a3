//! Runs the published expression in a real secret scanner, as the document describes. It must find keys in any text,
//! and nothing else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::{fs, path::Path, process::Command};

use management::{
    key_form::{PATTERN, new_key},
    keys::KeyType,
    port::{Act, Actor, Origin},
};
use serde_json::Value;

/// The document's block with the plugin, without its indentation.
fn plugin(document: &str) -> String {
    let (_, rest) = document.split_once("```python\n").unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    block.lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect()
}

#[test]
fn a_secret_scanner_finds_keys_wherever_they_stand() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    assert!(Command::new(root.join("tools/need")).arg("detect-secrets").status().unwrap().success());
    let plugin = plugin(&fs::read_to_string(root.join("docs/policy-service.md")).unwrap());
    assert!(plugin.contains(PATTERN), "the document has another expression than the code: {plugin}");

    let act = Act {
        actor: Actor::Service,
        now: 0,
        origin: Origin::default(),
        random: |bytes| getrandom::fill(bytes).map_err(|error| error.to_string()),
    };
    let key = |key_type| new_key(&act, key_type).unwrap();
    let places: [fn(&str) -> String; 6] = [
        |key| key.to_owned(),
        |key| format!("api_key: \"{key}\""),
        |key| format!("curl 'https://api.example.com/orders?apikey={key}&page=1'"),
        |key| format!("    let key = \"{key}\"; // for tests"),
        |key| format!("{{\"headers\":{{\"authorization\":\"Bearer {key}\"}}}}"),
        |key| format!("export KEY={key}."),
    ];
    let mut lines: Vec<String> = Vec::new();
    for number in 0..120_usize {
        let key_type = if number.is_multiple_of(2) { KeyType::Production } else { KeyType::Sandbox };
        lines.push(places[number % places.len()](&key(key_type)));
    }
    let keys = lines.len();
    let whole = key(KeyType::Production);
    lines.extend([
        "kg_2KfWRuIjcjP6xrgW4PTVMz6WtVBVlY8mPCZey9L-PXU".to_owned(),
        whole[..whole.len() - 1].to_owned(),
        format!("{whole}x"),
        format!("x{whole}"),
        whole.replace("live", "prod"),
    ]);

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("keygate_key.py"), plugin).unwrap();
    fs::write(folder.path().join("leaked.txt"), lines.join("\n")).unwrap();
    let scan = Command::new(root.join(".tools/bin/detect-secrets").canonicalize().unwrap())
        .args(["scan", "-p", "keygate_key.py", "leaked.txt"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(scan.status.success(), "{}", String::from_utf8_lossy(&scan.stderr));
    let report: Value = serde_json::from_slice(&scan.stdout).unwrap();
    let found = report["results"]["leaked.txt"].as_array().unwrap().iter();
    let mut found: Vec<u64> = found
        .filter(|secret| secret["type"] == "keygate key")
        .map(|secret| secret["line_number"].as_u64().unwrap())
        .collect();
    found.sort_unstable();
    assert_eq!(found, (1..=u64::try_from(keys).unwrap()).collect::<Vec<_>>());
}
