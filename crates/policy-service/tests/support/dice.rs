//! Random calls of the management API. They are the same in each run.

use reqwest::Method;
use serde_json::{Value, json};

use super::digest;

/// Random numbers from a fixed seed (xorshift).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn throw(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    pub fn id(&mut self, prefix: &str, below: u64) -> String {
        format!("{prefix}-{}", self.throw(below))
    }

    pub fn one<'w>(&mut self, of: &[&'w str]) -> &'w str {
        of[usize::try_from(self.throw(of.len() as u64)).unwrap()]
    }

    /// A call that may change something, may change nothing, or may be rejected.
    pub fn call(&mut self) -> (Method, String, Value) {
        let (api, application) = (self.id("api", 4), self.id("app", 4));
        let (key, subscription, plan) = (self.id("k", 8), self.id("s", 8), self.id("plan", 3));
        let state = self.one(&["UNBLOCKED", "ON_HOLD", "REJECTED"]);
        match self.throw(25) {
            0 => (Method::POST, "/v1/apis".into(), json!({"id": api, "match": [{"path": format!("/{api}")}]})),
            1 => (Method::PUT, format!("/v1/apis/{api}"), json!({"state": self.one(&["PUBLISHED", "BLOCKED"])})),
            2 => (Method::DELETE, format!("/v1/apis/{api}"), Value::Null),
            3 | 4 => (Method::POST, "/v1/applications".into(), json!({"id": application, "owner": self.id("o", 2)})),
            5 => (Method::PUT, format!("/v1/applications/{application}"), json!({"name": self.id("n", 9)})),
            6 => (Method::DELETE, format!("/v1/applications/{application}"), Value::Null),
            7 => {
                let action = self.one(&["block", "unblock"]);
                (Method::POST, format!("/v1/applications/{application}/{action}"), Value::Null)
            }
            8 => {
                let sha256 = digest(self.throw(20));
                (Method::POST, "/v1/keys".into(), json!({"id": key, "application": application, "sha256": sha256}))
            }
            9 | 10 => (Method::POST, format!("/v1/applications/{application}/keys"), json!({"id": key})),
            11 => {
                let asked = json!({"overlap_seconds": self.throw(2) * 60});
                (Method::POST, format!("/v1/keys/{key}/regenerate"), asked)
            }
            12 => (Method::POST, format!("/v1/keys/{key}/revoke"), Value::Null),
            13 => (Method::DELETE, format!("/v1/keys/{key}"), Value::Null),
            14 | 15 => (
                Method::POST,
                "/v1/subscriptions".into(),
                json!({"id": subscription, "application": application, "api": api, "state": state}),
            ),
            16 => (Method::PUT, format!("/v1/subscriptions/{subscription}"), json!({"plan": plan})),
            17 => {
                let state = self.one(&["BLOCKED", "PROD_ONLY_BLOCKED"]);
                let body = match self.throw(3) {
                    0 => Value::Null,
                    1 => json!({"until": 4_102_444_800_u64 + self.throw(3), "note": self.id("n", 3)}),
                    _ => json!({"from": 4_102_444_800_u64 - self.throw(3), "reason": self.id("r", 3)}),
                };
                (Method::POST, format!("/v1/subscriptions/{subscription}/block?state={state}"), body)
            }
            18 => (Method::POST, format!("/v1/subscriptions/{subscription}/unblock"), Value::Null),
            19 => (Method::DELETE, format!("/v1/subscriptions/{subscription}"), Value::Null),
            20 => (
                Method::PUT,
                format!("/v1/plans/{plan}"),
                json!({"limits": [{"requests": 1 + self.throw(9), "per": "day"}]}),
            ),
            21 | 22 => {
                let value = format!("203.0.113.{}", self.throw(4));
                (Method::POST, "/v1/deny-policies".into(), json!({"id": self.id("d", 4), "type": "IP", "value": value}))
            }
            23 => (Method::DELETE, format!("/v1/deny-policies/{}", self.id("d", 4)), Value::Null),
            _ => (Method::POST, "/v1/plans".into(), json!({"id": plan})),
        }
    }
}
