//! `--prune` removes what was applied from the folder before, and nothing else.

use std::fs;

use crate::support::Service;

fn write(service: &Service, text: &str) {
    fs::create_dir_all(service.folder().join("policy")).unwrap();
    fs::write(service.folder().join("policy/a.yaml"), text).unwrap();
}

const BOTH: &str = "---\nkind: plan\nid: gold\n---\nkind: plan\nid: silver\n---\nkind: api\nid: shop\nmatch:\n  - path: /shop\n---\n\
    kind: application\nid: app-1\n---\nkind: application\nid: app-2\n---\nkind: key\nid: k-1\napplication: app-1\n\
    sha256: a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1\n---\nkind: subscription\nid: s-1\napplication: app-1\napi: shop\n---\n\
    kind: subscription\nid: s-2\napplication: app-2\napi: shop\nplan: silver\n---\nkind: deny_policy\nid: d-1\ntype: IP\nvalue: 192.0.2.1\n";

fn ids(service: &Service, list: &str) -> Vec<String> {
    let rows = service.get(&format!("/v1/{list}"));
    rows["items"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn only_what_was_applied_from_the_folder_goes() {
    let service = Service::start();
    service.post("/v1/plans", &serde_json::json!({"id": "from-the-console"}));
    write(&service, BOTH);
    let first = service.ctl(&["apply", "policy", "--prune"]).expect(0);
    assert!(first.err.contains("is not there yet"), "{first:?}");
    write(&service, "---\nkind: plan\nid: gold\n---\nkind: application\nid: app-1\n");
    // Without --prune nothing goes, and the record keeps what it has.
    let diff = service.ctl(&["diff", "policy"]).expect(0);
    assert!(diff.err.contains("in no document, and stay"), "{diff:?}");
    service.ctl(&["apply", "policy"]).expect(0);
    assert_eq!(ids(&service, "subscriptions"), ["s-1", "s-2"]);
    let diff = service.ctl(&["diff", "policy", "--prune"]).expect(2);
    assert!(
        diff.out.contains("- subscription s-1") && diff.out.contains("- key k-1") && diff.err.contains("6 to remove"),
        "{diff:?}"
    );

    assert!(diff.out.contains("= deny policy d-1 stays: "), "{diff:?}");
    let json = service.ctl(&["diff", "policy", "--prune", "-o", "json"]).expect(2).json();
    assert_eq!((json["removed"].as_array().map(Vec::len), &json["kept"][0]["id"]), (Some(6), &"d-1".into()), "{json}");

    let unasked = service.ctl(&["apply", "policy", "--prune"]).expect(64);
    assert!(unasked.err.contains("- subscription s-1") && unasked.err.contains("--yes"), "{unasked:?}");
    assert_eq!(ids(&service, "subscriptions"), ["s-1", "s-2"]);
    let pruned = service.ctl(&["apply", "policy", "--prune", "--yes"]).expect(0);
    assert!(
        pruned.out.contains("subscription s-1 is gone") && pruned.out.contains("deny policy d-1 stays"),
        "{pruned:?}"
    );
    assert_eq!(ids(&service, "plans"), ["from-the-console", "gold"]);
    assert_eq!(
        (ids(&service, "applications"), ids(&service, "keys").len(), ids(&service, "apis").len()),
        (vec!["app-1".to_owned()], 0, 0)
    );
    assert_eq!(ids(&service, "deny-policies"), ["d-1"]);
    service.ctl(&["apply", "policy", "--prune", "--yes", "--lift-blocks"]).expect(0);
    assert_eq!(ids(&service, "deny-policies").len(), 0);
    service.ctl(&["diff", "policy", "--prune"]).expect(0);
}

#[test]
fn an_object_stays_if_something_of_others_would_go_with_it_and_blocks_stay() {
    let service = Service::start();
    write(&service, BOTH);
    service.ctl(&["apply", "policy"]).expect(0);
    service.ctl(&["keys", "issue", "app-2", "--id", "k-portal"]).expect(0);
    service.ctl(&["block", "s-1"]).expect(0);
    write(&service, "---\nkind: plan\nid: gold\n");
    let pruned = service.ctl(&["apply", "policy", "--prune", "--yes"]).expect(0);
    assert!(pruned.out.contains("application app-2 stays: key \"k-portal\" belongs to it"), "{pruned:?}");
    assert!(
        pruned.out.contains("subscription s-1 is removed: it was deleted while it was blocked, and its block stays"),
        "{pruned:?}"
    );
    assert_eq!(service.get("/v1/subscriptions/s-1")["deleted"], true);
    assert_eq!(
        (ids(&service, "applications"), ids(&service, "keys")),
        (vec!["app-2".to_owned()], vec!["k-portal".to_owned()])
    );
    // What stayed is in the record, so it goes when nothing is in the way any more.
    service.ctl(&["delete", "key", "k-portal", "--yes"]).expect(0);
    service.ctl(&["apply", "policy", "--prune", "--yes"]).expect(0);
    assert_eq!(ids(&service, "applications").len(), 0);
}

#[test]
fn the_record_of_another_service_is_refused_and_so_is_a_damaged_one() {
    let service = Service::start();
    write(&service, BOTH);
    service.ctl(&["apply", "policy"]).expect(0);
    let other = Service::start();
    let policy = service.folder().join("policy").display().to_string();
    let refused = other.ctl(&["apply", &policy]).expect(64);
    assert!(
        refused.err.contains("is the record of http://127.0.0.1:") && refused.err.contains("--lock"),
        "{refused:?}"
    );
    assert_eq!(other.get("/v1/plans")["total"], 0);
    other.ctl(&["apply", &policy, "--lock", "elsewhere.lock"]).expect(0);
    fs::write(service.folder().join("policy/keygate.lock"), "<<<<<<< HEAD\n").unwrap();
    let damaged = service.ctl(&["apply", "policy"]).expect(1);
    assert!(damaged.err.contains("keygate.lock:1: "), "{damaged:?}");
}
