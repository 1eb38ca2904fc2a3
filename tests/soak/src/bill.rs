//! What the policy service bills at the end: never more requests than were made, however often reports had to be sent again
//! because the service was killed, silent or answered nonsense. How many of a VM's last 100 ms go with it when it is made to
//! trap is not looked at here.

use std::time::Duration;

use keygate_e2e::{Result, deadline::eventually, http::Ask, policy_service::PolicyService};

/// Pause between reports, so that there are many: the configuration's, in milliseconds.
pub const INTERVAL_MS: u64 = 1_000;
/// Two equal looks this far apart, and no more is on its way: an interval, what workers leave to others, and a slow machine.
const STILL: Duration = Duration::from_secs(5);
/// Until all is billed at the latest: the longest pause after failures, and what comes on top.
const SETTLING: Duration = Duration::from_secs(60);

/// Requests that are billed in all, once nothing is added any more.
pub async fn settled(service: &PolicyService) -> Result<u64> {
    let (billed, _) = eventually("the bill to be whole", SETTLING, async || {
        let before = all(service).await.map_err(|error| error.to_string())?;
        tokio::time::sleep(STILL).await;
        match all(service).await.map_err(|error| error.to_string())? {
            after if after == before => Ok(after),
            after => Err(format!("{before}, and {after} after a while")),
        }
    })
    .await?;
    Ok(billed)
}

async fn all(service: &PolicyService) -> Result<u64> {
    let mut sum: u64 = 0;
    let mut cursor = String::new();
    loop {
        let page = service.call(Ask::get(format!("/v1/usage?limit=1000{cursor}"))).await?.json();
        let items = page.get("items").and_then(|items| items.as_array()).cloned().unwrap_or_default();
        let requests = items.iter().filter_map(|item| item.get("requests")?.as_u64());
        sum = requests.fold(sum, u64::saturating_add);
        match page.get("next").and_then(|next| next.as_str()) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(sum),
        }
    }
}
