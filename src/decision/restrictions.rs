//! Checks the restrictions of a key on a request: addresses, referers and APIs.

use super::facts::Facts;
use crate::{
    equal::equal,
    policy::rows::Api,
    reason::Reason,
    request::{
        head::Head,
        referer::{MAX_REFERERS, Referer},
    },
    subject::Subject,
};

/// Refuses a request that a restriction of its key does not permit. Each list that exists must permit the request.
pub(super) fn check(subject: &Subject, api: &Api, head: &Head<'_>, facts: &impl Facts) -> Result<(), Reason> {
    let Some(restrictions) = &subject.key.restrictions else { return Ok(()) };
    if let Some(ranges) = &restrictions.permitted_ips {
        let address = facts.address().ok_or(Reason::AddressNotPermitted)?;
        if !ranges.iter().any(|range| range.contains(&address)) {
            return Err(Reason::AddressNotPermitted);
        }
    }
    if let Some(patterns) = &restrictions.permitted_referers {
        let mut given = 0usize;
        let is_permitted = |header: &[u8]| {
            given = given.saturating_add(1);
            let referer = Referer::parse(header).filter(|_| given <= MAX_REFERERS);
            referer.is_some_and(|referer| patterns.iter().any(|pattern| referer.fits(pattern)))
        };
        if !head.values(b"referer").all(is_permitted) || given == 0 {
            return Err(Reason::RefererNotPermitted);
        }
    }
    if let Some(apis) = &restrictions.apis
        && !apis.iter().any(|id| equal(id, api.id.as_bytes()))
    {
        return Err(Reason::KeyNotForApi);
    }
    Ok(())
}
