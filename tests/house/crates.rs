//! The permitted dependencies of the policy service's crates, checked in each `Cargo.toml`. The rules know neither HTTP
//! nor SQL, the database knows no HTTP, and only the database knows SQL. The dependencies of tests do not count.

use std::{collections::BTreeSet, fs, path::Path};

/// A crate, the crates of this workspace that it may use, and other crates that it must not use.
struct Fence {
    folder: &'static str,
    below: &'static [&'static str],
    never: &'static [&'static str],
}

const FENCES: &[Fence] = &[
    Fence {
        folder: "crates/management",
        below: &["keygate"],
        // Neither HTTP nor a database; no clock, no random numbers, no command line.
        never: &[
            "axum",
            "clap",
            "getrandom",
            "hyper",
            "hyper-util",
            "reqwest",
            "rustix",
            "sqlx",
            "tower",
            "utoipa-axum",
        ],
    },
    Fence {
        folder: "crates/store",
        below: &["keygate", "management"],
        never: &["axum", "clap", "hyper", "hyper-util", "reqwest", "tower", "utoipa", "utoipa-axum"],
    },
    Fence {
        folder: "crates/explain",
        below: &["keygate"],
        // It explains for the service and for a shell alike.
        never: &["axum", "clap", "getrandom", "hyper", "reqwest", "rustix", "sqlx", "tokio", "tower", "utoipa"],
    },
    Fence {
        folder: "crates/convert",
        below: &["keygate", "management"],
        // It converts bytes that a shell reads.
        never: &["axum", "clap", "getrandom", "hyper", "reqwest", "rustix", "sqlx", "tokio", "tower", "utoipa"],
    },
    // It serves tests of anything, so it knows nothing of keygate.
    Fence { folder: "crates/testkit", below: &[], never: &["axum", "sqlx"] },
    Fence { folder: "crates/policy-service", below: &["explain", "keygate", "management", "store"], never: &["sqlx"] },
    // A client: it reaches a service by HTTP, and no database.
    Fence {
        folder: "crates/keygatectl",
        below: &["convert", "explain", "keygate", "management"],
        never: &["axum", "hyper", "sqlx", "utoipa"],
    },
];

/// The dependencies of a manifest without those of tests: the name and the rest of the line.
fn dependencies(manifest: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut is_inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_inside = line.contains("dependencies]") && !line.contains("dev-dependencies]");
        } else if let Some((name, rest)) = line.split_once('=').filter(|_| is_inside && !line.starts_with(['#', ' '])) {
            // `sqlx.workspace = true` is a dependency on sqlx.
            found.push((name.trim().split('.').next().unwrap_or_default(), rest));
        }
    }
    found
}

fn wrong(fence: &Fence, manifest: &str) -> Vec<String> {
    let dependencies = dependencies(manifest);
    let mut wrong = Vec::new();
    for (name, rest) in &dependencies {
        if fence.never.contains(name) {
            wrong.push(format!("{} must not depend on {name}", fence.folder));
        }
        if rest.contains("path =") && !fence.below.contains(name) {
            wrong.push(format!("{} may not depend on the crate {name}; it may on {:?}", fence.folder, fence.below));
        }
    }
    let named: BTreeSet<&str> = dependencies.iter().map(|(name, _)| *name).collect();
    for name in fence.below.iter().filter(|name| !named.contains(**name)) {
        wrong.push(format!("{} does not depend on {name} any more; take that out of its fence", fence.folder));
    }
    wrong
}

#[test]
fn no_crate_has_a_forbidden_dependency() {
    for fence in FENCES {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join(fence.folder).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).expect("the manifest is there");
        assert_eq!(wrong(fence, &manifest), Vec::<String>::new());
    }
}

#[test]
fn a_wrong_dependency_is_reported() {
    let fence = Fence { folder: "low", below: &["ground"], never: &["sqlx"] };
    let ground = "[dependencies]\nground = { path = \"..\" }\n";
    for (more, count) in [
        ("", 0),
        ("serde = \"1\" # sqlx", 0),
        ("sqlx = \"0.8\"", 1),
        ("sqlx.workspace = true", 1),
        ("sqlx = { version = \"0.8\",\n  features = [] }", 1),
        ("high = { path = \"../high\" }", 1),
        ("[dev-dependencies]\nsqlx = \"0.8\"\nhigh = { path = \"../high\" }", 0),
        ("[target.'cfg(unix)'.dependencies]\nsqlx = \"0.8\"", 1),
        ("[build-dependencies]\nsqlx = \"0.8\"", 1),
        ("[lints]\nsqlx = true", 0),
    ] {
        assert_eq!(wrong(&fence, &format!("{ground}{more}\n")).len(), count, "{more}");
    }
    assert_eq!(wrong(&fence, "[dependencies]\n").len(), 1, "what is not used is not named");
}
