//! The method of measurement, for machines that also do other work.
//!
//! - The load is a closed loop over 16 connections that stay open.
//! - A slice is 160 requests of one variant. Between slices Envoy is idle, and its CPU time is read then, when it is
//!   exact ([`cpu`]).
//! - In a turn each variant has one slice, in a random order that is new each time. A round has many turns. So other
//!   work on the machine affects all variants alike.
//! - A round's figure is the mean of the lowest quarter of its slices. The result is the median of the rounds, and
//!   ratios are computed within a round.
//!
//! Running wrk for some seconds on one listener after the other scatters by more than the differences of interest.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    Result,
    authz::Authz,
    cpu,
    envoy::Envoy,
    figures::{self, Rounds},
    load::Loop,
    population::Population,
    variants::{Keys, Variant},
};

/// Requests of one slice: some 15 ms of Envoy's work. The two ticks of a VM seldom fall into that time.
pub const REQUESTS: usize = 160;
/// Turns before the first round, for caches and TCP's windows.
const WARMING_TURNS: usize = 10;
/// The host of the measured requests.
const HOST: &str = "api.example.com";

/// The amount of measurement.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub rounds: usize,
    /// Turns of a round.
    pub turns: usize,
    /// Requests that each variant serves first. V8 compiles a function with its optimising compiler only after it has run
    /// for long. A function that runs a hundred bytes of code per request needs some 20,000 requests.
    pub warming: usize,
}

/// CPU time of a request in microseconds, for each variant by its id.
pub type Measured = BTreeMap<String, Rounds>;

struct Running<'v> {
    variant: &'v Variant,
    load: Loop,
    /// Number of requests so far, so that each can carry another key.
    made: usize,
    slices: Vec<f64>,
}

/// Measures. Calls `progress` with the number of each round when it is over.
pub fn run(
    envoy: &mut Envoy,
    authz: &Authz,
    variants: &[Variant],
    population: Population,
    extent: Extent,
    mut progress: impl FnMut(usize),
) -> Result<Measured> {
    let open = |variant: &Variant| envoy.listener(&variant.listener).and_then(Loop::open);
    let mut running = variants
        .iter()
        .map(|variant| Ok(Running { variant, load: open(variant)?, made: 0, slices: Vec::new() }))
        .collect::<Result<Vec<_>>>()?;
    for one in &mut running {
        one.serve(extent.warming, population)?;
    }
    let mut measured = Measured::new();
    for round in 0..=extent.rounds {
        let turns = if round == 0 { WARMING_TURNS } else { extent.turns };
        for _ in 0..turns {
            fastrand::shuffle(&mut running);
            for one in &mut running {
                let slice = one.slice(envoy.id(), authz, population)?;
                one.slices.push(slice);
            }
        }
        envoy.check()?;
        for one in &mut running {
            let slices = std::mem::take(&mut one.slices);
            if round > 0 {
                let rounds = measured.entry(one.variant.id.clone()).or_default();
                rounds.0.push(figures::of_slices(&slices));
            }
        }
        progress(round);
    }
    Ok(measured)
}

impl Running<'_> {
    /// Microseconds of CPU time per request.
    fn slice(&mut self, envoy: u32, authz: &Authz, population: Population) -> Result<f64> {
        let with_authz = self.variant.with_authz;
        let used = || -> Result<Duration> {
            let envoy = cpu::settled(envoy)?;
            Ok(if with_authz { envoy + authz.cpu_time() } else { envoy })
        };
        let before = used()?;
        self.serve(REQUESTS, population)?;
        let used = used()?.saturating_sub(before);
        #[expect(clippy::cast_precision_loss, reason = "a slice has few requests")]
        let requests = REQUESTS as f64;
        Ok(used.as_secs_f64() * 1e6 / requests)
    }

    fn serve(&mut self, requests: usize, population: Population) -> Result<()> {
        let Self { variant, load, made, .. } = self;
        let fixed = match variant.keys {
            Keys::Hot | Keys::Blocked | Keys::Limited | Keys::Worst => Some(variant.request(population, HOST, 0)),
            Keys::Other | Keys::Unknown => None,
        };
        load.run(requests, variant.status, || {
            *made += 1;
            fixed.clone().unwrap_or_else(|| variant.request(population, HOST, *made))
        })
    }
}
