//! One page of the feed. Whatever program answers at the policy service's address writes it.

use keygate::{
    policy::{
        MAX_APIS, MAX_DENY_POLICIES, MAX_PLANS, MAX_REVISION, MAX_TEXT_BYTES,
        cursor::{MAX_CURSOR_BYTES, is_cursor},
        error::RejectedRow,
        page::{Page, Row},
        rows::{Api, DenyPolicy, Plan},
        wire,
    },
    store::record::{self, ApplicationRecord, SubscriptionPart},
    subject::Application,
};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::{
    cases::{self, core::NOW},
    check_line,
    model::{self, texts},
};

/// Any bytes are either refused in one short line, or are a page within the documented limits. Each row of the page can
/// also be read by other JSON parsers, and it is stored unchanged.
pub fn check(bytes: &[u8]) {
    let page = match Page::scan(bytes.to_vec()) {
        Ok(page) => page,
        Err(error) => return check_line(&error.to_string()),
    };
    serde_json::from_slice::<IgnoredAny>(bytes).expect("a page is JSON to others, too");
    // If the page contains something that keygate does not read, such as a number beyond all bounds, other parsers may
    // refuse the page.
    if let Ok(json) = serde_json::from_slice::<Value>(bytes) {
        assert_eq!(json["format"], wire::FORMAT);
        check_header(&page, &json);
    }
    check_lists(&page);
    check_rows(&page);
}

fn check_header(page: &Page, json: &Value) {
    let header = &page.header;
    assert_eq!(header.revision, json["revision"].as_u64());
    assert_eq!(header.base, json["base"].as_u64());
    assert!(header.revision.is_none_or(|revision| revision <= MAX_REVISION) && header.base <= header.revision);
    assert!(header.epoch.len() <= MAX_TEXT_BYTES);
    for cursor in [&header.next, &header.poll].into_iter().flatten() {
        assert!(cursor.len() <= MAX_CURSOR_BYTES && is_cursor(cursor));
        assert!(cursor.bytes().all(|byte| byte.is_ascii_graphic()), "a cursor that ends a header");
    }
    assert_eq!(header.confirm_removal, json["confirm_removal"] == true);
    let removed = &page.removed;
    if header.base.is_none() {
        assert_eq!(*removed, Default::default(), "a full policy removes nothing");
    } else {
        let rows = |list: &str| json["removed"][list].as_array().map_or(0, Vec::len);
        assert_eq!(removed.keys.len(), rows("keys"), "a removal that is not carried out");
        assert_eq!(removed.applications.len(), rows("applications"));
        assert_eq!(removed.subscriptions.len(), rows("subscriptions"));
        assert_eq!(removed.apis.len(), rows("apis"));
        assert_eq!(removed.plans.len(), rows("plans"));
        assert_eq!(removed.deny_policies.len(), rows("deny_policies"));
    }
    let rows = |list: &str| json[list].as_array().map_or(0, Vec::len);
    assert_eq!(page.len(), rows("keys") + rows("applications") + rows("subscriptions"));
    assert_eq!(page.catalogue.apis.len(), rows("apis"));
    assert_eq!(page.catalogue.plans.len(), rows("plans"), "a plan that is not there limits nothing");
    assert_eq!(page.catalogue.deny_policies.len(), rows("deny_policies"));
}

