//! The files as files: they parse, they name only metrics that exist, every alert has a test and a runbook, and the tags of
//! Envoy and the rules of Prometheus make the same labels.

use std::collections::BTreeSet;

use keygate::reason::Reason;
use keygate_e2e::artifacts;
use serde_json::Value;

use super::expressions::{documented_of_filter, filled, known, metrics_in, panels, rules, yaml};

#[test]
fn alerts_and_dashboard_name_only_metrics_that_exist() {
    let known = known();
    let alerts = rules().into_iter().map(|rule| rule["expr"].as_str().unwrap().to_owned());
    let shown = panels().into_iter().flat_map(|(_, expressions)| expressions);
    let mut used = BTreeSet::new();
    for expression in alerts.chain(shown) {
        let metrics = metrics_in(&expression);
        assert!(!metrics.is_empty(), "{expression}");
        for metric in &metrics {
            assert!(known.contains(metric), "`{expression}` names {metric}, which neither Envoy nor the service has");
        }
        used.extend(metrics);
    }
    // The other way round: what nobody looks at is not measured.
    let unused: Vec<_> = known.iter().filter(|name| !used.contains(*name) && !is_beside(name)).collect();
    assert!(unused.is_empty(), "no panel and no alert has {unused:?}");
}

/// Series that another one stands for: the sum and the number of a histogram whose buckets are shown, and the base of its
/// name.
fn is_beside(name: &str) -> bool {
    name.ends_with("_sum") || name.ends_with("_count") || name == "policy_service_database_seconds"
}

#[test]
fn every_alert_says_what_it_is_and_leads_to_a_heading_of_the_runbook() {
    let document = std::fs::read_to_string(artifacts::root().join("docs/operations.md")).unwrap();
    let headings: BTreeSet<String> = document
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"))
        .collect();
    let mut names = BTreeSet::new();
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap().to_owned();
        assert!(["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        for part in ["summary", "description"] {
            assert!(rule["annotations"][part].as_str().is_some_and(|text| text.len() > 20), "{name}: no {part}");
        }
        let runbook = rule["annotations"]["runbook_url"].as_str().unwrap();
        let (file, heading) = runbook.split_once('#').unwrap();
        assert_eq!(file, "docs/operations.md");
        assert!(headings.contains(heading), "{name}: docs/operations.md has no heading #{heading}");
        assert!(document.contains(&format!("`{name}`")), "{name} is not in the runbook");
        assert!(names.insert(name.clone()), "{name} is there twice");
    }
    assert!(names.len() >= 8, "{names:?}");
}

