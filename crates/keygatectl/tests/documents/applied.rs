//! What `apply` changes, what it refuses, and what `diff` says before.

use std::{
    fs,
    io::{self, Read},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{self, Service};

fn write(service: &Service, name: &str, text: &str) {
    let path = service.folder().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn json_revision(service: &Service) -> i64 {
    service.get("/v1/revisions?sort=-revision&limit=1")["items"][0]["revision"].as_i64().unwrap()
}

#[test]
fn a_difference_is_shown_before_and_gone_after() {
    let service = Service::start();
    service.seed();
    service.ctl(&["export", "policy"]).expect(0);
    let path = service.folder().join("policy/applications.yaml");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace("owner: bob", "owner: eve").replace("id: sub-8", "id: sub-8\nplan: gold");
    fs::write(&path, format!("{text}---\nkind: application\nid: app-9\nname: New\n")).unwrap();
    let diff = service.ctl(&["diff", "policy"]).expect(2);
    for part in [
        "~ application app-2",
        "-   owner: bob",
        "+   owner: eve",
        "~ subscription sub-8",
        "+   plan: gold",
        "+ application app-9",
        "+   name: New",
    ] {
        assert!(diff.out.contains(part), "{part} {diff:?}");
    }
    assert!(diff.err.contains("1 to make, 2 to change"), "{diff:?}");
    assert_eq!(service.get("/v1/applications/app-2")["owner"], "bob");
    let dry = service.ctl(&["apply", "policy", "--dry-run"]).expect(0);
    assert_eq!(dry.out, diff.out);
    assert!(!service.folder().join("policy/keygate.lock").exists());
    let json = service.ctl(&["diff", "policy", "-o", "json"]).expect(2).json();
    assert_eq!(
        (json["changed"][0]["id"].clone(), json["made"].as_array().unwrap().len()),
        (json!("app-2"), 1),
        "{json}"
    );
    let applied = service.ctl(&["apply", "policy"]).expect(0);
    assert!(
        applied.out.contains("applications: ") && applied.out.contains("1 made") && applied.out.contains("1 changed"),
        "{applied:?}"
    );
    let revision = json_revision(&service);
    assert_eq!(
        service.ctl(&["diff", "policy"]).expect(0).err,
        format!("There is no difference, at revision {revision}.\n")
    );
    let audit = service.ctl(&["audit", "--action", "import", "-o", "json"]).expect(0).json();
    assert_eq!(audit["items"][0]["reason"], "keygatectl apply");
}

#[test]
fn apply_lifts_no_block_unless_it_is_said() {
    let service = Service::start();
    service.seed();
    service.ctl(&["export", "policy"]).expect(0);
    service.ctl(&["block", "sub-7", "--reason", "fraud", "--until", "2h"]).expect(0);
    service.ctl(&["block", "--application", "app-2"]).expect(0);
    let diff = service.ctl(&["diff", "policy"]).expect(2);
    assert!(diff.out.contains("! subscription sub-7 would be refused: this subscription is BLOCKED"), "{diff:?}");
    assert!(diff.out.contains("! application app-2 would be refused"), "{diff:?}");
    let refused = service.ctl(&["apply", "policy"]).expect(1);
    assert!(refused.err.contains("2 objects were refused"), "{refused:?}");
    assert!(refused.err.contains("policy/applications.yaml:"), "{refused:?}");
    assert_eq!(service.get("/v1/subscriptions/sub-7")["state"], "BLOCKED");
    // A document without a state keeps the block.
    write(
        &service,
        "silent/a.yaml",
        "kind: subscription\nid: sub-7\napplication: app-1\napi: payments-1.0\nplan: gold\n",
    );
    service.ctl(&["diff", "silent"]).expect(0);
    service.ctl(&["apply", "silent"]).expect(0);
    assert_eq!(service.get("/v1/subscriptions/sub-7")["state"], "BLOCKED");
    service.ctl(&["delete", "subscription", "sub-7", "--yes"]).expect(0);
    service.ctl(&["apply", "silent"]).expect(1);
    let lifted = service.ctl(&["diff", "policy", "--lift-blocks"]).expect(2);
    assert!(!lifted.out.contains("refused"), "{lifted:?}");
    service.ctl(&["apply", "policy", "--lift-blocks"]).expect(0);
    assert_eq!(service.get("/v1/subscriptions/sub-7")["state"], "UNBLOCKED");
    assert_eq!(service.get("/v1/applications/app-2")["state"], "ACTIVE");
    service.ctl(&["diff", "policy"]).expect(0);
}

#[test]
fn errors_have_their_place_and_nothing_is_applied() {
    let service = Service::start();
    for (name, text, parts) in [
        ("field", "kind: application\nid: a\nstat: BLOCKED\n", vec!["field/a.yaml:3:1: stat: ", "did you mean state?"]),
        ("kind", "kind: app\nid: a\n", vec!["kind/a.yaml:1:1: kind: there is no kind \"app\""]),
        (
            "twice",
            "kind: plan\nid: a\n---\nkind: plan\nid: a\n",
            vec!["twice/a.yaml:3:1: id: another document of this plan stands at twice/a.yaml:1"],
        ),
        ("yaml", "kind: plan\nid: [a\n", vec!["yaml/a.yaml:"]),
        (
            "key",
            "kind: key\nid: k\napplication: a\nsha256: short\n",
            vec!["key/a.yaml:4:1: sha256: expected the SHA-256"],
        ),
        ("two", "kind: plan\nid: a\nx: 1\n---\nkind: plan\nid: b\ny: 1\n", vec!["two/a.yaml:3:1", "two/a.yaml:7:1"]),
    ] {
        write(&service, &format!("{name}/a.yaml"), text);
        write(&service, &format!("{name}/b.yaml"), "kind: plan\nid: good\n");
        let refused = service.ctl(&["apply", name]).expect(1);
        assert!(parts.iter().all(|part| refused.err.contains(part)), "{refused:?}");
        assert_eq!(service.ctl(&["validate", name]).expect(1).err, refused.err);
    }
    assert_eq!(service.get("/v1/plans")["total"], 0);
    fs::create_dir(service.folder().join("empty")).unwrap();
    assert!(service.ctl(&["apply", "two/b.yaml"]).expect(64).err.contains("is a file; expected a folder"));
    assert!(service.ctl(&["apply", "empty"]).expect(64).err.contains("no documents"));
    assert!(service.ctl(&["apply", "nowhere"]).expect(1).err.contains("nowhere: "));
    // What only the service can know is refused by it, with the place of the document.
    write(&service, "missing/a.yaml", "# who\n---\nkind: subscription\nid: s\napplication: nobody\napi: none\n");
    let refused = service.ctl(&["apply", "missing"]).expect(1);
    assert!(refused.err.contains("missing/a.yaml:2: application: "), "{refused:?}");
}

/// A policy in which every object is that of `owner`, in two changes. Each policy prunes what only the other has.
fn of_owner(service: &Service, owner: &str) {
    let text: String =
        (0..21_000).map(|number| format!("---\nkind: application\nid: app-{number:05}\nowner: {owner}\n")).collect();
    write(service, &format!("{owner}/a.yaml"), &format!("{text}---\nkind: plan\nid: plan-of-{owner}\n"));
    let lock = format!("service {}/\nplan plan-of-one\nplan plan-of-two\n", service.url);
    write(service, &format!("{owner}/keygate.lock"), &lock);
}

#[test]
fn two_at_once_through_two_services_do_not_mix() {
    let service = Service::start();
    let other = service.beside();
    for owner in ["one", "two"] {
        of_owner(&service, owner);
    }
    let urls = [service.url.clone(), other.url.clone()];
    for round in 0..2 {
        thread::scope(|scope| {
            let running: Vec<_> = ["one", "two"]
                .into_iter()
                .zip(&urls)
                .map(|(folder, url)| {
                    let lock = format!("{folder}/keygate.lock");
                    let text = fs::read_to_string(service.folder().join(&lock)).unwrap();
                    let rest = text.split_once('\n').unwrap_or_default().1;
                    write(&service, &lock, &format!("service {url}/\n{rest}plan plan-of-one\nplan plan-of-two\n"));
                    let call = service.ctl(&["apply", folder, "--prune", "--yes", "--url", url]);
                    scope.spawn(|| call.run())
                })
                .collect();
            for ran in running {
                let ran = ran.join().unwrap();
                assert_eq!(ran.code, 0, "{ran:?}");
            }
        });
        let owners = ["one", "two"]
            .map(|owner| service.get(&format!("/v1/applications?owner={owner}&limit=1"))["total"].as_u64());
        let plans: Vec<String> = service.get("/v1/plans")["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|plan| plan["id"].as_str().unwrap().to_owned())
            .collect();
        let whole = [([Some(21_000), Some(0)], ["plan-of-one"]), ([Some(0), Some(21_000)], ["plan-of-two"])];
        assert!(whole.iter().any(|(of, plan)| *of == owners && plans == plan), "{round}: {owners:?} {plans:?}");
    }
}

/// A body of an import that gives a row each second, until its time is over.
struct Slowly {
    until: Instant,
    rows: u32,
}

impl Read for Slowly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if Instant::now() >= self.until {
            return Ok(0);
        }
        if self.rows > 0 {
            thread::sleep(Duration::from_secs(1));
        }
        self.rows += 1;
        let row = format!("{{\"kind\":\"plan\",\"id\":\"slow-{}\"}}\n", self.rows);
        buffer[..row.len()].copy_from_slice(row.as_bytes());
        Ok(row.len())
    }
}

#[test]
fn an_import_waits_for_another_one_that_takes_longer_than_the_service_waits() {
    let service = Service::start();
    // More than a connection takes while nobody reads it.
    of_owner(&service, "one");
    fs::remove_file(service.folder().join("one/keygate.lock")).unwrap();
    // The service waits 30 s. Linux gives a connection up that is not read for 30 s, if a program asks it to.
    let slowly = Slowly { until: Instant::now() + Duration::from_secs(42), rows: 0 };
    let import = service.http.post(format!("{}/v1/import", service.url)).bearer_auth(support::TOKEN);
    let import = import.header("content-type", "application/x-ndjson").timeout(Duration::from_secs(90));
    let slow = thread::spawn(|| import.body(reqwest::blocking::Body::new(slowly)).send().unwrap().status());
    thread::sleep(Duration::from_millis(500));
    let applied = service.ctl(&["apply", "one"]).expect(0);
    assert_eq!(slow.join().unwrap(), 200);
    assert_eq!(service.get("/v1/applications?limit=1")["total"], 21_000, "{applied:?}");
}

#[test]
fn a_policy_that_has_changed_since_the_difference_is_left_alone() {
    let service = Service::start();
    service.seed();
    service.ctl(&["export", "policy"]).expect(0);
    let path = service.folder().join("policy/applications.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("owner: bob", "owner: eve")).unwrap();
    let diff = service.ctl(&["diff", "policy", "-o", "json"]).expect(2).json();
    let reviewed = diff["revision"].as_i64().unwrap();
    assert_eq!(reviewed, json_revision(&service));
    service.ctl(&["block", "sub-8"]).expect(0);
    let at = reviewed.to_string();
    let refused = service.ctl(&["apply", "policy", "--if-revision", &at]).expect(1);
    assert!(
        refused.err.contains("nothing was applied, because the policy has changed")
            && refused.err.contains(&format!("revision {} now", reviewed + 1)),
        "{refused:?}"
    );
    assert_eq!(service.get("/v1/applications/app-2")["owner"], "bob");
    let at = json_revision(&service).to_string();
    // The block is of later than the export.
    let applied = service.ctl(&["apply", "policy", "--if-revision", &at]).expect(1);
    assert!(applied.err.contains("1 object was refused"), "{applied:?}");
    assert_eq!(service.get("/v1/applications/app-2")["owner"], "eve");
}

#[test]
fn an_interrupted_apply_is_repeated() {
    let service = Service::start();
    let text = |owner: &str| -> String {
        (0..21_000).map(|number| format!("---\nkind: application\nid: app-{number:05}\nowner: {owner}\n")).collect()
    };
    write(&service, "first/a.yaml", &text("one"));
    service.ctl(&["apply", "first"]).expect(0);
    // Half of the rows are there, as after an interruption.
    write(&service, "half/a.yaml", &text("three").split("---").take(9_001).collect::<Vec<_>>().join("---"));
    service.ctl(&["apply", "half"]).expect(0);
    write(&service, "whole/a.yaml", &text("three"));
    let counts = service.ctl(&["apply", "whole", "-o", "json"]).expect(0).json();
    assert_eq!(counts["counts"]["applications"]["changed"], 12_000, "{counts}");
    assert_eq!(counts["counts"]["applications"]["unchanged"], 9_000, "{counts}");
}
