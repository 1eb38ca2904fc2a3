//! WSO2's exports and lists.

use std::fmt::Write as _;

use convert::{Converted, Kind, Row, convert};

use crate::support::{assert_hidden, golden, import_all, inputs, of_text, options, text};

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_become_rows_that_the_import_takes() {
    let names = ["api.yaml", "old-api.yaml", "application.yaml", "subscriptions.json", "policies.yaml"]
        .map(|name| format!("wso2/{name}"));
    let mut files = inputs(&names.each_ref().map(String::as_str));
    let converted = convert(Kind::Wso2, &files, &options());
    assert_hidden(&converted, &["not-shown"]);
    let converted = converted.unwrap();
    golden("wso2.txt", &text(&converted));
    assert_eq!(converted.errors, []);
    import_all(&converted, &[]).await;
    // The order of the files decides nothing.
    files.reverse();
    assert_eq!(convert(Kind::Wso2, &files, &options()).unwrap().rows, converted.rows);
}

/// The states of subscriptions.
fn states(converted: &Converted) -> Vec<String> {
    let of = |row: &Row| match row {
        Row::Subscription(it) => serde_json::to_value(it.state).ok()?.as_str().map(str::to_owned),
        _ => None,
    };
    converted.rows.iter().filter_map(of).collect()
}

fn subscription(state: &str) -> String {
    format!(
        "list:\n- {{subscriptionId: s, apiInfo: {{name: a, version: '1'}}, applicationInfo: {{name: n, owner: o}}{state}}}\n"
    )
}

#[test]
fn states_are_carried_over_and_an_unknown_one_opens_nothing() {
    for state in
        ["UNBLOCKED", "BLOCKED", "PROD_ONLY_BLOCKED", "ON_HOLD", "REJECTED", "TIER_UPDATE_PENDING", "DELETE_PENDING"]
    {
        let converted = of_text(Kind::Wso2, &subscription(&format!(", status: {state}"))).unwrap();
        assert_eq!((states(&converted), converted.errors.len()), (vec![state.to_owned()], 0));
    }
    for state in [", status: PAUSED", ", status: 3", ", status: [BLOCKED]"] {
        let converted = of_text(Kind::Wso2, &subscription(state)).unwrap();
        assert!(states(&converted).is_empty() && !converted.errors.is_empty(), "{state}");
    }
    // A state that one document says counts, whichever comes first; two that differ count as none.
    let export = "---\ntype: application\ndata:\n  applicationInfo: {name: n, owner: o}\n  subscribedAPIs: [{apiId: {apiName: a, version: '1'}}]\n";
    let blocked = subscription(", status: BLOCKED");
    for files in [format!("{blocked}{export}"), format!("{}---\n{blocked}", export.trim_start_matches("---\n"))] {
        let converted = of_text(Kind::Wso2, &files).unwrap();
        assert_eq!(states(&converted), ["BLOCKED"], "{:?}", converted.errors);
    }
    let both = format!("{blocked}---\n{}", subscription(", status: UNBLOCKED"));
    let converted = of_text(Kind::Wso2, &both).unwrap();
    assert_eq!((states(&converted).len(), converted.errors.len()), (0, 1));
}

#[test]
fn an_application_is_known_by_its_owner_and_name_or_its_id() {
    let files = "list:\n- {applicationId: u1, name: DefaultApplication, owner: alice, throttlingPolicy: Unlimited}\n\
                 - {applicationId: u2, name: DefaultApplication, owner: bob, throttlingPolicy: Unlimited}\n---\n\
                 list:\n- {subscriptionId: s, apiInfo: {name: a, version: '1'}, applicationInfo: {name: DefaultApplication, owner: bob}, status: BLOCKED}\n\
                 - {subscriptionId: t, apiInfo: {name: a, version: '1'}, applicationId: u1, status: UNBLOCKED}\n\
                 - {subscriptionId: x, apiInfo: {name: a, version: '1'}, applicationId: u3, status: UNBLOCKED}\n";
    let converted = of_text(Kind::Wso2, files).unwrap();
    let ids: Vec<&str> = converted.rows.iter().filter(|row| row.word() != "api").map(Row::id).collect();
    assert_eq!(ids, ["u1", "u2", "u1:a-1", "u2:a-1"]);
    assert!(converted.errors[0].to_string().contains("an application that is in the files"));
}

#[test]
fn a_range_of_addresses_becomes_blocks_and_a_wrong_one_an_error() {
    let of = |value: &str| format!("conditionType: IPRANGE\nconditionValue: {{{value}}}\n");
    let values = |text: &str| -> (Vec<String>, usize) {
        let converted = of_text(Kind::Wso2, text).unwrap();
        let of = |row: &Row| if let Row::DenyPolicy(it) = row { Some(it.value.clone()) } else { None };
        (converted.rows.iter().filter_map(of).collect(), converted.errors.len())
    };
    let range = |first: &str, last: &str| values(&of(&format!("startingIp: '{first}', endingIp: '{last}'")));
    assert_eq!(range("10.0.0.1", "10.0.0.3"), (vec!["10.0.0.1/32".to_owned(), "10.0.0.2/31".to_owned()], 0));
    assert_eq!(range("2001:db8::", "2001:db8::ff"), (vec!["2001:db8::/120".to_owned()], 0));
    for (first, last) in [("10.0.0.3", "10.0.0.1"), ("10.0.0.1", "::1"), ("x", "10.0.0.1"), ("10.0.0.1", "")] {
        assert_eq!(range(first, last), (vec![], 1), "{first} {last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_subscriptions_are_carried_over_whole() {
    let states = ["UNBLOCKED", "BLOCKED", "PROD_ONLY_BLOCKED", "ON_HOLD", "REJECTED"];
    let mut text = "list:\n".to_owned();
    for number in 0..1_000 {
        let state = states[number % states.len()];
        writeln!(
            text,
            "- {{subscriptionId: s{number}, apiInfo: {{name: 'API {}', version: 1.{}.0}}, applicationInfo: {{applicationId: u{}, \
             name: DefaultApplication, owner: o{}, status: APPROVED}}, throttlingPolicy: Gold, status: {state}}}",
            number % 10,
            number % 10,
            number / 10,
            number / 10,
        )
        .unwrap();
    }
    for number in 0..10 {
        writeln!(text, "---\ntype: api\ndata: {{name: 'API {number}', version: 1.{number}.0, context: /a{number}, lifeCycleStatus: PUBLISHED}}")
            .unwrap();
    }
    let converted = of_text(Kind::Wso2, &text).unwrap();
    assert_eq!(converted.errors, []);
    let count = |word: &str| converted.rows.iter().filter(|row| row.word() == word).count();
    assert_eq!((count("plan"), count("api"), count("application"), count("subscription")), (1, 10, 100, 1_000));
    assert_eq!(self::states(&converted).iter().filter(|state| *state == "PROD_ONLY_BLOCKED").count(), 200);
    import_all(&converted, &[]).await;
}
