//! The least used first, where each pick makes its member busier until it says how busy it is (RFC 5356 section 5.2).
//!
//! A tournament: who is the least used of each pair of members, of each pair of pairs, and of all. A pick reads the winner and
//! replays its matches, log n of them. All workers share it, for what one has asked of a member is true for all; its words are
//! atomic and nobody waits. Two workers that replay the same match at once may leave the wrong winner, until either of the two
//! that played is picked or ranked again: a pick may then miss the least used for a moment, and never anything else.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::candidate::{Candidate, in_steps};
use crate::membership::LeaseTable;

/// Of a member's word, the bits that tell equals apart: who was picked longest ago comes first.
const TURN_BITS: u32 = 24;
const TURN_MAX: u32 = (1 << TURN_BITS) - 1;
/// A million times what a member can bear. Members that never register again, because their lease is for ever, are picked that
/// often.
const STEPS_MAX: u64 = u64::MAX >> TURN_BITS;
/// Matches that a worker has room for without taking memory. A pick of [`super::Shown::PICK_MAX`] of a million opens 1,280; more
/// are open only while thousands of the least used have died unnoticed.
const OPEN: usize = 4096;
/// Members that one pick takes from the top before it opens matches.
const GIVEN_MAX: usize = 8;

/// Members in order of rank, and who is the least used among them.
#[derive(Debug)]
pub(super) struct Tournament {
    players: Box<[Player]>,
    /// The least used member below each node: the first below all, the two below node n at 2n and 2n + 1. The members are the
    /// nodes from `players.len()` on.
    winners: Box<[AtomicU32]>,
    /// Picks since this was made, or since turns began anew.
    turn: AtomicU32,
}

#[derive(Debug)]
struct Player {
    candidate: Candidate,
    /// Level, then turn.
    word: AtomicU64,
}

/// What is yet to be looked at in a pick of several. The capacity is taken once a worker.
#[derive(Debug)]
pub(super) struct Open(BinaryHeap<Reverse<(u64, u32)>>);

impl Default for Open {
    fn default() -> Self {
        Open(BinaryHeap::with_capacity(OPEN))
    }
}

fn word(level: u64, turn: u32) -> u64 {
    (in_steps(level).min(STEPS_MAX) << TURN_BITS) | u64::from(turn.min(TURN_MAX))
}

impl Tournament {
    /// Of these members. Equals begin in the list's order from place `start` on: whoever makes one tournament after the other
    /// moves it, so that nobody is always the first.
    pub fn new(candidates: impl ExactSizeIterator<Item = Candidate>, start: u64) -> Self {
        let count = candidates.len();
        let start = start.checked_rem(count as u64).unwrap_or(0) as usize;
        let players = candidates.enumerate().map(|(rank, candidate)| {
            let turn = (rank + count - start) % count.max(1);
            Player { candidate, word: AtomicU64::new(word(candidate.level(candidate.picks), turn as u32)) }
        });
        let players = players.collect();
        let winners = (0..count).map(|_| AtomicU32::new(0)).collect();
        let tournament = Tournament { players, winners, turn: AtomicU32::new(count as u32) };
        (1..count).rev().for_each(|node| tournament.play(node));
        tournament
    }

    /// Who wins at a node.
    fn winner(&self, node: usize) -> u32 {
        match node.checked_sub(self.players.len()) {
            Some(rank) => rank as u32,
            None => self.winners.get(node).map_or(0, |winner| winner.load(Ordering::Relaxed)),
        }
    }

    fn word_of(&self, rank: u32) -> u64 {
        self.players.get(rank as usize).map_or(u64::MAX, |player| player.word.load(Ordering::Relaxed))
    }

    /// Of each rank, how busy it is, and since when it was picked last.
    pub fn words(&self) -> impl Iterator<Item = u64> {
        self.players.iter().map(|player| player.word.load(Ordering::Relaxed))
    }

    /// Who of two is less used, with its word.
    fn better(&self, one: (u32, u64), other: u32) -> (u32, u64) {
        let word = self.word_of(other);
        if word < one.1 { (other, word) } else { one }
    }

    fn play(&self, node: usize) {
        let one = self.winner(2 * node);
        let (winner, _) = self.better((one, self.word_of(one)), self.winner(2 * node + 1));
        self.enter(node, winner);
    }

    fn enter(&self, node: usize, winner: u32) {
        if let Some(place) = self.winners.get(node) {
            place.store(winner, Ordering::Relaxed);
        }
    }

    /// Makes a member that was picked busier by what it said a pick costs.
    pub fn count(&self, rank: usize, leases: &LeaseTable) {
        let Some(player) = self.players.get(rank) else { return };
        let picks = leases.count_pick(player.candidate.lease);
        let mut turn = self.turn.fetch_add(1, Ordering::Relaxed);
        if turn > TURN_MAX {
            self.begin_turns_anew();
            turn = self.turn.fetch_add(1, Ordering::Relaxed);
        }
        let word = word(player.candidate.level(picks), turn);
        player.word.store(word, Ordering::Relaxed);
        let mut best = (rank as u32, word);
        let mut node = self.players.len() + rank;
        while node > 1 {
            best = self.better(best, self.winner(node ^ 1));
            node /= 2;
            self.enter(node, best.0);
        }
    }

