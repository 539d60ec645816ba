//! Members that say the same are shown equally often, under every policy, alone and beside others.

use rollcall::membership::Load;
use rollcall::policy::{Policy, Shown};

use super::alone::Alone;
use super::{at_most, policies, rounds};

fn is_by_lot(policy: Policy) -> bool {
    matches!(policy, Policy::Random | Policy::WeightedRandom | Policy::RandomizedLeastUsed)
}

/// Whether counts are equal: exactly, or as nearly as chance has it.
#[track_caller]
fn assert_equal(counts: &[u64], off_max: f64, what: &str) {
    let mean = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    assert!(counts.iter().all(|&count| (count as f64 - mean).abs() <= off_max), "{what}: {counts:?}");
}

#[test]
fn a_pool_of_equals() {
    for policy in policies() {
        for members in 1..=6_u16 {
            let some = (1..=members + 1).map(at_most);
            for shown in some.chain([Shown::All, Shown::Best]) {
                let mut alone = Alone::new(usize::from(members));
                let ranking = alone.rank(policy, shown, &alone.candidates(|_, _| {}));
                // A multiple of every number of members.
                let answers = if is_by_lot(policy) { rounds(2_400) } else { 60 };
                let counts = alone.shares(&ranking, answers);
                let wanted = match shown {
                    Shown::AtMost(most) => most.get().min(members),
                    Shown::All | Shown::Best => members,
                };
                assert_eq!(counts.iter().sum::<u64>(), u64::from(answers) * u64::from(wanted));
                let share = f64::from(wanted) / f64::from(members);
                let deviation = (f64::from(answers) * share * (1.0 - share)).sqrt();
                let off_max = if is_by_lot(policy) { 4.0 * deviation } else { 0.0 };
                assert_equal(&counts, off_max, &format!("{policy:?} {shown:?} of {members}"));
            }
        }
    }
}

/// Three sorts of members, three of each, mixed; those of a sort are equals.
#[test]
fn equals_among_others() {
    for policy in policies() {
        for most in 1..=8_u16 {
            let mut alone = Alone::new(9);
            let candidates = alone.candidates(|member, candidate| {
                let sort = member as u32 % 3;
                (candidate.weight, candidate.priority) = (1 + 20 * sort * sort, sort);
                (candidate.load, candidate.degradation) = (Load(sort << 29), Load(1 << (20 + sort)));
            });
            let ranking = alone.rank(policy, at_most(most), &candidates);
            let answers = rounds(3_600);
            let counts = alone.shares(&ranking, answers);
            assert_eq!(counts.iter().sum::<u64>(), u64::from(answers) * u64::from(most));
            for sort in 0..3 {
                let counts: Vec<u64> = counts.iter().skip(sort).step_by(3).copied().collect();
                // Weighted round robin draws lots where an answer would show somebody twice.
                let is_exact = !is_by_lot(policy) && (policy != Policy::WeightedRoundRobin || most == 1);
                let mean = counts.iter().sum::<u64>() as f64 / 3.0;
                let off_max = if is_exact { 2.0 } else { 4.0 * mean.sqrt() };
                assert_equal(&counts, off_max, &format!("{policy:?}, {most} of sort {sort}"));
            }
        }
    }
}

/// The first place matters too, to clients that take the first address: of a whole list it goes round.
#[test]
fn equals_lead_equally_often_where_the_whole_pool_is_shown() {
    for policy in policies() {
        let mut alone = Alone::new(5);
        let ranking = alone.rank(policy, Shown::All, &alone.candidates(|_, _| {}));
        let mut leads = [0; 5];
        let answers = if is_by_lot(policy) { rounds(5_000) } else { 50 };
        (0..answers).for_each(|_| leads[alone.pick(&ranking)[0]] += 1);
        let deviation = (f64::from(answers) * 0.2 * 0.8).sqrt();
        assert_equal(&leads, if is_by_lot(policy) { 4.0 * deviation } else { 0.0 }, &format!("{policy:?}"));
    }
}
