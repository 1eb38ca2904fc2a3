//! Explains every case of the table (`tests/cases/`): the verdict is the one that the table expects, and the last step
//! names the rule. An explanation has a policy that never expires, so groups without one are left out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "only test code: a panic is how it reports"
)]

#[path = "../../../tests/cases/mod.rs"]
mod cases;
#[path = "support/sent.rs"]
mod sent;

use std::collections::BTreeSet;

use cases::{
    all_groups,
    core::NOW,
    table::{Case, Group},
};
use explain::{
    Explanation, Outcome, Verdict, View, configuration, explain,
    policy::Policy,
    request::{Credential, Request},
    rules::Rule,
};
use keygate::{config::Config, digest::Digest};
use sent::request;
use serde_json::json;

/// A group whose requests can be explained.
struct Explained {
    policy: Policy,
    config: Config,
}

impl Explained {
    fn new(group: &Group) -> Option<Self> {
        let page = group.page(NOW).filter(|_| !group.expired)?;
        let policy =
            Policy::of(vec![page.to_string().into_bytes()]).unwrap_or_else(|why| panic!("{}: {why}", group.name));
        let config = group.configuration(&json!({"cluster": "policy-service"})).to_string();
        Some(Self { policy, config: configuration::parse(&config).unwrap() })
    }

    fn explain(&self, request: &Request) -> Explanation {
        explain(&self.policy, &self.config, request, NOW, View::All).unwrap()
    }
}

/// Limits that requests before this one have used up. No explanation knows of those.
const COUNTED: [&str; 3] = ["burst_exceeded", "quota_exceeded", "application_quota_exceeded"];

fn wrong(case: &Case, explained: &Explanation) -> Option<String> {
    let reason = case.expectation().reason;
    let last = explained.steps.last().expect("a step");
    let step = |rule: &str| explained.steps.iter().find(|step| step.rule == rule);
    if COUNTED.contains(&&*reason) && explained.reason == "allowed" {
        let step = step(&reason).map(|step| step.outcome);
        return (step != Some(Outcome::Unknown)).then(|| format!("the limit of {reason} is {step:?}"));
    }
    let (verdict, outcome) = match reason.as_str() {
        "allowed" => (Verdict::Allow, Outcome::Allowed),
        _ => (Verdict::Deny, Outcome::Refused),
    };
    let passes = ["allowed", "preflight", "unknown_api", "security_none"];
    let is_named = if reason == "allowed" { passes.contains(&last.rule) } else { last.rule == reason };
    let is_right = explained.reason == reason
        && (explained.verdict, last.outcome) == (verdict, outcome)
        && explained.status.is_none() == (verdict == Verdict::Allow)
        && is_named
        && explained.steps.iter().all(|step| !step.because.is_empty());
    (!is_right).then(|| format!("{reason}, but {explained:#?}"))
}

#[test]
fn every_case_is_explained_as_the_table_expects() {
    let (mut count, mut wrongs, mut rules) = (0, Vec::new(), BTreeSet::new());
    for (file, group) in all_groups() {
        let Some(explained) = Explained::new(&group) else { continue };
        for case in &group.cases {
            let explanation = explained.explain(&request(&group.sent(case), &explained.config));
            rules.insert(explanation.steps.last().unwrap().rule);
            wrongs.extend(
                wrong(case, &explanation).map(|wrong| format!("{file}: {}: {}: {wrong}", group.name, case.name)),
            );
            count += 1;
        }
    }
    assert!(wrongs.is_empty(), "{} are wrong:\n{}", wrongs.len(), wrongs.join("\n"));
    assert!(count > 700, "{count} cases");
    // Each rule is the last one of some case, except those that no single request can reach.
    let counted: BTreeSet<_> = ["burst_exceeded", "policy_unavailable", "emergency"].into();
    let all: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    let missing: Vec<_> = all.difference(&rules).filter(|rule| !counted.contains(*rule)).collect();
    assert!(missing.is_empty(), "no case ends with {missing:?}");
}

/// A key that is known only by its digest or its id is explained like the key itself.
#[test]
fn a_key_is_explained_alike_by_its_text_its_digest_and_its_id() {
    let mut count = 0;
    for (_, group) in all_groups() {
        let Some(explained) = Explained::new(&group) else { continue };
        for case in &group.cases {
            let mut request = request(&group.sent(case), &explained.config);
            let Some(at) = request.headers.iter().position(|(name, _)| name == "x-api-key") else { continue };
            let (_, key) = request.headers.remove(at);
            let is_plain = !key.is_empty() && key.len() < 4000 && key.trim_ascii() == key && !key.contains(&b' ');
            if !is_plain || request.headers.iter().any(|(name, _)| name == "x-api-key") {
                continue;
            }
            let mut told: Vec<_> = [Credential::Key(key.clone()), Credential::Digest(Digest::of(&key))].into();
            let page = group.page(NOW).unwrap();
            let rows = page["keys"].as_array().into_iter().flatten();
            told.extend(
                rows.filter(|row| {
                    row["sha256"] == Digest::of(&key).to_hex()
                        && explained.policy.digest_of(row["id"].as_str().unwrap()).is_some()
                })
                .map(|row| Credential::Id(row["id"].as_str().unwrap().to_owned())),
            );
            let explanations: Vec<_> = told
                .into_iter()
                .map(|credential| explained.explain(&Request { credential, ..request.clone() }))
                .collect();
            for explanation in &explanations[1..] {
                assert_eq!(explanation, &explanations[0], "{}: {}", group.name, case.name);
            }
            let texts = explanations.iter().flat_map(|of| of.steps.iter().map(|step| &step.because).chain(&of.notes));
            let key = String::from_utf8_lossy(&key);
            let told = texts.filter(|text| key.len() > 5 && text.contains(&*key)).collect::<Vec<_>>();
            assert!(told.is_empty() || key == "emergency", "{}: {}: {told:?}", group.name, case.name);
            count += 1;
        }
    }
    assert!(count > 300, "{count} cases");
}