    /// Turns have come to their end: nobody has had one.
    fn begin_turns_anew(&self) {
        self.turn.store(1, Ordering::Relaxed);
        for player in &self.players {
            player.word.fetch_and(!u64::from(TURN_MAX), Ordering::Relaxed);
        }
        (1..self.players.len()).rev().for_each(|node| self.play(node));
    }

    /// Gives ranks, the least used first, until `give` wants no more or none are left; of one that died unnoticed, the next in
    /// its place.
    pub fn least(&self, open: &mut Open, mut give: impl FnMut(usize) -> bool) {
        if self.players.is_empty() {
            return;
        }
        // Whoever is picked is counted, and mostly another is the least used then.
        let mut given = [u32::MAX; GIVEN_MAX];
        for at in 0..GIVEN_MAX {
            let rank = self.winner(1);
            if given.contains(&rank) {
                break;
            }
            if !give(rank as usize) {
                return;
            }
            if let Some(place) = given.get_mut(at) {
                *place = rank;
            }
        }
        let heap = &mut open.0;
        heap.clear();
        let mut next = Some(1_u32);
        while let Some(node) = next {
            let rank = self.winner(node as usize);
            if !given.contains(&rank) && !give(rank as usize) {
                return;
            }
            // The others below this node: whoever lost against the winner on its way up here.
            let leaf = self.players.len() as u32 + rank;
            let way = node.leading_zeros().saturating_sub(leaf.leading_zeros());
            for level in 0..way {
                let loser = (leaf >> level) ^ 1;
                heap.push(Reverse((self.word_of(self.winner(loser as usize)), loser)));
            }
            next = heap.pop().map(|Reverse((_, node))| node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::{LeaseRef, Load};
    use crate::policy::Warmth;

    /// Of members with these loads, to whom a pick costs this much.
    fn tournament(loads: &[u32], degradation: u32) -> Tournament {
        let candidates = loads.iter().map(|&load| Candidate {
            lease: LeaseRef { slot: 0, generation: 0 },
            weight: 1,
            priority: 0,
            load: Load(load),
            degradation: Load(degradation),
            picks: 0,
            warmth: Warmth::WARM,
        });
        Tournament::new(candidates, 0)
    }

    fn pick(tournament: &Tournament) -> usize {
        let (leases, mut picked) = (LeaseTable::new(10), 0);
        tournament.least(&mut Open::default(), |rank| {
            picked = rank;
            tournament.count(rank, &leases);
            false
        });
        picked
    }

    #[test]
    fn equals_go_on_in_turn_when_turns_begin_anew() {
        let tournament = tournament(&[0; 3], 0);
        tournament.turn.store(TURN_MAX - 4, Ordering::Relaxed);
        let picked: Vec<usize> = (0..30).map(|_| pick(&tournament)).collect();
        for rank in 0..3 {
            let times = picked.iter().filter(|&&other| other == rank).count();
            assert!((9..=11).contains(&times), "{picked:?}");
        }
    }

    /// Whether or not the counts of a pick make another the least used at once; here they do among equals alone.
    #[test]
    fn a_pick_has_the_least_used_and_nobody_twice() {
        let (leases, mut open) = (LeaseTable::new(10), Open::default());
        let mut one_is_idle = vec![7 << 20; 20];
        one_is_idle[11] = 1 << 20;
        for loads in [vec![7 << 20; 20], one_is_idle, (0..20).map(|n| (n * 13 % 20) << 20).collect()] {
            let tournament = tournament(&loads, 1);
            let mut by_load = loads.clone();
            by_load.sort_unstable();
            for wanted in (1..=20).chain(1..=20) {
                for is_there in [true, false] {
                    let mut given = Vec::new();
                    tournament.least(&mut open, |rank| {
                        given.push(rank);
                        if is_there {
                            tournament.count(rank, &leases);
                        }
                        given.len() < wanted
                    });
                    let levels: Vec<u32> = given.iter().map(|&rank| loads[rank]).collect();
                    assert_eq!(levels, by_load[..wanted], "{loads:?}");
                    given.sort_unstable();
                    given.dedup();
                    assert_eq!(given.len(), wanted, "nobody twice of {loads:?}");
                }
            }
        }
    }

    /// However many of the least used have died unnoticed, whoever is left is found.
    #[test]
    fn everybody_is_looked_at_once_if_nobody_will_do() {
        let mut rng = fastrand::Rng::with_seed(5);
        let loads: Vec<u32> = (0..40_000).map(|_| rng.u32(..)).collect();
        let mut ranks = Vec::new();
        tournament(&loads, 0).least(&mut Open::default(), |rank| {
            ranks.push(rank);
            true
        });
        ranks.sort_unstable();
        assert!(ranks.iter().copied().eq(0..loads.len()), "{} of {}", ranks.len(), loads.len());
    }

    #[test]
    fn nobody_and_one_alone() {
        let mut open = Open::default();
        for loads in [&[][..], &[5]] {
            let mut given = Vec::new();
            tournament(loads, 1).least(&mut open, |rank| {
                given.push(rank);
                true
            });
            assert_eq!(given.len(), loads.len());
        }
    }

    #[test]
    fn words_hold_what_members_that_never_register_again_are_asked() {
        let full = u64::from(u32::MAX);
        assert!(word(1_000_000 * full, TURN_MAX) < word(1_000_001 * full, 0));
        assert!(word(full / 2, TURN_MAX) < word(full / 2 + full / 500_000, 0));
        assert_eq!(word(u64::MAX, u32::MAX), u64::MAX);
    }
}
