//! Any plugin can write to shared data. No bytes under the filter's keys, at any moment, make the filter allow what the
//! policy refuses or kill a VM, and the next policy repairs the damage.

use std::{collections::BTreeMap, time::Duration};

use keygate::shared::bytes;
use serde_json::json;

use crate::{
    host::{Envoy, Fault, Life, Ran, Request},
    policy::*,
};

/// The requests that the policy refuses, and those that it allows.
const REFUSED: [(&str, &str); 5] = [
    ("/payments/1.0", PRODUCTION_KEY),
    ("/payments/1.0", "a key that nobody has"),
    ("/payments/1.0", "revoked-key-of-app-2"),
    ("/orders/1.0", OTHER_KEY),
    ("/closed/1.0", OTHER_KEY),
];
const ALLOWED: [(&str, &str); 3] =
    [("/payments/1.0", OTHER_KEY), ("/payments/1.0", SANDBOX_KEY), ("/orders/1.0", PRODUCTION_KEY)];

fn page(revision: u64) -> Page {
    Page::demo(revision)
        .subscription("app-1", "payments-1.0", "PROD_ONLY_BLOCKED")
        .row("apis", json!({"id": "closed-1.0", "match": [{"path": "/closed/1.0"}], "state": "BLOCKED"}))
        .subscription("app-2", "closed-1.0", "UNBLOCKED")
        .key("revoked-key-of-app-2", "k-4", "app-2", "PRODUCTION")
        .change("keys", "k-4", json!({"state": "REVOKED"}))
}

/// No worker allows a request that the policy refuses, and no VM is dead.
#[track_caller]
fn check_refusals(envoy: &mut Envoy, after: &str) {
    for thread in envoy.threads().skip(1) {
        for (path, key) in REFUSED {
            let verdict = envoy.worker(thread).request(Request::get(path).key(key)).verdict();
            assert!(verdict != "allowed" && verdict != "dead", "{verdict} for {key} on {path} after {after}");
        }
        for (path, key) in ALLOWED {
            let verdict = envoy.worker(thread).request(Request::get(path).key(key)).verdict();
            assert_ne!(verdict, "dead", "{key} on {path} after {after}");
        }
    }
}

#[track_caller]
fn check_allowances(envoy: &mut Envoy, after: &str) {
    for thread in envoy.threads().skip(1) {
        for (path, key) in ALLOWED {
            let verdict = envoy.worker(thread).request(Request::get(path).key(key)).verdict();
            assert_eq!(verdict, "allowed", "{key} on {path} after {after}");
        }
    }
}

type Values = BTreeMap<Vec<u8>, Vec<u8>>;

/// All ways to damage a value: a name, and the damaged value.
fn spoilt(key: &[u8], value: &[u8], all: &Values) -> Vec<(String, Vec<u8>)> {
    let mut spoilt: Vec<(String, Vec<u8>)> = vec![
        ("emptied".into(), Vec::new()),
        ("zeroes".into(), vec![0; value.len()]),
        ("ones".into(), vec![0xff; value.len()]),
        ("one byte".into(), vec![1]),
        ("text".into(), b"hello, this is another plugin's value".to_vec()),
        ("one byte more".into(), [value, &[0]].concat()),
        ("twice".into(), [value, value].concat()),
        ("a megabyte".into(), vec![0xa5; 1 << 20]),
    ];
    for part in 1..8 {
        spoilt.push((format!("{part}/8 of it"), value[..value.len() * part / 8].to_vec()));
    }
    // Every bit of the first bytes, which hold lengths and kinds, and some bits of the rest.
    let heads = 0..value.len().min(20) * 8;
    let rest = (20 * 8..value.len() * 8).step_by(97);
    for bit in heads.chain(rest) {
        let mut flipped = value.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        spoilt.push((format!("bit {bit} flipped"), flipped));
    }
    for (other, foreign) in all.iter().filter(|(other, foreign)| other.as_slice() != key && *foreign != value).take(8) {
        spoilt.push((format!("the value of {}", String::from_utf8_lossy(other)), foreign.clone()));
    }
    spoilt
}

