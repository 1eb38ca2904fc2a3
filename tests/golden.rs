//! Reads and writes the files of `crates/policy-service/tests/golden/` with the filter's core. Each page is accepted with all
//! its rows, and a usage report is written byte for byte. The service has its own test of how it makes the pages.

#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "only test code: a panic is how it reports"
)]

mod cases;

use std::{fs, path::PathBuf};

use cases::{core::Core, table::Group};
use keygate::{
    digest::Digest,
    policy::page::{Page, Row},
    shared::key::FORMAT,
    usage::report::{Count, KeyUse, UsageReport},
};

/// The SHA-256 of shared data after the filter has fetched `page_full.json`, with the [`FORMAT`] that it belongs to.
const PACKED: (u8, &str) = (7, "e63364c97e2e8b4b9cd8651541b0ef681063ce93a2a98878a829a6589fdeffd6");

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("crates/policy-service/tests/golden").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Number of rows of each list: APIs, plans, deny policies, applications, keys, subscriptions. All must be valid.
fn rows(page: &Page) -> [usize; 6] {
    let catalogue = &page.catalogue;
    let mut rows = [catalogue.apis.len(), catalogue.plans.len(), catalogue.deny_policies.len(), 0, 0, 0];
    let mut unknown = page.unknown.clone();
    for row in page.rows(0..page.len(), &mut unknown) {
        match row.unwrap_or_else(|error| panic!("{error}")) {
            Row::Application(_) => rows[3] += 1,
            Row::Key(_) => rows[4] += 1,
            Row::Subscription(_) => rows[5] += 1,
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(page.left_out.is_empty(), "{:?}", page.left_out);
    rows
}

#[test]
fn the_core_takes_every_page_and_every_row_of_it() {
    for (name, is_delta, is_last, expected) in [
        ("page_full.json", false, true, [2, 2, 2, 2, 2, 2]),
        ("page_first.json", false, false, [2, 2, 0, 0, 0, 0]),
        ("page_second.json", false, false, [0, 0, 0, 1, 2, 1]),
        ("page_last.json", false, true, [0, 0, 2, 1, 0, 1]),
        ("page_delta.json", true, true, [0, 1, 0, 1, 1, 1]),
    ] {
        let page = Page::scan(text(name).into_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(rows(&page), expected, "{name}");
        assert_eq!(page.header.base.is_some(), is_delta, "{name}");
        assert_eq!((page.header.next.is_some(), page.header.poll.is_some()), (!is_last, is_last), "{name}");
        let removed = &page.removed;
        let removed = [
            removed.apis.len(),
            removed.plans.len(),
            removed.deny_policies.len(),
            removed.applications.len(),
            removed.keys.len(),
            removed.subscriptions.len(),
        ];
        assert_eq!(removed, [usize::from(is_delta); 6], "{name}");
    }
}

/// If two versions of the module pack differently, they must not read each other's entries.
#[test]
fn the_policy_is_packed_as_its_format_says() {
    let group: Group = serde_json::from_str(r#"{"name": "golden", "cases": []}"#).unwrap();
    let mut core = Core::new(&group);
    let mut page: serde_json::Value = serde_json::from_str(&text("page_full.json")).unwrap();
    // With a `poll` the next poll would follow at once.
    page["poll"].take();
    core.refresh(&page);
    let mut all = Vec::new();
    for (key, value) in core.stored() {
        for bytes in [key, value] {
            all.extend_from_slice(&u64::try_from(bytes.len()).unwrap().to_be_bytes());
            all.extend_from_slice(&bytes);
        }
    }
    let packed = Digest::of(&all).to_hex();
    assert_eq!(PACKED, (FORMAT, &*packed), "packed in another way: raise FORMAT, and write both numbers into PACKED");
}

#[test]
fn a_usage_report_is_written_as_it_was() {
    let hour = 1_748_736_000;
    let all = Count {
        hour,
        application: Some("app-all".into()),
        api: Some("api-all".into()),
        plan: Some("plan-all".into()),
        outcome: "allowed".into(),
        requests: 5,
    };
    let least = Count { hour, outcome: "credential_missing".into(), requests: 1, ..Count::default() };
    let report = UsageReport {
        format: 1,
        batch: "golden-batch".into(),
        counts: vec![all, least],
        keys: vec![KeyUse { id: "key-all".into(), last_used: hour + 60 }],
    };
    report.check(hour).unwrap();
    let written = serde_json::to_string(&report).unwrap().replace(":[{", ":[\n{").replace("},{", "},\n{") + "\n";
    if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
        fs::write(file("usage_report.json"), &written).unwrap();
    }
    let golden = text("usage_report.json");
    assert_eq!(golden, written, "if that is meant: GOLDEN=write cargo test -p keygate --test golden");
    assert_eq!(serde_json::from_str::<UsageReport<'_>>(&golden).unwrap(), report);
}
