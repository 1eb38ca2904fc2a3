//! The names of metrics and the texts in the sources. It reads text in rustfmt's format.

use std::{collections::BTreeSet, fs, path::PathBuf};

use keygate::reason::Reason;

/// The name and kind of each metric that `src/plugin/metrics.rs` defines.
pub fn metrics() -> BTreeSet<(String, String)> {
    let text = super::read("src/plugin/metrics.rs");
    let literals = |begin: &'static str| {
        text.split(begin).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut found = BTreeSet::new();
    found.extend(literals("counter(\"").into_iter().map(|name| (name, "counter".to_owned())));
    found.extend(literals("gauge(\"").into_iter().map(|name| (format!("policy.{name}"), "gauge".to_owned())));
    found.extend(literals("MetricKind::Histogram, \"").into_iter().map(|name| (name, "histogram".to_owned())));
    assert!(text.contains("\"{refusal}.{}\"") && !Reason::ALL.is_empty(), "counters of reasons are defined elsewhere");
    found.extend(["denied", "would_deny"].map(|name| (format!("{name}.<reason>"), "counter".to_owned())));
    found
}

/// The sources below some folders without their tests. Each text is on one line, with its quotes as they are printed.
pub fn strings(folders: &[&str]) -> String {
    let mut text = String::new();
    let mut left: Vec<PathBuf> = folders.iter().map(|folder| super::root().join(folder)).collect();
    while let Some(path) = left.pop() {
        if path.ends_with("tests") {
            continue;
        }
        if path.is_dir() {
            left.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            let source = fs::read_to_string(&path).expect("a source is text");
            let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
            text.extend(code.map(|line| line.strip_suffix('\\').map_or_else(|| format!("{line}\n"), str::to_owned)));
        }
    }
    // A text continues after the blanks at the beginning of its next line.
    let mut joined = String::with_capacity(text.len());
    for word in text.split_inclusive(' ').filter(|word| *word != " ") {
        joined.push_str(word);
    }
    joined.replace("\\\"", "\"")
}
