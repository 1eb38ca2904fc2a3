//! Runs the table of cases on the core, natively.

mod cases;

use std::{collections::BTreeSet, fs, path::Path};

use cases::{FILES, all_groups, check::REPLIES, core::Core, table::Group, transitions};
use keygate::{config::FIELDS, reason::Reason};

#[test]
fn every_case_holds() {
    let (wrong, count) = cases::wrong_on_core();
    println!("{count} cases");
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_transition_between_states_holds() {
    let wrong = cases::wrong_transitions_on_core();
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_walk_takes_every_transition() {
    let walk = transitions::walk();
    let taken: BTreeSet<_> = walk.windows(2).map(|pair| (pair[0], pair[1])).collect();
    assert_eq!(taken.len(), transitions::STATES.len() * (transitions::STATES.len() - 1));
}

#[test]
fn every_file_of_the_table_is_run_and_no_two_cases_of_a_group_have_one_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<_> = names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
    assert_eq!(files, FILES.iter().map(|(name, _)| (*name).to_owned()).collect());
    for (file, group) in all_groups() {
        let names: BTreeSet<_> = group.cases.iter().map(|case| &case.name).collect();
        assert_eq!(names.len(), group.cases.len(), "{file}: {}", group.name);
    }
}

#[test]
fn the_codes_that_the_table_expects_are_those_of_every_reason() {
    let of = |reason: &Reason| {
        let (code, status, message) = reason.defaults();
        (reason.as_str(), status, code, message)
    };
    assert_eq!(REPLIES, Reason::ALL.iter().map(of).collect::<Vec<_>>());
}

/// Otherwise a reason could exist that no rule gives.
#[test]
fn every_reason_is_expected_by_a_case() {
    let groups = all_groups();
    let cases = groups.iter().flat_map(|(_, group)| &group.cases);
    let expected: BTreeSet<_> = cases.map(|case| case.expectation().reason).collect();
    let missing: Vec<_> = Reason::ALL.iter().filter(|reason| !expected.contains(reason.as_str())).collect();
    assert!(missing.is_empty(), "no case expects {missing:?}");
}

/// A header that `forward` names is keygate's: a client's own is removed, and the fact is set. For each field a client
/// sends a header of its own, and a case expects the fact instead.
#[test]
fn every_header_that_can_be_forwarded_is_forged_in_a_case() {
    let mut missing: BTreeSet<_> = FIELDS.iter().filter_map(|field| field.path.strip_prefix("forward.")).collect();
    missing.remove("credential");
    for (_, group) in all_groups() {
        let Some(forward) = group.config.get("forward") else { continue };
        missing.retain(|field| {
            let Some(header) = forward[*field].as_str() else { return true };
            let forged = group.request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(header));
            let expects = |name: &str, values: usize| name.eq_ignore_ascii_case(header) && values > 0;
            let expected = group.cases.iter().map(|case| case.expectation().headers);
            let set = expected.flatten().any(|(name, values)| expects(&name, values.len()));
            !(forged && set)
        });
    }
    assert!(missing.is_empty(), "tests/cases/modes.json: no client forges the header of {missing:?}");
}

/// How a servlet container reads paths: `tests/cases/servlet/`.
#[derive(serde::Deserialize)]
struct Servlets {
    container: String,
    servlets: Vec<String>,
    read: Vec<Read>,
}

#[derive(serde::Deserialize)]
struct Read {
    path: String,
    status: u16,
    servlet: Option<String>,
}

/// An upstream that drops path parameters never serves another API than the one that the filter decided about.
#[test]
fn no_path_reaches_another_api_than_the_one_that_a_servlet_container_serves() {
    let text = include_str!("cases/servlet/tomcat.json");
    let read: Servlets = serde_json::from_str(text).unwrap();
    let apis: Vec<_> = read
        .servlets
        .iter()
        .map(|prefix| serde_json::json!({"id": prefix, "security": "none", "match": [{"path": prefix}]}))
        .collect();
    let group = serde_json::json!({"name": read.container, "policy": {"apis": apis}, "cases": []});
    let group: Group = serde_json::from_value(group).unwrap();
    let core = Core::new(&group);
    let (mut served, mut refused) = (0, 0);
    for read in read.read {
        let case = serde_json::json!({"name": "", "request": {"path": read.path}, "expect": "allowed"});
        let seen = core.observe(&group, &serde_json::from_value(case).unwrap());
        match seen.reply {
            Some(reply) => {
                assert_eq!(reply.details, "keygate_path_ambiguous", "{}", read.path);
                refused += 1;
            }
            None if read.status == 200 => {
                assert_eq!(seen.annotations.get("api_id"), read.servlet.as_ref(), "{}", read.path);
                served += 1;
            }
            None => {}
        }
    }
    assert!(served > 70 && refused > 100, "{served} served alike, {refused} refused");
}
