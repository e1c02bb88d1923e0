//! Means and rates, never without an interval.

use serde::Serialize;

/// Half the width of a 95 % interval, in standard deviations.
const Z_95: f64 = 1.959_964;

/// Count, mean and spread of numbers that came one by one (Welford, Technometrics 1962).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Numbers.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    squares: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Tally {
    /// Adds a number.
    pub fn add(&mut self, value: f64) {
        self.least = if self.count == 0 { value } else { self.least.min(value) };
        self.most = if self.count == 0 { value } else { self.most.max(value) };
        self.count += 1;
        let from_mean = value - self.mean;
        self.mean += from_mean / self.count as f64;
        self.squares += from_mean * (value - self.mean);
    }

    /// Adds all numbers of another tally (Chan, Golub, LeVeque 1979).
    pub fn join(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        let (own, theirs) = (self.count as f64, other.count as f64);
        let between = other.mean - self.mean;
        let all = own + theirs;
        self.mean += between * theirs / all;
        self.squares += other.squares + between * between * own * theirs / all;
        self.count += other.count;
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
    }

    /// The 95 % interval of the mean, by the normal approximation.
    pub fn interval_95(&self) -> [f64; 2] {
        if self.count < 2 {
            return [self.least, self.most];
        }
        let count = self.count as f64;
        let half = Z_95 * (self.squares / (count - 1.0) / count).sqrt();
        [self.mean - half, self.mean + half]
    }
}

/// A rate with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// How often it happened.
    pub happened: u64,
    /// Of how many.
    pub of: u64,
    /// Lower end.
    pub low: f64,
    /// Upper end. Of what never happened, the rule of three: 3 / n.
    pub high: f64,
}

/// The interval of Wilson (JASA 1927); for what never (or always) happened, the rule of three.
pub fn rate(happened: u64, of: u64) -> Rate {
    if of == 0 {
        return Rate { happened, of, low: 0.0, high: 1.0 };
    }
    let (hits, count) = (happened as f64, of as f64);
    let three = (3.0 / count).min(1.0);
    if happened == 0 {
        return Rate { happened, of, low: 0.0, high: three };
    }
    if happened == of {
        return Rate { happened, of, low: 1.0 - three, high: 1.0 };
    }
    let share = hits / count;
    let square = Z_95 * Z_95;
    let middle = (share + square / (2.0 * count)) / (1.0 + square / count);
    let spread = share * (1.0 - share) / count + square / (4.0 * count * count);
    let half = Z_95 / (1.0 + square / count) * spread.sqrt();
    Rate { happened, of, low: middle - half, high: middle + half }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_tallies_equal_one_tally() {
        let values: Vec<f64> = (0..100).map(|index| f64::from(index * index % 37)).collect();
        let (mut all, mut first, mut second) =
            (Tally::default(), Tally::default(), Tally::default());
        values.iter().for_each(|value| all.add(*value));
        values[..30].iter().for_each(|value| first.add(*value));
        values[30..].iter().for_each(|value| second.add(*value));
        first.join(&second);
        assert_eq!(first.count, all.count);
        assert!((first.mean - all.mean).abs() < 1e-9);
        assert!((first.interval_95()[0] - all.interval_95()[0]).abs() < 1e-9);
    }

    #[test]
    fn intervals_hold_the_rate_and_stay_inside_zero_and_one() {
        for (happened, of) in [(0, 10), (10, 10), (1, 10), (500, 1000)] {
            let rate = rate(happened, of);
            let share = happened as f64 / of as f64;
            assert!(rate.low <= share && share <= rate.high);
            assert!(rate.low >= 0.0 && rate.high <= 1.0);
        }
        assert!((rate(0, 3_000_000).high - 1e-6).abs() < 1e-12);
    }
}
