//! What others send or write: answers that steer terminals, services that break off, outputs that nobody reads, files
//! without an end, and times that are none.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::TcpListener,
    process::Stdio,
    thread,
};

use serde_json::json;

use crate::support::{Ctl, Ran, Service, TOKEN};

/// A service that answers each request by the first of `answers` whose path it has: status, headers and body.
fn answering(answers: &'static [(&'static str, &'static str, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut buffer = [0; 4_096];
            while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => head.extend_from_slice(&buffer[..read]),
                }
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default();
            let (_, head, body) = answers.iter().find(|(begin, ..)| path.starts_with(begin)).unwrap();
            let answer =
                format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            // It may have gone.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

fn asking(url: &str, arguments: &[&str]) -> Ctl {
    Ctl::new(&std::env::temp_dir(), arguments).variable("KEYGATE_URL", url).variable("KEYGATE_TOKEN", TOKEN)
}

/// No output has a character that a terminal obeys.
#[track_caller]
fn is_harmless(ran: &Ran) {
    let steers = |letter: char| {
        (letter.is_control() && letter != '\n') || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{200b}' | '\u{2028}')
    };
    assert!(!ran.out.chars().any(steers) && !ran.err.chars().any(steers), "{ran:?}");
}

const ODD: &str = "a\\u001b[2Jb\\u202ec\\u0007d\\u009be\\u200bf\\u2028g";

#[test]
fn no_answer_steers_the_terminal() {
    let problem = "{\"title\":\"Bad\\u001b]0;x\\u0007\",\"status\":422,\"detail\":\"x\\u001b[2J\\nerror: y\",\"field\":\"a\\u202eb\",\"request_id\":\"r\\u001bq\"}";
    let row: &str = Box::leak(
        format!(
            "{{\"id\":\"{ODD}\",\"application\":\"{ODD}\",\"api\":\"{ODD}\",\"state\":\"BLOCKED\",\"block\":{{\"state\":\"BLOCKED\",\
             \"by\":\"{ODD}\",\"at\":1,\"reason\":\"{ODD}\",\"note\":\"{ODD}\"}},\"key\":{{\"id\":\"{ODD}\"}}}}"
        )
        .into_boxed_str(),
    );
    let list: &str = Box::leak(format!("{{\"items\":[{row}],\"next\":null,\"total\":1}}").into_boxed_str());
    let refusing: &'static [_] =
        Box::leak(vec![("/", "422 Unprocessable Entity\r\ncontent-type: application/problem+json", problem)].into());
    let url = answering(refusing);
    for arguments in [
        &["get", "subs"][..],
        &["block", "x"],
        &["describe", "sub", "x"],
        &["keys", "issue", "x"],
        &["audit"],
        &["export", "/tmp/never-written"],
    ] {
        let ran = asking(&url, arguments).expect(1);
        is_harmless(&ran);
        assert!(ran.err.lines().filter(|line| line.starts_with("error:")).count() == 1, "{ran:?}");
    }
    let showing: &'static [_] = Box::leak(
        vec![
            ("/v1/receipts/", "404 Not Found", "{}"),
            ("/v1/subscriptions/x/block", "200 OK\r\nx-policy-revision: 7", row),
            ("/v1/subscriptions/x", "200 OK", row),
            ("/v1/keys/lookup", "200 OK", row),
            ("/", "200 OK", list),
        ]
        .into(),
    );
    let url = answering(showing);
    for arguments in [
        &["get", "subs"][..],
        &["get", "sub", "x"],
        &["block", "x"],
        &["describe", "sub", "x"],
        &["audit"],
        &["history"],
        &["gateways"],
        &["tokens", "list"],
        &["gateways", "credentials"],
        &["usage"],
        &["watch", "--for", "1s", "--since", "1h"],
        &["keys", "lookup", "--sha256", "00"],
    ] {
        let ran = asking(&url, arguments).expect(0);
        is_harmless(&ran);
        assert!(!ran.out.is_empty(), "{arguments:?} {ran:?}");
    }
}

