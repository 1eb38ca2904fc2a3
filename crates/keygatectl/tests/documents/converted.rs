//! `convert`: what was made of files is applied, no key is shown, and what was not carried over is told.

use std::{fs, path::Path};

use serde_json::json;

use crate::support::{Ctl, Service, digest};

#[test]
fn converted_files_are_documents_that_can_be_applied() {
    let service = Service::start();
    service.seed();
    let csv = "application,owner,api,key,type,plan,state,expires_at\n\
               imported,dora,payments-1.0,secret-key-of-dora,SANDBOX,gold,ACTIVE,\n\
               imported,dora,payments-1.0,other-key-of-dora,PRODUCTION,gold,REVOKED,\n";
    fs::write(service.folder().join("keys.csv"), csv).unwrap();
    let converted = service.ctl(&["convert", "csv", "keys.csv", "--out", "made"]).expect(0);
    assert!(converted.out.contains("of made"), "{converted:?}");
    let made: String = crate::files(&service.folder().join("made")).into_values().collect();
    assert!(made.contains(&digest("secret-key-of-dora")) && !made.contains("secret-key-of-dora"), "{made}");
    assert!(!converted.err.contains("secret-key") && !converted.out.contains("secret-key"), "{converted:?}");
    service.ctl(&["validate", "made"]).expect(0);
    service.ctl(&["apply", "made"]).expect(0);
    let key = service.get(&format!("/v1/keys?sha256={}", digest("secret-key-of-dora")))["items"][0].clone();
    assert_eq!(
        (&key["application"], &key["type"], &key["state"]),
        (&json!("imported"), &json!("SANDBOX"), &json!("ACTIVE"))
    );
    service.ctl(&["diff", "made"]).expect(0);
    assert!(service.ctl(&["convert", "csv", "keys.csv", "--out", "made"]).expect(64).err.contains("--force"));
    service.ctl(&["convert", "csv", "keys.csv", "--out", "made", "--force"]).expect(0);
    let json = service.ctl(&["convert", "csv", "keys.csv", "--out", "json", "-o", "json"]).expect(0).json();
    assert!(json["rows"].as_u64() > Some(2) && json["losses"].is_array(), "{json}");
}

/// The examples of the crate that converts: the kind, its files, texts of keys in them, and one row that is made of them.
const EXAMPLES: &[(&str, &[&str], &[&str], &str)] = &[
    ("envoy", &["bootstrap.yaml"], &[], "kind: application"),
    ("envoy", &["alone.yaml"], &["alice-first-key", "012345", "carol-key"], "büro nord"),
    ("envoy-gateway", &["shop.yaml"], &["alice-order-key", "YWxpY2Utb3JkZXIta2V5", "carol-order-key"], "kind: key"),
    ("envoy-gateway", &["gateway.yaml"], &[], "kind: api"),
    ("kong", &["shop.yaml"], &[], "kind: plan"),
    ("kong", &["flat.yaml"], &[], "kind: key"),
    (
        "wso2",
        &["api.yaml", "application.yaml", "policies.yaml", "subscriptions.json", "old-api.yaml"],
        &["not-shown-key", "not-shown-secret"],
        "PROD_ONLY_BLOCKED",
    ),
    ("csv", &["keys.csv"], &["kg-shop-production", "key,with", "ключ"], "Büro, Nord"),
    ("csv", &["digests.csv"], &[], "kind: key"),
];

/// What the files of csv name and do not have.
const BESIDE: &str = "---\nkind: plan\nid: gold\n---\nkind: plan\nid: silver\n---\nkind: api\nid: payments-1.0\nmatch: [{path: /payments}]\n\
    ---\nkind: api\nid: orders-2.0\nmatch: [{path: /orders}]\n";

/// The values of `key:` in YAML files, which may not be shown.
fn keys(text: &str) -> Vec<&str> {
    let values = text.lines().filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix("key: "));
    values.map(|value| value.trim().trim_matches(['"', '\''])).filter(|value| value.len() > 5).collect()
}

