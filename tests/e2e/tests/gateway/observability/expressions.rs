//! What the shipped files say: the expressions of alerts and dashboard, the names of metrics in them, and the names that the
//! documents know.

use std::{collections::BTreeSet, fs, path::PathBuf};

use keygate::reason::Reason;
use keygate_e2e::artifacts;
use serde_json::Value;

pub fn folder() -> PathBuf {
    artifacts::root().join("envoy/observability")
}

pub fn text(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

pub fn yaml(name: &str) -> Value {
    serde_norway::from_str(&text(name)).unwrap()
}

/// The rules of `alerts.yaml`.
pub fn rules() -> Vec<Value> {
    let groups = yaml("alerts.yaml");
    let groups = groups["groups"].as_array().unwrap().iter();
    groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// The panels of the dashboard that have expressions, with these.
pub fn panels() -> Vec<(String, Vec<String>)> {
    let dashboard: Value = serde_json::from_str(&text("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    let expressions = |panel: &Value| {
        let targets = panel["targets"].as_array().unwrap().iter();
        targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
    };
    panels.map(|panel| (panel["title"].as_str().unwrap().to_owned(), expressions(panel))).collect()
}

/// An expression of the dashboard with values in place of Grafana's variables.
pub fn filled(expression: &str) -> String {
    expression.replace("$instance", ".*").replace("$__rate_interval", "1m")
}

/// The names of metrics in an expression: words that begin with a known family.
pub fn metrics_in(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_metric = |word: &&str| {
        *word == "up" || ["keygate_", "envoy_", "policy_service_"].iter().any(|family| word.starts_with(family))
    };
    words.filter(is_metric).map(str::to_owned).collect()
}

/// The rows of a table in `docs/operations.md` between two comments: the cells, without the marks of code.
fn table(marker: &str) -> Vec<Vec<String>> {
    let document = fs::read_to_string(artifacts::root().join("docs/operations.md")).unwrap();
    let (_, rest) = document.split_once(&format!("<!-- {marker} -->")).unwrap();
    let (table, _) = rest.split_once(&format!("<!-- /{marker} -->")).unwrap();
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    table.trim().lines().skip(2).map(cells).collect()
}

/// Suffixes of a histogram's series.
const HISTOGRAM: [&str; 3] = ["_bucket", "_sum", "_count"];

/// The series that Envoy shows for the metrics of the document, without labels. Each reason is a name of its own, as long
/// as no label is made of it.
pub fn documented_of_filter() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for row in table("metrics") {
        let (name, kind) = (&row[1], &row[2]);
        if let Some(family) = name.strip_suffix("<reason>") {
            names.extend(Reason::ALL.iter().map(|reason| format!("{family}{}", reason.as_str())));
        } else if kind == "histogram" {
            names.extend(HISTOGRAM.iter().map(|suffix| format!("{name}{suffix}")));
        } else {
            names.insert(name.clone());
        }
    }
    names
}

/// The same after the rules of `prometheus.yaml`, with the metrics of the policy service and those of Envoy itself that
/// the files use.
pub fn known() -> BTreeSet<String> {
    let labelled =
        |name: String| match name.strip_prefix("keygate_denied_").or(name.strip_prefix("keygate_would_deny_")) {
            Some(reason) => name.trim_end_matches(reason).trim_end_matches('_').to_owned(),
            None => name,
        };
    let mut known: BTreeSet<String> = documented_of_filter().into_iter().map(labelled).collect();
    for row in table("service metrics") {
        known.insert(row[0].clone());
        known.extend(
            HISTOGRAM.iter().filter(|_| row[2].contains("histogram")).map(|suffix| format!("{}{suffix}", row[0])),
        );
    }
    for name in ["up", "envoy_http_rbac_keygate_guard_denied"] {
        known.insert(name.to_owned());
    }
    known.extend(["success", "failure", "backoff"].map(|outcome| format!("envoy_wasm_vm_reload_{outcome}")));
    known
}
