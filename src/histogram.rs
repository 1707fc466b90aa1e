//! Durations counted in fixed buckets: no allocation, and as cheap as a few comparisons.

/// Upper bounds of the buckets, in microseconds; each holds what is at most its bound and above the one before. Beyond the
/// last there is one more, without a bound.
pub const BUCKET_BOUNDS_US: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
];

/// How often durations of which length were seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKET_BOUNDS_US.len() + 1],
    sum_us: u64,
}

impl Histogram {
    /// Counts one more.
    pub fn record_us(&mut self, us: u64) {
        let bucket = BUCKET_BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// How many there are in each bucket; the last is the one without a bound.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// How many there are in all.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All durations together, in microseconds.
    #[must_use]
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// Adds what another one has counted.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_bucket_of_the_first_bound_that_it_does_not_exceed() {
        let mut histogram = Histogram::default();
        for us in [0, 50, 51, 10_000_000, 10_000_001, u64::MAX] {
            histogram.record_us(us);
        }
        let counts = histogram.counts();
        assert_eq!((counts[0], counts[1], counts[15], counts[16]), (2, 1, 1, 2));
        assert_eq!((histogram.count(), histogram.sum_us()), (6, u64::MAX));
    }

    #[test]
    fn histograms_add_up() {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        one.record_us(60);
        other.record_us(60);
        other.record_us(7);
        one.add(&other);
        assert_eq!((one.count(), one.sum_us(), one.counts()[1]), (3, 127, 2));
    }
}