#[test]
fn the_files_of_each_product_are_converted_validated_and_applied() {
    let inputs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../convert/tests/inputs");
    for (kind, names, hidden, made) in EXAMPLES {
        let service = Service::start();
        if *kind == "csv" {
            fs::create_dir(service.folder().join("beside")).unwrap();
            fs::write(service.folder().join("beside/a.yaml"), BESIDE).unwrap();
            service.ctl(&["apply", "beside"]).expect(0);
        }
        let files: Vec<String> = names.iter().map(|name| inputs.join(kind).join(name).display().to_string()).collect();
        let convert = |out: &'static str, more: &[&'static str]| {
            let files = files.iter().map(String::as_str);
            let options = ["--out", out, "--owner", "team"].into_iter().chain(more.iter().copied());
            service.ctl(&["convert", *kind].into_iter().chain(files).chain(options).collect::<Vec<_>>())
        };
        let json = convert("json", &["-o", "json"]).run();
        let told = json.json();
        let is_whole = told["errors"].as_array().is_some_and(Vec::is_empty);
        let ran = convert("made", &[]).expect(i32::from(!is_whole));
        let warnings = ran.err.lines().filter(|line| line.starts_with("warning: ")).count();
        assert_eq!(told["losses"].as_array().map(Vec::len), Some(warnings), "{kind} {names:?} {ran:?}");
        // The configuration of a plugin can be copied from stderr.
        let lines: Vec<&str> = ran.err.lines().collect();
        for begin in lines.iter().enumerate().filter(|(_, line)| **line == "{").map(|(place, _)| place) {
            let end = begin + lines[begin..].iter().position(|line| *line == "}").unwrap();
            fs::write(service.folder().join("plugin.json"), lines[begin..=end].join("\n")).unwrap();
            service.ctl(&["validate", "plugin.json"]).expect(0);
        }
        assert_eq!(lines.contains(&"{"), *kind != "csv", "{kind} {ran:?}");
        let documents: String = crate::files(&service.folder().join("made")).into_values().collect();
        let again: String = crate::files(&service.folder().join("json")).into_values().collect();
        assert!(
            documents.lines().count() == again.lines().count() && documents.contains(made),
            "{kind} {names:?}: {documents}"
        );
        let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        for secret in texts.iter().flat_map(|text| keys(text)).chain(hidden.iter().copied()) {
            let shown = [&documents, &ran.out, &ran.err, &json.out, &json.err];
            assert!(shown.iter().all(|text| !text.contains(secret)), "{kind}: {secret} is shown");
        }
        service.ctl(&["validate", "made"]).expect(0);
        let differs = service.ctl(&["diff", "made"]).expect(2);
        assert!(!differs.out.contains("would be refused"), "{kind} {differs:?}");
        service.ctl(&["apply", "made"]).expect(0);
        service.ctl(&["diff", "made"]).expect(0);
    }
}

#[test]
fn a_file_that_is_wrong_is_told_without_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.csv"), "key,colour\nsecret-key-of-dora,red\n").unwrap();
    let half = "application,owner,api,key\nshop,dora,pay,k-of-dora\nshop,dora,pay\n";
    fs::write(folder.path().join("half.csv"), half).unwrap();
    let some = Ctl::new(folder.path(), &["convert", "csv", "half.csv", "--out", "half"]).expect(1);
    assert!(some.out.contains("some of it could not be read") && !some.out.contains("all was"), "{some:?}");
    let bad = Ctl::new(folder.path(), &["convert", "csv", "bad.csv", "--out", "made"]).expect(1);
    assert!(bad.err.contains("bad.csv") && !bad.err.contains("secret-key"), "{bad:?}");
    let kind = Ctl::new(folder.path(), &["convert", "nginx", "bad.csv", "--out", "made"]).expect(64);
    assert!(kind.err.contains("possible values: ") && kind.err.contains("csv"), "{kind:?}");
    let missing = Ctl::new(folder.path(), &["convert", "csv", "nowhere.csv", "--out", "made"]).expect(1);
    assert!(missing.err.contains("nowhere.csv: "), "{missing:?}");
}
