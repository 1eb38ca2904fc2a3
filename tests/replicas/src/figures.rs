//! Summarises many samples.

use std::{fmt, time::Duration};

/// Median, 99th percentile and maximum of delays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delays {
    pub count: usize,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub highest_ms: f64,
}

impl Delays {
    pub fn of(samples: &[Duration]) -> Self {
        let mut sorted: Vec<f64> = samples.iter().map(|sample| sample.as_secs_f64() * 1e3).collect();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let last = sorted.len().saturating_sub(1);
            sorted.get((last as f64 * part).round() as usize).copied().unwrap_or_default()
        };
        Self { count: sorted.len(), p50_ms: at(0.5), p99_ms: at(0.99), highest_ms: at(1.0) }
    }
}

impl fmt::Display for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, p50_ms, p99_ms, highest_ms } = self;
        write!(f, "p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms, highest {highest_ms:.1} ms of {count}")
    }
}

/// The rate and the delays of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Operations per second.
    pub rate: f64,
    pub delays: Delays,
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}/s, answered in {}", self.rate, self.delays)
    }
}

/// Lowest, mean and highest of a few measurements of one thing.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    lowest: f64,
    mean: f64,
    highest: f64,
}

impl Spread {
    pub fn of(measured: &[f64]) -> Self {
        Self {
            lowest: measured.iter().copied().fold(f64::INFINITY, f64::min),
            mean: measured.iter().sum::<f64>() / measured.len() as f64,
            highest: measured.iter().copied().fold(0.0, f64::max),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lowest, mean, highest } = self;
        write!(f, "{mean:.2} ({lowest:.2} to {highest:.2})")
    }
}
