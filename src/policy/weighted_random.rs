//! At random, each as often as its weight says (RFC 5356 section 4.4); as often as all others if the weights are the same
//! (section 4.3), and as often as it has capacity to spare if that is its weight (section 5.4).

use super::totals::{Drawn, Totals};

/// Draws ranks without replacement until `give` wants no more or none are left.
pub(super) fn draw(
    totals: &Totals,
    rng: &mut fastrand::Rng,
    drawn: &mut Drawn,
    give: impl FnMut(usize) -> bool,
) {
    drawn.clear();
    draw_others(totals, rng, drawn, give);
}

/// Goes on drawing, beside those who are drawn.
///
/// Each draw is exact: an amount below the weight that is left, moved up past every share drawn before.
pub(super) fn draw_others(
    totals: &Totals,
    rng: &mut fastrand::Rng,
    drawn: &mut Drawn,
    mut give: impl FnMut(usize) -> bool,
) {
    let mut left = totals.all().saturating_sub(drawn.weight());
    while left > 0 {
        let rank = totals.rank_at(drawn.passed_by(rng.u64(..left)));
        if !give(rank) {
            return;
        }
        let share = totals.share(rank);
        if !drawn.insert(share) {
            // Hundreds are shown, or died since the view was published: any that is left will do.
            _ = drawn.undrawn_from(rank, totals.len()).filter(|other| *other != rank).all(give);
            return;
        }
        left = left.saturating_sub(share.weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(weights: &[u64]) -> Totals {
        Totals::new(weights.iter().copied(), u64::MAX)
    }

    fn pick(totals: &Totals, rng: &mut fastrand::Rng, wanted: usize) -> Vec<usize> {
        let mut picked = Vec::new();
        draw(totals, rng, &mut Drawn::default(), |rank| {
            picked.push(rank);
            picked.len() < wanted
        });
        picked
    }

    /// The second of two draws falls on a rank with probability w / (total - first), exactly.
    #[test]
    fn later_draws_are_exact_too() {
        let ranks = totals(&[1, 1, 2]);
        let mut rng = fastrand::Rng::with_seed(3);
        let draws = 120_000;
        let second_is_heavy = (0..draws).filter(|_| pick(&ranks, &mut rng, 2)[1] == 2).count();
        // 2 * 1/4 * 2/3 = 1/3.
        let share = second_is_heavy as f64 / f64::from(draws);
        assert!((share - 1.0 / 3.0).abs() < 0.005, "{share}");
    }

    #[test]
    fn nobody_is_drawn_twice_however_many_are_wanted() {
        let weights: Vec<u64> = (1..=1_000).collect();
        let mut rng = fastrand::Rng::with_seed(1);
        for ranks in [totals(&weights), totals(&[5; 1_000])] {
            let mut picked = pick(&ranks, &mut rng, 2_000);
            picked.sort_unstable();
            assert!(picked.iter().copied().eq(0..1_000), "{}", picked.len());
        }
    }

    #[test]
    fn nobody_to_draw() {
        assert!(pick(&totals(&[]), &mut fastrand::Rng::with_seed(1), 3).is_empty());
    }
}
