//! Checks that each command in the blocks of the documents is run by a test or is a make target.
//! `tests/e2e/tests/gateway/documents.rs` runs the commands of `console` blocks against a running stack, and names the
//! tests that run the others.

use std::path::PathBuf;

use super::{read, root};

/// The beginning of a command of an `sh` block, the test that runs it, and a word of that test.
const RUN_BY: [(&str, &str, &str); 8] = [
    (
        "envoy -c envoy/standalone/envoy.yaml --config-yaml",
        "tests/e2e/tests/gateway/wasm_service.rs",
        "\"--config-yaml\"",
    ),
    ("curl -si http://127.0.0.1:10000/", "tests/policy_page.rs", "curl -si http://127.0.0.1:10000"),
    ("pg_dump --format=custom ", "crates/policy-service/tests/postgres/start.rs", "\"pg_dump\""),
    (
        "createdb --host db.example --username postgres --owner keygate --encoding=UTF8 ",
        "crates/testkit/src/postgres.rs",
        "\"createdb\"",
    ),
    (
        "pg_restore --no-owner --exit-on-error --single-transaction ",
        "crates/policy-service/tests/postgres/start.rs",
        "\"--no-owner\", \"--exit-on-error\", \"--single-transaction\"",
    ),
    ("sha256sum --check ", "tools/release", "sha256sum --check"),
    ("skopeo copy --preserve-digests ", "tools/package/tests/published/registry.rs", "\"--preserve-digests\""),
    ("policy-service renew-epoch ", "crates/policy-service/tests/postgres/start.rs", "\"renew-epoch\""),
];

/// All documents of the project.
fn documents() -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![PathBuf::new()];
    while let Some(folder) = left.pop() {
        for entry in root().join(&folder).read_dir().expect("a folder") {
            let name = entry.expect("an entry").file_name();
            let path = folder.join(&name);
            let is_work = name.to_string_lossy().starts_with('.') && name != ".github";
            if root().join(&path).is_dir() {
                if name != "target" && name != "node_modules" && !is_work {
                    left.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path.display().to_string());
            }
        }
    }
    assert!(found.len() > 12, "{found:?}");
    found
}

/// The text without its blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect::<Vec<_>>().join(" ").replace('\n', " ")
}

/// The lines of all blocks of a language, with their line numbers.
fn block_lines<'t>(text: &'t str, language: &str) -> Vec<(usize, &'t str)> {
    let mut inside = false;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(name) = line.trim_start().strip_prefix("```") {
            inside = name == language;
        } else if inside {
            lines.push((number, line));
        }
    }
    lines
}

fn has_target(makefile: &str, name: &str) -> bool {
    makefile.lines().any(|line| line.split_once(':').is_some_and(|(target, _)| target == name))
}

/// The targets of `VARIABLE=value make a b`. Another command has none.
fn targets(command: &str) -> impl Iterator<Item = &str> {
    let words = command.split('#').next().unwrap_or_default().split_whitespace().filter(|word| !word.contains('='));
    let mut words = words.peekable();
    let is_make = words.next_if_eq(&"make").is_some();
    words.filter(move |word| is_make && word.starts_with(|c: char| c.is_ascii_lowercase()))
}

#[test]
fn every_command_of_a_block_is_run_by_something() {
    let makefile = read("Makefile");
    let mut count = 0;
    for document in documents() {
        let text = read(&document);
        for (number, line) in block_lines(&text, "sh").into_iter().filter(|(_, line)| !line.trim().is_empty()) {
            count += 1;
            if line.starts_with("make ") {
                let missing: Vec<_> = targets(line).filter(|target| !has_target(&makefile, target)).collect();
                assert!(missing.is_empty(), "{document}:{number}: the Makefile has no {missing:?}");
                continue;
            }
            let run_by = RUN_BY.iter().find(|(begin, ..)| line.trim_start().starts_with(begin));
            let Some((_, test, word)) = run_by else { panic!("{document}:{number}: nothing runs `{line}`") };
            assert!(read(test).contains(word), "{test} does not run `{line}`");
        }
    }
    assert!(count > 4, "{count} commands");
}

#[test]
fn every_make_target_and_test_that_the_prose_names_is_there() {
    let makefile = read("Makefile");
    let mut count = 0;
    for document in documents().into_iter().filter(|document| document != "CHANGELOG.md") {
        let text = read(&document);
        for code in prose(&text).split('`').skip(1).step_by(2) {
            for target in targets(code) {
                assert!(has_target(&makefile, target), "{document}: `{code}`: the Makefile has no {target}");
                count += 1;
            }
        }
        for (place, name) in text.match_indices("--test ").map(|(at, word)| (at, &text[at + word.len()..])) {
            let name: String = name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let paths = [format!("tests/{name}.rs"), format!("tests/{name}/main.rs")];
            let of_crates = root().join("crates").read_dir().into_iter().flatten().flatten();
            let mut of_crates = of_crates.map(|entry| entry.path().join(format!("tests/{name}.rs")));
            let is_there = paths.iter().any(|path| root().join(path).exists()) || of_crates.any(|path| path.exists());
            assert!(is_there, "{document}, byte {place}: there is no test {name}");
        }
    }
    assert!(count > 10, "{count} targets");
}

/// `policy-service backup FILE` and the like: a test of the program, or of a stack, runs each.
#[test]
fn every_command_of_the_service_that_the_prose_names_is_run_by_a_test() {
    let tests: String = ["crates/policy-service/tests", "crates/policy-service/tests/service", "tests/e2e/src"]
        .iter()
        .flat_map(|folder| root().join(folder).read_dir().into_iter().flatten().flatten())
        .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
        .collect();
    let mut count = 0;
    for document in documents() {
        let text = prose(&read(&document));
        for code in text.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("policy-service ")) {
            let command = code.split(' ').next().unwrap_or_default();
            assert!(tests.contains(&format!("\"{command}\"")), "{document}: no test runs `policy-service {code}`");
            count += 1;
        }
    }
    assert!(count > 4, "{count} commands");
}
