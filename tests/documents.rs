//! Compares the tables of the documents with the code, and the commands of their blocks with the tests that run them,
//! so that the documents and the programs agree. If a table differs, the test prints the right one.
//! `tests/house/links.rs` checks the links. The page and the report have tests of their own.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "only test code: a panic is how it reports"
)]

#[path = "documents/blocks.rs"]
mod blocks;
mod cases;
#[path = "documents/constants.rs"]
mod constants;
#[path = "documents/sources.rs"]
mod sources;
#[path = "documents/states.rs"]
mod states;

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use constants::Constants;
use keygate::{
    answer::reply::{self, Details},
    config::{FIELDS, Replies, WhenAbsent},
    reason::Reason,
    request::head::ReplyKind,
};

/// The folders with the sources of the policy service.
const SERVICE: [&str; 1] = ["crates"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(document: &str) -> String {
    fs::read_to_string(root().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"))
}

/// The parts of a document between each `<!-- name -->` and its `<!-- /name -->`.
fn all_marked(document: &str, name: &str) -> Vec<String> {
    let text = read(document);
    let (begin, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let parts = text.split(&begin).skip(1);
    let inside = parts.map(|part| part.split_once(&end).unwrap_or_else(|| panic!("{document} has no `{end}`")).0);
    let found: Vec<_> = inside.map(|table| table.trim().to_owned()).collect();
    assert!(!found.is_empty(), "{document} has no `{begin}`");
    found
}

/// A table as Markdown. A bar in a cell is escaped.
fn table<const N: usize>(columns: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let line = |cells: [String; N]| format!("| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    let mut lines = vec![line(columns.map(str::to_owned)), format!("|{}", "---|".repeat(N))];
    lines.extend(rows.map(line));
    lines.join("\n")
}

/// The rows of a table without its head.
fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table.lines().skip(2).map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
}

fn hold(document: &str, name: &str, right: &str) {
    for found in all_marked(document, name) {
        assert!(
            found == right,
            "{document}: between `<!-- {name} -->` and its end should stand\n\n{right}\n\nbut there is\n\n{found}\n"
        );
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

#[test]
fn the_table_of_reasons_is_that_of_the_code() {
    let rows = Reason::ALL.iter().map(|reason| {
        let (wso2_code, status, message) = reason.defaults();
        [code(reason.as_str()), reason.when().to_owned(), wso2_code.to_owned(), status.to_string(), message.to_owned()]
    });
    hold("docs/decision.md", "reasons", &table(["reason", "when", "code", "status", "message"], rows));
}

#[test]
fn the_runbook_knows_every_reason() {
    let text = read("docs/operations.md");
    let runbook = text.split("## Runbook").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a runbook");
    let parts: Vec<_> = runbook.split("\n### ").collect();
    for reason in Reason::ALL {
        let status = reason.defaults().1.to_string();
        let part = parts.iter().find(|part| part.starts_with(&status)).map_or("", |part| *part);
        assert!(part.contains(&code(reason.as_str())), "the runbook lacks {status}, {reason:?}");
    }
}

#[test]
fn the_table_of_statuses_is_that_of_the_code() {
    let statuses: BTreeSet<u16> = Reason::ALL.iter().map(|reason| reason.defaults().1).collect();
    let rows = statuses.into_iter().map(|status| {
        let reasons = Reason::ALL.iter().filter(|reason| reason.defaults().1 == status);
        [status.to_string(), reasons.map(|reason| code(reason.as_str())).collect::<Vec<_>>().join(", ")]
    });
    hold("README.md", "statuses", &table(["status", "reasons"], rows));
}

#[test]
fn the_table_of_the_configuration_is_that_of_the_code() {
    let rows = FIELDS.iter().map(|field| {
        let default = match field.default {
            WhenAbsent::Required => "required".to_owned(),
            WhenAbsent::Json(json) | WhenAbsent::Inside(json) => code(json),
            WhenAbsent::Else(words) => words.to_owned(),
        };
        [code(field.path), default, field.meaning.to_owned()]
    });
    hold("docs/configuration.md", "configuration", &table(["field", "default", "meaning"], rows));
}

#[test]
fn the_table_of_grpc_statuses_is_that_of_the_code() {
    for found in all_marked("docs/decision.md", "grpc") {
        let lines: Vec<Vec<&str>> = found.lines().map(|line| line.trim_matches('|').split(" | ").collect()).collect();
        let (statuses, told) = (&lines[0][1..], &lines[2][1..]);
        let mut left: BTreeSet<u16> = Reason::ALL.iter().map(|reason| reason.defaults().1).collect();
        for (status, told) in statuses.iter().zip(told) {
            let status: u16 = status.trim().parse().expect("a status");
            let reason = *Reason::ALL.iter().find(|reason| reason.defaults().1 == status).expect("a reason");
            let reply = reply::refuse(reason, &Replies::default(), ReplyKind::Grpc, Duration::ZERO, Details::default());
            assert_eq!(told.trim().parse().ok(), reply.grpc_status, "{status}");
            left.remove(&status);
        }
        assert!(left.is_empty(), "the table lacks {left:?}");
    }
}

#[test]
fn the_table_of_metrics_is_that_of_the_code() {
    let mut defined = sources::metrics();
    assert!(defined.len() > 20, "{defined:?}");
    for found in all_marked("docs/operations.md", "metrics") {
        for row in rows(&found) {
            let [name, prometheus, kind, _] = row[..] else { panic!("{row:?}") };
            let name = name.trim_matches('`').to_owned();
            let written: String = name.replace('.', "_");
            assert_eq!(prometheus, code(&format!("keygate_{written}")), "{name}");
            assert!(defined.remove(&(name.clone(), kind.to_owned())), "the code has no {kind} `{name}`");
        }
    }
    assert!(defined.is_empty(), "docs/operations.md lacks {defined:?}");
}

#[test]
fn every_log_line_of_the_documents_is_one_of_the_code() {
    for (name, folders) in [("log", &["src"][..]), ("service-log", &SERVICE)] {
        let words = sources::strings(folders);
        for found in all_marked("docs/operations.md", name) {
            let lines = rows(&found).flat_map(|row| row[0].split('`').skip(1).step_by(2).collect::<Vec<_>>());
            let lines: Vec<_> = lines.collect();
            assert!(lines.len() > 10, "{lines:?}");
            for line in lines {
                let parts = line.split('…').map(|part| part.trim().trim_end_matches(':'));
                for part in parts.filter(|part| part.len() > 2) {
                    assert!(
                        words.contains(part),
                        "docs/operations.md: no text of {folders:?} has `{part}` of `{line}`"
                    );
                }
            }
        }
    }
}

/// The quotations from log lines in the table of faults. Numbers and names in them are left out.
#[test]
fn the_words_of_the_table_of_faults_are_those_of_the_code() {
    let words = sources::strings(&["src"]);
    let text = read("docs/operations.md");
    let table = text.split("## Faults of the feed").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a part");
    let quoted: Vec<_> = table.split('"').skip(1).step_by(2).collect();
    assert!(quoted.len() > 12, "{quoted:?}");
    for quoted in quoted {
        for part in quoted.trim_matches('`').split('…').map(str::trim) {
            // The number is the value of a constant.
            let part = part.trim_start_matches("more than 10000 ");
            assert!(words.contains(part), "docs/operations.md: no text of src/ has \"{part}\"");
        }
    }
}

#[test]
fn every_limit_is_that_of_the_code() {
    let service: Vec<_> = SERVICE.iter().map(|folder| root().join(folder)).filter(|path| path.exists()).collect();
    let service: Vec<_> = service.iter().map(AsRef::as_ref).collect();
    let mut count = 0;
    for (name, constants) in
        [("filter", Constants::read(&[&root().join("src")])), ("service", Constants::read(&service))]
    {
        for row in all_marked("docs/limits.md", name).iter().flat_map(|table| rows(table)) {
            let [limit, value, constant, _] = row[..] else { panic!("{row:?}") };
            let (number, unit) = value.split_once(' ').unwrap_or((value, ""));
            let number: u128 = number.replace(',', "").parse().unwrap_or_else(|_| panic!("{limit}: {value}"));
            let told = match unit {
                "" | "ms" => number,
                "s" => number * 1_000,
                _ => panic!("{limit}: the unit of {value} is not known"),
            };
            assert_eq!(constants.value(constant.trim_matches('`')), Ok(told), "{limit}, {constant}");
            count += 1;
        }
    }
    assert!(count > 80, "{count} limits");
}

/// A constant that begins with `MAX_` bounds something that operators may meet.
#[test]
fn every_bound_of_the_code_is_told() {
    // How far names may differ, and how long a search goes on after a store: nobody meets these.
    let internal = ["MAX_SLIPS", "MAX_GAP"];
    for (name, folders) in [("filter", &["src"][..]), ("service", &SERVICE)] {
        let told = all_marked("docs/limits.md", name).concat();
        let folders: Vec<_> = folders.iter().map(|folder| root().join(folder)).filter(|path| path.exists()).collect();
        let folders: Vec<_> = folders.iter().map(AsRef::as_ref).collect();
        let constants = Constants::read(&folders);
        let bounds = constants.names().filter(|bound| bound.starts_with("MAX_") && !internal.contains(bound));
        let is_told = |bound: &&str| told.contains(&code(bound)) || told.contains(&format!("::{bound}`"));
        let missing: Vec<_> = bounds.filter(|bound| !is_told(bound)).collect();
        assert!(missing.is_empty(), "docs/limits.md does not tell of {missing:?} of the {name}");
    }
}

#[test]
fn every_file_that_is_named_as_proof_is_there() {
    let text = read("SECURITY.md");
    let named: Vec<_> = text.split('`').filter(|part| part.starts_with("tests/") || part.starts_with("src/")).collect();
    assert!(named.len() > 15, "{named:?}");
    for path in named {
        assert!(root().join(path).exists(), "SECURITY.md names {path}, which is not there");
    }
    for target in text.split("fuzz target").skip(1).flat_map(|rest| rest.split('`').skip(1).step_by(2).take(2)) {
        let is_target = target.bytes().all(|byte| byte.is_ascii_lowercase());
        assert!(!is_target || root().join(format!("tests/fuzz/targets/{target}.rs")).exists(), "{target}");
    }
}

/// A document may name `/v1/keys/{id}/revoke` in full or as `/revoke`. The routes of lists and rows of the six kinds
/// are described together.
#[test]
fn every_route_of_the_service_is_told() {
    let folders = SERVICE.map(|folder| root().join(folder).join("..").join("tests/golden/openapi.json"));
    let crates = root().join("crates").read_dir().into_iter().flatten().flatten();
    let folders = folders.into_iter().chain(crates.map(|entry| entry.path().join("tests/golden/openapi.json")));
    let golden = folders.into_iter().find(|path| path.exists()).expect("the golden description");
    let golden = fs::read_to_string(golden).expect("text");
    let paths: Vec<_> = golden.split('"').filter(|part| part.starts_with('/') && !part.contains(' ')).collect();
    assert!(paths.len() > 15, "{paths:?}");
    let document = read("docs/policy-service.md");
    for path in paths {
        let (list, _) = path.split_once("/{id}").unwrap_or((path, ""));
        let last = path.rsplit('/').next().unwrap_or_default();
        let is_told = if last == "{id}" {
            document.contains(&format!("`{list}`"))
        } else {
            document.contains(path) || document.contains(&format!("`/{last}`"))
        };
        assert!(is_told, "docs/policy-service.md does not tell of {path}");
    }
}

#[test]
fn every_argument_of_the_service_is_told_with_its_default() {
    let sources = sources::strings(&SERVICE);
    let document = read("docs/policy-service.md");
    let mut count = 0;
    for argument in sources.split("#[arg(").skip(1) {
        let argument = argument.split("pub ").next().unwrap_or_default();
        let quoted =
            |name: &str| argument.split(&format!("{name} = \"")).nth(1).and_then(|rest| rest.split('"').next());
        // The command line has its own document, and its help.
        let Some(variable) = quoted("env").filter(|variable| variable.starts_with("POLICY_")) else { continue };
        let number = argument.split("default_value_t = ").nth(1).and_then(|rest| rest.split([',', ')']).next());
        let default = quoted("default_value").map(code).or(number.map(|number| number.replace('_', "")));
        let name = format!("| `--{}` |", variable.trim_start_matches("POLICY_").to_lowercase().replace('_', "-"));
        let row = document.lines().find(|line| line.starts_with(&name)).unwrap_or_else(|| panic!("no row `{name}`"));
        assert!(row.contains(&code(variable)), "{row}");
        if let Some(default) = default {
            assert!(row.contains(&format!("| {default} |")), "{row}: the default is {default}");
        }
        count += 1;
    }
    assert!(count >= 10, "{count} arguments");
}
