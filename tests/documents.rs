//! The README's tables of reasons and of the configuration, held to the code: nobody can read there anything else than
//! what the filter does. Where one differs, the table that would be right is printed.
#![allow(clippy::panic, clippy::expect_used, reason = "only test code: a panic is how it reports")]

use std::{fs, path::Path};

use keygate::{
    config::{FIELDS, WhenAbsent},
    reason::Reason,
};

/// What stands in the README between `<!-- name -->` and `<!-- /name -->`.
fn marked(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).expect("README.md is there");
    let (begin, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let (_, rest) = readme.split_once(&begin).unwrap_or_else(|| panic!("README.md has no `{begin}`"));
    let (table, _) = rest.split_once(&end).unwrap_or_else(|| panic!("README.md has no `{end}` behind `{begin}`"));
    table.trim().to_owned()
}

/// A table as Markdown; a bar in a cell is escaped.
fn table<const N: usize>(columns: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let line = |cells: [String; N]| format!("| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    let mut lines = vec![line(columns.map(str::to_owned)), format!("|{}", "---|".repeat(N))];
    lines.extend(rows.map(line));
    lines.join("\n")
}

fn hold(name: &str, right: &str) {
    let found = marked(name);
    assert!(
        found == right,
        "README.md: between `<!-- {name} -->` and its end should stand\n\n{right}\n\nbut there is\n\n{found}\n"
    );
}

#[test]
fn the_table_of_reasons_is_that_of_the_code() {
    let rows = Reason::ALL.iter().map(|reason| {
        let (code, status, message) = reason.defaults();
        let name = format!("`{}`", reason.as_str());
        [name, reason.when().to_owned(), code.to_owned(), status.to_string(), message.to_owned()]
    });
    hold("reasons", &table(["reason", "when", "code", "status", "message"], rows));
}

#[test]
fn the_table_of_the_configuration_is_that_of_the_code() {
    let rows = FIELDS.iter().map(|field| {
        let default = match field.default {
            WhenAbsent::Required => "required".to_owned(),
            WhenAbsent::Json(json) | WhenAbsent::Inside(json) => format!("`{json}`"),
            WhenAbsent::Else(words) => words.to_owned(),
        };
        [format!("`{}`", field.path), default, field.meaning.to_owned()]
    });
    hold("configuration", &table(["field", "default", "meaning"], rows));
}

#[test]
fn every_file_that_is_named_as_proof_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("SECURITY.md")).expect("SECURITY.md is there");
    let named: Vec<_> = text.split('`').filter(|part| part.starts_with("tests/") || part.starts_with("src/")).collect();
    assert!(named.len() > 15, "{named:?}");
    for path in named {
        assert!(root.join(path).exists(), "SECURITY.md names {path}, which is not there");
    }
    for target in text.split("fuzz target").skip(1).flat_map(|rest| rest.split('`').skip(1).step_by(2).take(2)) {
        let is_target = target.bytes().all(|byte| byte.is_ascii_lowercase());
        assert!(!is_target || root.join(format!("tests/fuzz/targets/{target}.rs")).exists(), "{target}");
    }
}
