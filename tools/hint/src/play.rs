//! Usual requests and the policy that allows them, for counting the branches of a module.
//!
//! Half of the requests have the same key, like those of a client that calls often, and half have a new key each. They
//! have usual properties: a key in a header, about ten headers, a path with or without a query. None is refused,
//! because code that refuses should be moved away. For the same reason the policy has nothing that only some policies
//! have: plans, restrictions, times, deny policies, APIs by host. Durations are measured in Envoy, not here.

use keygate::digest::Digest;

use crate::{
    branches::{self, Count, Place},
    host::Host,
};

const APIS: usize = 20;
/// More than the number of requests, so that a key that should come once comes once.
const KEYS: usize = 2_600;
/// Requests of each kind before counting begins, so that one-time work is done.
const BEFORE: usize = 500;
/// Requests of each kind that are counted.
const COUNTED: usize = 2_000;
const _: () = assert!(BEFORE + COUNTED < KEYS);
/// A module that lets no request pass after this many ticks never will.
const MOST_TICKS: usize = 1_000;

/// Plays requests through a module with counters. Returns their values.
pub fn play(module: &[u8], configuration: &str) -> Result<Vec<(Place, Count)>, String> {
    let mut host = Host::start(module, configuration)?;
    load(&mut host)?;
    (0..BEFORE).try_for_each(|number| turn(&mut host, number))?;
    let counters: Vec<_> =
        host.globals().into_iter().filter_map(|(name, global)| Some((branches::counter(&name)?, global))).collect();
    counters.iter().try_for_each(|(_, counter)| host.reset(*counter))?;
    let reads = host.reads();
    (BEFORE..BEFORE + COUNTED).try_for_each(|number| turn(&mut host, number))?;
    // A module with a policy reads a key and an application for each new key, and nothing for the frequent key. If it
    // read anything else, requests passed for another reason, and the hints would be wrong.
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

/// Answers the first requests to the policy service, until the module lets a request pass.
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

/// The key with this number, as its client sends it. Some are short, some long.
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

/// All keys in one page. Each belongs to an application of its own with subscriptions to the requested API and to
/// another one.
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

    /// A module that accepts its configuration and lets a request pass, or does not.
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
