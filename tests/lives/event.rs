//! What may happen in a life. All times are multiples of eight milliseconds, the server's smallest step: then whoever is due
//! at a tick is gone with it.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// The most members that there are.
pub const MEMBERS: u8 = 20;
/// The server's tick, milliseconds.
pub const TICK_MS: u64 = 48;

/// What a member registers that is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    V4,
    V6,
    Srv,
}

pub const KINDS: [Kind; 3] = [Kind::V4, Kind::V6, Kind::Srv];

/// A message in which a member says something of itself.
#[derive(Debug, Clone, Default)]
pub struct Beat {
    pub m: u8,
    /// Records that it names; with none of them, attributes alone.
    pub named: Vec<Kind>,
    /// The lease that it asks for, seconds.
    pub lease_s: Option<u32>,
    pub has_load: bool,
    pub site: Option<&'static str>,
    pub drain_s: Option<u32>,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub enum Event {
    Beat(Beat),
    /// Everybody sends all that it has to say, with this lease in seconds.
    Everybody(u32),
    /// A member deletes one of its records.
    Delete(u8, Kind),
    /// It deletes its name.
    Leave(u8),
    /// It takes back what it said about draining.
    TakeBack(u8),
    /// An operator drains a member, for so many seconds or until further notice.
    Drain(u8, Option<u32>),
    Undrain(u8),
    /// Time passes and the server ticks; the first `heard` members renew once a second, all others are silent.
    Live {
        ms: u64,
        heard: u8,
    },
    /// Time passes and the server's tick does not come.
    Late {
        ms: u64,
    },
    /// The wall clock jumps, milliseconds.
    Jump(i64),
    /// The server ends, by SIGKILL or cleanly, and starts again; so many times, up for a moment in between.
    Restart {
        is_clean: bool,
        down_ms: u64,
        times: u8,
        up_ms: u64,
        jump_ms: i64,
    },
}

fn member(most: u8) -> impl Strategy<Value = u8> {
    // Few of them, so that things happen to the same ones.
    prop_oneof![3 => 0..4.min(most), 1 => 0..most]
}

fn beat(most: u8) -> impl Strategy<Value = Beat> {
    let named = prop_oneof![
        2 => Just(KINDS.to_vec()),
        2 => Just(vec![Kind::V4]),
        2 => subsequence(&KINDS[..], 1..=3),
        1 => Just(Vec::new()),
    ];
    let lease_s = prop::option::of(prop_oneof![4 => 2_u32..16, 1 => Just(90), 1 => Just(0)]);
    let site = prop::option::weighted(0.2, select(&["fra", "ams"][..]));
    let drain_s = prop::option::weighted(0.15, prop_oneof![4 => 1_u32..20, 1 => Just(0)]);
    (member(most), named, lease_s, any::<bool>(), site, drain_s).prop_map(
        |(m, named, lease_s, has_load, site, drain_s)| {
            let says_something = !named.is_empty() || site.is_some() || drain_s.is_some();
            Beat { m, named, lease_s, has_load: has_load || !says_something, site, drain_s }
        },
    )
}

fn ms(most: u64) -> impl Strategy<Value = u64> {
    (1..most / 8).prop_map(|steps| steps * 8)
}

fn jump() -> impl Strategy<Value = i64> {
    select(&[-3_600_000_i64, 3_600_000][..])
}

fn restart() -> impl Strategy<Value = Event> {
    let down_ms = prop_oneof![3 => ms(2_000), 2 => ms(30_000), 1 => Just(7_200_000)];
    let jump_ms = prop_oneof![3 => Just(0), 1 => jump()];
    (any::<bool>(), down_ms, 1_u8..4, ms(3_000), jump_ms).prop_map(
        |(is_clean, down_ms, times, up_ms, jump_ms)| Event::Restart {
            is_clean,
            down_ms,
            times,
            up_ms,
            jump_ms,
        },
    )
}

fn word(most: u8) -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => beat(most).prop_map(Event::Beat),
        2 => (member(most), select(&KINDS[..])).prop_map(|(m, kind)| Event::Delete(m, kind)),
        2 => member(most).prop_map(Event::Leave),
        1 => member(most).prop_map(Event::TakeBack),
        2 => (member(most), prop::option::of(1_u32..20)).prop_map(|(m, for_s)| Event::Drain(m, for_s)),
        1 => member(most).prop_map(Event::Undrain),
    ]
}

/// At least so long that an answer's bound is looked for anew.
fn lived(most_ms: u64) -> impl Strategy<Value = u64> {
    ms(most_ms).prop_map(|ms| ms + 96)
}

/// A life among few.
pub fn calm() -> impl Strategy<Value = Event> {
    let live = (lived(6_000), 0_u8..5).prop_map(|(ms, heard)| Event::Live { ms, heard });
    let silence = lived(40_000).prop_map(|ms| Event::Live { ms, heard: 0 });
    let late = prop_oneof![3 => ms(3_000), 1 => ms(40_000)].prop_map(|ms| Event::Late { ms });
    prop_oneof![
        18 => word(6),
        6 => live,
        1 => silence,
        2 => late,
        1 => jump().prop_map(Event::Jump),
        2 => restart(),
    ]
}

/// A life among many.
pub fn crowded() -> impl Strategy<Value = Event> {
    // Half of them are no mass, and one fewer is one.
    let heard = prop_oneof![2 => 0..=MEMBERS, 1 => MEMBERS / 2 - 1..=MEMBERS / 2];
    let live = (lived(12_000), heard).prop_map(|(ms, heard)| Event::Live { ms, heard });
    let silence = lived(60_000).prop_map(|ms| Event::Live { ms, heard: 0 });
    let late = prop_oneof![3 => ms(900), 1 => ms(20_000)].prop_map(|ms| Event::Late { ms });
    prop_oneof![
        4 => prop_oneof![3_u32..16, Just(90)].prop_map(Event::Everybody),
        8 => word(MEMBERS),
        6 => live,
        2 => silence,
        1 => late,
        1 => jump().prop_map(Event::Jump),
        1 => restart(),
    ]
}