/// The small lists are stored in shared data as their original JSON. Reading them again gives the same lists.
fn check_lists(page: &Page) {
    let lists = &page.catalogue;
    assert!(lists.apis.len() <= MAX_APIS && lists.plans.len() <= MAX_PLANS);
    assert!(lists.deny_policies.len() <= MAX_DENY_POLICIES);
    let (mut apis, mut plans, mut deny_policies) = (lists.apis.iter(), lists.plans.iter(), lists.deny_policies.iter());
    for (list, id, json) in page.catalogue_rows() {
        let alone = Page::scan(format!(r#"{{"format":1,"{}":[{json}]}}"#, list.as_str()).into_bytes()).unwrap();
        let again = &alone.catalogue;
        assert_eq!(alone.catalogue_rows().map(|(_, id, _)| id.to_owned()).collect::<Vec<_>>(), [id]);
        let same = match (again.apis.first(), again.plans.first(), again.deny_policies.first()) {
            (Some(api), ..) => apis.next().is_some_and(|known: &Api| known == api),
            (_, Some(plan), _) => plans.next().is_some_and(|known: &Plan| known == plan),
            (.., Some(policy)) => deny_policies.next().is_some_and(|known: &DenyPolicy| known == policy),
            _ => false,
        };
        assert!(same, "{json}");
    }
}

fn check_rows(page: &Page) {
    let mut unknown = page.unknown.clone();
    let rows = page.rows(0..usize::MAX, &mut unknown);
    rows.for_each(check_row);
    assert!(unknown.fields().len() <= 5);
    unknown.fields().iter().for_each(|field| check_line(&field.to_string()));
}

fn check_row(row: Result<Row<'_>, RejectedRow>) {
    let mut packed = Vec::new();
    match row {
        Err(row) => check_line(&row.to_string()),
        Ok(Row::Key(key)) => {
            record::put_key(&mut packed, &key);
            let read = record::read_key(&packed).expect("what was written is read");
            assert_eq!((read.id, read.application), (key.id.as_bytes(), key.application.as_bytes()));
            assert_eq!((read.key_type, read.state), (key.key_type, key.state));
            assert_eq!((read.not_before, read.expires_at), (key.not_before, key.expires_at));
            let restrictions = read.restrictions.unwrap_or_default();
            let apis = key.apis.map(|apis| texts(apis.iter().map(|id| id.as_str().as_bytes().to_vec())));
            assert_eq!(restrictions.apis, apis);
            assert_eq!(restrictions.permitted_ips, key.permitted_ips);
            let referers = key.permitted_referers.map(|patterns| texts(patterns.iter().map(model::packed)));
            assert_eq!(restrictions.permitted_referers, referers);
        }
        Ok(Row::Application(row)) => {
            let part = Application::from(&row);
            let written = ApplicationRecord { application: Some(part), subscriptions: Vec::new() };
            written.put(&mut packed);
            assert_eq!(ApplicationRecord::read(&packed), Ok(written));
        }
        Ok(Row::Subscription(row)) => {
            let part = SubscriptionPart::from(&row);
            let written = ApplicationRecord { application: None, subscriptions: vec![part] };
            written.put(&mut packed);
            assert_eq!(ApplicationRecord::read(&packed), Ok(written));
            let (application, found) = record::find_subscription(&packed, row.api.as_bytes()).unwrap();
            assert_eq!((application, found.unwrap().state), (None, row.state));
        }
    }
}

/// The pages of the table of cases, and one page with each kind of field.
pub fn seeds() -> Vec<Vec<u8>> {
    let delta = r#"{"format": 1, "epoch": "e", "revision": 8, "base": 7, "next": "/v1/policy?page=2", "poll": "/p?since=8",
        "counts": {"keys": 1, "applications": 1, "subscriptions": 1}, "confirm_removal": true,
        "removed": {"apis": ["a"], "applications": ["app"], "plans": ["p"], "deny_policies": ["d"],
                    "keys": ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
                    "subscriptions": [{"application": "app", "api": "a"}]}}"#;
    let pages = cases::all_groups().into_iter().filter_map(|(_, group)| group.page(NOW));
    let elsewhere = ["//elsewhere/p", "http://elsewhere/p", "/p\\u000d\\u000ax: y", ""];
    let elsewhere = elsewhere.map(|next| format!(r#"{{"format":1,"next":"{next}"}}"#).into_bytes());
    pages.map(|page| page.to_string().into_bytes()).chain([delta.into()]).chain(elsewhere).collect()
}