#[test]
fn every_alert_has_a_test_that_fires_and_one_that_does_not() {
    let (mut firing, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    for test in yaml("alerts_test.yaml")["tests"].as_array().unwrap() {
        let series = test["input_series"].as_array().unwrap().iter().map(|series| series["series"].as_str().unwrap());
        let instance = |series: &str| series.split("instance=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let instances: BTreeSet<String> = series.map(instance).collect();
        for case in test["alert_rule_test"].as_array().unwrap() {
            let name = case["alertname"].as_str().unwrap().to_owned();
            let expected = case["exp_alerts"].as_array().unwrap().len();
            if expected > 0 {
                firing.insert(name.clone());
            }
            // promtool compares the whole list, so an instance that it does not name is quiet.
            if expected < instances.len() {
                quiet.insert(name);
            }
        }
    }
    let names: BTreeSet<String> = rules().iter().map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect();
    assert_eq!(firing, names);
    assert_eq!(quiet, names);
}

/// The label and name that a set of regular expressions of Envoy makes of a statistic: as Envoy does, the first group leaves
/// the name, and the second one is the value.
fn tagged(tags: &Value, statistic: &str) -> (String, Option<(String, String)>) {
    for tag in tags["stats_config"]["stats_tags"].as_array().unwrap() {
        let expression = regex::Regex::new(tag["regex"].as_str().unwrap()).unwrap();
        if let Some(found) = expression.captures(statistic) {
            let name = statistic.replacen(&found[1], "", 1);
            return (name, Some((tag["tag_name"].as_str().unwrap().to_owned(), found[2].to_owned())));
        }
    }
    (statistic.to_owned(), None)
}

/// The same by the rules of Prometheus, for a metric as `/stats/prometheus` names it, with the label
/// `envoy_rbac_http_prefix`.
fn relabelled(config: &Value, metric: &str, prefix: &str) -> Option<(String, Option<(String, String)>)> {
    let (mut name, mut label) = (metric.to_owned(), None);
    for rule in config["scrape_configs"][0]["metric_relabel_configs"].as_array().unwrap() {
        // Prometheus anchors expressions at both ends.
        let expression = regex::Regex::new(&format!("^(?:{})$", rule["regex"].as_str().unwrap())).unwrap();
        let sources = rule["source_labels"].as_array().unwrap().iter().map(|source| match source.as_str().unwrap() {
            "__name__" => &*name,
            "envoy_rbac_http_prefix" => prefix,
            other => panic!("this test does not know the label {other}"),
        });
        let source = sources.collect::<Vec<_>>().join(";");
        let found = expression.captures(&source);
        match (rule["action"].as_str(), rule["target_label"].as_str(), found) {
            (Some("keep"), _, None) => return None,
            (None, Some("__name__"), Some(found)) => {
                let first = found.get(1).map_or("", |first| first.as_str());
                name = rule["replacement"].as_str().unwrap().replace("$1", first);
            }
            (None, Some(target), Some(found)) => label = Some((target.to_owned(), found[1].to_owned())),
            _ => {}
        }
    }
    Some((name, label))
}

#[test]
fn envoys_tags_and_prometheus_rules_make_the_same_labels() {
    let (tags, config) = (yaml("stats-tags.yaml"), yaml("prometheus.yaml"));
    let mut statistics: Vec<(String, String)> =
        documented_of_filter().into_iter().map(|name| (format!("wasmcustom.{}", statistic_of(&name)), name)).collect();
    // A policy with a name, and names that look like something else.
    for gauge in ["revision", "age_ms", "confirmed_at"] {
        for policy in ["edge", "revision", "age"] {
            statistics.push((
                format!("wasmcustom.keygate.policy.{policy}.{gauge}"),
                format!("keygate_policy_{policy}_{gauge}"),
            ));
        }
    }
    for (plugin, flat) in [("keygate", "keygate"), ("istio-system.keygate", "istio_system_keygate")] {
        statistics.push((format!("wasm.{plugin}.vm_reload_success"), format!("envoy_wasm_{flat}_vm_reload_success")));
    }
    let flat = |text: &str| text.replace(['.', '-'], "_");
    for (statistic, metric) in statistics {
        let (name, label) = tagged(&tags, &statistic);
        let name = flat(&name).trim_start_matches("wasmcustom_").replace("wasm_", "envoy_wasm_");
        let label = label.map(|(tag, value)| (tag, flat(&value)));
        assert_eq!(relabelled(&config, &metric, ""), Some((name, label)), "{statistic}");
    }
    assert_eq!(relabelled(&config, "envoy_cluster_upstream_cx_total", ""), None);
}

/// Envoy's default tags take the prefix out of the name, and those of Istio's bootstrap do not.
#[test]
fn the_guards_counter_has_one_name_and_those_of_other_filters_have_others() {
    let config = yaml("prometheus.yaml");
    let guard = "envoy_http_rbac_keygate_guard_denied";
    let label = |listener: &str| Some(("envoy_http_conn_manager_prefix".to_owned(), listener.to_owned()));
    for (metric, prefix, name, label) in [
        ("envoy_http_rbac_denied", "keygate_guard", guard, None),
        ("envoy_http_outbound_0_0_0_0_8080_rbac_keygate_guard_denied", "", guard, label("outbound_0_0_0_0_8080")),
        ("envoy_http_rbac_denied", "", "envoy_http_rbac_denied", None),
        ("envoy_http_rbac_denied", "another", "envoy_http_rbac_denied", None),
        ("envoy_http_rbac_allowed", "keygate_guard", "envoy_http_rbac_allowed", None),
    ] {
        assert_eq!(relabelled(&config, metric, prefix), Some((name.to_owned(), label)), "{metric} {prefix}");
    }
    assert_eq!(relabelled(&config, "envoy_http_outbound_0_0_0_0_8080_rbac", ""), None, "an AuthorizationPolicy");
}

/// `keygate.denied.key_unknown` of `keygate_denied_key_unknown`: the dots are in the code's own names.
fn statistic_of(metric: &str) -> String {
    let rest = metric.trim_start_matches("keygate_");
    for (family, dotted) in [
        ("denied_", "denied."),
        ("would_deny_", "would_deny."),
        ("refresh_", "refresh."),
        ("policy_", "policy."),
        ("limits_", "limits."),
        ("usage_", "usage."),
    ] {
        if let Some(rest) = rest.strip_prefix(family) {
            return format!("keygate.{dotted}{rest}");
        }
    }
    format!("keygate.{rest}")
}

#[test]
fn each_reason_gets_its_label() {
    let tags = yaml("stats-tags.yaml");
    for reason in Reason::ALL {
        for family in ["denied", "would_deny"] {
            let (name, label) = tagged(&tags, &format!("wasmcustom.keygate.{family}.{}", reason.as_str()));
            assert_eq!(name, format!("wasmcustom.keygate.{family}"));
            assert_eq!(label, Some(("reason".to_owned(), reason.as_str().to_owned())));
        }
    }
}

#[test]
fn no_variable_of_grafana_is_left_in_a_filled_expression() {
    for (title, expressions) in panels() {
        for expression in expressions {
            assert!(!filled(&expression).contains('$'), "{title}: {expression}");
        }
    }
}
