//! Least used with degradation (RFC 5356 section 5.2): each pick makes its member busier by what it said a pick costs, until it
//! registers again.

use rollcall::membership::Load;
use rollcall::policy::{Chooser, Offer, Policy, Ranking, Shown};
use rollcall::query::Transport;
use rollcall::zone::PoolSettings;

use super::alone::Alone;
use super::world::{World, pool_settings};
use super::{at_most, firsts, join, pass, setup, shown, world_of};

/// What members have said, and how often they were picked since.
struct Model(Vec<Known>);

#[derive(Clone, Copy)]
struct Known {
    load: u32,
    degradation: u32,
    picks: u64,
}

impl Known {
    fn level(&self) -> u64 {
        u64::from(self.load) + self.picks * u64::from(self.degradation)
    }
}

impl Model {
    /// How busy those are that are to be picked: a sorted list's head.
    fn least(&self, wanted: usize) -> Vec<u64> {
        let mut levels: Vec<u64> = self.0.iter().map(Known::level).collect();
        levels.sort_unstable();
        levels.truncate(wanted);
        levels
    }

    fn rank(&self, alone: &Alone, most: u16) -> Ranking {
        let candidates = alone.candidates(|member, candidate| {
            let known = self.0[member];
            (candidate.load, candidate.degradation) = (Load(known.load), Load(known.degradation));
            assert_eq!(candidate.picks, known.picks);
        });
        alone.rank(Policy::LeastUsedDegradation, at_most(most), &candidates)
    }
}

/// Which of two equals comes first may differ, how busy they are may not: in millionths of what a member can bear.
#[test]
fn whoever_is_picked_is_as_little_used_as_a_sorted_list_says() {
    const MILLIONTH: u64 = 1 << 12;
    let mut rng = fastrand::Rng::with_seed(52);
    for members in [1, 2, 3, 7, 8, 40] {
        for most in [1_u16, 2, 5] {
            let mut alone = Alone::new(members);
            let mut known = || Known {
                load: [rng.u32(..), 1 << 30][rng.usize(..2)],
                degradation: [0, rng.u32(..1 << 26), rng.u32(..), 1 << 25][rng.usize(..4)],
                picks: 0,
            };
            let mut model = Model((0..members).map(|_| known()).collect());
            let mut ranking = model.rank(&alone, most);
            for answer in 0..1_200 {
                let picked = alone.pick(&ranking);
                let levels: Vec<u64> = picked.iter().map(|&member| model.0[member].level()).collect();
                let wanted = model.least(usize::from(most));
                assert_eq!(levels.len(), wanted.len());
                let are_close = |(level, wanted): (&u64, &u64)| level.abs_diff(*wanted) <= MILLIONTH;
                assert!(levels.iter().zip(&wanted).all(are_close), "{answer}: {levels:?}, not {wanted:?}");
                picked.iter().for_each(|&member| model.0[member].picks += 1);
                // A heartbeat, one in three with another load.
                if rng.u32(..50) == 0 {
                    let member = rng.usize(..members);
                    alone.table().forget_picks(alone.lease(member));
                    model.0[member].picks = 0;
                    if rng.u32(..3) == 0 {
                        model.0[member].load = rng.u32(..);
                    }
                    ranking = model.rank(&alone, most);
                }
            }
        }
    }
}

/// One that is idle and costs 0.3 a pick, and one that is half used and costs as much.
fn pair(addresses: Shown) -> World {
    let mut world = world_of(Policy::LeastUsedDegradation, addresses);
    join(&mut world, 1, "load=0 degradation=0.3");
    join(&mut world, 2, "load=0.5 degradation=0.3");
    world
}

/// At 0.0, 0.3, (0.5), 0.6, (0.8), 0.9, (1.1), 1.2.
const PAIR: [u8; 8] = [1, 1, 2, 1, 2, 1, 2, 1];

#[test]
fn picks_add_up_past_what_a_member_can_bear() {
    assert_eq!(firsts(&mut pair(at_most(1)), 8), PAIR);
    let mut both = pair(at_most(2));
    assert_eq!([(); 4].map(|()| shown(&mut both)), [[1, 2]; 4], "both are picked each time");
}

/// Whoever is not picked is asked nothing.
#[test]
fn only_picks_count() {
    let mut world = pair(at_most(1));
    let mut picked = Vec::new();
    for _ in 0..PAIR.len() {
        for (name, rtype) in [
            ("_s._tcp.p", "SRV"),
            ("_s._tcp.p", "ANY"),
            ("_s._tcp.all.p", "SRV"),
            ("all.p", "A"),
            ("m1.p", "A"),
            ("m1.p", "ANY"),
            ("p", "AAAA"),
            ("p", "TXT"),
            ("_status.p", "TXT"),
        ] {
            for transport in [Transport::Udp, Transport::Tcp] {
                world.ask_over(transport, name, rtype, None);
            }
        }
        picked.extend(firsts(&mut world, 1));
        // Ranked again, as another member's heartbeat would have it.
        pass(&mut world, 100);
    }
    assert_eq!(picked, PAIR);
}

/// An answer that shows everybody picks nobody: whoever asks next finds them as they were.
#[test]
fn an_answer_that_shows_everybody_counts_for_nobody() {
    for addresses in [Shown::All, Shown::Best] {
        let mut world = pair(addresses);
        for _ in 0..20 {
            assert_eq!(shown(&mut world)[0], 1);
        }
        let settings = pool_settings(Policy::LeastUsedDegradation);
        world.reload(setup(PoolSettings { addresses: at_most(1), ..settings }));
        assert_eq!(firsts(&mut world, 8), PAIR, "{addresses:?}");
    }
}

