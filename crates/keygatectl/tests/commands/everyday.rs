//! The everyday commands: what a person sees, what a script gets, and the exit codes.

use std::time::Duration;

use serde_json::json;

use crate::support::Service;

#[test]
fn lists_are_filtered_and_shown_as_tables_or_json() {
    let service = Service::start();
    service.seed();
    let table = service.ctl(&["get", "subs"]).expect(0);
    assert!(table.out.starts_with("ID     APPLICATION  API           STATE      PLAN\n"), "{table:?}");
    assert!(table.out.contains("sub-7  app-1        payments-1.0  UNBLOCKED  gold\n"), "{table:?}");
    assert!(table.err.is_empty() && !table.out.contains('\u{1b}'), "{table:?}");

    let found = service.ctl(&["get", "subscriptions", "--state", "on_hold", "-o", "json"]).expect(0).json();
    assert_eq!((found["total"].clone(), found["items"][0]["id"].clone()), (json!(1), json!("sub-9")), "{found}");
    service.ctl(&["block", "sub-7", "--from", "2h"]).expect(0);
    for (flag, expected) in [("--planned", true), ("--planned=true", true), ("--planned=false", false)] {
        let found = service.ctl(&["get", "subs", flag, "-o", "json"]).expect(0).json();
        let has = found["items"].as_array().unwrap().iter().any(|row| row["id"] == "sub-7");
        assert_eq!(has, expected, "{flag}: {found}");
        assert!(!found["items"].as_array().unwrap().is_empty(), "{flag}");
    }
    service.ctl(&["unblock", "sub-7"]).expect(0);
    let none = service.ctl(&["get", "keys", "--owner", "nobody"]).expect(0);
    assert_eq!((none.out.as_str(), none.err.as_str()), ("", "There are no keys.\n"));
    let one = service.ctl(&["get", "api", "payments-1.0", "-o", "json"]).expect(0).json();
    assert_eq!(one["name"], "Payments");
    let limited = service.ctl(&["get", "apps", "--limit", "2"]).expect(0);
    assert_eq!((limited.out.lines().count(), limited.err.as_str()), (3, "2 of 3 applications\n"));

    for (arguments, part) in [
        (vec!["get", "apis", "--application", "app-1"], "apis have no --application; they have --q --state --owner"),
        (vec!["get", "subs", "--state", "OPEN"], "expected one of"),
        (vec!["get", "users"], "possible values"),
        (vec!["get", "subs", "sub-7", "--state", "BLOCKED"], "an id and filters do not go together"),
        (vec!["frobnicate"], "unrecognized subcommand"),
        (vec!["block"], "Usage: keygatectl block [OPTIONS] <ID>"),
        (vec!["block", "sub-7", "--until", "yesterday"], "expected a span such as 2h"),
        (vec!["block", "sub-7", "--wait", "1h"], "at most 30s"),
        (vec!["block", "--application", "app-1", "--state", "PROD_ONLY_BLOCKED"], "can only be BLOCKED"),
    ] {
        let wrong = service.ctl(&arguments).expect(64);
        assert!(wrong.err.contains(part) && wrong.out.is_empty(), "{arguments:?} {wrong:?}");
    }
}

/// A service with a listener for gateways has usage there. At its other address it is not known, which is not none.
#[test]
fn usage_is_asked_for_where_it_is_served() {
    let service = Service::start_with(&[("POLICY_FEED_LISTEN", "127.0.0.1:0")]);
    service.seed();
    for arguments in [&["usage"][..], &["usage", "--by", "api"]] {
        let refused = service.ctl(arguments).expect(1);
        for part in ["--feed-listen", "keygatectl --url ADDRESS usage"] {
            assert!(refused.err.contains(part), "{arguments:?} {refused:?}");
        }
    }
    let shown = service.ctl(&["describe", "application", "app-1"]).expect(0);
    assert!(shown.out.contains("not known at this address"), "{shown:?}");
    let shown = service.ctl(&["describe", "application", "app-1", "-o", "json"]).expect(0).json();
    assert!(shown["usage_last_day"].is_null() && shown["keys"].is_array(), "{shown}");
    let feed = service.feed_url();
    let found = service.ctl(&["--url", &feed, "usage", "-o", "json"]).expect(0).json();
    assert_eq!(found["items"], json!([]));
    // With one listener it is known that there is none.
    let service = Service::start();
    service.seed();
    let shown = service.ctl(&["describe", "application", "app-1", "-o", "json"]).expect(0).json();
    assert_eq!(shown["usage_last_day"], json!([]));
}

