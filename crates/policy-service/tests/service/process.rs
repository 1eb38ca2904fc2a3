//! The program itself: kills and restarts, stops, wrong arguments, imports and a renewed epoch.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::support::{TOKEN, client, digest, follower::check};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};

const SOON: Duration = Duration::from_secs(20);

/// The program with a database in `directory`, without the settings of this process.
fn program(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_policy-service"));
    command.args(arguments).env_clear().current_dir(directory);
    command.env("POLICY_DATABASE", "sqlite:policy.db").env("POLICY_LISTEN", "127.0.0.1:0");
    command.env("POLICY_ADMIN_TOKEN", TOKEN).env("POLICY_GATEWAYS", "gw:secret");
    command
}

/// A running program. It is killed when this is dropped.
struct Running {
    child: Child,
    url: String,
    client: reqwest::Client,
}

impl Running {
    fn start(directory: &Path) -> Self {
        Self::of(program(directory, &["serve"]))
    }

    /// Limits the size of its files to this number of bytes from now on, or lifts the limit.
    fn limit_files(&self, bytes: &str) {
        let arguments = ["--pid".to_owned(), self.child.id().to_string(), format!("--fsize={bytes}:")];
        assert!(Command::new("prlimit").args(arguments).status().unwrap().success());
    }

    /// The status of `/healthz/write`.
    async fn writes(&self) -> u16 {
        self.client.get(format!("{}/healthz/write", self.url)).send().await.unwrap().status().as_u16()
    }

    fn of(command: Command) -> Self {
        Self::of_with_log(command, Stdio::null())
    }

    fn of_with_log(mut command: Command, log: Stdio) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").expect("the first line says where").to_owned();
        Self { child, url, client: client() }
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(TOKEN).json(&body);
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    async fn policy(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}{path}", self.url)).basic_auth("gw", Some("secret"));
        let text = request.send().await.unwrap().text().await.unwrap();
        check(&text);
        serde_json::from_str(&text).unwrap()
    }

    /// Waits for the end, after a signal.
    fn ended(&mut self) -> std::process::ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < SOON, "it does not end");
            std::thread::yield_now();
        }
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn killed_after_any_answer_it_has_lost_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut epoch = Value::Null;
    for round in 0..8_u64 {
        let mut service = Running::start(directory.path());
        let page = service.policy("/v1/policy").await;
        assert_eq!(page["revision"], round * 5, "a change was lost, or one was made that nobody asked for");
        assert_eq!(page["plans"].as_array().unwrap().len(), usize::try_from(round * 5).unwrap());
        assert!(round == 0 || page["epoch"] == epoch, "the epoch belongs to the database");
        epoch = page["epoch"].clone();
        for number in 0..5 {
            let (status, _) = service.post("/v1/plans", json!({"id": format!("p-{round}-{number}")})).await;
            assert_eq!(status, 201);
        }
        service.child.kill().unwrap();
        service.ended();
    }
}

/// Kills the program while requests are in progress. Acknowledged changes must exist; other changes exist completely or
/// not at all.
#[tokio::test]
async fn killed_in_the_middle_it_has_kept_what_it_answered() {
    let directory = tempfile::tempdir().unwrap();
    let mut service = Running::start(directory.path());
    let (client, url) = (service.client.clone(), service.url.clone());
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let writer = tokio::spawn(async move {
        for number in 0.. {
            let request =
                client.post(format!("{url}/v1/plans")).bearer_auth(TOKEN).json(&json!({"id": number.to_string()}));
            match request.send().await {
                Ok(response) if response.status() == 201 => told.send(number).unwrap(),
                _ => return,
            }
        }
    });
    let mut answered = 0;
    while answered < 30 {
        answered = heard.recv().await.unwrap();
    }
    service.child.kill().unwrap();
    service.ended();
    writer.await.unwrap();
    while let Ok(number) = heard.try_recv() {
        answered = number;
    }
    let service = Running::start(directory.path());
    let page = service.policy("/v1/policy").await;
    let held = page["plans"].as_array().unwrap().len();
    assert!(held == answered + 1 || held == answered + 2, "{held} plans, {answered} is the last that was answered");
    assert_eq!(page["revision"], held);
}

