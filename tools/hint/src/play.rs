//! Usual requests, and the policy that allows them: what a module's branches are counted by.
//!
//! Half of the requests come with one key, as from a client that calls often, half each with another. What they have in
//! common is what is usual: a key in a header, ten headers more or less, a path with or without a query. None is refused,
//! since what refuses is what is to be out of the way; and so is, for the sake of what all requests do, what only some
//! policies have: plans, restrictions, times, deny policies, APIs by host. How long anything takes is measured in Envoy.

use keygate::digest::Digest;

use crate::{
    branches::{self, Count, Place},
    host::Host,
};

const APIS: usize = 20;
/// More than there are requests, so that none comes twice that is to come once.
const KEYS: usize = 2_600;
/// Requests of each kind before anything is counted: what is made once is made, then.
const BEFORE: usize = 500;
/// Requests of each kind that count.
const COUNTED: usize = 2_000;
const _: () = assert!(BEFORE + COUNTED < KEYS);
/// A module that lets nothing through after so many ticks is not going to.
const MOST_TICKS: usize = 1_000;

/// Plays through a module with counters; what each counts.
pub fn play(module: &[u8], configuration: &str) -> Result<Vec<(Place, Count)>, String> {
    let mut host = Host::start(module, configuration)?;
    load(&mut host)?;
    (0..BEFORE).try_for_each(|number| turn(&mut host, number))?;
    let counters: Vec<_> =
        host.globals().into_iter().filter_map(|(name, global)| Some((branches::counter(&name)?, global))).collect();
    counters.iter().try_for_each(|(_, counter)| host.reset(*counter))?;
    let reads = host.reads();
    (BEFORE..BEFORE + COUNTED).try_for_each(|number| turn(&mut host, number))?;
    // A module with a policy reads its key and its application for each key that comes once, and nothing for the one that
    // comes often. One that passes for another reason would be hinted for that.
    if host.callouts() > 0 && host.reads() - reads != 2 * COUNTED {
        return Err(format!("it read shared data {} times, not twice for each key", host.reads() - reads));
    }
    let count = |((place, is_taken), counter): ((Place, bool), _)| {
        let value = host.value(counter);
        let count = if is_taken { Count { taken: value, reached: 0 } } else { Count { taken: 0, reached: value } };
        (place, count)
    };
    Ok(counters.into_iter().map(count).collect())
}

/// Answers what it asks for first, until it lets a request pass.
fn load(host: &mut Host) -> Result<(), String> {
    let mut is_answered = false;
    for _ in 0..MOST_TICKS {
        host.tick()?;
        if host.callouts() > 0 && !is_answered {
            let headers = [(":status", "200"), ("content-type", "application/json")];
            host.answer(1, &headers, policy().as_bytes())?;
            is_answered = true;
        }
        if send(host, 0, 0)? {
            return Ok(());
        }
    }
    Err("it lets no request pass".to_owned())
}

fn turn(host: &mut Host, number: usize) -> Result<(), String> {
    for key in [0, number + 1] {
        if !send(host, key, number)? {
            return Err(format!("it does not let the request pass that comes with {}", name_of(key)));
        }
    }
    Ok(())
}

/// The key of this number, as its client sends it: some short, some long.
fn name_of(key: usize) -> String {
    format!("{key:0width$}", width = 20 + key % 24)
}

fn send(host: &mut Host, key: usize, number: usize) -> Result<bool, String> {
    let query = if number.is_multiple_of(3) { "?page=7&sort=name" } else { "" };
    let path = format!("/api-{}/1.0/orders/{number}{query}", api_of(key));
    let key = name_of(key);
    let mut headers = vec![
        (":authority", "api.example.com"),
        (":path", &path),
        (":method", if number.is_multiple_of(4) { "POST" } else { "GET" }),
        (":scheme", "https"),
        ("user-agent", "client/1.0"),
        ("accept", "application/json"),
        ("x-api-key", &key),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "6f1c0a52-58bb-4a7e-9d0e-0c5d1b1f6a10"),
        ("accept-encoding", "gzip, deflate"),
    ];
    let more = [("content-type", "application/json"), ("accept-language", "en"), ("traceparent", "00-00-00-00")];
    headers.extend(more.iter().take(number % 4));
    host.request(&headers)
}

fn api_of(key: usize) -> usize {
    key % APIS
}

/// All keys in one page, each of an application of its own with a subscription to what it is sent to, and to another API.
fn policy() -> String {
    let list = |count: usize, row: fn(usize) -> String| (0..count).map(row).collect::<Vec<_>>().join(",");
    let apis = list(APIS, |api| format!(r#"{{"id":"api-{api}","match":[{{"path":"/api-{api}/1.0"}}]}}"#));
    let applications = list(KEYS, |key| {
        format!(r#"{{"id":"app-{key:06}","name":"Application {key}","owner":"owner-{}"}}"#, key % 100)
    });
    let keys = list(KEYS, |key| {
        let sha256 = Digest::of(name_of(key).as_bytes()).to_hex();
        let kind = if key.is_multiple_of(2) { "PRODUCTION" } else { "SANDBOX" };
        format!(r#"{{"sha256":"{sha256}","id":"k-{key}","application":"app-{key:06}","type":"{kind}"}}"#)
    });
    let subscriptions = list(2 * KEYS, |number| {
        let (key, api) = (number / 2, (api_of(number / 2) + number % 2) % APIS);
        format!(r#"{{"application":"app-{key:06}","api":"api-{api}","state":"UNBLOCKED"}}"#)
    });
    format!(
        r#"{{"format":1,"epoch":"played","revision":1,"apis":[{apis}],"applications":[{applications}],"keys":[{keys}],"subscriptions":[{subscriptions}]}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that takes its configuration and lets a request pass, or does not.
    fn module(configured: u32, action: u32) -> Vec<u8> {
        let callback = |name: &str, parameters: &str, result: &str| {
            format!(r#"(func (export "{name}") (param {parameters}) {result})"#)
        };
        let number = |number: u32| format!("(result i32) (i32.const {number})");
        let functions = [
            callback("_initialize", "", ""),
            callback("malloc", "i32", &number(1024)),
            callback("proxy_on_context_create", "i32 i32", ""),
            callback("proxy_on_vm_start", "i32 i32", &number(1)),
            callback("proxy_on_configure", "i32 i32", &number(configured)),
            callback("proxy_on_tick", "i32", ""),
            callback("proxy_on_request_headers", "i32 i32 i32", &number(action)),
            callback("proxy_on_delete", "i32", ""),
        ];
        wat::parse_str(format!(r#"(module (memory (export "memory") 1) {})"#, functions.concat())).unwrap()
    }

    #[test]
    fn a_module_that_does_not_do_what_is_played_is_an_error() {
        for (configured, action, expected) in
            [(0, 0, "it refuses the configuration words"), (1, 1, "it lets no request pass"), (1, 0, "")]
        {
            let played = play(&module(configured, action), "words");
            assert_eq!(
                played.map(|counts| counts.len()),
                if expected.is_empty() { Ok(0) } else { Err(expected.into()) }
            );
        }
        play(b"\0asm", "words").unwrap_err();
    }
}
