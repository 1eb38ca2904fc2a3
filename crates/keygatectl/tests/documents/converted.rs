//! `convert`: what was made of files is applied, no key is shown, and what was not carried over is told.

use std::fs;

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

#[test]
fn a_file_that_is_wrong_is_told_without_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.csv"), "key,colour\nsecret-key-of-dora,red\n").unwrap();
    let bad = Ctl::new(folder.path(), &["convert", "csv", "bad.csv", "--out", "made"]).expect(1);
    assert!(bad.err.contains("bad.csv") && !bad.err.contains("secret-key"), "{bad:?}");
    let kind = Ctl::new(folder.path(), &["convert", "nginx", "bad.csv", "--out", "made"]).expect(64);
    assert!(kind.err.contains("possible values: ") && kind.err.contains("csv"), "{kind:?}");
    let missing = Ctl::new(folder.path(), &["convert", "csv", "nowhere.csv", "--out", "made"]).expect(1);
    assert!(missing.err.contains("nowhere.csv: "), "{missing:?}");
}
