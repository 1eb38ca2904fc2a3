//! `POST /v1/import`: what rows do, what is refused with its line, what replacing removes, and that blocks outlast it all.

use crate::support::{Answer, Service, TOKEN, digest, program::Program, send};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::deadline::eventually;

/// Imports rows, a line each.
pub async fn import(service: &Service, how: &str, rows: &[Value]) -> Answer {
    let body: String = rows.iter().map(|row| format!("{row}\n")).collect();
    import_text(service, how, body).await
}

/// Imports the lines of `body`.
pub async fn import_text(service: &Service, how: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = service.request(Method::POST, &format!("/v1/import{how}")).bearer_auth(TOKEN);
    send(request.header("content-type", "application/x-ndjson").body(body)).await
}

/// Rows of all kinds; those that name others come first.
fn rows() -> Vec<Value> {
    vec![
        json!({"kind": "subscription", "id": "s-1", "application": "app-1", "api": "api-1", "plan": "gold"}),
        json!({"kind": "subscription", "id": "s-2", "application": "app-2", "api": "api-1", "state": "PROD_ONLY_BLOCKED"}),
        json!({"kind": "key", "id": "k-1", "application": "app-1", "sha256": digest(1)}),
        json!({"kind": "application", "id": "app-1", "owner": "alice"}),
        json!({"kind": "application", "id": "app-2", "owner": "bob"}),
        json!({"kind": "api", "id": "api-1", "match": [{"path": "/one"}]}),
        json!({"kind": "plan", "id": "gold", "limits": [{"requests": 5, "per": "minute"}]}),
        json!({"kind": "deny_policy", "id": "d-1", "type": "USER", "value": "mallory"}),
    ]
}

fn count(answer: &Value, list: &str) -> [u64; 6] {
    ["made", "changed", "unchanged", "refused", "removed", "kept"]
        .map(|word| answer["counts"][list][word].as_u64().unwrap_or(0))
}

#[tokio::test]
async fn rows_are_made_replaced_or_left_as_they_are() {
    let service = Service::start().await;
    let before = service.revision().await;
    let preview = import(&service, "?dry_run=true", &rows()).await.expect(200).json();
    assert_eq!((count(&preview, "subscriptions"), preview["dry_run"].as_bool()), ([2, 0, 0, 0, 0, 0], Some(true)));
    assert_eq!((service.revision().await, &preview["revision"]), (before, &json!(before)), "a preview changes nothing");

    let answer = import(&service, "?label=from-git", &rows()).await.expect(200);
    assert_eq!(answer.header("x-policy-revision"), service.revision().await.to_string());
    let made = answer.json();
    assert_eq!(made["counts"], preview["counts"]);
    assert_eq!(made["refused_total"], 0);
    for (list, id) in
        [("apis", "api-1"), ("applications", "app-2"), ("keys", "k-1"), ("subscriptions", "s-2"), ("plans", "gold")]
    {
        service.get(&format!("/v1/{list}/{id}")).await.expect(200);
    }
    let entry = service.get("/v1/audit?action=import").await.expect(200).json()["items"][0].clone();
    assert_eq!((&entry["reason"], &entry["actor"].is_string()), (&json!("from-git"), &true), "{entry}");

    let revision = service.revision().await;
    let again = import(&service, "", &rows()).await.expect(200).json();
    assert_eq!(count(&again, "keys"), [0, 0, 1, 0, 0, 0]);
    assert_eq!(service.revision().await, revision, "rows that are there as they are make no revision");

    let mut changed = rows();
    changed[3]["owner"] = json!("carol");
    let answer = import(&service, "", &changed).await.expect(200).json();
    assert_eq!(count(&answer, "applications"), [0, 1, 1, 0, 0, 0]);
    assert_eq!(service.get("/v1/applications/app-1").await.json()["owner"], "carol");
    assert_eq!(service.revision().await, revision + 1);
}

