//! Rules for the sources: which module may import which (`house/floors.rs`), which crate may depend on which
//! (`house/crates.rs`), how a file begins, and that links work (`house/links.rs`). No behaviour is tested here.

#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "only test code: a panic is how it reports"
)]

#[path = "house/crates.rs"]
mod crates;
#[path = "house/floors.rs"]
mod floors;
#[path = "house/imports.rs"]
mod imports;
#[path = "house/links.rs"]
mod links;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file with more lines probably has two purposes.
const MAX_LINES: usize = 500;

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is there") {
            let path = entry.expect("its entries can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source is text");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

/// The code of a file without comments, strings and tests.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.map(|line| format!("{line}\n")).collect()
}

fn is_test(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests")
}

fn is_shell(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "plugin")
}

#[test]
fn only_the_host_file_calls_the_host() {
    for (path, text) in sources("src") {
        let code = code(&text);
        let is_host = path.ends_with("plugin/host.rs");
        for word in ["hostcalls", "extern \"C\" {", "fn proxy_"] {
            assert!(is_host || !code.contains(word), "{}: {word}", path.display());
        }
        let is_allocator = path.ends_with("plugin/memory.rs");
        for word in ["unsafe {", "unsafe fn", "unsafe impl"] {
            assert!(is_host || is_allocator || !code.contains(word), "{}: {word}", path.display());
        }
        let is_called = path.ends_with("plugin/streams.rs");
        assert!(is_called || !code.contains("no_mangle"), "{}: the host calls more than one file", path.display());
        assert!(is_shell(&path) || !code.contains("proxy_wasm"), "{}: the core knows the SDK", path.display());
    }
}

#[test]
fn the_core_knows_neither_shell_nor_clock_nor_log() {
    let forbidden = [
        "crate::plugin",
        "super::plugin",
        "SystemTime::now",
        "Instant::now",
        "println!",
        "eprintln!",
        "dbg!",
        "log::",
        "std::env",
        "std::fs",
        "std::net::Tcp",
        "std::thread",
        "static mut",
        "thread_local",
    ];
    for (path, text) in sources("src") {
        if is_shell(&path) || is_test(&path) {
            continue;
        }
        let code = code(&text);
        for word in forbidden {
            assert!(!code.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn the_policy_service_reads_the_clock_and_random_numbers_in_one_place() {
    // The rules may not measure time either. The other crates may, because request bodies, polls and locks have time
    // limits.
    let of_rules =
        ["SystemTime", "Instant::now", "getrandom", "std::env", "std::fs", "std::process", "tracing::", "println!"];
    for (folder, forbidden) in [
        ("crates/management/src", &of_rules[..]),
        ("crates/store/src", &["SystemTime", "std::env"]),
        ("crates/policy-service/src", &["SystemTime"]),
    ] {
        for (path, text) in sources(folder) {
            let code = code(&text);
            let is_clock = path.ends_with("policy-service/src/clock.rs");
            for word in forbidden {
                assert!(is_clock || is_test(&path) || !code.contains(word), "{}: {word}", path.display());
            }
        }
    }
}

#[test]
fn only_one_place_knows_replies() {
    for (path, text) in sources("src") {
        if path.ends_with("reply.rs") || is_test(&path) {
            continue;
        }
        let code = code(&text);
        assert!(!code.contains("\"9009") && !code.contains("\"7007"), "{}", path.display());
    }
}

#[test]
fn every_file_begins_with_its_purpose_and_stays_short() {
    for folder in ["src", "tests", "crates", "tools"] {
        for (path, text) in sources(folder) {
            assert!(text.starts_with("//! "), "{} does not begin with what it is for", path.display());
            let lines = text.lines().count();
            assert!(is_test(&path) || lines <= MAX_LINES, "{} has {lines} lines", path.display());
        }
    }
}

#[test]
fn every_dependency_has_its_reason_beside_it() {
    let manifests = [
        "Cargo.toml",
        "crates/keygatectl/Cargo.toml",
        "crates/management/Cargo.toml",
        "crates/policy-service/Cargo.toml",
        "crates/store/Cargo.toml",
        "crates/testkit/Cargo.toml",
        "tools/hint/Cargo.toml",
        "tools/trim/Cargo.toml",
    ];
    let of_tools = ["tools/wasm-runner/Cargo.toml"];
    let of_tests = [
        "tests/e2e/Cargo.toml",
        "tests/fuzz/Cargo.toml",
        "tests/replicas/Cargo.toml",
        "tests/soak/Cargo.toml",
        "tests/soak/trap/Cargo.toml",
    ];
    for manifest in manifests.iter().chain(&of_tools).chain(&of_tests) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(manifest);
        let text = fs::read_to_string(&path).expect("the manifest is there");
        let mut in_dependencies = false;
        let mut above = String::new();
        for line in text.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            } else if in_dependencies && line.contains('=') && !line.trim_start().starts_with('#') {
                let reasoned = line.contains('#') || above.starts_with('#') || line.starts_with(' ');
                assert!(reasoned, "{manifest}: {line}");
            }
            above = line.to_owned();
        }
    }
}