#[tokio::test]
async fn told_to_stop_it_ends_well_and_soon_with_a_poll_held() {
    for signal in ["-TERM", "-INT"] {
        let directory = tempfile::tempdir().unwrap();
        let mut service = Running::start(directory.path());
        let poll = service.client.request(Method::GET, format!("{}/v1/policy?since=0", service.url));
        let poll = tokio::spawn(poll.basic_auth("gw", Some("secret")).header("prefer", "wait=50").send());
        service.post("/v1/nothing", Value::Null).await;
        let begun = Instant::now();
        service.signal(signal);
        assert!(service.ended().success(), "{signal}");
        assert!(begun.elapsed() < Duration::from_secs(9), "{signal} took {:?}", begun.elapsed());
        // The poll was answered, or its connection was not accepted yet.
        if let Ok(response) = poll.await.unwrap() {
            assert_eq!(response.status(), 304);
        }
        let log = std::fs::metadata(directory.path().join("policy.db-wal"));
        assert_eq!(log.map_or(0, |log| log.len()), 0, "the log is put into the database");
    }
}

fn ends(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = program(directory, arguments);
    for (name, value) in variables {
        command.env(name, value);
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.success(), format!("{}{}", String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap()))
}

#[test]
fn what_it_cannot_start_with_is_said_without_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    for (variables, says) in [
        (&[("POLICY_ADMIN_TOKEN", "")][..], "token"),
        (&[("POLICY_ADMIN_TOKEN", "hush hush")], "token"),
        (&[("POLICY_GATEWAYS", "")], "gateway 1"),
        (&[("POLICY_GATEWAYS", "gw:hush,hush-hush")], "gateway 2"),
        (&[("POLICY_GATEWAYS", "gw:hush,gw2:")], "gateway 2"),
        (&[("POLICY_GATEWAYS", "a:hush,b:hush")], "same secret"),
        (&[("POLICY_GATEWAYS", "gw :hush")], "gateway 1"),
        (&[("POLICY_GATEWAYS", "gw:hush, gw2:hush-hush")], "gateway 2"),
        (&[("POLICY_GATEWAYS", "gw:hush ")], "gateway 1"),
        (&[("POLICY_GATEWAYS", "gw:hush"), ("POLICY_ADMIN_TOKEN", "hush")], "\"gw\" is the administrator's token"),
        (&[("POLICY_GATEWAY_APIS", "{\"gw\": [\"a\"], \"gw\": [\"b\"]}")], "twice"),
        (&[("POLICY_GATEWAY_APIS", "{\"gw\": [\"a\", \"\"]}")], "1 to 256"),
        (&[("POLICY_GATEWAY_APIS", "{\"\": []}")], "no gateway"),
        (&[("POLICY_GATEWAY_APIS", "[]")], "JSON object"),
        (&[("POLICY_CONFIRM_REMOVAL", "perhaps")], "--confirm-removal"),
        (&[("POLICY_GATEWAY_APIS", "gw=api")], "JSON object"),
        (&[("POLICY_GATEWAY_APIS", "{\"other\": []}")], "other"),
        (&[("POLICY_LISTEN", "nowhere")], "--listen"),
        (&[("POLICY_LISTEN", "192.0.2.1:1")], "192.0.2.1:1"),
        (&[("POLICY_DATABASE", "sqlite:none/policy.db")], "database"),
        (&[("POLICY_DATABASE", "postgres://x")], "database"),
        (&[("POLICY_PAGE_ROWS", "0")], "--page-rows"),
    ] {
        let (success, text) = ends(directory.path(), &["serve"], variables);
        assert!(!success && text.contains(says), "{variables:?}: {text}");
        assert!(!text.contains("hush"), "{text}");
        // The message names the variable and the argument, because an operator may have used either.
        let variable = variables[0].0;
        let argument = format!("--{}", variable.trim_start_matches("POLICY_").to_lowercase().replace('_', "-"));
        assert!(text.contains(variable) && text.contains(&argument), "{variables:?}: {text}");
    }
    let mut command = program(directory.path(), &["serve"]);
    let Output { stderr, .. } = command.env_remove("POLICY_ADMIN_TOKEN").output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert!(text.contains("--admin-token") && text.contains("POLICY_ADMIN_TOKEN"), "{text}");
    std::fs::write(directory.path().join("other.db"), "no database at all, and long enough to be looked at").unwrap();
    let (success, text) = ends(directory.path(), &["serve"], &[("POLICY_DATABASE", "sqlite:other.db")]);
    assert!(!success && text.contains("database"), "{text}");
}