#[tokio::test]
async fn a_refused_row_is_told_with_its_line_and_leaves_the_others_alone() {
    let service = Service::start().await;
    service.seed().await;
    service.post("/v1/keys/k-1/revoke", Value::Null).await.expect(200);
    service.post("/v1/keys", json!({"id": "k-2", "application": "app-1", "sha256": digest(2)})).await.expect(201);
    let good = |id: &str| json!({"kind": "application", "id": id}).to_string();
    // What stands on a line, its field if it has one, and what is said.
    let bad = [
        ("{", None, "EOF"),
        ("[]", None, "a row: an object with the field kind"),
        ("{\"id\": \"a\"}", None, "missing field `kind`"),
        ("{\"kind\": \"apis\", \"id\": \"a\"}", None, "the kind is not one of api,"),
        ("{\"kind\": \"plan\", \"kind\": \"plan\"}", None, "duplicate field `kind`"),
        ("{\"kind\": \"plan\", \"id\": \"a\", \"id\": \"b\"}", Some("id"), "duplicate field `id`"),
        ("{\"kind\": \"plan\", \"id\": \"a\", \"name\": \"b\"}", Some("name"), "unknown field `name`"),
        ("{\"kind\": \"application\", \"id\": 7}", Some("id"), "invalid type"),
        ("{\"kind\": \"application\", \"id\": \"a\\u0007\"}", Some("id"), "control character"),
        (
            "{\"kind\": \"key\", \"application\": \"app-1\", \"sha256\": \"00\"}",
            Some("sha256"),
            "64 hexadecimal digits",
        ),
        (
            "{\"kind\": \"subscription\", \"application\": \"nobody\", \"api\": \"api-1\"}",
            Some("application"),
            "there is no application",
        ),
        ("{\"kind\": \"api\", \"id\": \"other\", \"match\": [{\"path\": \"/one\"}]}", Some("match"), "api-1"),
        (
            "{\"kind\": \"plan\", \"id\": \"a\", \"deleted\": true}",
            Some("deleted"),
            "only applications and subscriptions",
        ),
    ];
    let revoked = json!({"kind": "key", "id": "k-1", "application": "app-1", "sha256": digest(1), "state": "ACTIVE"});
    let mut text = format!("{}\n\n", good("first"));
    for (line, ..) in bad {
        text.push_str(&format!("{line}\n"));
    }
    text.push_str(&format!("{revoked}\n{}", good("last")));
    let answer = import_text(&service, "", text).await.expect(200).json();
    let refused = answer["refused"].as_array().unwrap();
    assert_eq!((refused.len(), &answer["refused_total"]), (bad.len() + 1, &json!(bad.len() + 1)), "{answer:#}");
    for (number, (line, field, says)) in bad.iter().enumerate() {
        let told =
            refused.iter().find(|told| told["line"] == number + 3).unwrap_or_else(|| panic!("{line}: {answer:#}"));
        assert!(told["detail"].as_str().unwrap().contains(says), "{line}: {told}");
        assert_eq!(told.get("field").and_then(Value::as_str), *field, "{line}: {told}");
    }
    assert_eq!(count(&answer, "applications")[0], 2);
    for id in ["first", "last"] {
        service.get(&format!("/v1/applications/{id}")).await.expect(200);
    }
    // A refused row removes nothing, whatever replacing would.
    let answer = import_text(&service, "?replace=true", "{}\n").await.expect(200).json();
    assert_eq!((&answer["refused_total"], &answer["removed"]), (&json!(1), &json!([])));
    service.get("/v1/keys/k-2").await.expect(200);
}

