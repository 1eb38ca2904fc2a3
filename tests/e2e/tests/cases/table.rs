//! The whole table through Envoy: the result of each case is compared with the expected one and with the core's.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use keygate_e2e::deadline::eventually;
use serde_json::{Value, json};

use crate::{
    cases::{
        all_groups,
        check::{Edited, Observed, SeenReply, check},
        core::{Core, percent_decode},
        table::{Case, Group, Sent},
    },
    gateway::{CASE, FACTS, Gateway, Listener, WITHIN, keygate},
    servers::{Feed, Got, Page, got},
    wire,
};

/// Headers of an answer that Envoy itself adds.
const ENVOYS: [&str; 8] = [
    "server",
    "date",
    "content-length",
    "connection",
    "vary",
    "x-envoy-upstream-service-time",
    "grpc-status",
    "grpc-message",
];
/// Every VM has noticed after this time that its policy has expired. A VM ticks every 100 ms.
const NOTICED: Duration = Duration::from_millis(1000);

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A case that was asked, and the answer.
struct Asked<'a> {
    group: &'a Group,
    file: &'a str,
    case: &'a Case,
    answer: wire::Answer,
}

/// All headers of a request. `number` is the number of its case.
fn headers<'a>(sent: &'a Sent, number: &'a str) -> Vec<(&'a str, &'a [u8])> {
    let mut headers: Vec<(&str, &[u8])> = vec![("host", sent.authority.as_bytes()), ("connection", b"close")];
    headers.push((CASE, number.as_bytes()));
    // Envoy takes the address from the one proxy that it trusts.
    let address = sent.address.as_deref().unwrap_or_default();
    if address != "127.0.0.1" {
        headers.push(("x-forwarded-for", address.as_bytes()));
    }
    if matches!(&*sent.method, "POST" | "PUT" | "PATCH") {
        headers.push(("content-length", b"0"));
    }
    headers.extend(sent.headers.iter().map(|(name, value)| (&**name, &**value)));
    headers
}

#[derive(Clone, Copy)]
pub enum Protocol {
    Http1,
    Http2,
}

async fn ask(protocol: Protocol, address: SocketAddr, sent: &Sent, number: usize) -> Option<wire::Answer> {
    let (number, target) = (number.to_string(), sent.path.as_deref().unwrap());
    let headers = headers(sent, &number);
    match protocol {
        Protocol::Http1 => Some(wire::send(address, &wire::head(&sent.method, target, &headers)).await),
        Protocol::Http2 => wire::send_http2(address, &sent.method, &sent.authority, target, &headers).await,
    }
}

/// Routes for the cases whose API comes from metadata: by the case's number, with and without the sandbox.
fn metadata_routes(group: &Group, first_case: usize) -> Vec<Value> {
    let mut routes = Vec::new();
    for (index, case) in group.cases.iter().enumerate() {
        let Some([namespace, key, value]) = group.sent(case).route else { continue };
        let number = (first_case + index).to_string();
        routes.push(json!({
            "match": {"prefix": "/", "headers": [{"name": CASE, "string_match": {"exact": number}}]},
            "route": {"cluster": "production"},
            "metadata": {"filter_metadata": {namespace: {key: value}}},
        }));
    }
    routes
}

/// Whether the case can be sent in this way.
fn is_possible(group: &Group, case: &Case, protocol: Protocol) -> bool {
    let over_protocol = matches!(protocol, Protocol::Http2) || case.not_http1.is_none();
    group.native.is_none() && case.native.is_none() && over_protocol
}

#[tokio::test]
async fn every_case_holds_over_http1_and_as_it_does_on_the_core() {
    let asked = run("cases-http1", Protocol::Http1).await;
    assert!(asked > 700, "{asked} cases");
}

#[tokio::test]
async fn every_case_that_http2_can_express_holds_over_http2() {
    let asked = run("cases-http2", Protocol::Http2).await;
    assert!(asked > 650, "{asked} cases");
}

/// Cases that were asked, with the lines of the access log.
pub struct Answered<'g> {
    gateway: Gateway,
    asked: BTreeMap<usize, Asked<'g>>,
    lines: BTreeMap<usize, Value>,
}

