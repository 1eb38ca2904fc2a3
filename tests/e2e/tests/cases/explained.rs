//! What the crate `explain` says of a request is what a real Envoy does with it: for a thousand random requests against
//! random policies and configurations. `tests/filter/explained.rs` compares many more with the filter alone.

use std::collections::BTreeMap;

use explain::{Explanation, Verdict, View, configuration, explain, policy::Policy};
use keygate::config::Config;
use serde_json::json;

use crate::{
    cases::{
        check::Observed,
        table::{Case, Group},
    },
    random::Random,
    sent::request,
    table::{Protocol, answered, now},
};

const GROUPS: u64 = 10;
const REQUESTS: usize = 100;
/// Times are so far from now, in seconds, that the requests are sent meanwhile.
const MARGIN: i64 = 3_600;

struct Explained {
    policy: Policy,
    config: Config,
}

impl Explained {
    fn new(group: &Group) -> Self {
        let page = group.page(now()).unwrap().to_string().into_bytes();
        let config = group.configuration(&json!({"cluster": "policy"})).to_string();
        Self { policy: Policy::of(vec![page]).unwrap(), config: configuration::parse(&config).unwrap() }
    }

    fn say(&self, group: &Group, case: &Case) -> Explanation {
        let request = request(&group.sent(case), &self.config);
        explain(&self.policy, &self.config, &request, now(), View::All).unwrap()
    }
}

fn is_same(seen: &Observed, said: &Explanation, is_shadow: bool) -> bool {
    let reason = seen.annotations.get("reason").map(String::as_str);
    let does = match &seen.reply {
        None => is_shadow || said.verdict == Verdict::Allow,
        Some(reply) => said.verdict == Verdict::Deny && said.status == Some(reply.status),
    };
    does && reason == Some(said.reason)
}

#[tokio::test]
async fn a_thousand_random_requests_are_explained_as_envoy_decides() {
    let group = |seed| Random::new(seed, MARGIN, true).group(&format!("seed {seed}"), REQUESTS);
    let groups: Vec<(&str, Group)> = (0..GROUPS).map(|seed| ("random", group(seed))).collect();
    let answered = answered("explained", Protocol::Http1, &groups).await;
    let mut explained: BTreeMap<&str, Explained> = BTreeMap::new();
    let (mut wrong, mut reasons) = (Vec::new(), BTreeMap::new());
    for (group, case, seen) in answered.seen() {
        let explained = explained.entry(&group.name).or_insert_with(|| Explained::new(group));
        let said = explained.say(group, case);
        if !is_same(&seen, &said, group.config.get("mode").is_some_and(|mode| mode == "shadow")) {
            wrong.push(format!("{}, {:?}: {seen:?}, but {said:?}", group.name, group.sent(case)));
        }
        *reasons.entry(said.reason).or_insert(0) += 1;
    }
    println!("{reasons:?}");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(reasons.values().sum::<usize>(), GROUPS as usize * REQUESTS);
    assert!(reasons.len() > 15, "{reasons:?}");
}
