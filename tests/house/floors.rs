//! The floors of the house: which room of a crate (a top-level module) may import which. Imports go down only, never
//! up, and the files of a room form no circle.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::imports::{Crate, Module, code, imports, words};

/// A room and all rooms that it imports. Each of these must be above it in the table.
type Floor = (&'static str, &'static [&'static str]);
/// An import that breaks the rule today, from and to, with the reason. The test fails as soon as the exception is no
/// longer needed.
type Exception = (&'static str, &'static str, &'static str);

struct House {
    folder: &'static str,
    floors: &'static [Floor],
    /// From room to room.
    upward: &'static [Exception],
    /// From a file, or all files of a folder, to a file of the same room.
    back: &'static [Exception],
}

/// The filter, from the ground up.
const FILTER: House = House {
    folder: "src",
    floors: &[
        ("digest", &[]),
        ("fingerprint", &[]),
        ("equal", &[]),
        ("index", &[]),
        ("naming", &[]),
        ("reason", &[]),
        ("shared", &["digest"]),
        ("request", &["digest", "equal"]),
        ("policy", &["digest", "index", "naming", "request"]),
        ("open", &["digest"]),
        ("catalogue", &["index", "policy", "request"]),
        ("config", &["digest", "naming", "policy", "reason"]),
        ("credential", &["config", "digest", "request"]),
        ("limit", &["digest", "policy", "shared"]),
        ("subject", &["limit", "policy"]),
        (
            "decision",
            &[
                "catalogue",
                "config",
                "credential",
                "digest",
                "equal",
                "limit",
                "policy",
                "reason",
                "request",
                "subject",
            ],
        ),
        (
            "store",
            &[
                "catalogue",
                "digest",
                "equal",
                "fingerprint",
                "index",
                "limit",
                "policy",
                "request",
                "shared",
                "subject",
            ],
        ),
        ("held", &["catalogue", "decision", "digest", "fingerprint", "limit", "policy", "shared", "store", "subject"]),
        ("answer", &["config", "credential", "decision", "limit", "reason", "request"]),
        ("callout", &["policy"]),
        ("refresh", &["callout", "config", "held", "index", "policy", "shared", "store"]),
        ("usage", &["answer", "callout", "config", "decision", "digest", "policy", "reason", "shared", "subject"]),
        (
            "plugin",
            &[
                "answer",
                "callout",
                "config",
                "credential",
                "decision",
                "digest",
                "fingerprint",
                "held",
                "limit",
                "open",
                "reason",
                "refresh",
                "request",
                "shared",
                "store",
                "usage",
            ],
        ),
    ],
    upward: &[],
    back: &[],
};

/// The rules of the policy service and the port to its database, from the ground up.
const MANAGEMENT: House = House {
    folder: "crates/management/src",
    floors: &[
        ("port", &[]),
        ("numbers", &[]),
        ("object", &[]),
        ("error", &["port"]),
        ("access", &["error", "port"]),
        ("tag", &["error", "port"]),
        ("once", &["error", "port"]),
        ("resource", &["error", "port"]),
        ("check", &["error", "port", "resource"]),
        ("block", &["access", "check", "error", "port", "resource"]),
        ("keys", &["check", "error", "port", "resource"]),
        ("key_form", &["error", "keys", "port"]),
        ("plans", &["access", "check", "error", "object", "port", "resource"]),
        ("deny_policies", &["check", "error", "port", "resource"]),
        ("limited", &["error", "plans", "port", "resource"]),
        ("subscriptions", &["access", "block", "check", "error", "limited", "port", "resource"]),
        ("due", &["error", "port", "resource", "subscriptions"]),
        ("approval", &["access", "error", "port", "resource", "subscriptions"]),
        ("applications", &["access", "block", "check", "error", "limited", "port", "resource", "subscriptions"]),
        ("apis", &["access", "check", "error", "keys", "object", "port", "resource", "subscriptions"]),
        (
            "audit",
            &["apis", "applications", "deny_policies", "error", "keys", "plans", "port", "resource", "subscriptions"],
        ),
        ("accounts", &["check", "error", "port", "resource", "tag"]),
        ("gateways", &["error", "port"]),
        ("sessions", &["accounts", "error", "port"]),
        ("review", &["applications", "error", "limited", "plans", "port", "resource", "subscriptions"]),
        ("pipeline", &["access", "error", "port", "resource", "review"]),
        (
            "restore",
            &[
                "apis",
                "applications",
                "block",
                "deny_policies",
                "error",
                "keys",
                "pipeline",
                "plans",
                "port",
                "resource",
                "review",
                "subscriptions",
            ],
        ),
        ("issue", &["access", "check", "error", "key_form", "keys", "pipeline", "port", "resource"]),
        (
            "import",
            &[
                "apis",
                "applications",
                "block",
                "check",
                "deny_policies",
                "error",
                "keys",
                "numbers",
                "object",
                "pipeline",
                "plans",
                "port",
                "resource",
                "subscriptions",
                "tag",
            ],
        ),
        ("concerned", &["block", "error", "limited", "port"]),
        ("stored", &["check", "error", "port"]),
        ("explained", &["error", "port", "stored"]),
        ("usage", &["error", "port", "review"]),
    ],
    upward: &[],
    back: &[],
};

/// What each database of the policy service stands on.
const BELOW_DATABASES: &[&str] = &[
    "announce",
    "differences",
    "doubt",
    "entries",
    "gateways",
    "horizon",
    "lists",
    "loss",
    "owners",
    "pages",
    "random",
    "settings",
    "times",
    "totals",
];

/// The databases of the policy service: a folder each.
const STORE: House = House {
    folder: "crates/store/src",
    floors: &[
        ("announce", &[]),
        ("differences", &[]),
        ("doubt", &[]),
        ("entries", &[]),
        ("gateways", &[]),
        ("lists", &[]),
        ("loss", &[]),
        ("owners", &[]),
        ("pages", &[]),
        ("random", &[]),
        ("settings", &[]),
        ("horizon", &["entries"]),
        ("times", &[]),
        ("totals", &[]),
        ("sqlite", BELOW_DATABASES),
        ("postgres", BELOW_DATABASES),
    ],
    upward: &[],
    back: &[
        ("sqlite", "sqlite", "the open database stands where the folder begins, and each file adds to it"),
        ("postgres", "postgres", "the open database stands where the folder begins, and each file adds to it"),
    ],
};

/// The program of the policy service, from the ground up.
const POLICY_SERVICE: House = House {
    folder: "crates/policy-service/src",
    floors: &[
        ("stderr", &[]),
        ("hexadecimal", &[]),
        ("clock", &["hexadecimal"]),
        ("metrics", &[]),
        ("secret_files", &[]),
        ("cli", &["secret_files", "stderr"]),
        ("backup", &["cli", "clock", "stderr"]),
        ("due", &[]),
        ("turn", &["clock"]),
        ("import", &["cli", "clock", "stderr", "turn"]),
        ("stored", &["cli", "stderr"]),
        ("http", &["hexadecimal"]),
        ("guesses", &["http", "metrics"]),
        ("auth", &["clock", "guesses", "hexadecimal", "http"]),
        ("gateways", &["clock", "hexadecimal", "metrics"]),
        ("feed", &["auth", "clock", "gateways", "guesses", "hexadecimal", "http"]),
        ("routes", &["auth", "clock", "feed", "guesses", "http", "metrics", "turn"]),
        ("web", &["hexadecimal", "http"]),
        ("signin", &["auth", "cli", "clock", "guesses", "http", "routes", "web"]),
        ("console", &["auth", "clock", "guesses", "hexadecimal", "http", "routes", "signin", "web"]),
        ("server", &["auth", "clock", "console", "feed", "guesses", "http", "metrics", "routes", "signin"]),
        (
            "program",
            &[
                "auth", "backup", "cli", "clock", "due", "feed", "import", "metrics", "server", "signin", "stderr",
                "stored",
            ],
        ),
        // `bin` names the library by its crate.
        ("bin", &[]),
    ],
    upward: &[],
    back: &[
        ("routes", "routes", "the handlers of actions and lookups share helpers with the generic ones"),
        (
            "routes/bounds",
            "routes/bounds",
            "the limits of bodies and of queries are merged into the document by one function",
        ),
        ("gateways", "gateways", "what is remembered stands where the folder begins, and files keep and count it"),
        ("feed", "feed", "the error for a mark that is gone stands beside the route"),
        ("import", "import", "its bounds stand beside its order"),
        ("console", "console", "pages share the visit, rows and parts that stand where the folder begins"),
    ],
};

/// The command line, from the ground up.
const KEYGATECTL: House = House {
    folder: "crates/keygatectl/src",
    floors: &[
        ("times", &[]),
        ("plain", &[]),
        ("failure", &["plain"]),
        ("files", &["failure"]),
        ("fields", &[]),
        ("operations", &[]),
        ("secret", &["failure"]),
        ("cli", &["times"]),
        ("output", &["cli", "failure", "fields", "plain", "times"]),
        ("kinds", &["cli", "output"]),
        ("settings", &["cli", "failure", "files", "secret"]),
        ("client", &["cli", "failure", "files", "plain", "secret", "settings"]),
        ("documents", &["cli", "client", "failure", "fields", "files", "kinds", "output", "plain", "times"]),
        ("validate", &["cli", "documents", "failure", "output", "plain"]),
        (
            "commands",
            &[
                "cli",
                "client",
                "documents",
                "failure",
                "files",
                "kinds",
                "output",
                "plain",
                "secret",
                "settings",
                "times",
                "validate",
            ],
        ),
    ],
    upward: &[],
    back: &[],
};

fn read(house: &House) -> Crate {
    Crate::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(house.folder))
}

/// For each room, the rooms that it imports, each with a file that imports it.
fn rooms(sources: &Crate) -> BTreeMap<&str, BTreeMap<&str, String>> {
    let mut rooms: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
    for module in sources.files.keys() {
        rooms.entry(&module[0]).or_default();
    }
    for (from, to) in sources.imports.iter().filter(|(from, to)| from[0] != to[0]) {
        rooms.entry(&from[0]).or_default().entry(&to[0]).or_insert_with(|| sources.file(from));
    }
    rooms
}

/// Violations between the rooms of a house.
fn wrong_rooms(house: &House, rooms: &BTreeMap<&str, BTreeMap<&str, String>>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut below = BTreeSet::new();
    for (room, named) in house.floors {
        let Some(imported) = rooms.get(room) else {
            wrong.push(format!("`{room}` has a floor, but there is no such module"));
            continue;
        };
        let excepted = |other: &str| house.upward.iter().any(|(from, to, _)| from == room && *to == other);
        for (other, file) in imported {
            if !named.contains(other) && !excepted(other) {
                wrong.push(format!("{file}: `{room}` may not import `{other}`; it may import {named:?}"));
            }
        }
        for other in *named {
            if !imported.contains_key(other) {
                wrong.push(format!("`{room}` does not import `{other}` any more; take that out of its floor"));
            }
            if !below.contains(other) {
                wrong.push(format!("`{room}` names `{other}`, which does not stand below it: an arrow that runs up"));
            }
        }
        below.insert(*room);
    }
    for room in rooms.keys().filter(|room| !below.contains(*room)) {
        wrong.push(format!("`{room}` has no floor: say in tests/house/floors.rs what it may import"));
    }
    for (from, to, _) in house.upward {
        if !rooms.get(from).is_some_and(|imported| imported.contains_key(to)) {
            wrong.push(format!("`{from}` does not import `{to}` any more; take out the exception"));
        }
    }
    wrong
}

/// Imports within a room, without the exceptions.
fn inside(sources: &Crate, excepted: &[&Exception]) -> BTreeMap<Module, BTreeSet<Module>> {
    let is_below = |module: &Module, file: &str| {
        module.join("/").strip_prefix(file).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut inside: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for (from, to) in sources.imports.iter().filter(|(from, to)| from[0] == to[0]) {
        if !excepted.iter().any(|(file, imported, _)| is_below(from, file) && to.join("/") == *imported) {
            inside.entry(from.clone()).or_default().insert(to.clone());
        }
    }
    inside
}

/// The files that are part of a circle.
fn circles(imports: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<&Module> {
    let reached = |from: &Module| {
        let mut reached = BTreeSet::new();
        let mut left: Vec<&Module> = imports.get(from).into_iter().flatten().collect();
        while let Some(module) = left.pop() {
            if reached.insert(module) {
                left.extend(imports.get(module).into_iter().flatten());
            }
        }
        reached
    };
    imports.keys().filter(|module| reached(module).contains(module)).collect()
}

/// Violations within the rooms of a house.
fn wrong_files(house: &House, sources: &Crate) -> Vec<String> {
    let imports = inside(sources, &house.back.iter().collect::<Vec<_>>());
    let mut wrong: Vec<String> = circles(&imports)
        .into_iter()
        .map(|module| {
            let imported: Vec<String> = imports[module].iter().map(|to| sources.file(to)).collect();
            format!("{} is in a circle; it imports {}", sources.file(module), imported.join(", "))
        })
        .collect();
    for (number, (from, to, _)) in house.back.iter().enumerate() {
        let others: Vec<&Exception> =
            house.back.iter().enumerate().filter(|(other, _)| *other != number).map(|(_, it)| it).collect();
        if circles(&inside(sources, &others)).len() == circles(&imports).len() {
            wrong.push(format!("`{from}` and `{to}` make no circle any more; take out the exception"));
        }
    }
    wrong
}

#[test]
fn no_room_imports_one_that_its_floor_does_not_name() {
    for house in [&FILTER, &MANAGEMENT, &STORE, &POLICY_SERVICE, &KEYGATECTL] {
        let sources = read(house);
        let wrong = wrong_rooms(house, &rooms(&sources));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn no_files_of_a_room_import_each_other() {
    for house in [&FILTER, &MANAGEMENT, &STORE, &POLICY_SERVICE, &KEYGATECTL] {
        let wrong = wrong_files(house, &read(house));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// Builds a crate from these files, each `module path: source`.
fn made(files: &[(&str, &str)]) -> Crate {
    let module = |path: &str| path.split("::").map(str::to_owned).collect::<Module>();
    let sources = files.iter().map(|(path, text)| (module(path), words(&code(text)))).collect();
    let paths = files.iter().map(|(path, _)| (module(path), format!("{path}.rs").into())).collect();
    Crate { files: paths, imports: imports(&sources) }
}

#[test]
fn an_import_is_seen_however_it_is_written() {
    for (text, expected) in [
        ("use crate::low::Thing;", "low"),
        ("use crate::low;", "low"),
        ("use crate::{\n    high,\n    low::{self, deep::Thing as Other},\n};", "low low::deep"),
        ("use super::low::*;", "low"),
        ("fn f() -> crate::low::Thing { crate::low::deep::make() }", "low low::deep"),
        ("pub(crate) use super::low::deep::Thing;", "low::deep"),
        ("use own::Thing;", "top::own"),
        ("fn f() { own::make() }", "top::own"),
        ("use self::own::Thing;", "top::own"),
        // Re-exported, but not used.
        ("mod own;\npub use own::Thing;", ""),
        ("mod own;\npub use own::Thing;\nfn f(_: Thing) {}", "top::own"),
        // Found behind the re-export of the room.
        ("use crate::door::Thing;", "low::deep"),
        ("use std::low::Thing; use other::own; fn f() { Low::deep::make() }", ""),
        ("// use crate::low;\n/// [`crate::low`]\nconst A: &str = \"use crate::low; \\\" crate::low::x\";", ""),
        ("const A: &str = r#\"crate::low::\"x\"#; const B: [char; 3] = ['\"', '\\'', '\\u{22}'];", ""),
        ("fn f(&self) -> impl X + use<'_> { crate::low::make() }", "low"),
        ("fn f<'a>(x: &'a str) -> &'a crate::low::T { x }", "low"),
        ("#[cfg(test)]\nmod tests {\n    use crate::low;\n}", ""),
        ("#[cfg(test)]\nmod tests;\n\nuse crate::low;", "low"),
    ] {
        let sources = made(&[
            ("low", ""),
            ("low::deep", ""),
            ("door", "pub use crate::low::deep::Thing;"),
            ("high", ""),
            ("top::own", ""),
            ("top", text),
        ]);
        let found = sources.imports.iter().filter(|(from, _)| from == &["top"]).map(|(_, to)| to.join("::"));
        let found: Vec<String> = found.filter(|to| to != "high").collect();
        assert_eq!(found.join(" "), expected, "{text}");
    }
}

#[test]
fn every_violation_is_reported() {
    let house = |upward, back| House {
        folder: "",
        floors: &[("low", &[]), ("middle", &["low"]), ("high", &["low", "middle"])],
        upward,
        back,
    };
    let plain = house(&[], &[]);
    let excepted = house(&[("low", "high", "for now")], &[("high", "high", "for now")]);
    let good = [("low", ""), ("middle", "use crate::low;"), ("high", "use crate::{low, middle};")];
    for (house, more, expected) in [
        (&plain, &[][..], &[][..]),
        (&plain, &[("low::a", "use crate::high;")], &["low::a.rs: `low` may not import `high`"]),
        (&plain, &[("middle", "")], &["`middle` does not import `low` any more"]),
        (&plain, &[("new", "")], &["`new` has no floor"]),
        (
            &plain,
            &[("low::a", "use super::b;"), ("low::b", "use super::a;")],
            &["low::a.rs is in a", "low::b.rs is in a"],
        ),
        (
            &plain,
            &[("high::a", "use super::X;"), ("high", "mod a; use a::Y; use crate::{low, middle};")],
            &["high.rs is in", "high::a.rs is in"],
        ),
        (&plain, &[("high::a", "use super::X;"), ("high", "mod a; pub use a::Y; use crate::{low, middle};")], &[]),
        (&excepted, &[], &["`low` does not import `high` any more", "`high` and `high` make no circle any more"]),
        (
            &excepted,
            &[
                ("low", "use crate::high;"),
                ("high::a", "use super::X;"),
                ("high", "mod a; use a::Y; use crate::{low, middle};"),
            ],
            &[],
        ),
    ] {
        let mut files: BTreeMap<&str, &str> = good.into_iter().collect();
        files.extend(more.iter().copied());
        let sources = made(&files.into_iter().collect::<Vec<_>>());
        let wrong = [wrong_rooms(house, &rooms(&sources)), wrong_files(house, &sources)].concat();
        assert_eq!(wrong.len(), expected.len(), "{more:?}: {wrong:?}");
        for (wrong, expected) in wrong.iter().zip(expected) {
            assert!(wrong.starts_with(expected), "{more:?}: {wrong}");
        }
    }
}
