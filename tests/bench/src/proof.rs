//! Checks before the measurement that each variant does what its name says. A fast filter that does nothing proves
//! nothing.

use std::time::Duration;

use keygate_e2e::deadline::eventually;

use crate::{
    Error, Result,
    envoy::Envoy,
    listeners::{PROBE_HOST, SEEN_APPLICATION, SEEN_CREDENTIAL, SEEN_REASON, SEEN_REMAINING},
    load::{Answer, Connection},
    population::{self, Population},
    variants::{Made, Variant},
};

/// Time limit for keygate to load its policy. A million keys take some ten seconds for each plugin.
const LOADING: Duration = Duration::from_secs(180);

/// Waits until every variant answers correctly. keygate first has to fetch its policy.
pub async fn of(envoy: &Envoy, variants: &[Variant], population: Population) -> Result<()> {
    for variant in variants {
        let what = format!("{} to do what is measured", variant.id);
        eventually(what, LOADING, async || check(envoy, variant, population)).await?;
    }
    Ok(())
}

fn check(envoy: &Envoy, variant: &Variant, population: Population) -> Result<()> {
    // A key of the last page, with which no slice begins, so that all pages have arrived.
    let number = population.allowed() - 1;
    let mut connection = Connection::open(envoy.listener(&variant.listener)?)?;
    connection.send(&variant.request(population, PROBE_HOST, number))?;
    let answer = connection.answer()?;
    if answer.status != variant.status || !answer.body.contains(variant.body) {
        let expected = format!("{} {}", variant.status, variant.body);
        return Err(unexpected(variant, expected, &answer));
    }
    let Some(made) = variant.made else { return Ok(()) };
    let application = population::application(0);
    let seen = answer.header(SEEN_APPLICATION);
    let forwarded = seen.is_some_and(|seen| seen.starts_with(application.trim_end_matches('0')));
    let removed = answer.header(SEEN_CREDENTIAL).is_none();
    let annotated = answer.header(SEEN_REASON) == Some("allowed");
    let limits = answer.header(SEEN_REMAINING).is_some();
    let found = Made { application: forwarded, credential_removed: removed, reason: annotated, limits };
    if found != made {
        return Err(unexpected(variant, format!("{made:?}"), &answer));
    }
    Ok(())
}

fn unexpected(variant: &Variant, expected: String, answer: &Answer) -> Error {
    Error::unexpected(variant.id.clone(), expected, format!("{answer:?}"))
}
