//! What `apply` changes, what it refuses, and what `diff` says before.

use std::{
    fs,
    io::{self, Read},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{self, Ran, Service};

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

/// A body of an import: rows that come one after the other, with a pause before each.
struct Slowly {
    rows: std::vec::IntoIter<String>,
    pause: Duration,
}

impl Slowly {
    fn new(rows: impl IntoIterator<Item = String>, pause: Duration) -> Self {
        Self { rows: rows.into_iter().collect::<Vec<_>>().into_iter(), pause }
    }

    /// Sends it to a service. Returns the status and when the answer came.
    fn import(self, service: &Service) -> (u16, Instant) {
        let request = service.http.post(format!("{}/v1/import", service.url)).bearer_auth(support::TOKEN);
        let request = request.header("content-type", "application/x-ndjson").timeout(Duration::from_secs(90));
        let answer = request.body(reqwest::blocking::Body::new(self)).send().unwrap();
        (answer.status().as_u16(), Instant::now())
    }
}

impl Read for Slowly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(row) = self.rows.next() else { return Ok(0) };
        thread::sleep(self.pause);
        let row = format!("{row}\n");
        buffer[..row.len()].copy_from_slice(row.as_bytes());
        Ok(row.len())
    }
}

#[test]
fn two_at_once_through_two_services_do_not_mix() {
    let service = Service::start();
    let other = service.beside();
    let row =
        |owner: &str, number: usize| json!({"kind": "application", "id": format!("app-{number}"), "owner": owner});
    // The rows of one come during two seconds. What was applied of the other before is pruned.
    write(&service, "two/a.yaml", "kind: plan\nid: plan-of-two\n");
    other.ctl(&["apply", "two"]).expect(0);
    let text: String =
        (0..10).map(|number| format!("---\nkind: application\nid: app-{number}\nowner: two\n")).collect();
    write(&service, "two/a.yaml", &text);
    let rows = (0..10).rev().map(|number| row("one", number).to_string());
    let slow = Slowly::new(rows, Duration::from_millis(200));
    let ((status, first), second) = thread::scope(|scope| {
        let slow = scope.spawn(|| slow.import(&service));
        thread::sleep(Duration::from_millis(700));
        other.ctl(&["apply", "two", "--prune", "--yes"]).expect(0);
        let second = Instant::now();
        (slow.join().unwrap(), second)
    });
    assert_eq!(status, 200);
    assert!(first < second, "the import that began first ends first");
    let of = |owner: &str| service.get(&format!("/v1/applications?owner={owner}&limit=1"))["total"].as_u64();
    assert_eq!([of("one"), of("two")], [Some(0), Some(10)], "the other one is written whole, after it");
    assert_eq!(service.get("/v1/plans")["total"], 0, "what it prunes goes with it");
}

#[test]
fn an_import_waits_for_another_one_that_takes_longer_than_the_service_waits() {
    let service = Service::start();
    // More bytes than a connection takes while nobody reads it, in few rows.
    let name = "n".repeat(250);
    let document =
        |number: usize| format!("---\nkind: application\nid: app-{number:0240}\nname: {name}\nowner: {name}\n");
    write(&service, "one/a.yaml", &(0..APPLICATIONS).map(document).collect::<String>());
    // The service waits 30 s. Linux gives a connection up that is not read for 30 s, if a program asks it to.
    let rows = (0..42).map(|number| json!({"kind": "plan", "id": format!("slow-{number}")}).to_string());
    let slow = Slowly::new(rows, Duration::from_secs(1));
    thread::scope(|scope| {
        let slow = scope.spawn(|| slow.import(&service));
        thread::sleep(Duration::from_millis(2_500));
        let applied = service.ctl(&["apply", "one"]).expect(0);
        assert_eq!(slow.join().unwrap().0, 200);
        assert_eq!(service.get("/v1/applications?limit=1")["total"], APPLICATIONS, "{applied:?}");
    });
}

/// Applications of 800 bytes each, 2.4 MB in all.
const APPLICATIONS: usize = 3_000;

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
fn an_apply_whose_service_was_killed_is_repeated() {
    let mut service = Service::start();
    // More than the 20,000 rows of the first change.
    let row = |number: usize| format!("---\nkind: application\nid: app-{number:05}\n");
    write(&service, "policy/a.yaml", &(0..ROWS).map(row).collect::<String>());
    let running = service.ctl(&["apply", "policy"]).start();
    let begun = Instant::now();
    while service.get("/v1/applications?limit=1")["total"] == 0 {
        assert!(begun.elapsed() < Duration::from_secs(120), "nothing is applied");
        thread::sleep(Duration::from_millis(10));
    }
    service.kill();
    let broken = Ran::of(running.wait_with_output().unwrap());
    assert!(broken.code == 1 && broken.err.contains(&service.url), "{broken:?}");
    service.restart();
    let there = service.get("/v1/applications?limit=1")["total"].as_u64().unwrap();
    assert!(there > 0 && there < ROWS as u64, "{there}");
    let counts = service.ctl(&["apply", "policy", "-o", "json"]).expect(0).json()["counts"]["applications"].clone();
    assert_eq!(counts["unchanged"], there, "{counts}");
    assert_eq!(counts["made"], ROWS as u64 - there, "{counts}");
    assert_eq!(service.get("/v1/applications?limit=1")["total"], ROWS);
}

/// Rows of two changes. The second one takes long enough for a service to be killed during it.
const ROWS: usize = 22_000;
