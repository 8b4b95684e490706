//! Netem's tables of how delays are spread (tc-netem(8), `distribution`): the quantiles of a distribution whose mean is 0
//! and whose standard deviation is 1, of which the kernel takes one at random and multiplies it with the jitter.

use crate::model::conditions::Distribution;

/// What the kernel has 1 as (NETEM_DIST_SCALE, linux/pkt_sched.h).
const SCALE: f64 = 8192.0;

/// How many quantiles there are: as many as tc(8)'s own tables have.
const QUANTILES: u16 = 4096;

/// The table of a distribution; the kernel needs none for the uniform one.
pub(super) fn table(distribution: Distribution) -> Option<Vec<i16>> {
    let quantiles = match distribution {
        Distribution::Uniform => return None,
        Distribution::Normal => normal(),
        Distribution::Pareto => pareto(),
        Distribution::ParetoNormal => {
            normal().into_iter().zip(pareto()).map(|(normal, pareto)| normal / 4.0 + pareto * 3.0 / 4.0).collect()
        }
    };
    Some(quantiles.into_iter().map(scaled).collect())
}

/// The share of what is below each quantile.
fn shares() -> impl Iterator<Item = f64> {
    (0..QUANTILES).map(|number| (f64::from(number) + 0.5) / f64::from(QUANTILES))
}

/// The quantiles of the normal distribution, by adding up its density.
fn normal() -> Vec<f64> {
    const FROM: f64 = -6.0;
    const STEP: f64 = 1.0 / 4096.0;
    let (mut x, mut below) = (FROM, 0.0);
    let mut quantiles = Vec::with_capacity(usize::from(QUANTILES));
    for share in shares() {
        while below < share && x < -FROM {
            let middle = x + STEP / 2.0;
            below += STEP * (-middle * middle / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
            x += STEP;
        }
        quantiles.push(x);
    }
    quantiles
}

/// The quantiles of the Pareto distribution of shape 3, moved and scaled so that its mean is 0 and its deviation 1.
fn pareto() -> Vec<f64> {
    const SHAPE: f64 = 3.0;
    let mean = SHAPE / (SHAPE - 1.0);
    let deviation = (SHAPE / (SHAPE - 2.0)).sqrt() / (SHAPE - 1.0);
    shares().map(|share| ((1.0 - share).powf(-1.0 / SHAPE) - mean) / deviation).collect()
}

/// As the kernel holds it. What is further out than four deviations it can't.
#[expect(clippy::cast_possible_truncation, reason = "the bounds are i16's own")]
fn scaled(quantile: f64) -> i16 {
    (quantile * SCALE).round().clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_the_mean_0_and_the_deviation_1() {
        // The kernel's numbers end at four deviations, beyond which a Pareto distribution has much of its own.
        let bounds = [(Distribution::Normal, 0.01), (Distribution::Pareto, 0.35), (Distribution::ParetoNormal, 0.25)];
        for (distribution, tolerance) in bounds {
            let table = table(distribution).unwrap();
            assert_eq!(table.len(), usize::from(QUANTILES));
            assert!(table.is_sorted(), "{distribution:?}");
            let count = f64::from(QUANTILES);
            let mean = table.iter().map(|&q| f64::from(q)).sum::<f64>() / count / SCALE;
            let variance = table.iter().map(|&q| (f64::from(q) / SCALE - mean).powi(2)).sum::<f64>() / count;
            assert!(mean.abs() < tolerance, "{distribution:?} has the mean {mean}");
            assert!((variance.sqrt() - 1.0).abs() < tolerance, "{distribution:?} has the variance {variance}");
        }
        assert_eq!(table(Distribution::Uniform), None);
    }

    #[test]
    fn known_quantiles_are_where_they_belong() {
        let at = |distribution, number: usize| f64::from(table(distribution).unwrap()[number]) / SCALE;
        let normal = |number| at(Distribution::Normal, number);
        assert!(normal(2048).abs() < 0.002, "the median, {}", normal(2048));
        assert!((normal(3993) - 1.96).abs() < 0.01, "97.5%, {}", normal(3993));
        assert!((normal(102) + 1.96).abs() < 0.01, "2.5%, {}", normal(102));
        assert!(at(Distribution::Pareto, 2048) < -0.2, "most of a Pareto distribution is early");
    }
}
