//! Checks that each relative link and anchor of each `.md` file of the project resolves, that documents for developers
//! name files that exist, and that the README links to each document and stays short.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

/// The README describes the project in two screens with two commands, and links to the rest.
const README_LINES: usize = 170;
/// Folders that Git ignores.
const NOT_OURS: [&str; 2] = ["target", "node_modules"];

/// The documents below a folder, by their path from the project's folder.
fn documents(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![PathBuf::new()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("a folder") {
            let name = entry.expect("an entry").file_name();
            let (path, shown) = (folder.join(&name), name.to_string_lossy());
            let is_hidden = shown.starts_with('.') && shown != ".github";
            if root.join(&path).is_dir() {
                if !is_hidden && !NOT_OURS.contains(&&*shown) {
                    left.push(path);
                }
            } else if shown.ends_with(".md") {
                let text = fs::read_to_string(root.join(&path)).expect("a document is text");
                found.insert(path, text);
            }
        }
    }
    found
}

/// The text without its blocks of code, where `#` and `](` have another meaning.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// The headings of a document, as GitHub names them in links.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in prose(text).lines().filter(|line| line.starts_with('#')) {
        let heading = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        let kept: String = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect();
        let mut name = kept.clone();
        let mut again = 0;
        while !found.insert(name) {
            again += 1;
            name = format!("{kept}-{again}");
        }
    }
    found
}

/// The relative links of a document.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    // A link in code is not a link.
    let outside: String = prose.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let links = outside.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    links.filter(|link| !link.contains("://") && !link.starts_with("mailto:")).map(str::to_owned).collect()
}

/// A path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => assert!(plain.pop(), "{} leads out of the project", path.display()),
            part => plain.push(part),
        }
    }
    plain
}

/// The errors in the links of these documents. `exists` tells whether another file or folder exists.
fn wrong(documents: &BTreeMap<PathBuf, String>, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for (document, text) in documents {
        for link in links(text) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => document.clone(),
                file => plain(&document.parent().expect("a folder").join(file)),
            };
            let known = documents.get(&target);
            if known.is_none() && !exists(&target) {
                wrong.push(format!("{}: {link}: there is no {}", document.display(), target.display()));
            } else if !anchor.is_empty() && !known.is_some_and(|text| anchors(text).contains(anchor)) {
                let known = known.map(|text| anchors(text));
                wrong.push(format!("{}: {link}: no such heading, only {known:?}", document.display()));
            }
        }
    }
    wrong
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documents = documents(root);
    let count: usize = documents.values().map(|text| links(text).len()).sum();
    assert!(documents.len() > 15 && count > 80, "{} documents, {count} links", documents.len());
    let wrong = wrong(&documents, |path| root.join(path).exists());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_readme_is_short_and_links_to_every_document() {
    let documents = documents(Path::new(env!("CARGO_MANIFEST_DIR")));
    let readme = documents.get(Path::new("README.md")).expect("README.md is there");
    let lines = readme.lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines, {README_LINES} at most: put the rest into docs/");
    let linked: BTreeSet<_> =
        links(readme).iter().map(|link| link.split('#').next().unwrap_or_default().to_owned()).collect();
    for document in documents.keys().filter(|path| path.starts_with("docs") || path.parent() == Some(Path::new(""))) {
        let name = document.display().to_string();
        assert!(name == "README.md" || linked.contains(&name), "README.md does not lead to {name}");
    }
}

/// The files and folders that a text names in code, such as `src/policy/`, `wire.rs` or `tests/cases/*.json`.
fn named(text: &str) -> Vec<String> {
    let ends = [".rs", ".md", ".json", ".toml", ".yaml", ".sql", "/"];
    let prose = prose(text).replace('\n', " ");
    let spans = prose.split('`').skip(1).step_by(2);
    let is_path = |span: &&str| {
        let is_plain = span.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-*".contains(&byte));
        is_plain && !span.starts_with('/') && ends.iter().any(|end| span.ends_with(end))
    };
    spans.filter(is_path).map(str::to_owned).collect()
}

/// All files and folders below a folder.
fn paths(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        let is_ours = path.file_name().is_none_or(|name| !NOT_OURS.iter().any(|other| name == *other));
        if path.is_dir() && is_ours {
            found.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        }
    }
    found
}

/// The walks of ARCHITECTURE.md are lists of files. If a file moves, its name there must be changed.
#[test]
fn every_file_that_a_document_for_developers_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documents = ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/development.md", "docs/performance.md"];
    let text = |document| fs::read_to_string(root.join(document)).expect("it is there");
    let folders = ["src", "crates", "policy-service", "tests", "docs", "envoy", "tools"];
    let known: Vec<_> = folders.iter().flat_map(|folder| paths(&root.join(folder))).collect();
    let mut count = 0;
    for (document, name) in
        documents.iter().flat_map(|document| named(&text(document)).into_iter().map(move |name| (document, name)))
    {
        let plain = name.split('*').next().unwrap_or_default().trim_end_matches('/');
        let is_there = root.join(plain).exists() || known.iter().any(|path| path.ends_with(plain));
        assert!(is_there, "{document} names {name}, which is not there");
        count += 1;
    }
    assert!(count > 80, "{count} names");
}

/// Types, functions and fields that a rename would leave behind in ARCHITECTURE.md.
#[test]
fn every_name_that_architecture_shows_is_in_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = prose(&fs::read_to_string(root.join("ARCHITECTURE.md")).expect("it is there"));
    let files = ["src", "crates", "tests"].iter().flat_map(|folder| paths(&root.join(folder)));
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let sources: String = files.map(|path| fs::read_to_string(path).expect("a source is text")).collect();
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words: BTreeSet<&str> = sources.split(|c: char| !is_letter(c)).collect();
    let mut count = 0;
    for span in text.split('`').skip(1).step_by(2) {
        let name = span.rsplit("::").next().unwrap_or_default().trim_end_matches('!');
        if !name.is_empty() && name.chars().all(is_letter) {
            assert!(words.contains(name), "ARCHITECTURE.md shows `{span}`, which no source has");
            count += 1;
        }
    }
    assert!(count > 30, "{count} names");
}

#[test]
fn a_broken_link_is_reported() {
    let two = |text: &str| {
        let other = "# A heading\n\n## It's `code`, twice\n## It's `code`, twice\n\n```sh\n# no heading\n```\n";
        let documents = [("README.md", text), ("docs/other.md", other)];
        documents.into_iter().map(|(path, text)| (PathBuf::from(path), text.to_owned())).collect::<BTreeMap<_, _>>()
    };
    for (text, expected) in [
        ("[a](docs/other.md) [b](docs/other.md#a-heading) [c](https://x/y#z)", None),
        ("[a](docs/other.md#its-code-twice) [b](docs/other.md#its-code-twice-1)", None),
        ("# Here\n[a](#here) [b](docs) `[c](d)`\n```\n[e](f)\n```", None),
        ("[a](docs/another.md)", Some("there is no docs/another.md")),
        ("[a](docs/other.md#no-heading)", Some("no such heading")),
        ("[a](#here)", Some("no such heading")),
        ("[a](docs#here)", Some("no such heading")),
    ] {
        let wrong = wrong(&two(text), |path| path == Path::new("docs"));
        let is_right = match expected {
            None => wrong.is_empty(),
            Some(expected) => wrong.len() == 1 && wrong[0].contains(expected),
        };
        assert!(is_right, "{text}: {wrong:?}");
    }
}