#[test]
fn an_answer_that_is_none_is_told_and_leaves_stdout_empty() {
    for (head, body, part) in [
        ("200 OK", "<html>hello</html>", "not JSON"),
        ("200 OK", "{\"items\":7}", "no `items`"),
        ("302 Found\r\nlocation: https://other.example.com/", "", "redirect"),
        ("401 Unauthorized", "<html>", "the token is not valid here"),
        ("502 Bad Gateway", "<html>", "502"),
        ("200 OK\r\ntransfer-encoding: chunked", "5\r\nab", ""),
    ] {
        let answers: &'static [_] = Box::leak(vec![("/", head, body)].into());
        let url = answering(answers);
        for arguments in [&["get", "subs", "-o", "json"][..], &["get", "subs"], &["usage", "-o", "json"]] {
            let ran = asking(&url, arguments).expect(1);
            is_harmless(&ran);
            assert!(ran.out.is_empty() && ran.err.contains(part), "{head} {ran:?}");
        }
    }
}

/// A change that is made is told, also if its receipt cannot be read.
#[test]
fn a_change_is_told_without_its_receipt() {
    let row = "{\"id\":\"x\",\"application\":\"a\",\"api\":\"b\",\"state\":\"BLOCKED\"}";
    let answers: &'static [_] = Box::leak(
        vec![("/v1/receipts/", "500 Internal Server Error", "{}"), ("/", "200 OK\r\nx-policy-revision: 7", row)].into(),
    );
    let url = answering(answers);
    for arguments in [
        &["block", "x"][..],
        &["unblock", "x"],
        &["approve", "x"],
        &["delete", "sub", "x", "--yes"],
        &["keys", "revoke", "x", "--yes"],
        &["restore", "3", "--yes"],
    ] {
        let json: Vec<&str> = arguments.iter().copied().chain(["--wait", "1s", "-o", "json"]).collect();
        let ran = asking(&url, &json).expect(1);
        assert_eq!(ran.json()["id"], "x");
        assert!(ran.err.contains("the change is made, but its receipt is not known"), "{ran:?}");
        let text: Vec<&str> = arguments.iter().copied().chain(["--wait", "1s"]).collect();
        let ran = asking(&url, &text).expect(1);
        assert!(!ran.out.is_empty(), "{ran:?}");
    }
}

#[test]
fn a_change_without_an_answer_may_have_been_made() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // It reads a part of each request, and is gone.
    thread::spawn(move || listener.incoming().for_each(|stream| drop(stream.unwrap().read(&mut [0; 64]))));
    for (arguments, may_be_made) in [
        (&["block", "x"][..], true),
        (&["unblock", "x"], true),
        (&["keys", "revoke", "x", "--yes"], true),
        (&["get", "subs"], false),
        (&["explain", "/x"], false),
    ] {
        let ran = asking(&url, arguments).expect(1);
        assert_eq!(ran.err.contains("the change may have been made all the same"), may_be_made, "{ran:?}");
    }
    // Nobody has heard of a change that reached nobody.
    let nobody = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let ran = asking(&nobody, &["block", "x"]).expect(1);
    assert!(ran.err.contains("cannot be reached") && !ran.err.contains("may have been made"), "{ran:?}");
}

/// Runs a command whose stdout nobody reads.
fn unread(service: &Service, arguments: &[&str]) -> Ran {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    service.ctl(arguments).stdout(Stdio::from(writer)).run()
}