#[tokio::test]
async fn no_import_weakens_a_block_unless_it_is_told_to() {
    let service = Service::start().await;
    import(&service, "", &rows()).await.expect(200);
    service.post("/v1/subscriptions/s-1/block", json!({})).await.expect(200);
    service.post("/v1/applications/app-1/block", Value::Null).await.expect(200);
    service.delete("/v1/subscriptions/s-2").await.expect(200);
    let state = async |path: &str| service.get(path).await.json()["state"].as_str().unwrap_or("gone").to_owned();
    for row in [
        json!({"kind": "subscription", "id": "s-1", "application": "app-1", "api": "api-1", "state": "UNBLOCKED"}),
        json!({"kind": "subscription", "id": "s-1", "application": "app-1", "api": "api-1", "state": "PROD_ONLY_BLOCKED"}),
        json!({"kind": "subscription", "application": "app-1", "api": "api-1", "state": "ON_HOLD"}),
        json!({"kind": "subscription", "id": "s-2", "application": "app-2", "api": "api-1"}),
        json!({"kind": "application", "id": "app-1", "state": "ACTIVE"}),
    ] {
        let revision = service.revision().await;
        let answer = import(&service, "", std::slice::from_ref(&row)).await.expect(200).json();
        assert_eq!(answer["refused_total"], 1, "{row}: {answer}");
        assert_eq!(service.revision().await, revision, "{row}");
        // Replacing is no way round either.
        let revision = service.revision().await;
        import(&service, "?replace=true", std::slice::from_ref(&row)).await.expect(200);
        assert_eq!(service.revision().await, revision, "{row}");
    }
    assert_eq!(state("/v1/subscriptions/s-1").await, "BLOCKED");
    assert_eq!(state("/v1/applications/app-1").await, "BLOCKED");

    let all: Vec<Value> = rows()
        .into_iter()
        .map(|mut row| {
            if row["id"] == "s-1" {
                row["state"] = json!("UNBLOCKED")
            }
            if row["id"] == "app-1" {
                row["state"] = json!("ACTIVE")
            }
            if row["id"] == "s-2" {
                row["state"] = json!("UNBLOCKED")
            }
            row
        })
        .collect();
    let answer = import(&service, "?lift_blocks=true", &all).await.expect(200).json();
    assert_eq!(answer["refused_total"], 0, "{answer:#}");
    assert_eq!(state("/v1/subscriptions/s-1").await, "UNBLOCKED");
    assert_eq!(state("/v1/subscriptions/s-2").await, "UNBLOCKED");
    assert_eq!(state("/v1/applications/app-1").await, "ACTIVE");
}

#[tokio::test]
async fn a_row_that_is_refused_all_the_same_lifts_no_block() {
    let service = Service::start().await;
    import(&service, "", &rows()).await.expect(200);
    service.post("/v1/subscriptions/s-1/block", json!({})).await.expect(200);
    let revision = service.revision().await;
    // Its application cannot be changed.
    let row =
        json!({"kind": "subscription", "id": "s-1", "application": "app-2", "api": "api-1", "state": "UNBLOCKED"});
    let answer = import(&service, "?lift_blocks=true", &[row]).await.expect(200).json();
    assert_eq!(answer["refused_total"], 1, "{answer}");
    assert_eq!(service.get("/v1/subscriptions/s-1").await.json()["state"], "BLOCKED");
    assert_eq!(service.revision().await, revision);
}

#[tokio::test]
async fn replacing_removes_what_is_not_named_and_keeps_blocks_and_deny_policies() {
    let service = Service::start().await;
    import(&service, "", &rows()).await.expect(200);
    let mut less = rows();
    // Named are: s-1 with all that it needs. s-2 is blocked, app-2 has it, d-1 denies.
    less.retain(|row| !["s-2", "app-2", "d-1"].contains(&row["id"].as_str().unwrap()));
    let revision = service.revision().await;
    let preview = import(&service, "?dry_run=true&replace=true", &less).await.expect(200).json();
    assert_eq!(service.revision().await, revision);
    let answer = import(&service, "?replace=true", &less).await.expect(200).json();
    assert_eq!(answer["counts"], preview["counts"], "a preview says what is done");
    assert_eq!(answer["removed"], preview["removed"]);
    assert_eq!(count(&answer, "applications"), [0, 0, 1, 0, 1, 0], "{answer:#}");
    assert_eq!((count(&answer, "subscriptions")[5], count(&answer, "deny_policies")[5]), (1, 1), "{answer:#}");
    service.get("/v1/applications/app-2").await.expect(404);
    service.get("/v1/deny-policies/d-1").await.expect(200);
    let kept = service.get("/v1/subscriptions/s-2").await.expect(200).json();
    assert_eq!((&kept["state"], &kept["deleted"]), (&json!("PROD_ONLY_BLOCKED"), &json!(true)));
    service.get("/v1/keys/k-1").await.expect(200);

    let answer = import(&service, "?replace=true&lift_blocks=true", &less).await.expect(200).json();
    assert_eq!((count(&answer, "subscriptions")[4], count(&answer, "deny_policies")[4]), (1, 1), "{answer:#}");
    service.get("/v1/deny-policies/d-1").await.expect(404);
    service.get("/v1/subscriptions/s-2").await.expect(404);
}