#[tokio::test]
async fn a_disk_that_was_full_is_written_again_as_soon_as_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let service = Running::start(directory.path());
    let application =
        |number: u32| json!({"id": format!("app-{number}"), "name": "n".repeat(250), "owner": "o".repeat(250)});
    let report = |batch: &str| {
        let body = json!({"format": 1, "batch": batch}).to_string();
        let request = service.client.post(format!("{}/v1/usage", service.url)).basic_auth("gw", Some("secret"));
        request.header("content-type", "application/json").body(body).send()
    };
    for round in 0..3_u32 {
        service.limit_files("300000");
        let mut made = 0;
        let (status, said) = loop {
            let (status, said) = service.post("/v1/applications", application(1_000 * round + made)).await;
            if status != 201 {
                break (status, said);
            }
            made += 1;
            assert!(made < 900, "the disk is never full");
        };
        let clear = |status: StatusCode| status == 507;
        assert!(clear(status), "round {round}: {said}");
        for number in 0..5 {
            let (status, said) = service.post("/v1/applications", application(1_000 * round + made + number)).await;
            assert!(clear(status), "round {round}: {said}");
            // A small write may still find room.
            let status = report("while-it-is-full").await.unwrap().status();
            assert!(status == 200 || clear(status), "round {round}: {status}");
        }
        // Now no write finds room, and the service reports it.
        service.limit_files("1");
        assert!(clear(report("while-it-is-full-2").await.unwrap().status()), "round {round}");
        let status = service.writes().await;
        assert_eq!(status, 507, "round {round}");
        let before = service.policy("/v1/policy").await["revision"].as_u64().unwrap();
        service.limit_files("unlimited");
        assert_eq!(service.writes().await, 200, "round {round}");
        let (status, said) = service.post("/v1/applications", application(1_000 * round + 999)).await;
        assert_eq!(status, 201, "round {round}: {said}");
        assert_eq!(report(&format!("batch-{round}")).await.unwrap().status(), 200, "round {round}");
        let page = service.policy("/v1/policy").await;
        assert_eq!(page["revision"], before + 1);
        assert_eq!(page["applications"].as_array().unwrap().len() as u64, before + 1, "nothing was lost, nothing half");
    }
}

/// The check must notice a full disk before a change has failed. A small write that finds room proves nothing.
#[tokio::test]
async fn a_disk_without_room_for_a_change_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let service = Running::start(directory.path());
    assert_eq!(service.post("/v1/plans", json!({"id": "before"})).await.0, 201);
    assert_eq!(service.writes().await, 200);
    service.limit_files("1");
    let begun = Instant::now();
    // A good result is reused for a moment.
    while service.writes().await != 507 {
        assert!(begun.elapsed() < SOON, "no change has failed yet, and none would be taken");
    }
    service.limit_files("unlimited");
    assert_eq!(service.writes().await, 200);
    let log = std::fs::metadata(directory.path().join("policy.db-wal")).unwrap().len();
    for room in [4_200, 12_600, 25_200] {
        service.limit_files(&(log + room).to_string());
        let plan = json!({"id": "during"});
        let (status, said) = service.post("/v1/plans", plan).await;
        assert_eq!(status, 507, "{room}: {said}");
        assert_eq!(service.writes().await, 507, "{room}: a change was refused");
        assert_eq!(service.writes().await, 507, "{room}: and would be again");
    }
    service.limit_files("unlimited");
    assert_eq!(service.writes().await, 200);
    assert_eq!(service.post("/v1/plans", json!({"id": "after"})).await.0, 201);
    assert_eq!(service.policy("/v1/policy").await["revision"], 2, "looking makes no revision");
}

