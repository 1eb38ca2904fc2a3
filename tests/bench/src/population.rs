//! The population: keys, applications, subscriptions and APIs. A rule derives all of them from their number, so the
//! feed, the requests and the compared filters agree without communication.
//!
//! Two keys belong to an application, which subscribes to two of the APIs. So a key stands for half an application and
//! one subscription. The last application's subscriptions are blocked. The application before it has a plan with a
//! limit that is never reached.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// APIs. Each has a path of its own.
pub const APIS: usize = 100;
/// Applications of one page. With two keys and two subscriptions each, a page has 5,000 rows, like the policy service's
/// pages.
const APPLICATIONS_PER_PAGE: usize = 1000;

/// The only plan.
const PLAN: &str = "limited";
/// Its limit per day: more than any run uses.
const LIMIT: u64 = 1 << 40;

/// This many keys, and everything that belongs to them.
#[derive(Clone, Copy, Debug)]
pub struct Population {
    keys: usize,
}

impl Population {
    /// At least six keys, in whole applications.
    pub fn of_keys(keys: usize) -> Self {
        Self { keys: keys.max(6).next_multiple_of(2) }
    }

    pub fn keys(self) -> usize {
        self.keys
    }

    pub fn applications(self) -> usize {
        self.keys / 2
    }

    /// Number of keys that are allowed without a limit: all except those of the last two applications.
    pub fn allowed(self) -> usize {
        self.keys - 4
    }

    /// A key whose subscription has a limit.
    pub fn limited(self) -> usize {
        self.keys - 3
    }

    /// A key whose subscription is blocked.
    pub fn blocked(self) -> usize {
        self.keys - 1
    }

    /// Number of pages of the policy.
    pub fn pages(self) -> usize {
        self.applications().div_ceil(APPLICATIONS_PER_PAGE)
    }

    /// One page of the policy, with `next` unless it is the last.
    pub fn page(self, number: usize, path: &str) -> Value {
        let first = number * APPLICATIONS_PER_PAGE;
        let applications = first..(first + APPLICATIONS_PER_PAGE).min(self.applications());
        let mut page = json!({
            "format": 1,
            "epoch": "bench",
            "revision": 1,
            "counts": {"keys": self.keys, "applications": self.applications(), "subscriptions": self.keys},
            "applications": applications.clone().map(|number| self.application(number)).collect::<Vec<_>>(),
            "keys": applications.clone().flat_map(|number| [2 * number, 2 * number + 1]).map(key_row).collect::<Vec<_>>(),
            "subscriptions": applications.flat_map(|number| self.subscriptions(number)).collect::<Vec<_>>(),
        });
        if number == 0 {
            page["apis"] = (0..APIS).map(api_row).collect();
            page["plans"] = json!([{"id": PLAN, "limits": [{"requests": LIMIT, "per": "day"}]}]);
        }
        if number + 1 < self.pages() {
            page["next"] = format!("{path}?page={}", number + 1).into();
        }
        page
    }

    fn application(self, number: usize) -> Value {
        json!({"id": application(number), "name": format!("Application {number}"), "owner": format!("owner-{}", number % 1000)})
    }

    fn subscriptions(self, number: usize) -> [Value; 2] {
        let state = if number + 1 == self.applications() { "BLOCKED" } else { "UNBLOCKED" };
        let plan = (number + 2 == self.applications()).then_some(PLAN);
        [0, 1].map(|place| {
            // The id is for the policy service. The feed removes it, because a page has no such field.
            let mut row = json!({"id": subscription(number, place), "application": application(number),
                   "api": api_id(apis_of(number)[place]), "state": state});
            if let Some(plan) = plan {
                row["plan"] = plan.into();
            }
            row
        })
    }
}

/// The key as its client sends it.
pub fn key(number: usize) -> String {
    format!("bench-key-{number:012}")
}

/// Its public id.
pub fn key_id(number: usize) -> String {
    format!("k-{number:08}")
}

pub fn application(number: usize) -> String {
    format!("app-{number:07}")
}

pub fn application_of(key: usize) -> usize {
    key / 2
}

/// The path that a key requests: one of its application's APIs.
pub fn path(key: usize) -> String {
    format!("{}/orders/4711", prefix(apis_of(application_of(key))[key % 2]))
}

/// The policy service's id of the subscription that a key's request needs.
pub fn subscription_of(key: usize) -> String {
    subscription(application_of(key), key % 2)
}

fn subscription(application: usize, place: usize) -> String {
    format!("s-{application:07}-{place}")
}

fn apis_of(application: usize) -> [usize; 2] {
    let first = 2 * application % APIS;
    [first, first + 1]
}

fn api_id(number: usize) -> String {
    format!("api-{number:03}")
}

fn prefix(api: usize) -> String {
    format!("/api-{api:03}/1.0")
}

fn api_row(number: usize) -> Value {
    json!({"id": api_id(number), "name": format!("API {number}"), "version": "1.0", "match": [{"path": prefix(number)}]})
}

fn key_row(number: usize) -> Value {
    let digest: String = Sha256::digest(key(number)).iter().map(|byte| format!("{byte:02x}")).collect();
    let key_type = if number.is_multiple_of(2) { "PRODUCTION" } else { "SANDBOX" };
    json!({"sha256": digest, "id": key_id(number), "application": application(application_of(number)), "type": key_type})
}