/// The lists of one service, put into an empty one: the same rows, blocks of deleted things too.
#[tokio::test]
async fn what_lists_show_can_be_imported_as_it_is() {
    let service = Service::start().await;
    import(&service, "", &rows()).await.expect(200);
    service.post("/v1/applications", json!({"id": "app-3", "owner": "eve"})).await.expect(201);
    service
        .post("/v1/subscriptions", json!({"id": "s-3", "application": "app-1", "api": "api-1", "plan": "gold"}))
        .await
        .expect(409);
    service.delete("/v1/subscriptions/s-2").await;
    service.post("/v1/applications/app-3/block", Value::Null).await.expect(200);
    service.delete("/v1/applications/app-3").await;
    let lists = [
        ("apis", "api"),
        ("applications", "application"),
        ("keys", "key"),
        ("subscriptions", "subscription"),
        ("plans", "plan"),
        ("deny-policies", "deny_policy"),
    ];
    let shown = async |service: &Service| {
        let mut rows = Vec::new();
        for (list, kind) in lists {
            for mut row in
                service.get(&format!("/v1/{list}")).await.expect(200).json()["items"].as_array().unwrap().clone()
            {
                row["kind"] = json!(kind);
                rows.push(row);
            }
        }
        rows
    };
    let exported = shown(&service).await;
    assert_eq!(exported.iter().filter(|row| row["deleted"] == true).count(), 2, "{exported:#?}");
    let other = Service::start().await;
    let answer = import(&other, "", &exported).await.expect(200).json();
    assert_eq!(answer["refused_total"], 0, "{answer:#}");
    assert_eq!(shown(&other).await, exported);
    let revision = other.revision().await;
    import(&other, "", &exported).await.expect(200);
    assert_eq!(other.revision().await, revision, "once more it changes nothing");
}

#[tokio::test]
async fn what_an_import_does_not_take_is_refused_as_a_whole() {
    let service = Service::start().await;
    let revision = service.revision().await;
    for (how, field) in
        [("?dry=true", "dry"), ("?dry_run=perhaps", "dry_run"), ("?label=", "label"), ("?label=a%07b", "label")]
    {
        import(&service, how, &rows()).await.expect_problem(400, Some(field));
    }
    let long = format!("{{\"kind\":\"plan\",\"id\":\"{}\"}}", "x".repeat(1 << 20));
    import_text(&service, "", long).await.expect_problem(413, None);
    assert_eq!(service.revision().await, revision);
}

/// The body breaks off after some batches: what is written stays, and the same import again ends as if nothing had been.
#[tokio::test]
async fn an_import_that_breaks_off_is_repeated() {
    let keys = 45_000;
    let service = Service::start().await;
    service.seed().await;
    let line = |number: u64| {
        format!(
            "{{\"kind\":\"key\",\"id\":\"key-{number}\",\"application\":\"app-1\",\"sha256\":\"{}\"}}\n",
            digest(number + 10)
        )
    };
    let first = service.revision().await;
    // Half of it, and the end of the connection.
    let half: String = (0..keys / 2).map(line).collect();
    let address = service.url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/import HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {}\r\n\r\n",
        half.len() + 9
    );
    tokio::io::AsyncWriteExt::write_all(&mut stream, format!("{head}{half}").as_bytes()).await.unwrap();
    drop(stream);
    // It waits for the end of the one that broke off.
    let body: String = (0..keys).map(line).collect();
    let answer = import_text(&service, "", body).await.expect(200).json();
    let [made, changed, unchanged, refused, ..] = count(&answer, "keys");
    assert_eq!((made + unchanged, changed, refused), (keys, 0, 0), "{answer}");
    let total = service.get("/v1/keys?limit=1").await.expect(200).json()["total"].as_u64().unwrap();
    assert_eq!(total, keys + 1);
    // Twenty thousand rows make a revision, and fewer only where a slow machine would keep others waiting for seconds.
    let revisions = u64::try_from(service.revision().await - first).unwrap();
    assert!((keys.div_ceil(20_000)..=keys / 1_000).contains(&revisions), "{revisions}");
}