#[test]
fn a_closed_output_is_no_error_unless_a_secret_is_lost() {
    let service = Service::start();
    service.seed();
    for arguments in [&["get", "subs"][..], &["get", "subs", "-o", "json"], &["completions", "bash"], &["man"]] {
        let ran = unread(&service, arguments);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}");
    }
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    for (arguments, undo) in [
        (&["keys", "issue", "app-1", "--id", "k-lost"][..], "keygatectl keys revoke k-lost"),
        (&["keys", "issue", "app-1", "-o", "json"], "keygatectl keys revoke k-"),
        (&["keys", "regenerate", "k-2", "--new-id", "k-lost-2"], "keygatectl keys revoke k-lost-2"),
        (&["tokens", "issue", "--role", "auditor", "--subject", "eve"], "keygatectl tokens revoke "),
        (&["gateways", "issue", "--client-id", "edge"], "keygatectl gateways revoke "),
    ] {
        let ran = unread(&service, arguments);
        assert!(ran.code == 1 && ran.err.contains(undo), "{ran:?}");
        // A new id, because the first key is there.
        let again: Vec<&str> = arguments.iter().map(|part| if *part == "k-lost" { "k-full" } else { part }).collect();
        if again[1] != "regenerate" {
            let ran = service.ctl(&again).stdout(Stdio::from(full())).expect(1);
            assert!(ran.err.contains("was issued all the same"), "{ran:?}");
        }
    }
    let ran = service.ctl(&["get", "subs"]).stdout(Stdio::from(full())).expect(1);
    assert!(ran.err.contains("No space left"), "{ran:?}");
}

#[test]
fn files_that_have_no_end_or_cannot_be_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ctl = |arguments: &[&str]| Ctl::new(folder.path(), arguments);
    for arguments in [
        &["validate", "/dev/zero"][..],
        &["convert", "csv", "/dev/zero", "--out", "made"],
        &["explain", "/x", "--policy", "/dev/zero"],
        &["keys", "check", "--key-file", "/dev/zero"],
    ] {
        let ran = ctl(arguments).run();
        assert!(ran.code != 0 && ran.err.contains("more than"), "{arguments:?} {ran:?}");
    }
    let ran = ctl(&["validate", "/dev/stdin"]).input("{\"format\": 1}").expect(0);
    assert_eq!(ran.out, "/dev/stdin: a policy page, valid\n");
    fs::create_dir(folder.path().join("policy")).unwrap();
    fs::write(folder.path().join("policy/a.yaml"), "kind: plan\nid: a\n").unwrap();
    assert!(std::process::Command::new("mkfifo").arg(folder.path().join("policy/b.yaml")).status().unwrap().success());
    ctl(&["validate", "policy"]).expect(0);
}

