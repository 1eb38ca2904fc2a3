//! How the figures are taken, on machines that do other things too.
//!
//! - The load is a closed loop over 16 connections that are open all the time.
//! - A slice is 160 requests of one variant. Between slices Envoy is idle, and its CPU time is read then, when it is exact
//!   ([`cpu`]).
//! - In a turn each variant has one slice, in an order that is drawn anew; a round has many turns. So whatever the machine
//!   does, it does to all variants alike.
//! - A round's figure is the mean of the lowest quarter of its slices; the result is the median of the rounds, and ratios
//!   are taken within a round.
//!
//! Seconds of wrk for one listener after the other scatter by more than what is to be told apart.

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

/// Requests of one slice: some 15 ms of Envoy's work, within which the two ticks of a VM seldom fall.
pub const REQUESTS: usize = 160;
/// Turns before the first round: caches, TCP's windows.
const WARMING_TURNS: usize = 10;
/// The host of the requests that are measured.
const HOST: &str = "api.example.com";

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Rounds.
    pub rounds: usize,
    /// Turns of a round.
    pub turns: usize,
    /// Requests that each variant serves first. V8 compiles a function with its optimising compiler only when it has run
    /// for long: one that runs a hundred bytes for each request, after some 20,000 of them.
    pub warming: usize,
}

/// CPU time of a request in microseconds, for each variant by its id.
pub type Measured = BTreeMap<String, Rounds>;

struct Running<'v> {
    variant: &'v Variant,
    load: Loop,
    /// Requests made so far, so that each can carry another key.
    made: usize,
    slices: Vec<f64>,
}

/// Measures; `progress` is told each round's number when it is over.
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
    /// Microseconds of CPU time for a request.
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