#[test]
fn a_list_of_several_pages_is_whole() {
    let service = Service::start();
    let rows: String =
        (0..2_345).map(|number| format!("{{\"kind\":\"application\",\"id\":\"app-{number:04}\"}}\n")).collect();
    let import = service.http.post(format!("{}/v1/import", service.url)).bearer_auth(crate::support::TOKEN);
    import.header("content-type", "application/x-ndjson").body(rows).send().unwrap();
    let all = service.ctl(&["get", "apps", "-o", "json"]).expect(0).json();
    let items = all["items"].as_array().unwrap();
    assert_eq!((items.len(), all["total"].as_u64()), (2_345, Some(2_345)));
    assert_eq!(items[2_344]["id"], "app-2344");
    assert_eq!(service.ctl(&["get", "apps"]).expect(0).out.lines().count(), 2_346);
    assert_eq!(
        service.ctl(&["get", "apps", "--limit", "1500", "-o", "json"]).expect(0).json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1_500
    );
}

#[test]
fn a_block_is_told_with_its_receipt() {
    let service = Service::start();
    service.seed();
    let following = service.gateway("edge-1").follow(Duration::from_secs(10));
    let blocked = service
        .ctl(&["block", "sub-7", "--until", "2h", "--reason", "ticket 17", "--note", "ask support", "--wait", "5s"])
        .expect(0);
    for part in [
        "subscription sub-7 (app-1 to payments-1.0): BLOCKED",
        "ticket 17",
        "ask support",
        "(in 2 h)",
        "complete; 1 of 1",
    ] {
        assert!(blocked.out.contains(part), "{part} {blocked:?}");
    }
    let again = service.ctl(&["unblock", "sub-7", "--wait", "5s", "-o", "json"]).expect(0).json();
    assert_eq!((again["state"].clone(), again["receipt"]["complete"].clone()), (json!("UNBLOCKED"), json!(true)));
    // The service counts whole seconds; who made the change knows it better.
    let after = again["receipt"]["after_ms"].as_i64().unwrap();
    assert!(after > 0 && after < 5_000, "{again}");
    assert!(blocked.out.contains(" ms after the change") && !blocked.out.contains(" 0 ms after"), "{blocked:?}");
    let issued = service.ctl(&["keys", "issue", "app-1", "--wait", "5s"]).expect(0);
    assert!(issued.out.lines().count() == 1 && issued.err.contains(": complete; 1 of 1"), "{issued:?}");
    // Later, nobody knows any more how long the gateways took.
    let receipt = service.ctl(&["receipt"]).expect(0);
    assert!(receipt.out.contains("; the change was made ") && !receipt.out.contains(" ms "), "{receipt:?}");
    drop(following);
}

#[test]
fn a_receipt_that_is_not_complete_ends_with_4_and_names_who_is_missing() {
    let service = Service::start();
    service.seed();
    service.gateway("edge-1");
    let blocked = service.ctl(&["block", "sub-7", "--wait", "1s"]).expect(4);
    assert!(blocked.out.contains("not complete; 0 of 1 live gateways"), "{blocked:?}");
    assert!(blocked.out.contains("gw edge-1: live, and has not shown this revision yet"), "{blocked:?}");
    let receipt = service.ctl(&["receipt"]).expect(4);
    assert!(receipt.out.contains("not complete"), "{receipt:?}");
    let json = service.ctl(&["receipt", "-o", "json"]).expect(4).json();
    assert_eq!(json["missing"][0]["instance"], "edge-1");
    let gateways = service.ctl(&["gateways"]).expect(0);
    assert!(gateways.out.contains("edge-1") && gateways.out.contains("live"), "{gateways:?}");
    let id = service.get("/v1/gateways")["items"][0]["id"].as_str().unwrap().to_owned();
    service.ctl(&["gateways", "forget", &id]).expect(0);
}

