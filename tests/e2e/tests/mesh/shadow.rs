//! Shadow mode behind Envoy Gateway's routes: keygate marks only what it would allow, so the last of the shipped routes would
//! refuse the rest. With that route turned as the file says, everything passes and is counted.

use std::{net::SocketAddr, time::Duration};

use keygate_e2e::{
    deadline::eventually,
    http::{self, Ask},
    policy_service::PolicyService,
    story::{Expected, Keys, ORDERS},
};
use serde_json::Value;

use crate::stage::{STARTING, WITHIN, answers, stat};

/// How often each request is sent in shadow mode.
const TIMES: u64 = 3;

/// Requests that keygate refuses: the reason, and the status of the refusal.
fn refused(keys: &Keys) -> [(Ask, &'static str, u16); 4] {
    [
        (Ask::get(ORDERS), "credential_missing", 401),
        (Ask::get(ORDERS).key("never-given-out").header("x-key-type", "SANDBOX"), "key_unknown", 401),
        (Ask::get(ORDERS).key(&keys.visitor).header("x-application-id", "shop"), "subscription_missing", 403),
        (Ask::get(ORDERS).key(&keys.production), "subscription_blocked", 401),
    ]
}

/// In shadow mode a request that keygate would refuse reaches production, without any header that names an application, and
/// is counted. Then `enforce` turns the mode, and the same requests are refused.
pub async fn passes_until_it_is_enforced(
    [gateway, admin]: [SocketAddr; 2],
    policy: &PolicyService,
    keys: &Keys,
    enforce: impl AsyncFnOnce(),
) {
    let production = Expected::Reaches("production");
    let good = [(&keys.partner, production), (&keys.sandbox, Expected::Reaches("sandbox"))];
    let allowed = async |within: Duration| {
        for (key, expected) in good {
            answers(gateway, &Ask::get(ORDERS).key(key), expected, within).await;
        }
    };
    allowed(STARTING).await;
    policy.post("/v1/subscriptions/shop-orders/block?state=PROD_ONLY_BLOCKED", None).await.unwrap();
    let counted =
        async |family: &str, reason: &str| stat(admin, &format!("wasmcustom.keygate.{family}.{reason}")).await;
    // The gateway has the block as soon as it counts a request that passes all the same.
    let blocked = Ask::get(ORDERS).key(&keys.production);
    eventually("the block to be known", WITHIN, async || {
        answers(gateway, &blocked, production, Duration::ZERO).await;
        if counted("would_deny", "subscription_blocked").await > 0 { Ok(()) } else { Err("not yet") }
    })
    .await
    .unwrap();
    for (ask, reason, _) in refused(keys) {
        let before = counted("would_deny", reason).await;
        for _ in 0..TIMES {
            let answer = http::send(gateway, &ask).await.unwrap();
            let body = answer.json();
            assert!(production.is(answer.status.as_u16(), &body), "{reason}: {answer}");
            for header in ["x-application-id", "x-key-type"] {
                assert_eq!(body["headers"][header], Value::Null, "{reason}: {answer}");
            }
        }
        eventually(format!("{reason} to be counted"), WITHIN, async || match counted("would_deny", reason).await {
            count if count == before + TIMES => Ok(()),
            count => Err(format!("{count}, and {before} before")),
        })
        .await
        .unwrap();
        assert_eq!(counted("denied", reason).await, 0, "{reason}");
    }
    enforce().await;
    eventually("the mode to be taken", WITHIN, async || {
        let answer = http::send(gateway, &Ask::get(ORDERS)).await.map_err(|error| error.to_string())?;
        if answer.status == 401 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await
    .unwrap();
    for (ask, reason, status) in refused(keys) {
        let answer = http::send(gateway, &ask).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{reason}: {answer}");
        assert!(answer.code().is_some_and(|code| code.starts_with("9009")), "{reason}: by keygate: {answer}");
    }
    allowed(Duration::ZERO).await;
}