/// Rows that are there as they are are not written one by one, but the last row for an object still wins.
#[tokio::test]
async fn of_rows_for_one_object_the_last_one_counts() {
    let service = Service::start().await;
    import(&service, "", &rows()).await.expect(200);
    let held = json!({"kind": "application", "id": "app-1", "owner": "alice"});
    let other = json!({"kind": "application", "id": "app-1", "owner": "carol"});
    for (rows, owner, counts) in [
        ([&held, &other], "carol", [0, 1, 1, 0, 0, 0]),
        ([&held, &other], "carol", [0, 2, 0, 0, 0, 0]),
        ([&other, &held], "alice", [0, 1, 1, 0, 0, 0]),
        ([&other, &held], "alice", [0, 2, 0, 0, 0, 0]),
        ([&held, &held], "alice", [0, 0, 2, 0, 0, 0]),
    ] {
        let answer = import(&service, "", &rows.map(Clone::clone)).await.expect(200).json();
        assert_eq!(count(&answer, "applications"), counts, "{rows:?}");
        assert_eq!(service.get("/v1/applications/app-1").await.json()["owner"], owner, "{rows:?}");
    }
}

/// A client that has not sent all of its body yet when it is refused must still read the answer.
#[tokio::test]
async fn a_refusal_is_read_by_a_client_that_still_sends() {
    let service = Service::start().await;
    let row = format!("{{\"kind\":\"application\",\"id\":\"{}\"}}\n", "a".repeat(200));
    let long = "x".repeat(2 << 20);
    for (how, begin, status) in [("?dry=true", "", 400), ("?label=a%07b", "", 400), ("", long.as_str(), 413)] {
        let body = format!("{begin}{}", row.repeat((24 << 20) / row.len()));
        import_text(&service, how, body).await.expect(status);
    }
}

#[tokio::test]
async fn the_same_import_again_with_its_key_changes_nothing() {
    let service = Service::start().await;
    let send_once = async |key: &str, how: &str, rows: &[Value]| {
        let body: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let request = service.request(Method::POST, &format!("/v1/import{how}")).bearer_auth(TOKEN);
        send(request.header("idempotency-key", key).body(body)).await
    };
    // A preview is not remembered.
    send_once("one", "?dry_run=true", &rows()).await.expect(200);
    let first = send_once("one", "", &rows()).await.expect(200);
    assert_eq!(count(&first.json(), "applications")[0], 2);
    service.put("/v1/applications/app-1", json!({"owner": "carol"})).await.expect(200);
    let revision = service.revision().await;
    for _ in 0..2 {
        let again = send_once("one", "", &rows()).await.expect(200);
        assert_eq!(again.text, first.text);
        assert_eq!(again.header("x-policy-revision"), first.header("x-policy-revision"));
        assert_eq!(again.header("content-type"), first.header("content-type"));
    }
    assert_eq!(service.revision().await, revision);
    assert_eq!(service.get("/v1/applications/app-1").await.json()["owner"], "carol", "it is not imported again");
    for (how, rows) in [("", &rows()[1..]), ("?replace=true", &rows())] {
        send_once("one", how, rows).await.expect_problem(422, Some("idempotency-key"));
    }
    assert_eq!(service.revision().await, revision);
    for key in ["", "a b"] {
        send_once(key, "", &rows()).await.expect_problem(400, Some("idempotency-key"));
    }
    let other = send_once("two", "", &rows()).await.expect(200).json();
    assert_eq!(count(&other, "applications"), [0, 1, 1, 0, 0, 0], "another key is another request");
}