impl Answered<'_> {
    fn line(&self, number: usize) -> &Value {
        self.lines.get(&number).unwrap_or(&Value::Null)
    }

    /// Each case with its result.
    pub fn seen(&self) -> impl Iterator<Item = (&Group, &Case, Observed)> {
        let asked = self.asked.iter();
        asked.map(|(number, one)| (one.group, one.case, observed(&one.answer, self.line(*number))))
    }
}

/// Sends the cases of all groups through one Envoy.
pub async fn answered<'g>(name: &str, protocol: Protocol, groups: &'g [(&'g str, Group)]) -> Answered<'g> {
    let feed = Feed::start().await;
    let mut listeners = Vec::new();
    let mut first_case = 0;
    for (number, (_, group)) in groups.iter().enumerate() {
        let path = format!("/groups/{number}");
        if let Some(page) = group.page(now()) {
            feed.put(&path, if group.expired { Page::Once(page) } else { Page::Always(page) });
        }
        listeners.push(Listener {
            filters: vec![keygate(&group.configuration(&json!({"cluster": "policy", "path": path})))],
            routes: metadata_routes(group, first_case),
            manager: json!({"xff_num_trusted_hops": 1}),
        });
        first_case += group.cases.len();
    }
    let gateway = Gateway::start(name, feed, &listeners).await;
    let policies = groups.iter().filter(|(_, group)| group.policy.is_some()).count();
    gateway.applied(u64::try_from(policies).unwrap()).await;
    expire(groups, &gateway).await;

    let mut asked = BTreeMap::new();
    let mut number = 0;
    for ((file, group), address) in groups.iter().zip(&gateway.addresses) {
        for case in &group.cases {
            if is_possible(group, case, protocol)
                && let Some(answer) = ask(protocol, *address, &group.sent(case), number).await
            {
                asked.insert(number, Asked { group, file, case, answer });
            }
            number += 1;
        }
    }
    println!("{} of {number} cases", asked.len());
    let lines = gateway.log_lines(asked.len()).await;
    let lines = lines.into_iter().map(|line| (line["case"].as_str().unwrap().parse().unwrap(), line)).collect();
    Answered { gateway, asked, lines }
}

/// Runs the table through an Envoy. Returns the number of cases that were asked.
async fn run(name: &str, protocol: Protocol) -> usize {
    let groups = all_groups();
    let answered = answered(name, protocol, &groups).await;
    let mut wrong = Vec::new();
    let mut cores: BTreeMap<*const Group, Core> = BTreeMap::new();
    for (number, one) in &answered.asked {
        let core = cores.entry(std::ptr::from_ref(one.group)).or_insert_with(|| Core::new(one.group));
        let line = answered.line(*number);
        let observed = observed(&one.answer, line);
        let mut problems = check(one.group, one.case, &observed);
        problems.extend(differences(&observed, &core.observe(one.group, one.case)));
        problems.extend(left_in_log(one.group, one.case, line));
        let name = format!("{}: {}: {}", one.file, one.group.name, one.case.name);
        wrong.extend(problems.iter().map(|problem| format!("{name}: {problem}")));
    }
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(counted(&answered.gateway).await, expected_counts(answered.asked.values()));
    answered.asked.len()
}

/// Waits until the policies that must expire have expired.
async fn expire(groups: &[(&str, Group)], gateway: &Gateway) {
    let longest = groups.iter().filter(|(_, group)| group.expired);
    let longest = longest.filter_map(|(_, group)| group.config.get("policy")?.get("expire_after_ms")?.as_u64()).max();
    let due = SystemTime::now() + Duration::from_millis(longest.unwrap_or(0)) + NOTICED;
    // No request is sent meanwhile, so none is counted or logged.
    let late = async || if SystemTime::now() >= due { Ok(()) } else { Err("not yet due") };
    eventually("the policies to expire", WITHIN, late).await.unwrap();
    assert_eq!(counted(gateway).await, BTreeMap::new());
}

fn observed(answer: &wire::Answer, line: &Value) -> Observed {
    let text = |name: &str| line[name].as_str().map(ToOwned::to_owned);
    let got = got(answer);
    let grpc_status = answer.header("grpc-status").map(|status| std::str::from_utf8(status).unwrap().parse().unwrap());
    let body = match answer.header("grpc-message") {
        Some(message) if grpc_status.is_some() => percent_decode(std::str::from_utf8(message).unwrap()),
        _ => answer.body.clone(),
    };
    let headers = answer.headers.iter().filter(|(name, _)| !ENVOYS.contains(&&**name));
    let headers = headers.map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned())).collect();
    let details = text("details").unwrap_or_default();
    Observed {
        counted: None,
        endpoint: got.as_ref().map(|got| got.endpoint.clone()),
        reply: got.is_none().then_some(SeenReply { status: answer.status, grpc_status, headers, body, details }),
        request: got.map(|Got { target, headers, .. }| Edited { path: Some(target), headers }),
        annotations: FACTS.iter().filter_map(|fact| Some(((*fact).to_owned(), text(fact)?))).collect(),
    }
}

