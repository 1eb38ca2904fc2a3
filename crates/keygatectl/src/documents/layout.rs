//! The files of an export. A kind each for APIs, plans and deny policies. An application stands with its keys and its
//! subscriptions. A large policy has 256 files of applications, so that none is too large for a repository, and a change
//! touches one of them.

use std::{collections::BTreeMap, path::PathBuf};

use keygate::digest::Digest;
use management::port::Kind;
use serde_json::Value;

use super::row::Row;

/// Rows of applications, keys and subscriptions in one file: some 4 MB.
const MOST_IN_ONE_FILE: usize = 20_000;

/// The folder of the files of a large policy.
pub const FOLDER: &str = "applications";

/// The rows of each file, in their order.
pub fn files(rows: Vec<Row>) -> BTreeMap<PathBuf, Vec<Row>> {
    let of_applications = |kind| matches!(kind, Kind::Application | Kind::Key | Kind::Subscription);
    let is_large = rows.iter().filter(|row| of_applications(row.kind)).count() > MOST_IN_ONE_FILE;
    let mut files: BTreeMap<PathBuf, Vec<Row>> = BTreeMap::new();
    for row in rows {
        files.entry(file(&row, is_large)).or_default().push(row);
    }
    for rows in files.values_mut() {
        rows.sort_by(|one, other| order(one).cmp(&order(other)));
    }
    files
}

fn file(row: &Row, is_large: bool) -> PathBuf {
    match row.kind {
        Kind::Api => "apis.yaml".into(),
        Kind::Plan => "plans.yaml".into(),
        Kind::DenyPolicy => "deny-policies.yaml".into(),
        Kind::Application | Kind::Key | Kind::Subscription if is_large => {
            let hex = Digest::of(application(row).as_bytes()).to_hex();
            PathBuf::from(FOLDER).join(format!("{}.yaml", hex.get(..2).unwrap_or("00")))
        }
        Kind::Application | Kind::Key | Kind::Subscription => "applications.yaml".into(),
    }
}

/// The application that a row belongs to.
fn application(row: &Row) -> &str {
    let named = row.fields.get("application").and_then(Value::as_str);
    named.unwrap_or(if row.kind == Kind::Application { &row.id } else { "" })
}

fn order(row: &Row) -> (&str, u8, &str) {
    let rank = match row.kind {
        Kind::Application => 0,
        Kind::Key => 1,
        Kind::Subscription => 2,
        Kind::Api | Kind::Plan | Kind::DenyPolicy => 3,
    };
    (application(row), rank, &row.id)
}

/// Whether `export` writes a file with this name, relative to its folder.
pub fn is_own(path: &std::path::Path) -> bool {
    let names = ["apis.yaml", "plans.yaml", "deny-policies.yaml", "applications.yaml"];
    if names.iter().any(|name| path == std::path::Path::new(name)) {
        return true;
    }
    let stem = path.strip_prefix(FOLDER).ok().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".yaml"));
    stem.is_some_and(|stem| stem.len() == 2 && stem.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows(applications: usize) -> Vec<Row> {
        let mut rows = vec![Row::shown(Kind::Plan, &json!({"id": "gold"})).unwrap()];
        for number in 0..applications {
            let id = format!("app-{number}");
            rows.push(Row::shown(Kind::Subscription, &json!({"id": format!("s-{number}"), "application": id})).unwrap());
            rows.push(Row::shown(Kind::Key, &json!({"id": format!("k-{number}"), "application": id})).unwrap());
            rows.push(Row::shown(Kind::Application, &json!({"id": id})).unwrap());
        }
        rows
    }

    #[test]
    fn an_application_stands_with_what_belongs_to_it() {
        let files = files(rows(3));
        let names: Vec<&str> = files.keys().filter_map(|path| path.to_str()).collect();
        assert_eq!(names, ["applications.yaml", "plans.yaml"]);
        let ids: Vec<&str> = files[&PathBuf::from("applications.yaml")].iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, ["app-0", "k-0", "s-0", "app-1", "k-1", "s-1", "app-2", "k-2", "s-2"]);
    }

    #[test]
    fn a_large_policy_has_many_files_and_export_knows_them_again() {
        let files = files(rows(10_000));
        assert_eq!(files.len(), 257);
        assert!(files.keys().all(|path| is_own(path)));
        assert!(files.values().all(|rows| rows.len() < 500));
        for other in ["README.md", "applications/team.yaml", "keygate.lock", "applications/zz.yaml", "x/apis.yaml"] {
            assert!(!is_own(std::path::Path::new(other)), "{other}");
        }
    }
}
