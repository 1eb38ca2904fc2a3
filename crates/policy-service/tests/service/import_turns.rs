//! One import at a time, in all services on a database; and imports that begin at one revision only.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
    time::Duration,
};

use reqwest::Method;
use sqlx::{Connection as _, SqliteConnection};
use testkit::deadline::eventually;

use crate::support::{
    Service, TOKEN,
    import::{ROWS, Stream, import, imports_do_not_mix, is_begun, owners, row},
    program::Program,
    send,
};

/// How long anything may take that a test waits for. A turn ends by itself after 25 s.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn an_import_waits_for_the_one_that_another_service_takes() {
    let one = Program::start();
    let other = one.another(&["serve"]).start();
    imports_do_not_mix(&one, &other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_whose_client_has_gone_gives_up_its_turn() {
    let one = Program::start();
    let other = one.another(&["serve"]).start();
    let mut first = Stream::begin(&one.url);
    first.send(&(0..ROWS).map(|number| row(number, "alice")).collect::<String>());
    is_begun(&other, "alice").await;
    drop(first);
    let (status, answer) = tokio::time::timeout(SOON, import(&other, "bob")).await.unwrap().unwrap();
    assert_eq!(status, 200, "{answer}");
    assert_eq!(owners(&one).await, ["bob", "bob", "bob"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_has_lost_its_turn_writes_nothing_more() {
    let one = Program::start();
    let other = one.another(&["serve"]).start();
    let mut first = Stream::begin(&one.url);
    first.send(&(0..ROWS).map(|number| row(number, "alice")).collect::<String>());
    is_begun(&other, "alice").await;
    // The first service stands still for so long that its turn ends. If it stopped within a transaction, which a busy disk
    // makes long, nobody else can write: it goes on for a moment and stops again.
    let url = format!("sqlite:{}", one.directory().join("policy.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let ended = eventually("the turn to be ended", SOON, async || {
        one.signal("-STOP");
        let ended = sqlx::query("UPDATE import_turn SET ends_at = 0").execute(&mut connection).await;
        ended.inspect_err(|_| one.signal("-CONT"))
    });
    ended.await.unwrap();
    let (status, answer) = tokio::time::timeout(SOON, import(&other, "bob")).await.unwrap().unwrap();
    one.signal("-CONT");
    assert_eq!(status, 200, "{answer}");
    first.send(&row(ROWS, "alice"));
    let (status, answer) = first.end();
    assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains("another import took over")), "{answer}");
    assert_eq!((status, owners(&one).await), (409, ["bob"; 3].map(str::to_owned).to_vec()));
}

#[tokio::test]
async fn the_command_waits_for_its_turn_as_well() {
    let service = Program::start();
    let file = service.directory().join("rows.json");
    std::fs::write(&file, "{\"format\":1,\"applications\":[{\"id\":\"app-0\",\"owner\":\"carol\"}]}").unwrap();
    let mut first = Stream::begin(&service.url);
    first.send(&(0..ROWS).map(|number| row(number, "alice")).collect::<String>());
    is_begun(&service, "alice").await;
    let mut command = service.another(&["import", "rows.json"]).build();
    testkit::process::die_with_parent(&mut command);
    let mut command = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(command.stderr.take().unwrap()).lines().map(Result::unwrap);
    // It says so before the first import ends.
    assert!(said.any(|line| line.contains("another import is under way")));
    first.send(&row(ROWS, "alice"));
    assert_eq!(first.end().0, 200);
    let rest: Vec<String> = said.collect();
    assert!(command.wait().unwrap().success(), "{rest:?}");
    assert_eq!(owners(&service).await, ["carol", "alice", "alice"]);
}

#[tokio::test]
async fn an_import_begins_at_the_revision_that_if_match_names_only() {
    let service = Service::start().await;
    service.seed().await;
    for (tag, how, is_taken) in [
        ("\"{now}\"", "", true),
        ("\"{now}\"", "?dry_run=true", true),
        ("\"0\", \"{now}\"", "", true),
        ("*", "", true),
        ("\"{before}\"", "", false),
        ("\"{before}\"", "?dry_run=true", false),
        ("\"{after}\"", "", false),
        ("{now}", "", false),
        ("W/\"{now}\"", "", false),
        ("", "", false),
    ] {
        let now = service.revision().await;
        let values = [("{now}", now), ("{before}", now - 1), ("{after}", now + 1)];
        let tag = values.iter().fold(tag.to_owned(), |tag, (word, value)| tag.replace(word, &value.to_string()));
        let owner = format!("owner-{now}");
        let request = service.request(Method::POST, &format!("/v1/import{how}")).bearer_auth(TOKEN);
        let request = request.header("content-type", "application/x-ndjson").header("if-match", &tag);
        let answer = send(request.body(row(1, &owner).replace("app-1", "app-9"))).await;
        if is_taken {
            let made = answer.expect(200);
            assert_eq!(made.header("x-policy-revision"), service.revision().await.to_string(), "{tag}");
            assert_eq!(service.revision().await, now + i64::from(how.is_empty()), "{tag}");
        } else {
            let problem = answer.expect_problem(412, None);
            assert!(problem.text.contains(&format!("revision {now} now")), "{}", problem.text);
            assert_eq!(service.revision().await, now, "{tag}");
        }
    }
    // Its own turn is given up each time.
    let mut connection = service.connection().await;
    let held: i64 = sqlx::query_scalar("SELECT count(*) FROM import_turn").fetch_one(&mut connection).await.unwrap();
    assert_eq!(held, 0);
}