#[test]
fn a_database_that_cannot_be_is_an_error_that_says_what_would_be_right() {
    let directory = tempfile::tempdir().unwrap();
    let foreign = directory.path().join("foreign.db");
    std::fs::write(
        directory.path().join("text"),
        "this is no database, and longer than a header of one hundred bytes".repeat(3),
    )
    .unwrap();
    let said = import(directory.path(), "{}");
    assert!(said.0, "{}", said.1);
    std::fs::rename(directory.path().join("policy.db"), &foreign).unwrap();
    // A file of another program, byte for byte. Not one byte may change.
    let other = directory.path().join("other.db");
    let made = tokio::runtime::Runtime::new().unwrap();
    made.block_on(async {
        use sqlx::{Connection as _, sqlite::SqliteConnectOptions};
        let options = SqliteConnectOptions::new().filename(&other).create_if_missing(true);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query("CREATE TABLE another (x)").execute(&mut connection).await.unwrap();
        sqlx::query("CREATE TABLE _sqlx_migrations (x)").execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
    let before = std::fs::read(&other).unwrap();
    for arguments in [&["serve"][..], &["renew-epoch"], &["import", "text"]] {
        let (success, said) = ends(directory.path(), arguments, &[("POLICY_DATABASE", "sqlite:other.db")]);
        assert!(!success && said.contains("other.db") && said.contains("another program"), "{said}");
        assert_eq!(std::fs::read(&other).unwrap(), before, "{arguments:?}");
        assert!(!directory.path().join("other.db-wal").exists(), "{arguments:?}");
    }
    for (command, url, says) in [
        ("serve", "", "sqlite:FILE"),
        ("serve", "sqlite:", "sqlite:FILE"),
        ("serve", "sqlite::memory:", "sqlite:FILE"),
        ("serve", "sqlite:x.db?mode=memory", "sqlite:FILE"),
        ("serve", "postgres://host/db", "POLICY_DATABASE"),
        ("serve", "policy.db", "sqlite:FILE"),
        ("serve", "sqlite:nowhere/policy.db", "nowhere/policy.db"),
        ("serve", "sqlite:text", "text"),
        ("renew-epoch", "sqlite:mistyped.db", "mistyped.db"),
    ] {
        let (success, said) = ends(directory.path(), &[command, "--database", url], &[]);
        assert!(!success && said.contains(says), "{command} {url}: {said}");
    }
    let made: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        !made.iter().any(|name| ["mistyped.db", "policy.db", "x.db"].contains(&name.to_str().unwrap())),
        "{made:?}"
    );
}

#[test]
fn every_argument_has_its_variable_and_takes_what_is_said_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let (success, text) = ends(directory.path(), &["serve", "--help"], &[]);
    assert!(success);
    for value in ["true", "1", "on", "false", "0", "off"] {
        // It fails only at the address, which it cannot bind.
        let variables = [("POLICY_CONFIRM_REMOVAL", value), ("POLICY_LISTEN", "192.0.2.1:1")];
        let (_, text) = ends(directory.path(), &["serve"], &variables);
        assert!(text.contains("cannot listen"), "{value}: {text}");
    }
    // An empty list limits no gateway.
    let variables = [("POLICY_GATEWAY_APIS", ""), ("POLICY_LISTEN", "192.0.2.1:1")];
    assert!(ends(directory.path(), &["serve"], &variables).1.contains("cannot listen"));
    for (argument, variable) in [
        ("--listen", "POLICY_LISTEN"),
        ("--database", "POLICY_DATABASE"),
        ("--admin-token", "POLICY_ADMIN_TOKEN"),
        ("--gateways", "POLICY_GATEWAYS"),
        ("--gateway-apis", "POLICY_GATEWAY_APIS"),
        ("--page-rows", "POLICY_PAGE_ROWS"),
        ("--history-rows", "POLICY_HISTORY_ROWS"),
        ("--max-wait", "POLICY_MAX_WAIT"),
        ("--confirm-removal", "POLICY_CONFIRM_REMOVAL"),
    ] {
        assert!(text.contains(argument) && text.contains(variable), "{argument}: {text}");
    }
    assert!(!text.contains(TOKEN) && !text.contains("secret\""), "{text}");
}