/// The same members, but for their services: picks of some count, whatever they are picks of.
#[test]
fn picks_of_services_count_where_an_answer_shows_some() {
    let settings = PoolSettings { services: at_most(1), ..pool_settings(Policy::LeastUsedDegradation) };
    let mut world = World::with(setup(settings));
    join(&mut world, 1, "load=0 degradation=0.3");
    join(&mut world, 2, "load=0.5 degradation=0.3");
    let mut firsts = Vec::new();
    for _ in PAIR {
        let fields = super::fields(&mut world, "_s._tcp.p");
        assert_eq!(fields.len(), 1);
        firsts.push(fields[0].0);
    }
    assert_eq!(firsts, PAIR);
}

#[test]
fn a_heartbeat_forgets_the_picks_of_its_own_member() {
    let mut world = pair(at_most(1));
    assert_eq!(firsts(&mut world, 5), PAIR[..5]);
    // 0.9 and 1.1 by now. Without a word of its load it still is as busy as it said.
    join(&mut world, 2, "");
    pass(&mut world, 50);
    assert_eq!(firsts(&mut world, 4), [2, 2, 1, 2], "0.5, 0.8, (0.9), 1.1, then 1.4 and 1.2");
    join(&mut world, 1, "load=0.9");
    join(&mut world, 2, "load=0.4");
    pass(&mut world, 50);
    assert_eq!(firsts(&mut world, 4), [2, 2, 1, 2], "0.4, 0.7, (0.9), 1.0");
}

/// What deletes alone is no registration.
#[test]
fn a_deletion_forgets_no_picks() {
    let mut world = pair(at_most(1));
    join(&mut world, 1, "site=fra");
    assert_eq!(firsts(&mut world, 3), PAIR[..3]);
    world.accept("delete m1.p TXT site=fra");
    pass(&mut world, 50);
    assert_eq!(firsts(&mut world, 5), PAIR[3..]);
}

/// Answers for one family are work for a member that the other family's hear of with the next ranking.
#[test]
fn picks_of_both_families_are_one_members() {
    let mut world = world_of(Policy::LeastUsedDegradation, at_most(1));
    for m in 1..=2 {
        let says = format!("add m{m}.p 30 TXT load=0.{m} degradation=0.3");
        world.accept(&format!("add m{m}.p 30 A 10.0.0.{m}; add m{m}.p 30 AAAA 2001:db8::{m}; {says}"));
    }
    assert_eq!(firsts(&mut world, 1), [1]);
    // Somebody else joins, and the pool is ranked.
    join(&mut world, 9, "load=1");
    let answer = world.ask("p", "AAAA");
    assert_eq!(answer.data(), ["2001:db8::2"], "0.4 and 0.2");
}

#[test]
fn workers_that_pick_at_once_spread_evenly() {
    const WORKERS: u32 = 4;
    const PICKS: u32 = 12_000;
    let alone = Alone::new(16);
    // The second half can bear twice as much.
    let cost = |member: usize| if member < 8 { 2_000_000 } else { 1_000_000 };
    let candidates = alone.candidates(|member, candidate| {
        (candidate.load, candidate.degradation) = (Load(0), Load(cost(member)));
    });
    let ranking = alone.rank(Policy::LeastUsedDegradation, at_most(1), &candidates);
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (ranking, table) = (&ranking, alone.table());
            scope.spawn(move || {
                let mut chooser = Chooser::new(worker, 1);
                for _ in 0..PICKS {
                    ranking.offer(&mut chooser, table, |_| Offer::Taken);
                }
            });
        }
    });
    let picks: Vec<u64> = (0..16).map(|member| alone.table().picks(alone.lease(member))).collect();
    assert_eq!(picks.iter().sum::<u64>(), u64::from(WORKERS * PICKS));
    for (member, &picks) in picks.iter().enumerate() {
        let due = if member < 8 { 2_000 } else { 4_000 };
        assert!(picks.abs_diff(due) <= 100, "m{member}: {picks}, not {due}");
    }
}

/// All heartbeats come at once, every ten seconds, and one question in between: chance must not keep to the clock.
#[test]
fn equals_are_equals_however_regular_their_heartbeats() {
    let mut world = world_of(Policy::LeastUsedDegradation, at_most(1));
    let mut seen = [0_u32; 4];
    for _ in 0..120 {
        (1..=4).for_each(|m| join(&mut world, m, "load=0.25"));
        world.registrar.rank(world.now_ms, usize::MAX);
        world.advance(50);
        world.registrar.rank(world.now_ms, usize::MAX);
        seen[usize::from(firsts(&mut world, 1)[0]) - 1] += 1;
        world.advance(9_950);
    }
    assert!(seen.iter().all(|picks| (18..=42).contains(picks)), "{seen:?}");
}

/// Picks without number between heartbeats, or under a lease without end: who costs more is still asked less.
#[test]
fn costs_count_however_many_picks_there_were() {
    let mut alone = Alone::new(2);
    let before = 3_000;
    let candidates = alone.candidates(|member, candidate| {
        let cost = if member == 0 { 0.25 } else { 0.75 };
        (candidate.load, candidate.degradation) = (Load(0), Load::of(cost));
        candidate.picks = if member == 0 { before } else { before / 3 };
    });
    for candidate in &candidates {
        (0..candidate.picks).for_each(|_| _ = alone.table().count_pick(candidate.lease));
    }
    let ranking = alone.rank(Policy::LeastUsedDegradation, at_most(1), &candidates);
    let shares = alone.shares(&ranking, 400);
    assert!(shares[0].abs_diff(300) <= 2, "{shares:?}");
}