/// The program itself follows the same rules.
#[tokio::test]
async fn the_command_says_what_it_would_do_and_replaces() {
    let service = Program::start();
    service.seed().await;
    service.post("/v1/plans", json!({"id": "old"})).await;
    service.post("/v1/deny-policies", json!({"id": "d-1", "type": "USER", "value": "mallory"})).await;
    let page = json!({"plans": [{"id": "new"}], "apis": [{"id": "api-1", "match": [{"path": "/two"}]}]});
    std::fs::write(service.directory().join("page.json"), page.to_string()).unwrap();
    let revision = async || service.policy("/v1/policy").await["revision"].as_i64().unwrap();
    let before = revision().await;
    let run = |arguments: &[&str]| service.another(&[&["import", "page.json"], arguments].concat()).run();

    let (success, said) = run(&["--dry-run", "--replace"]);
    assert!(success && said.contains("nothing was changed"), "{said}");
    for line in [
        "plans: 1 made, 0 changed, 0 unchanged, 1 removed",
        "removed: plan old",
        "removed: application app-1",
        "kept: deny_policy d-1",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert_eq!(revision().await, before);
    let (success, said) = run(&["--replace"]);
    assert!(success, "{said}");
    let replaced = async || {
        let page = service.policy("/v1/policy").await;
        // What another process does is noticed within half a second.
        if page["plans"][0]["id"] == "new" { Ok(page) } else { Err(page) }
    };
    let (page, _) = eventually("the rows of the page", Duration::from_secs(10), replaced).await.unwrap();
    assert_eq!(page["plans"].as_array().unwrap().len(), 1);
    assert_eq!((&page["applications"], &page["keys"]), (&json!([]), &json!([])));
    assert_eq!(page["apis"][0]["match"][0]["path"], "/two");
    assert_eq!(page["deny_policies"].as_array().unwrap().len(), 1);
    let (success, said) = run(&["--replace", "--lift-blocks"]);
    assert!(success, "{said}");
    let lifted = async || {
        let page = service.policy("/v1/policy").await;
        if page["deny_policies"] == json!([]) { Ok(()) } else { Err(page) }
    };
    eventually("no deny policy", Duration::from_secs(10), lifted).await.unwrap();
}

/// A small import is one change, also with rows that wait for others, kept blocks and removals.
#[tokio::test]
async fn a_small_import_is_one_revision() {
    let service = Service::start().await;
    import(&service, "", &rows()).await.expect(200);
    let revision = service.revision().await;
    let mut rows = vec![
        json!({"kind": "application", "id": "gone", "owner": "carol", "state": "BLOCKED", "deleted": true}),
        json!({"kind": "application", "id": "app-9", "owner": "dave"}),
    ];
    let told = import(&service, "?replace=true", &rows).await.expect(200).json();
    assert_eq!(count(&told, "applications"), [2, 0, 0, 0, 2, 0], "{told}");
    assert_eq!(service.revision().await, revision + 1);
    assert_eq!(service.get("/v1/applications/gone").await.expect(200).json()["deleted"], true);
    // What is not blocked is no kept block.
    rows[0]["id"] = json!("other");
    rows[0]["state"] = json!("ACTIVE");
    let told = import(&service, "", &rows[..1]).await.expect(200).json();
    assert_eq!((&told["refused_total"], &told["refused"][0]["field"]), (&json!(1), &json!("state")), "{told}");
    assert_eq!(service.revision().await, revision + 1);
}

/// The program that was to write the rows has failed: nothing is removed.
#[tokio::test]
async fn an_import_without_a_row_replaces_nothing() {
    let service = Service::start().await;
    import(&service, "", &rows()).await.expect(200);
    let revision = service.revision().await;
    for text in ["", "\n", " \n\n"] {
        for how in ["?replace=true", "?replace=true&dry_run=true", "?replace=true&lift_blocks=true"] {
            import_text(&service, how, text).await.expect_problem(422, Some("replace"));
        }
        import_text(&service, "", text).await.expect(200);
    }
    assert_eq!(service.revision().await, revision);
}
