//! The bill of the policy service at the end. It never has more requests than were made, however often a report was
//! sent again because the service was killed, silent or answered nonsense. If a VM traps, its last 100 ms may be
//! missing; this file does not check how many.

use std::time::Duration;

use keygate_e2e::{Result, deadline::eventually, http::Ask, policy_service::PolicyService};

/// Pause between reports in milliseconds, as configured. It is short, so that there are many reports.
pub const INTERVAL_MS: u64 = 1_000;
/// If two readings this far apart are equal, no report is under way: an interval, the time that workers leave to
/// others, and a slow machine.
const STILL: Duration = Duration::from_secs(5);
/// Everything is billed within this time: the longest pause after failures, and some more.
const SETTLING: Duration = Duration::from_secs(60);

/// The number of billed requests, after it has stopped growing.
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
