//! CSV.

use std::{collections::BTreeSet, fmt::Write as _};

use convert::{Converted, Kind, Row, convert};

use crate::support::{assert_hidden, golden, import_all, inputs, of_text, options, text};

/// APIs and plans that the rows name.
const BEFORE: [&str; 4] = [
    r#"{"kind":"plan","id":"gold"}"#,
    r#"{"kind":"plan","id":"silver"}"#,
    r#"{"kind":"api","id":"payments-1.0","match":[{"path":"/payments/1.0"}]}"#,
    r#"{"kind":"api","id":"orders-2.0","match":[{"path":"/orders/2.0"}]}"#,
];

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_digests_become_rows_that_the_import_takes() {
    let converted = convert(Kind::Csv, &inputs(&["csv/keys.csv", "csv/digests.csv"]), &options()).unwrap();
    golden("csv.txt", &text(&converted));
    assert_eq!(converted.errors, []);
    import_all(&converted, &BEFORE).await;
}

#[test]
fn what_is_wrong_is_named_and_left_out() {
    let converted = convert(Kind::Csv, &inputs(&["csv/wrong.csv"]), &options());
    assert_hidden(&converted, &["secret-"]);
    let converted = converted.unwrap();
    golden("csv-wrong.txt", &text(&converted));
    // Every line is right, or there is an error that names it.
    let wrong: BTreeSet<u64> = converted.errors.iter().filter_map(|error| error.line).collect();
    let right = [2, 14, 16, 18, 22];
    assert_eq!(wrong, (2..=22).filter(|line| !right.contains(line)).collect());
    // A key of two applications is a key of none; nothing that two lines contradict each other about is open.
    let keys: Vec<&str> = converted.rows.iter().filter_map(application_of_key).collect();
    assert_eq!(keys, ["good", "m", "m", "n", "n"]);
    let subscribed: Vec<&str> = converted.rows.iter().filter_map(application_of_subscription).collect();
    assert_eq!(subscribed, ["a", "b", "good", "o"]);
}

fn application_of_key(row: &Row) -> Option<&str> {
    if let Row::Key(key) = row { key.application.as_deref() } else { None }
}

fn application_of_subscription(row: &Row) -> Option<&str> {
    if let Row::Subscription(subscription) = row { subscription.application.as_deref() } else { None }
}

#[test]
fn columns_are_known_by_name_and_never_guessed() {
    for (header, said) in [
        ("", "a first line with the names of the columns"),
        ("owner,key\n", "no column application"),
        ("application;api;key\n", "commas between the columns"),
        ("application,application\n", "a column twice"),
        ("application,expiers_at\n", "the column expires_at?"),
        ("application,status\n", "the column state?"),
        ("application,valid_until\n", "is not passed over"),
        ("application,enabled\n", "is not passed over"),
        ("application,apikey\n", "apikey"),
    ] {
        let found = of_text(Kind::Csv, header);
        let errors = match &found {
            Ok(converted) => converted.losses.iter().map(ToString::to_string).collect::<String>(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        };
        assert!(errors.contains(said), "{header:?}: {found:?}");
    }
    let plain = of_text(Kind::Csv, "application,api,key\na,x,k\n").unwrap();
    for text in [
        "\u{feff}application,api,key\na,x,k\n",
        "key,api,application\nk,x,a\n",
        " Application , API,Key\na , x,k\n",
        "application,api,key\r\na,x,k\r\n",
        "application,api,key\na,x,k",
        "application,api,key\n\n,,\na,x,k\n\n",
        "application,api,key,state\na,x,k,unblocked\n",
    ] {
        let other = of_text(Kind::Csv, text).unwrap();
        assert_eq!((&other.errors, &other.rows), (&vec![], &plain.rows), "{text:?}");
    }
}

#[test]
fn an_error_has_line_and_column() {
    for (text, line, column) in [
        ("application,state\na,b\n", 2, 3),
        ("application,owner,state\n\"a,\"\"b\",é,NO\n", 2, 11),
        ("application,owner,state\n\"a\nb\",c,\n\nd,e,NO\n", 5, 5),
        ("application,owner,expires_at\r\na,b,soon\r\n", 2, 5),
    ] {
        let converted = of_text(Kind::Csv, text).unwrap();
        let error = converted.errors.last().unwrap();
        assert_eq!((error.line, error.column), (Some(line), Some(column)), "{text:?}: {error}");
    }
}

#[test]
fn a_key_opens_what_its_lines_say() {
    let apis = |text: &str| -> Vec<Option<Vec<String>>> {
        let rows = of_text(Kind::Csv, text).unwrap().rows;
        rows.into_iter().filter_map(|row| if let Row::Key(key) = row { Some(key.apis) } else { None }).collect()
    };
    let only = |api: &str| Some(vec![api.to_owned()]);
    assert_eq!(apis("application,api,key\na,x,k\n"), [None]);
    assert_eq!(apis("application,api,key\na,x,k\na,y,k\n"), [None]);
    assert_eq!(apis("application,api,key\na,x,k\na,y,l\n"), [only("x"), only("y")]);
    assert_eq!(apis("application,api,key\na,x,k\na,y,\n"), [only("x")]);
    assert_eq!(apis("application,api,key\na,x,k\na,,k\na,y,\n"), [None]);
}

/// A thousand applications with odd names, several keys each, in all states.
fn many() -> String {
    let mut text = "application,owner,api,key,type,plan,state,expires_at\n".to_owned();
    let states = ["", "UNBLOCKED", "BLOCKED", "PROD_ONLY_BLOCKED", "ON_HOLD", "REJECTED"];
    for number in 0..1_000 {
        let name = match number % 5 {
            0 => format!("app-{number}"),
            1 => format!("\"a, {number}\""),
            2 => format!("ü{number}"),
            3 => format!("\"tab\t{number}\""),
            _ => format!("{}{number}", "n".repeat(254)),
        };
        let state = states[number % states.len()];
        writeln!(text, "{name},owner-{},payments-1.0,key-{number},,gold,{state},", number % 7).unwrap();
        writeln!(text, "{name},,orders-2.0,key-{number}-b,SANDBOX,,,{}", 1_800_000_000 + number).unwrap();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_applications_are_carried_over_whole() {
    let text = many();
    let converted: Converted = of_text(Kind::Csv, &text).unwrap();
    assert_eq!(converted.errors, []);
    let count = |word: &str| converted.rows.iter().filter(|row| row.word() == word).count();
    assert_eq!((count("application"), count("subscription"), count("key")), (1_000, 2_000, 2_000));
    let ids: BTreeSet<_> = converted.rows.iter().map(|row| (row.word(), row.id())).collect();
    assert_eq!(ids.len(), converted.rows.len());
    assert_eq!(of_text(Kind::Csv, &text).unwrap(), converted);
    import_all(&converted, &BEFORE).await;
}