#[test]
fn damaged_entries_never_allow_what_the_policy_refuses() {
    let (mut envoy, _service) = running(&page(1));
    check_refusals(&mut envoy, "loading");
    check_allowances(&mut envoy, "loading");
    let good = envoy.shared_data("");
    assert!(good.len() >= 3, "manifest, catalogue, shards: {:?}", good.keys());
    for (key, value) in &good {
        let name = String::from_utf8_lossy(key);
        for (how, bad) in spoilt(key, value, &good) {
            envoy.tamper(|data| data.set("", key, &bad, 0).unwrap());
            // Worker 1 has everything in its cache. Worker 2 has nothing cached and must read shared data.
            envoy.worker(1).tick().finished();
            envoy.worker(2).renew();
            envoy.worker(2).tick().finished();
            check_refusals(&mut envoy, &format!("{name}: {how}"));
            let now = envoy.shared_data("");
            for (key, value) in &good {
                if now.get(key) != Some(value) {
                    envoy.tamper(|data| data.set("", key, value, 0).unwrap());
                }
            }
        }
    }
}

/// With a valid checksum, changed bytes may mean anything. So this test does not check verdicts.
#[test]
fn damage_with_a_right_checksum_kills_no_vm() {
    let (mut envoy, _service) = running(&page(1));
    let good = envoy.shared_data("");
    for (key, value) in &good {
        for (how, mut bad) in spoilt(key, value, &good) {
            bytes::seal(key, &mut bad);
            envoy.tamper(|data| data.set("", key, &bad, 0).unwrap());
            envoy.worker(1).renew();
            for thread in [0, 1] {
                let ran = envoy.worker(thread).tick();
                assert!(matches!(ran, Ran::Finished(_)), "{}: {how}: {ran:?}", String::from_utf8_lossy(key));
            }
            for (path, key) in REFUSED.into_iter().chain(ALLOWED) {
                let exchange = envoy.worker(1).request(Request::get(path).key(key));
                assert_ne!(exchange.verdict(), "dead", "{how}: {exchange:?}");
            }
            envoy.tamper(|data| good.iter().for_each(|(key, value)| data.set("", key, value, 0).unwrap()));
        }
    }
    envoy.forgive();
}

#[test]
fn a_fresh_vm_survives_damaged_entries() {
    let (mut envoy, _service) = running(&page(1));
    let good = envoy.shared_data("");
    for (key, value) in &good {
        for (how, bad) in spoilt(key, value, &good).into_iter().step_by(29) {
            envoy.tamper(|data| data.set("", key, &bad, 0).unwrap());
            envoy.worker(2).kill();
            envoy.worker(2).revive();
            let what = format!("{}: {how}, in a new VM", String::from_utf8_lossy(key));
            check_refusals(&mut envoy, &what);
            envoy.worker(2).tick().finished();
            check_refusals(&mut envoy, &what);
            envoy.tamper(|data| data.set("", key, value, 0).unwrap());
        }
    }
}

#[test]
fn the_next_policy_puts_damage_right() {
    let (mut envoy, service) = running(&page(1));
    let mut revision = 1;
    for key in envoy.shared_data("").into_keys() {
        for bad in [&b""[..], b"\xff\xff\xff\xff", &[0; 4096]] {
            envoy.tamper(|data| data.set("", &key, bad, 0).unwrap());
            revision += 1;
            service.publish(&page(revision));
            envoy.run_for(Duration::from_secs(90));
            let what = format!("{} = {} bytes, and a new revision", String::from_utf8_lossy(&key), bad.len());
            check_refusals(&mut envoy, &what);
            check_allowances(&mut envoy, &what);
        }
    }
}

#[test]
fn vms_that_begin_anew_over_damage_take_the_next_policy() {
    let (mut envoy, service) = running(&page(1));
    let mut revision = 1;
    for key in envoy.shared_data("").into_keys() {
        envoy.tamper(|data| data.set("", &key, b"\xff\xff\xff\xff", 0).unwrap());
        for thread in envoy.threads() {
            envoy.worker(thread).renew();
        }
        check_refusals(&mut envoy, "damage");
        revision += 1;
        service.publish(&page(revision));
        envoy.run_for(Duration::from_secs(90));
        check_allowances(&mut envoy, &format!("{} was damaged, and a new revision", String::from_utf8_lossy(&key)));
        assert_eq!(envoy.metric("keygate.policy.revision"), i64::try_from(revision).unwrap());
    }
}

