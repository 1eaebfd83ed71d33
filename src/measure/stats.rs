//! Statistics over repeats, as pure functions.

use crate::trial::record::{PhaseRecord, Summary};

/// The median; `None` without samples. Samples must not be NaN.
pub fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    match n {
        0 => None,
        _ if n % 2 == 1 => Some(sorted[n / 2]),
        _ => Some((sorted[n / 2 - 1] + sorted[n / 2]) / 2.0),
    }
}

/// The median absolute deviation from the median; `None` for fewer than two samples.
pub fn mad(samples: &[f64]) -> Option<f64> {
    let centre = median(samples).filter(|_| samples.len() > 1)?;
    median(&samples.iter().map(|x| (x - centre).abs()).collect::<Vec<_>>())
}

/// The coefficient of variation, sample standard deviation (n - 1) over mean; `None` for fewer than two samples or a zero mean.
pub fn coefficient_of_variation(samples: &[f64]) -> Option<f64> {
    let n = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / n;
    if samples.len() < 2 || mean == 0.0 {
        return None;
    }
    let variance = samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Some(variance.sqrt() / mean)
}

/// One summary per phase, engine and number of instances side by side, in the order they first appear.
pub fn summarize(phases: &[PhaseRecord]) -> Vec<Summary> {
    let mut keys: Vec<(_, _, _)> = Vec::new();
    for phase in phases {
        let key = (phase.phase, phase.engine, phase.concurrent);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys.into_iter()
        .filter_map(|(phase, engine, concurrent)| {
            let of_key = phases.iter().filter(|p| (p.phase, p.engine, p.concurrent) == (phase, engine, concurrent));
            let samples: Vec<f64> = of_key.map(|p| p.wall_s).collect();
            Some(Summary {
                phase,
                engine,
                concurrent,
                n: samples.len() as u32,
                median: median(&samples)?,
                min: samples.iter().copied().fold(f64::INFINITY, f64::min),
                max: samples.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                mad: mad(&samples),
                cv: coefficient_of_variation(&samples),
                ci: None,
                noise: None,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spreads_of_known_samples() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(mad(&[1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0]), Some(1.0));
        assert_eq!(mad(&[5.0]), None);
        assert_eq!(coefficient_of_variation(&[5.0]), None);
        let cv = coefficient_of_variation(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert!((cv - (32.0f64 / 7.0).sqrt() / 5.0).abs() < 1e-12);
    }
}