#[tokio::test]
async fn a_poll_is_held_no_longer_than_the_service_was_told() {
    let directory = tempfile::tempdir().unwrap();
    for (told, held, applied) in [("2", 2..10, true), ("0", 0..2, false)] {
        let mut command = program(directory.path(), &["serve", "--max-wait", told]);
        command.env("POLICY_MAX_WAIT", "40");
        let service = Running::of(command);
        let poll = service.client.get(format!("{}/v1/policy?since=0", service.url)).basic_auth("gw", Some("secret"));
        let begun = Instant::now();
        let answer = poll.header("prefer", "wait=30").send().await.unwrap();
        assert_eq!(answer.status(), 304, "{told}");
        assert!(held.contains(&begun.elapsed().as_secs()), "{told}: {:?}", begun.elapsed());
        assert_eq!(answer.headers().contains_key("preference-applied"), applied, "{told}: else it asks again at once");
    }
    for value in ["-1", "3601", "soon", ""] {
        let (success, text) = ends(directory.path(), &["serve"], &[("POLICY_MAX_WAIT", value)]);
        assert!(!success && text.contains("--max-wait") && text.contains("POLICY_MAX_WAIT"), "{value}: {text}");
    }
}

fn import(directory: &Path, text: &str) -> (bool, String) {
    let mut command = program(directory, &["import", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // It may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    (status.success(), String::from_utf8(stderr).unwrap())
}

/// A page with a list that pages do not have means rows that would be missing.
#[test]
fn an_import_refuses_a_list_that_pages_do_not_have() {
    let directory = tempfile::tempdir().unwrap();
    let page = json!({"format": 1, "denyPolicies": [{"id": "d", "type": "IP", "value": "192.0.2.1"}]});
    let (success, said) = import(directory.path(), &page.to_string());
    assert!(!success && said.contains("page 1") && said.contains("denyPolicies"), "{said}");
    assert!(said.contains("deny_policies"), "{said}");
    let whole = json!({"format": 1, "epoch": "e", "revision": 4, "base": null, "next": null, "poll": "?since=4",
                       "counts": {"keys": 0}, "confirm_removal": true, "plans": [], "removed": null});
    let (success, said) = import(directory.path(), &whole.to_string());
    assert!(success, "{said}");
    let (success, said) = import(directory.path(), &format!("\u{feff}{whole}"));
    assert!(!success && said.contains("byte order mark"), "{said}");
    for (text, says) in [
        (json!({"kind": "plan", "id": "p"}), "POST /v1/import"),
        (json!({"items": []}), "items"),
        (json!({"format": 2}), "the format 2"),
    ] {
        let (success, said) = import(directory.path(), &text.to_string());
        assert!(!success && said.contains(says), "{text}: {said}");
    }
}

#[tokio::test]
async fn an_import_beside_the_service_is_in_the_feed() {
    let directory = tempfile::tempdir().unwrap();
    let service = Running::start(directory.path());
    let poll = service.client.get(format!("{}/v1/policy?since=0", service.url)).basic_auth("gw", Some("secret"));
    let poll = tokio::spawn(poll.header("prefer", "wait=40").send());
    // Rows come before the rows that they refer to, within a page and across pages.
    let keys: Vec<Value> = (0..2_500)
        .map(|number| json!({"sha256": digest(number), "id": format!("k-{number}"), "application": "app-1"}))
        .collect();
    let pages = [
        json!({"format": 1, "revision": 77, "keys": keys, "subscriptions": [{"application": "app-1", "api": "api-1", "plan": "gold"}]}),
        json!({"apis": [{"id": "api-1"}], "applications": [{"id": "app-1"}], "plans": [{"id": "gold"}], "keys": null}),
    ];
    let text = format!("{}\n{:#}", pages[0], pages[1]);
    let (success, said) = import(directory.path(), &text);
    assert!(success, "{said}");
    assert!(said.contains("2504 rows"), "{said}");
    let response = poll.await.unwrap().unwrap();
    assert_eq!(response.status(), 200, "who waits hears of it");
    let page = service.policy("/v1/policy").await;
    assert_eq!(page["counts"], json!({"keys": 2_500, "applications": 1, "subscriptions": 1}));
    let revision = page["revision"].clone();
    let (success, said) = import(directory.path(), &text);
    assert!(success, "{said}");
    assert_eq!(service.policy("/v1/policy").await["revision"], revision, "the same again is no change");
    // Pages of the feed can be imported into another database.
    let other = tempfile::tempdir().unwrap();
    let (success, said) = import(other.path(), &page.to_string());
    assert!(success, "{said}");
    let copy = Running::start(other.path()).policy("/v1/policy").await;
    for list in ["apis", "applications", "keys", "subscriptions", "plans", "deny_policies"] {
        assert_eq!(copy[list], page[list], "{list}");
    }
}

#[test]
fn an_import_leaves_out_what_is_wrong_and_says_where_it_stood() {
    let directory = tempfile::tempdir().unwrap();
    let page = json!({"applications": [{"id": "app-1"}, {"id": ""}, {"id": "app-2", "state": "GONE"}],
        "keys": [{"sha256": digest(1), "id": "k", "application": "nowhere"}, {"sha256": digest(2), "id": "k-2", "application": "app-1"}]});
    let (success, said) = import(directory.path(), &page.to_string());
    assert!(!success);
    for says in [
        "page 1, applications[1]: id:",
        "page 1, applications[2]: ",
        "page 1, keys[0]: application:",
        "3 rows were refused",
    ] {
        assert!(said.contains(says), "{says}: {said}");
    }
    for (text, says) in [
        ("{\"keys\": [", "page 1 cannot be read"),
        ("{} 5", "page 2 cannot be read"),
        ("{\"base\": 5}", "delta"),
        ("{\"removed\": {}}", "delta"),
    ] {
        let (success, said) = import(directory.path(), text);
        assert!(!success && said.contains(says), "{text}: {said}");
    }
    let (success, said) = ends(directory.path(), &["import", "none.json"], &[]);
    assert!(!success && said.contains("none.json"), "{said}");
}

/// A deleted application whose block stays has only the block.
#[tokio::test]
async fn an_import_gives_no_key_to_a_deleted_application() {
    let directory = tempfile::tempdir().unwrap();
    let blocked = json!({"applications": [{"id": "x", "state": "BLOCKED"}]});
    assert!(import(directory.path(), &blocked.to_string()).0);
    let running = Running::start(directory.path());
    let request = running.client.delete(format!("{}/v1/applications/x", running.url)).bearer_auth(TOKEN);
    assert_eq!(request.send().await.unwrap().status(), 200);
    let page = json!({"keys": [{"id": "k", "application": "x", "sha256": digest(1)}], "applications": [{"id": "x"}]});
    let (success, said) = import(directory.path(), &page.to_string());
    assert!(!success && said.matches("refused: page").count() == 2, "{said}");
    assert_eq!(running.policy("/v1/policy").await["keys"], json!([]));
}

#[tokio::test]
async fn an_import_brings_no_revoked_key_back() {
    let directory = tempfile::tempdir().unwrap();
    let key = |number| json!({"id": format!("k-{number}"), "application": "x", "sha256": digest(number)});
    let page = json!({"applications": [{"id": "x"}], "keys": [key(1), key(2)]});
    assert!(import(directory.path(), &page.to_string()).0);
    let running = Running::start(directory.path());
    for (method, path) in [(Method::POST, "/v1/keys/k-1/revoke"), (Method::DELETE, "/v1/keys/k-1")] {
        let request = running.client.request(method, format!("{}{path}", running.url)).bearer_auth(TOKEN);
        assert!(request.send().await.unwrap().status().is_success());
    }
    let (success, said) = import(directory.path(), &page.to_string());
    assert!(!success && said.contains("keys[0]: key was revoked") && said.contains("1 rows were refused"), "{said}");
}

/// The log warns of a short token. Wrong credentials from the 11th on wait a second, valid ones do not, and the log
/// does not grow with them.
#[tokio::test]
async fn short_tokens_are_warned_of_and_guesses_wait() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let mut command = program(directory.path(), &["serve"]);
    command.env("POLICY_ADMIN_TOKEN", "fifteen-letters");
    let running = Running::of_with_log(command, Stdio::from(std::fs::File::create(&log).unwrap()));
    let ask = async |path: &str, token: Option<&str>| {
        let request = running.client.get(format!("{}{path}", running.url));
        let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
        let begun = Instant::now();
        (request.send().await.unwrap().status().as_u16(), begun.elapsed())
    };
    let second = Duration::from_secs(1);
    for number in 0..10 {
        let path = if number % 2 == 0 { "/v1/apis" } else { "/v1/policy" };
        let (status, elapsed) = ask(path, Some("a-wrong-secret")).await;
        assert!(status == 401 && elapsed < second, "{number}: {status} {elapsed:?}");
    }
    let others = async {
        for (path, token, status) in
            [("/v1/apis", Some("fifteen-letters"), 200), ("/v1/policy", Some("secret"), 200), ("/v1/apis", None, 401)]
        {
            let (answered, elapsed) = ask(path, token).await;
            assert!(answered == status && elapsed < second, "{path}: {answered} {elapsed:?}");
        }
    };
    let mut waiting = tokio::task::JoinSet::new();
    let (client, url) = (running.client.clone(), running.url.clone());
    for _ in 0..20 {
        let request = client.get(format!("{url}/v1/apis")).bearer_auth("a-wrong-secret");
        waiting.spawn(async move {
            let begun = Instant::now();
            (request.send().await.unwrap().status().as_u16(), begun.elapsed())
        });
    }
    others.await;
    for (status, elapsed) in waiting.join_all().await {
        assert!(status == 401 && elapsed >= second, "{status} {elapsed:?}");
    }
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(log.matches("fewer than 16 characters").count(), 1, "{log}");
    assert_eq!(log.matches("a credential was refused").count(), 10, "{log}");
    assert!(log.contains("address=127.0.0.1") && !log.contains("a-wrong-secret"), "{log}");
}

#[test]
fn an_import_refuses_another_format() {
    let page = |format: Value| json!({"format": format, "applications": [{"id": "x"}]}).to_string();
    for (format, good) in [
        (json!(1), true),
        (Value::Null, true),
        (json!(2), false),
        (json!(0), false),
        (json!("1"), false),
        (json!(1.5), false),
        (json!([1]), false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (success, said) = import(directory.path(), &page(format.clone()));
        assert_eq!(success, good, "{format}: {said}");
        assert!(good || said.contains("page 1 has the format"), "{said}");
    }
}

/// The database holds digests of keys and the names of owners, so only its owner may read it.
#[tokio::test]
async fn the_files_of_the_database_are_their_owners_alone() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    for earlier in [None, Some(0o644), Some(0o666)] {
        let directory = tempfile::tempdir().unwrap();
        if let Some(mode) = earlier {
            assert!(import(directory.path(), "{}").0);
            let file = directory.path().join("policy.db");
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let running = Running::start(directory.path());
        running.post("/v1/apis", json!({"id": "a"})).await;
        let mut files = 0;
        for file in std::fs::read_dir(directory.path()).unwrap() {
            let file = file.unwrap();
            assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600, "{file:?} {earlier:?}");
            files += 1;
        }
        assert_eq!(files, 3, "the database, its log and the log's index");
    }
}

#[test]
fn an_import_lifts_no_block() {
    let directory = tempfile::tempdir().unwrap();
    let page = |application: &str, subscription: &str| {
        json!({"apis": [{"id": "a"}], "applications": [{"id": "x", "state": application}],
            "subscriptions": [{"application": "x", "api": "a", "state": subscription}]})
    };
    assert!(import(directory.path(), &page("BLOCKED", "PROD_ONLY_BLOCKED").to_string()).0);
    for (application, subscription, refused) in [
        ("ACTIVE", "UNBLOCKED", 2),
        ("BLOCKED", "ON_HOLD", 1),
        ("BLOCKED", "PROD_ONLY_BLOCKED", 0),
        ("BLOCKED", "BLOCKED", 0),
        ("BLOCKED", "PROD_ONLY_BLOCKED", 1),
    ] {
        let (success, said) = import(directory.path(), &page(application, subscription).to_string());
        assert_eq!((success, said.matches("refused: page").count()), (refused == 0, refused), "{said}");
    }
}

#[tokio::test]
async fn an_import_refuses_the_second_api_of_a_match_whatever_the_order() {
    let directory = tempfile::tempdir().unwrap();
    let api = |id: &str, path: &str| json!({"id": id, "match": [{"path": path}]});
    let (success, said) = import(directory.path(), &json!({"apis": [api("a", "/1"), api("b", "/2")]}).to_string());
    assert!(success, "{said}");
    // `c` comes before the row that frees its match. `d` wants a match that `a` takes later, and `e` one that is not
    // free.
    let apis = json!({"apis": [api("c", "/1"), api("a", "/3"), api("d", "/3"), api("e", "/2")]});
    let (success, said) = import(directory.path(), &apis.to_string());
    assert!(!success);
    for says in ["apis[2]: match: the API \"a\"", "apis[3]: match: the API \"b\"", "2 rows were refused"] {
        assert!(said.contains(says), "{says}: {said}");
    }
    let service = Running::start(directory.path());
    let apis = service.policy("/v1/policy").await["apis"].clone();
    let found: Vec<_> = apis.as_array().unwrap().iter().map(|api| (&api["id"], &api["match"][0]["path"])).collect();
    assert_eq!(found, [(&json!("b"), &json!("/2")), (&json!("a"), &json!("/3")), (&json!("c"), &json!("/1"))]);
}

#[tokio::test]
async fn apis_of_an_earlier_version_with_the_same_match_are_named_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let page = json!({"apis": [{"id": "orders", "match": [{"path": "/orders"}]}, {"id": "orders-2"}]});
    assert!(import(directory.path(), &page.to_string()).0);
    // As an earlier version stored it.
    let url = format!("sqlite:{}", directory.path().join("policy.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let earlier = "UPDATE version SET document = json_set(document, '$.match', json('[{\"path\":\"/orders/\"}]')) \
                   WHERE id = 'orders-2'; DELETE FROM api_match;";
    sqlx::raw_sql(earlier).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let mut child =
        program(directory.path(), &["serve"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    child.kill().unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    let warning = said.lines().find(|line| line.contains("two APIs have the match")).expect("it is said");
    for says in ["any host with the path /orders;", "meant=\"orders\"", "shadowed=\"orders-2\""] {
        assert!(warning.contains(says), "{says}: {warning}");
    }
}

#[tokio::test]
async fn a_new_epoch_is_another_policy() {
    let directory = tempfile::tempdir().unwrap();
    let service = Running::start(directory.path());
    service.post("/v1/plans", json!({"id": "p"})).await;
    let before = service.policy("/v1/policy").await;
    drop(service);
    let (success, _) = ends(directory.path(), &["renew-epoch"], &[]);
    assert!(success);
    let after = Running::start(directory.path()).policy("/v1/policy").await;
    assert_ne!(after["epoch"], before["epoch"]);
    assert_eq!((&after["revision"], &after["plans"]), (&before["revision"], &before["plans"]));
}

#[test]
fn the_version_names_the_commit_or_says_that_it_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let output = program(folder.path(), &["--version"]).output().unwrap();
    // If `make` built the program, Cargo passes the variable to it and to this test.
    let commit = option_env!("KEYGATE_COMMIT").unwrap_or("unknown");
    let expected = format!("policy-service {} (commit {commit})\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    assert!(output.status.success() && output.stderr.is_empty());
}