#[test]
fn damage_heals_while_the_feed_has_nothing_new() {
    let full = page(1).with("poll", "/v1/policy?since=1");
    let (mut envoy, service) = running(&full);
    service.route(&[("/v1/policy?since=1", &Page::new(1).with("base", 1).with("poll", "/v1/policy?since=1"))]);
    for key in envoy.shared_data("").into_keys() {
        envoy.tamper(|data| data.set("", &key, b"\xff\xff\xff\xff", 0).unwrap());
        check_refusals(&mut envoy, "damage");
        envoy.run_for(Duration::from_secs(90));
        check_allowances(&mut envoy, &format!("{} was damaged", String::from_utf8_lossy(&key)));
    }
}

#[test]
fn damage_in_the_middle_of_a_refresh_allows_nothing() {
    for step in (0..).step_by(3) {
        let (mut envoy, service) = running(&page(1));
        let keys: Vec<_> = envoy.shared_data("").into_keys().collect();
        let holder = service.seen().last().unwrap().thread;
        service.publish(&page(2));
        envoy.worker(holder).faults(|faults| faults.once(None, step, Fault::Pause));
        envoy.run_for(SETTLED);
        if envoy.worker(holder).life() != Life::Paused {
            break;
        }
        let key = &keys[step as usize % keys.len()];
        let what = format!("{} emptied before call {step}", String::from_utf8_lossy(key));
        envoy.tamper(|data| data.set("", key, b"", 0).unwrap());
        if holder == 0 {
            check_refusals(&mut envoy, &what);
        }
        assert!(matches!(envoy.worker(holder).resume(), Ran::Finished(_)), "{what}");
        envoy.run_for(SETTLED);
        check_refusals(&mut envoy, &what);
    }
}

#[test]
fn host_calls_that_fail_allow_nothing_and_kill_nothing() {
    use crate::host::Status::*;
    let calls = [
        ("proxy_get_shared_data", vec![NotFound, InternalFailure, BadArgument, Unimplemented]),
        ("proxy_set_shared_data", vec![CasMismatch, InternalFailure, BadArgument, Unimplemented]),
        ("proxy_get_header_map_pairs", vec![BadArgument, Unimplemented]),
        ("proxy_remove_header_map_value", vec![BadArgument]),
        ("proxy_replace_header_map_value", vec![BadArgument]),
        ("proxy_get_property", vec![NotFound, BadArgument, InternalFailure]),
        ("proxy_set_property", vec![NotFound, BadArgument]),
        ("proxy_increment_metric", vec![NotFound, BadArgument]),
        ("proxy_record_metric", vec![NotFound]),
        ("proxy_http_call", vec![BadArgument, InternalFailure]),
        ("proxy_get_buffer_bytes", vec![NotFound, BadArgument]),
        ("proxy_get_current_time_nanoseconds", vec![InternalFailure]),
        ("proxy_log", vec![InternalFailure]),
    ];
    for (call, statuses) in calls {
        for status in statuses {
            let (mut envoy, service) = running(&page(1));
            service.publish(&page(2));
            for thread in envoy.threads() {
                envoy.worker(thread).faults(|faults| faults.always(call, Fault::Return(status)));
            }
            envoy.run_for(SETTLED);
            check_refusals_without_audit(&mut envoy, &format!("{call} gave {status:?}"));
            for thread in envoy.threads() {
                envoy.worker(thread).faults(|faults| faults.clear());
                assert_ne!(envoy.worker(thread).life(), Life::Dead, "{call} gave {status:?}");
            }
            envoy.run_for(Duration::from_secs(60));
            check_refusals(&mut envoy, &format!("{call} gave {status:?}, then no more"));
            check_allowances(&mut envoy, &format!("{call} gave {status:?}, then no more"));
            // The filter could not report some damage while the host failed, which is not its fault.
            envoy.forgive();
        }
    }
}

fn check_refusals_without_audit(envoy: &mut Envoy, after: &str) {
    check_refusals(envoy, after);
    envoy.forgive();
}
