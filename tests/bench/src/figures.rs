//! Computes figures from slices: one for each variant and round, then the median of the rounds.

/// The lowest 1/4 of a round's slices counts. A disturbance (another process, an interrupt, a timer of Envoy's) only
/// ever makes a slice more expensive, so the cheapest slices show the real cost.
const COUNTED: usize = 4;

/// One figure for each round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rounds(pub Vec<f64>);

impl Rounds {
    /// The middle value, or the mean of the two middle values. Zero if there is none.
    pub fn median(&self) -> f64 {
        median(&self.0)
    }

    /// The lowest and the highest value.
    pub fn range(&self) -> (f64, f64) {
        let fold = |pick: fn(f64, f64) -> f64, start| self.0.iter().copied().fold(start, pick);
        (fold(f64::min, f64::INFINITY), fold(f64::max, f64::NEG_INFINITY))
    }

    /// Combines two series, round by round.
    pub fn with(&self, other: &Self, combine: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, two)| combine(*one, *two)).collect())
    }

    /// Subtracts another series, round by round.
    pub fn less(&self, other: &Self) -> Self {
        self.with(other, |one, two| one - two)
    }

    /// Divides by another series, round by round.
    pub fn over(&self, other: &Self) -> Self {
        self.with(other, |one, two| one / two)
    }
}

/// The middle value, or the mean of the two middle values. Zero if there is none.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which the part `part` (0 to 1) of all values lies, interpolated if necessary. Zero if there is none.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    #[expect(clippy::cast_precision_loss, reason = "counts of samples are far below 2^52")]
    let place = part * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between zero and the last index")]
    let below = place.floor() as usize;
    let at = |index: usize| sorted.get(index.min(last)).copied().unwrap_or_default();
    at(below) + (at(below + 1) - at(below)) * place.fract()
}

/// The mean of the lowest quarter of a round's slices.
pub fn of_slices(slices: &[f64]) -> f64 {
    let mut sorted = slices.to_vec();
    sorted.sort_by(f64::total_cmp);
    let counted = sorted.len().div_ceil(COUNTED);
    sorted.truncate(counted);
    #[expect(clippy::cast_precision_loss, reason = "counts of slices are far below 2^52")]
    let mean = sorted.iter().sum::<f64>() / counted.max(1) as f64;
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_disturbs_a_slice_does_not_reach_the_figure() {
        let mut slices = vec![50.0, 52.0, 51.0, 53.0, 90.0, 70.0, 60.0, 55.0];
        assert_eq!(of_slices(&slices), 50.5);
        slices[4] = 9000.0;
        assert_eq!(of_slices(&slices), 50.5);
        assert_eq!(of_slices(&[]), 0.0);
    }

    #[test]
    fn quantiles_lie_between_the_values() {
        for (values, part, expected) in [
            (&[3.0, 1.0, 2.0][..], 0.5, 2.0),
            (&[4.0, 1.0, 2.0, 3.0], 0.5, 2.5),
            (&[1.0, 2.0], 1.0, 2.0),
            (&[7.0], 0.99, 7.0),
            (&[], 0.5, 0.0),
        ] {
            assert_eq!(quantile(values, part), expected, "{values:?} {part}");
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let slow_machine = Rounds(vec![10.0, 20.0]);
        let same_machine = Rounds(vec![5.0, 10.0]);
        assert_eq!(slow_machine.over(&same_machine), Rounds(vec![2.0, 2.0]));
        assert_eq!(slow_machine.less(&same_machine).range(), (5.0, 10.0));
    }
}