#[test]
fn people_of_all_roles_make_and_replace_what_is_theirs() {
    let service = Service::start();
    service.seed();
    let token = |role: &str, subject: &str| {
        let issued = service.ctl(&["tokens", "issue", "--role", role, "--subject", subject]).expect(0);
        issued.out.trim().to_owned()
    };
    let (publisher, subscriber) = (token("publisher", "pat"), token("subscriber", "sam"));
    let write = |name: &str, text: &str| std::fs::write(service.folder().join(name), text).unwrap();
    // What is named comes first, wherever it stands.
    write("api.yaml", "kind: api\nid: maps\nmatch: [{path: /maps}]\nplans: [small]\n---\nkind: plan\nid: small\n");
    let made = service.ctl(&["create", "api.yaml"]).variable("KEYGATE_TOKEN", &publisher).expect(0);
    assert_eq!(made.out, "plan small is made\nAPI maps is made\n");
    write(
        "own.yaml",
        "kind: application\nid: mine\n---\nkind: subscription\nid: mine-maps\napplication: mine\napi: maps\nplan: small\n",
    );
    service.ctl(&["create", "own.yaml"]).variable("KEYGATE_TOKEN", &subscriber).expect(0);
    assert_eq!(service.get("/v1/applications/mine")["owner"], "sam");
    write("name.yaml", "kind: application\nid: mine\nname: Mine\n");
    let twice = service.ctl(&["create", "name.yaml"]).variable("KEYGATE_TOKEN", &subscriber).expect(1);
    assert!(twice.err.contains("name.yaml:1: ") && twice.err.contains("`keygatectl replace`"), "{twice:?}");
    let replaced =
        service.ctl(&["replace", "name.yaml", "-o", "json"]).variable("KEYGATE_TOKEN", &subscriber).expect(0);
    assert_eq!(replaced.json()["name"], "Mine");
    let other = service.ctl(&["replace", "api.yaml"]).variable("KEYGATE_TOKEN", &subscriber).expect(1);
    assert!(other.err.contains("api.yaml:"), "{other:?}");
    // Nobody takes what he may not see for nothing.
    let seen = service.ctl(&["describe", "sub", "mine-maps"]).variable("KEYGATE_TOKEN", &subscriber).expect(0);
    assert!(seen.out.contains("history\nyour role does not see it"), "{seen:?}");
    write("kept.yaml", "kind: application\nid: gone\nstate: BLOCKED\ndeleted: true\n");
    let kept = service.ctl(&["create", "kept.yaml"]).expect(1);
    assert!(kept.err.contains("kept.yaml:1: only apply"), "{kept:?}");
}

