//! Whether memory grows: fits a straight line through all samples after a warm-up, by least squares. Pure.

use std::time::Duration;

/// A sample of the memory.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Time since the start.
    pub at: Duration,
    pub kib: u64,
}

/// A straight line through samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// In KiB per minute.
    pub per_minute: f64,
    /// In KiB.
    pub mean: f64,
    /// Minutes from the first sample to the last.
    pub minutes: f64,
}

impl Slope {
    /// The line through the samples from `warm` on. `None` if there are fewer than two, or all have the same time.
    pub fn through(samples: &[Sample], warm: Duration) -> Option<Self> {
        let points: Vec<(f64, f64)> = samples
            .iter()
            .filter(|sample| sample.at >= warm)
            .map(|sample| (sample.at.as_secs_f64() / 60.0, sample.kib as f64))
            .collect();
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (minute, kib) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = points.iter().map(|point| (point.0 - minute).powi(2)).sum();
        let together: f64 = points.iter().map(|point| (point.0 - minute) * (point.1 - kib)).sum();
        let minutes = points.last()?.0 - points.first()?.0;
        (spread > 0.0).then(|| Self { per_minute: together / spread, mean: kib, minutes })
    }

    /// Rise of the line over all samples, as a share of the mean.
    pub fn rise(&self) -> f64 {
        self.per_minute * self.minutes / self.mean
    }

    /// Whether the line rises by at most `share` of the mean over all samples.
    pub fn is_flat(&self, share: f64) -> bool {
        self.rise() <= share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kib: impl Fn(u64) -> u64) -> Vec<Sample> {
        (0..=600).map(|second| Sample { at: Duration::from_secs(second), kib: kib(second) }).collect()
    }

    #[test]
    fn what_grows_is_not_flat_and_what_only_swings_is() {
        let cases: &[(&str, Vec<Sample>, f64, bool)] = &[
            ("constant", line(|_| 200_000), 0.0, true),
            ("100 KiB a second", line(|second| 200_000 + 100 * second), 6000.0, false),
            ("20 KiB a second", line(|second| 200_000 + 20 * second), 1200.0, false),
            ("1 KiB a second", line(|second| 200_000 + second), 60.0, true),
            ("sawteeth", line(|second| 200_000 + 1000 * (second % 10)), 0.0, true),
            ("shrinks", line(|second| 200_000 - 100 * second), -6000.0, true),
            ("grows while it warms up", line(|second| 200_000 + 5000 * second.min(60)), 0.0, true),
        ];
        for (name, samples, per_minute, flat) in cases {
            let slope = Slope::through(samples, Duration::from_secs(60)).unwrap();
            assert!((slope.per_minute - per_minute).abs() < 60.0, "{name}: {slope:?}");
            assert_eq!(slope.is_flat(0.03), *flat, "{name}: {slope:?}");
        }
    }

    #[test]
    fn there_is_no_line_through_a_point() {
        assert_eq!(Slope::through(&[], Duration::ZERO), None);
        assert_eq!(Slope::through(&line(|_| 1)[..1], Duration::ZERO), None);
        assert_eq!(Slope::through(&line(|_| 1), Duration::from_secs(601)), None);
    }
}