#[test]
fn a_file_of_documents_is_checked_as_apply_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let good = "---\nkind: plan\nid: gold\n";
    for (name, more, place) in [
        ("broken", "---\nkind: plan\nid: [a\n", "broken.yaml:"),
        ("no-kind", "---\nid: silver\n", "no-kind.yaml:5:1: kind: it is missing"),
        ("capital", "---\nkind: Plan\nid: silver\n", "capital.yaml:5:1: kind: there is no kind"),
        ("foreign", "---\napiVersion: v1\nkind: Service\n", "foreign.yaml:"),
        ("twice", "---\nkind: plan\nid: a\nid: b\n", "twice.yaml:"),
    ] {
        let file = format!("{name}.yaml");
        fs::write(folder.path().join(&file), format!("{good}{more}")).unwrap();
        let ran = Ctl::new(folder.path(), &["validate", &file]).expect(1);
        assert!(ran.err.contains(place) && ran.out.is_empty(), "{name} {ran:?}");
        let json = Ctl::new(folder.path(), &["validate", &file, "-o", "json"]).expect(1).json();
        assert!(json["valid"] == false && json["errors"][0]["line"].as_u64() > Some(3), "{json}");
    }
    // YAML that is read by a program of ours alone.
    for (name, text, expected) in [
        ("json", "{\"kind\": \"plan\", \"id\": \"a\"}\n", Ok("1 document, valid")),
        ("directive", "%YAML 1.2\n---\nkind: plan\nid: a\n", Ok("1 document, valid")),
        (
            "whole",
            "kind: plan\nid: a\nlimits: [{requests: 5.5, per: day}]\n",
            Err("whole.yaml:3:1: limits[0].requests: expected a whole number"),
        ),
        ("truth", "kind: plan\nid: no\n", Err("truth.yaml:2:1: id: expected a text")),
        ("endless", "kind: plan\nid: .inf\n", Err("endless.yaml:")),
        ("tag", "kind: application\nid: a\nowner: !ENV OWNER\n", Err("tag.yaml:3:13: found a value with a tag")),
        ("text", "kind: application\nid: a\nname: Hello!\n", Ok("1 document, valid")),
    ] {
        let file = format!("{name}.yaml");
        fs::write(folder.path().join(&file), text).unwrap();
        let ran = Ctl::new(folder.path(), &["validate", &file]).run();
        match expected {
            Ok(part) => assert!(ran.code == 0 && ran.out.contains(part), "{name} {ran:?}"),
            Err(part) => {
                assert!(ran.code == 1 && ran.err.contains(part) && !ran.err.contains("error: line"), "{name} {ran:?}")
            }
        }
    }
    // Whatever is wrong with one file, the others are checked.
    fs::create_dir(folder.path().join("folder")).unwrap();
    fs::write(folder.path().join("folder/a.yaml"), "kind: plan\nid: a\nx: 1\n").unwrap();
    fs::write(folder.path().join("good.yaml"), good).unwrap();
    let ran = Ctl::new(folder.path(), &["validate", "nowhere", "folder", "good.yaml", "-o", "json"]).expect(1);
    let json = ran.json();
    assert_eq!(json["errors"].as_array().map(Vec::len), Some(2), "{json}");
    assert_eq!((&json["errors"][0]["line"], &json["errors"][1]["field"]), (&json!(null), &json!("x")), "{json}");
}

#[test]
fn a_local_time_that_comes_twice_or_never_is_refused() {
    let service = Service::start();
    service.seed();
    let zone = "CET-1CEST,M3.5.0,M10.5.0/3";
    let block = |until: &str| service.ctl(&["block", "sub-7", "--until", until]).variable("TZ", zone);
    let twice = block("2040-10-28T02:30").expect(64);
    assert!(twice.err.contains("comes twice") && twice.err.contains("2040-10-28T02:30:00+01:00"), "{twice:?}");
    assert!(block("2040-03-25T02:30").expect(64).err.contains("does not exist"));
    for (until, seconds) in [
        ("2040-10-28T02:30:00+02:00", 2_234_997_000_i64),
        ("2040-10-28T02:30:00+01:00", 2_235_000_600),
        ("2040-10-28T04:00", 2_235_006_000),
    ] {
        block(until).expect(0);
        let found = service.get("/v1/subscriptions/sub-7")["block"]["until"].as_i64().unwrap();
        assert_eq!(found, seconds, "{until}");
    }
}

#[test]
fn what_is_given_needs_no_login() {
    let service = Service::start();
    let folder = service.folder().join(".config/keygate");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("login.json"), "no json").unwrap();
    service.ctl(&["whoami"]).expect(0);
    let damaged = service.ctl(&["whoami"]).without("KEYGATE_TOKEN").expect(1);
    assert!(damaged.err.contains("chmod 600"), "{damaged:?}");
}

#[test]
fn what_is_no_number_is_told_with_what_would_be_right() {
    let service = Service::start();
    for (arguments, expected) in [
        (&["receipt", "x"][..], "expected the number of a revision, such as 42"),
        (&["restore", "2.5"], "expected the number of a revision"),
        (&["history", "--diff", "1", "99999999999999999999"], "expected the number of a revision"),
        (&["explain", "/x", "--at-revision", "latest"], "expected the number of a revision"),
        (&["get", "apis", "--limit", "many"], "expected a whole number, such as 50"),
        (&["audit", "--limit", "5k"], "expected a whole number"),
    ] {
        let told = service.ctl(arguments).expect(64);
        assert!(told.err.contains(expected) && told.err.contains("invalid value"), "{told:?}");
    }
}
