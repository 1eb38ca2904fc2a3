//! What the crate `explain` says of a request is what the whole filter decides: for random requests against random
//! policies and configurations.

use std::{collections::BTreeMap, num::NonZero, thread, time::Duration};

use explain::{Explanation, Verdict, View, configuration, explain, policy::Policy};
use serde_json::json;

use crate::{
    cases::{
        core::NOW,
        table::{Group, Sent},
    },
    host::{Envoy, Exchange, Outcome, Request},
    policy::{Page, Service},
    random_cases::Random,
    sent::request,
};

/// Requests of one policy. A new policy costs as much as some hundred requests.
const REQUESTS: usize = 250;
const GROUPS: u64 = 400;
/// The fake Envoy starts at [`NOW`], and a second passes before the requests.
const ASKED_AT: u64 = NOW + 1;

/// The request as the host stores it.
fn hosted(sent: &Sent) -> Request {
    let mut request = Request::method(&sent.method, sent.path.as_deref().unwrap_or_default()).host(&sent.authority);
    if sent.path.is_none() {
        request = request.without(":path");
    }
    for (name, value) in &sent.headers {
        request = request.header(name, value);
    }
    request = match &sent.address {
        Some(address) => request.from(&format!("{address}:40000")),
        None => request.without_property(&["source", "address"]),
    };
    if let Some([namespace, key, value]) = &sent.route {
        request = request.property(&["xds", "route_metadata", "filter_metadata", namespace, key], value);
    }
    request
}

/// The difference between what the filter did and what is said of it.
fn difference(exchange: &Exchange, said: &Explanation, is_shadow: bool) -> Option<String> {
    let reason = exchange.fact("reason");
    let last = said.steps.last().expect("a step");
    let is_named = said.verdict == Verdict::Allow || last.rule == said.reason;
    let is_same = match &exchange.outcome {
        Outcome::Passed => is_shadow || said.verdict == Verdict::Allow,
        Outcome::Refused(reply) => {
            let status = said.status.map(u32::from);
            let is_json = reply.grpc_status.is_none() && !reply.body.is_empty();
            said.verdict == Verdict::Deny
                && status == Some(reply.status)
                && (!is_json || said.reply == serde_json::from_slice(&reply.body).ok())
        }
        _ => false,
    };
    let is_same = is_same && is_named && reason.as_deref() == Some(said.reason);
    (!is_same).then(|| format!("{:?} {reason:?}, but {said:#?}", exchange.outcome))
}

/// Asks the filter and the explanation for each request of a group. Returns how often each reason was given.
fn compare(group: &Group) -> BTreeMap<&'static str, usize> {
    let page = group.page(ASKED_AT).expect("a policy");
    let config = group.configuration(&json!({"cluster": "policy-service"}));
    let service = Service::new(&Page(page.clone()));
    let mut envoy = Envoy::new(config.clone()).workers(1).feed(service.feed()).started();
    envoy.run_for(Duration::from_secs(1));
    let policy = Policy::of(vec![page.to_string().into_bytes()]).expect("a policy that a gateway takes");
    let parsed = configuration::parse(&config.to_string()).expect("a configuration that a gateway takes");
    let mut reasons = BTreeMap::new();
    for case in &group.cases {
        let sent = group.sent(case);
        let exchange = envoy.worker(1).request(hosted(&sent));
        let said = explain(&policy, &parsed, &request(&sent, &parsed), ASKED_AT, View::All).expect("an explanation");
        if let Some(difference) = difference(&exchange, &said, config["mode"] == "shadow") {
            panic!("{}, {sent:?}: {difference}\n{config}\n{page}", group.name);
        }
        *reasons.entry(said.reason).or_insert(0) += 1;
    }
    reasons
}

#[test]
fn a_hundred_thousand_random_requests_are_explained_as_the_filter_decides() {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(4) as u64;
    let of_thread = |first: u64| {
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for seed in (first..GROUPS).step_by(threads as usize) {
            let group = Random::new(seed, 1, false).group(&format!("seed {seed}"), REQUESTS);
            for (reason, count) in compare(&group) {
                *reasons.entry(reason).or_insert(0) += count;
            }
        }
        reasons
    };
    let mut all: BTreeMap<&str, usize> = BTreeMap::new();
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|first| scope.spawn(move || of_thread(first))).collect();
        for (reason, count) in running.into_iter().flat_map(|thread| thread.join().expect("no difference")) {
            *all.entry(reason).or_insert(0) += count;
        }
    });
    println!("{all:?}");
    assert_eq!(all.values().sum::<usize>(), GROUPS as usize * REQUESTS);
    // Only a gateway gives the others: it counts requests, and knows how old its policy is.
    let others = ["burst_exceeded", "policy_unavailable"];
    let reasons = keygate::reason::Reason::ALL.iter().map(|reason| reason.as_str()).chain(["allowed"]);
    let rare: Vec<_> =
        reasons.filter(|reason| !others.contains(reason) && all.get(reason).is_none_or(|count| *count < 20)).collect();
    assert!(rare.is_empty(), "too few requests get to {rare:?}: {all:?}");
}
