//! From samples to figures: medians, and ratios within the same round.

/// One burst against one server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) per_second: f64,
    pub(crate) cpu_us: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) faults: u64,
    /// The part of its core that the server used.
    pub(crate) core: f64,
    /// Cores that neither the server nor the load generator used.
    pub(crate) others: f64,
}

/// The samples of one server on one path, one a round.
pub(crate) type Samples = [Sample];

/// The middle value; `None` of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// The median over rounds of the ratio within a round: what disturbs a whole round disturbs both sides.
pub(crate) fn ratio(samples: &Samples, base: &Samples, of: impl Fn(&Sample) -> f64) -> Option<f64> {
    median(samples.iter().zip(base).map(|(sample, base)| of(sample) / of(base)))
}

/// A row of a table: absolute figures for orientation, ratios for judgement.
pub(crate) fn cells(samples: &Samples, base: Option<&Samples>) -> String {
    let middle = |of: fn(&Sample) -> f64| median(samples.iter().map(of)).unwrap_or(f64::NAN);
    let ratio = |of: fn(&Sample) -> f64| {
        base.and_then(|base| ratio(samples, base, of))
            .map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.3}"))
    };
    let faults: u64 = samples.iter().map(|sample| sample.faults).sum();
    let note = if faults > 0 {
        format!(" ({faults} faulty answers)")
    } else {
        String::new()
    };
    format!(
        "{:.0}{note} | {} | {:.2} | {} | {:.0} % | {:.2} | {:.2}",
        middle(|sample| sample.per_second),
        ratio(|sample| sample.per_second),
        middle(|sample| sample.cpu_us),
        ratio(|sample| sample.cpu_us),
        middle(|sample| sample.core) * 100.0,
        middle(|sample| sample.p50_ms),
        middle(|sample| sample.p99_ms),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(per_second: f64) -> Sample {
        Sample {
            per_second,
            cpu_us: 1e6 / per_second,
            p50_ms: 0.5,
            p99_ms: 1.0,
            faults: 0,
            core: 1.0,
            others: 0.0,
        }
    }

    #[test]
    fn the_middle_of_even_odd_and_none() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([f64::INFINITY, 1.0]), Some(1.0));
        assert_eq!(median([]), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine halves its speed in the second round: the ratio stays.
        let base = [sample(100.0), sample(50.0), sample(100.0)];
        let ours = [sample(90.0), sample(45.0), sample(95.0)];
        assert_eq!(ratio(&ours, &base, |sample| sample.per_second), Some(0.9));
        assert_eq!(
            cells(&ours, Some(&base)),
            "90 | 0.900 | 11111.11 | 1.111 | 100 % | 0.50 | 1.00"
        );
    }
}
