//! Rules for the project: workflows call targets that exist, actions are pinned, and there is one version.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::panic, clippy::expect_used, reason = "only test code: a panic is how it reports")]

use std::{fs, path::Path};

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Names and texts of the workflows.
fn workflows() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows");
    let entries = fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").file_name());
    let names = entries.map(|name| name.into_string().expect("a name"));
    names.map(|name| (name.clone(), read(&format!(".github/workflows/{name}")))).collect()
}

/// Errors in a workflow. Each step must be one line, so that no shell script hides in it.
fn wrong(workflow: &str, makefile: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for line in workflow.lines().map(|line| line.trim().trim_start_matches("- ")) {
        let is_good = if let Some(command) = line.strip_prefix("run:") {
            let target = command.trim().strip_prefix("make ").unwrap_or_default();
            let is_name = !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            is_name && makefile.lines().any(|line| line == format!(".PHONY: {target}"))
        } else if let Some(action) = line.strip_prefix("uses:") {
            let (_, pin) = action.split_once('@').unwrap_or_default();
            let (commit, version) = pin.split_once(" # v").unwrap_or_default();
            commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()) && !version.is_empty()
        } else {
            !line.contains("secrets.") && !line.starts_with("shell:") && !line.starts_with("container:")
        };
        if !is_good {
            wrong.push(line.to_owned());
        }
    }
    wrong
}

#[test]
fn workflows_call_targets_that_exist_and_actions_that_are_pinned() {
    let makefile = read("Makefile");
    let workflows = workflows();
    for name in ["ci.yml", "release.yml"] {
        let found = workflows.iter().find(|(known, _)| known == name);
        assert!(found.is_some_and(|(_, text)| text.contains("run: make ")), "{name} runs nothing");
    }
    for (name, text) in &workflows {
        assert_eq!(wrong(text, &makefile), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_workflow_that_does_more_is_noticed() {
    let makefile = read("Makefile");
    for line in [
        "- run: make no-such-target",
        "- run: make",
        "- run: make build HINT=",
        "- run: cargo test",
        "- run: make test && true",
        "- run: |",
        "- uses: actions/checkout@v4",
        "- uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683",
        "- uses: actions/checkout@11bd719 # v4.2.2",
        "- uses: ./local",
        "token: ${{ secrets.TOKEN }}",
        "shell: python",
    ] {
        assert_eq!(wrong(line, &makefile).len(), 1, "{line}");
    }
    assert!(wrong("- run: make test", &makefile).is_empty());
}

#[test]
fn there_is_one_version_and_the_changelog_has_it() {
    let workspace = read("Cargo.toml");
    let (_, members) = workspace.split_once("members = [").expect("members");
    let members = members.split(']').next().unwrap_or_default().split('"').skip(1).step_by(2);
    let mut count = 0;
    for member in members {
        count += 1;
        let manifest = read(&format!("{member}/Cargo.toml"));
        assert!(manifest.contains("\nversion.workspace = true\n"), "{member} has a version of its own");
    }
    assert!(count > 10, "{count} members");
    let version = env!("CARGO_PKG_VERSION");
    let changelog = read("CHANGELOG.md");
    let sections: Vec<_> = changelog.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections.first(), Some(&"Unreleased"));
    let newest = sections.get(1).and_then(|section| section.split(' ').next());
    assert_eq!(newest, Some(version), "the newest section of CHANGELOG.md is not that of the version");
}