/// The differences between Envoy and the core, whatever the case expects.
fn differences(envoy: &Observed, core: &Observed) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut same = |what: &str, envoy: String, core: String| {
        if envoy != core {
            wrong.push(format!("{what}: {envoy} in Envoy, {core} on the core"));
        }
    };
    // The remaining seconds of a window or a mark, and the end of a block, differ between two requests.
    let annotations = |observed: &Observed| {
        let mut annotations = observed.annotations.clone();
        for name in ["reset", "blocked_until"] {
            annotations.get_mut(name).into_iter().for_each(String::clear);
        }
        format!("{annotations:?}")
    };
    same("annotations", annotations(envoy), annotations(core));
    let reply = |observed: &Observed| {
        let reply = observed.reply.as_ref()?;
        let grpc = reply.grpc_status;
        // For gRPC the host writes the content type in its own way.
        let mut headers = reply.headers.clone();
        headers.retain(|(name, _)| grpc.is_none() || name != "content-type");
        let limited = reply.status == 429 || grpc == Some(8);
        headers.retain(|(name, _)| !limited || !matches!(&**name, "retry-after" | "ratelimit-reset"));
        headers.sort();
        let status = grpc.map_or(reply.status, |_| 0);
        let mut body = String::from_utf8_lossy(&reply.body).into_owned();
        // The core's clock is another one, and the end of a block may count from now.
        if let Some((before, after)) = body.split_once(" (until ")
            && let Some((_, after)) = after.split_once(')')
        {
            body = format!("{before} (until …){after}");
        }
        // Envoy creates an id for each request. The core has none.
        if let Some(at) = body.find(r#","instance":"urn:uuid:"#) {
            body.replace_range(at.., "}");
        }
        Some((status, grpc, headers, body, reply.details.clone()))
    };
    same("reply", format!("{:?}", reply(envoy)), format!("{:?}", reply(core)));
    wrong
}

/// Keys that the access log contains although the case does not say that they stay.
fn left_in_log(group: &Group, case: &Case, line: &Value) -> Vec<String> {
    if case.expectation().credential_kept {
        return Vec::new();
    }
    let keys = group.keys().into_iter().filter_map(|key| String::from_utf8(key).ok()).filter(|key| key.len() > 4);
    let texts: Vec<&str> = line.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str()).collect();
    keys.filter(|key| texts.iter().any(|text| text.contains(key))).map(|key| format!("{key} is in the log")).collect()
}

/// The filter's counters of requests that are not 0.
async fn counted(gateway: &Gateway) -> BTreeMap<String, u64> {
    let stats = gateway.envoy.stats("^wasmcustom.keygate.(allowed|denied|would_deny)").await.unwrap();
    let name = |name: String| name.trim_start_matches("wasmcustom.keygate.").to_owned();
    stats.into_iter().filter(|(_, value)| *value > 0).map(|(given, value)| (name(given), value)).collect()
}

fn expected_counts<'a>(asked: impl Iterator<Item = &'a Asked<'a>>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for one in asked {
        let expected = one.case.expectation();
        let passes = expected.passes.unwrap_or(expected.reason == "allowed");
        let default = if passes { "allowed".to_owned() } else { format!("denied.{}", expected.reason) };
        *counts.entry(expected.counted.unwrap_or(default)).or_insert(0) += 1;
    }
    counts
}