#[test]
fn blocks_of_all_kinds_and_their_ends() {
    let service = Service::start();
    service.seed();
    let dry = service.ctl(&["block", "sub-7", "--dry-run"]).expect(0);
    assert!(dry.out.contains("applications") && dry.err.contains("Nothing was changed."), "{dry:?}");
    assert_eq!(service.get("/v1/subscriptions/sub-7")["state"], "UNBLOCKED");
    service.ctl(&["block", "sub-7", "--state", "prod_only_blocked"]).expect(0);
    assert_eq!(service.get("/v1/subscriptions/sub-7")["state"], "PROD_ONLY_BLOCKED");
    let planned = service.ctl(&["block", "sub-8", "--from", "1h", "--until", "2h"]).expect(0);
    assert!(planned.out.contains("UNBLOCKED"), "{planned:?}");
    let listed = service.ctl(&["get", "sub", "sub-8"]).expect(0);
    assert!(listed.out.contains("UNBLOCKED, blocked in "), "{listed:?}");
    let app = service.ctl(&["block", "app-1"]).expect(1);
    assert!(app.err.contains("app-1 is an application") && app.err.contains("block --application app-1"), "{app:?}");
    service.ctl(&["block", "--application", "app-1", "--reason", "unpaid"]).expect(0);
    assert_eq!(service.get("/v1/applications/app-1")["block"]["reason"], "unpaid");
    let app = service.ctl(&["unblock", "app-1"]).expect(1);
    assert!(app.err.contains("`keygatectl unblock --application app-1` unblocks it"), "{app:?}");
    service.ctl(&["unblock", "--application", "app-1", "--reason", "paid"]).expect(0);
    let described = service.ctl(&["describe", "subscription", "sub-7"]).expect(0);
    for part in ["subscription sub-7", "PROD_ONLY_BLOCKED", "block\n", "history\n", "administrator"] {
        assert!(described.out.contains(part), "{part} {described:?}");
    }
    let approved = service.ctl(&["approve", "sub-9", "--reason", "contract"]).expect(0);
    assert!(approved.out.contains("sub-9 (app-3 to orders): UNBLOCKED"), "{approved:?}");
    let audit = service.ctl(&["audit", "--action", "block", "--id", "app-1", "-o", "json"]).expect(0).json();
    assert_eq!((audit["items"].as_array().unwrap().len(), audit["items"][0]["reason"].clone()), (1, json!("unpaid")));
    let kept = service.ctl(&["delete", "subscription", "sub-7", "--yes"]).expect(0);
    assert!(kept.out.contains("its block stays"), "{kept:?}");
    let unasked = service.ctl(&["delete", "key", "k-3"]).expect(64);
    assert!(unasked.err.contains("--yes"), "{unasked:?}");
}

#[test]
fn history_is_shown_and_restored() {
    let service = Service::start();
    service.seed();
    let before = service.get("/v1/revisions?sort=-revision")["items"][0]["revision"].as_i64().unwrap();
    service.ctl(&["delete", "application", "app-2", "--yes"]).expect(0);
    let history = service.ctl(&["history", "--limit", "1"]).expect(0);
    assert!(history.out.contains("delete") && history.out.contains("app-2"), "{history:?}");
    let diff = service.ctl(&["history", "--diff", &before.to_string()]).expect(0);
    assert!(diff.out.contains("- application app-2") && diff.out.contains("- key k-3"), "{diff:?}");
    let preview = service.ctl(&["restore", &before.to_string(), "--dry-run"]).expect(0);
    assert!(
        preview.out.contains("applications: 1 made") && preview.err.contains("Nothing was changed."),
        "{preview:?}"
    );
    let unasked = service.ctl(&["restore", &before.to_string()]).expect(64);
    assert!(unasked.err.contains("--yes"), "{unasked:?}");
    service.ctl(&["restore", &before.to_string(), "--yes"]).expect(0);
    assert_eq!(service.get("/v1/applications/app-2")["owner"], "bob");
    let gone = service.ctl(&["restore", "99999", "--yes"]).expect(1);
    assert!(gone.err.contains("410") && gone.err.contains("its log knows the request as"), "{gone:?}");
}

#[test]
fn usage_is_listed_and_added_up() {
    let service = Service::start();
    service.seed();
    let hour = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 3_600 * 3_600;
    let count = |outcome: &str, requests: u64| json!({"hour": hour, "application": "app-1", "api": "payments-1.0", "plan": "gold", "outcome": outcome, "requests": requests});
    let report = json!({"format": 1, "batch": "b-1", "counts": [count("allowed", 41), count("subscription_blocked", 7)], "keys": []});
    let sent = service.http.post(format!("{}/v1/usage", service.url)).basic_auth("gw", Some("secret"));
    let sent = sent.header("content-type", "application/json").body(report.to_string()).send().unwrap();
    assert!(sent.status().is_success(), "{}", sent.text().unwrap());
    let listed = service.ctl(&["usage", "--application", "app-1"]).expect(0);
    assert!(listed.out.contains("subscription_blocked") && listed.out.contains("41"), "{listed:?}");
    let sums = service.ctl(&["usage", "--by", "api"]).expect(0);
    assert_eq!(sums.out, "API           REQUESTS\npayments-1.0        48\n");
    let described = service.ctl(&["describe", "api", "payments-1.0"]).expect(0);
    assert!(described.out.contains("requests of the last day") && described.out.contains("41"), "{described:?}");
    let described = service.ctl(&["describe", "sub", "sub-7"]).expect(0);
    assert!(described.out.contains("requests of the last day") && described.out.contains("41"), "{described:?}");
    let other = service.ctl(&["describe", "sub", "sub-8", "-o", "json"]).expect(0).json();
    assert_eq!(other["usage_last_day"], json!([]), "{other}");
}

#[test]
fn tokens_and_credentials_are_issued_once_and_revoked() {
    let service = Service::start();
    let issued =
        service.ctl(&["tokens", "issue", "--role", "auditor", "--subject", "eve", "--expires-in", "1d"]).expect(0);
    let token = issued.out.trim_end();
    assert!(!token.contains(char::is_whitespace) && issued.err.contains("shown once") && !issued.err.contains(token));
    let me = service.ctl(&["whoami"]).variable("KEYGATE_TOKEN", token).expect(0);
    assert!(me.out.starts_with("eve (auditor) at http://127.0.0.1:"), "{me:?}");
    service.seed();
    let refused = service.ctl(&["block", "sub-7"]).variable("KEYGATE_TOKEN", token).expect(1);
    assert!(refused.err.contains("403") && refused.err.contains("whoami"), "{refused:?}");
    let list = service.ctl(&["tokens", "list", "-o", "json"]).expect(0).json();
    let id = list["items"][0]["id"].as_str().unwrap();
    service.ctl(&["tokens", "revoke", id]).expect(0);
    let gone = service.ctl(&["whoami"]).variable("KEYGATE_TOKEN", token).expect(1);
    assert!(gone.err.contains("401") && !gone.err.contains(token), "{gone:?}");

    let secret = service.ctl(&["gateways", "issue", "--client-id", "edge"]).expect(0);
    assert_eq!(secret.out.lines().count(), 1);
    let credentials = service.ctl(&["gateways", "credentials", "-o", "json"]).expect(0).json();
    let id = credentials["items"][0]["id"].as_str().unwrap();
    service.ctl(&["gateways", "scope", id, "--apis", "orders"]).expect(0);
    assert_eq!(service.get("/v1/gateways/credentials")["items"][0]["apis"], json!(["orders"]));
    service.ctl(&["gateways", "scope", id, "--all"]).expect(0);
    service.ctl(&["gateways", "scope", id]).expect(64);
    service.ctl(&["gateways", "revoke", id]).expect(0);
}

#[test]
fn a_watch_outlives_a_restart_of_the_service_and_tells_it() {
    let mut service = Service::start();
    service.seed();
    let watch = service.ctl(&["watch", "--for", "8s"]).start();
    std::thread::sleep(Duration::from_secs(2));
    service.kill();
    std::thread::sleep(Duration::from_secs(2));
    service.restart();
    service.ctl(&["block", "sub-7"]).expect(0);
    let watch = crate::support::Ran::of(watch.wait_with_output().unwrap());
    assert!(watch.code == 0 && watch.out.contains("block subscription sub-7"), "{watch:?}");
    assert_eq!(watch.err.matches("trying again").count(), 1, "{watch:?}");
    assert!(watch.err.ends_with("The service answers again.\n"), "{watch:?}");
}

#[test]
fn a_watch_shows_what_happens() {
    let service = Service::start();
    service.seed();
    service.gateway("edge-1");
    let watch = service.ctl(&["watch", "--for", "2s", "--since", "1h"]).expect(0);
    assert!(watch.out.contains("administrator create subscription sub-7"), "{watch:?}");
    assert!(watch.out.contains("gateway gw edge-1: live"), "{watch:?}");
    let lines = service.ctl(&["watch", "--for", "1s", "--since", "1h", "-o", "json"]).expect(0);
    for line in lines.out.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(event.get("change").or(event.get("gateway")).is_some(), "{line}");
    }
    assert!(lines.out.lines().count() > 10);
    let quiet = service.ctl(&["watch", "--for", "1s"]).expect(0);
    assert!(!quiet.out.contains("sub-7"), "{quiet:?}");
}
