//! How much of what the network can cause reaches the log: everything is counted, some of it is logged.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use ipnetwork::Ipv6Network;

/// Sources that are told apart within a second. Past this, the others share what all of them together may log.
const SOURCES_MAX: usize = 1024;
/// Lines that one source may have in a second, each about something else: a client that varies what is wrong leaves room
/// for others too.
const LINES_EACH_MAX: usize = 5;

/// Lets so many lines a second into the log, and counts the others.
pub struct Limiter {
    per_second: u32,
    second: u64,
    logged: u32,
    suppressed: u64,
}

impl Limiter {
    /// So many lines in each second of the monotonic clock.
    pub fn new(per_second: u32) -> Self {
        Limiter { per_second, second: 0, logged: 0, suppressed: 0 }
    }

    /// Whether a line at this moment may be logged.
    pub fn admits(&mut self, now_ms: u64) -> bool {
        if now_ms / 1000 != self.second {
            self.second = now_ms / 1000;
            self.logged = 0;
        }
        let admitted = self.logged < self.per_second;
        if admitted {
            self.logged += 1;
        } else {
            self.suppressed += 1;
        }
        admitted
    }

    /// How many lines were kept back, once the second in which that was is over.
    pub fn kept_back(&mut self, now_ms: u64) -> Option<u64> {
        let over = self.suppressed > 0 && now_ms / 1000 != self.second;
        over.then(|| std::mem::take(&mut self.suppressed))
    }
}

/// Lets one line a second about the same thing from each source into the log, a few about different things, and so many
/// from all sources: one client that is wrong all the time hides no other.
pub struct SourceLimiter {
    all: Limiter,
    second: u64,
    /// Who has had lines in this second, and about what.
    sources: HashMap<IpAddr, Vec<u64>>,
    hasher: RandomState,
}

impl SourceLimiter {
    /// So many lines in each second, from all sources.
    pub fn new(per_second: u32) -> Self {
        SourceLimiter {
            all: Limiter::new(per_second),
            second: 0,
            sources: HashMap::new(),
            hasher: RandomState::default(),
        }
    }

    /// Whether a line about this source, and about this, may be logged now.
    pub fn admits(&mut self, source: IpAddr, about: &str, now_ms: u64) -> bool {
        if now_ms / 1000 != self.second {
            self.second = now_ms / 1000;
            self.sources.clear();
        }
        let (host, about) = (host(source), self.hasher.hash_one(about));
        if self.sources.len() < SOURCES_MAX || self.sources.contains_key(&host) {
            let lines = self.sources.entry(host).or_default();
            if lines.len() >= LINES_EACH_MAX || lines.contains(&about) {
                self.all.suppressed += 1;
                return false;
            }
            lines.push(about);
        }
        self.all.admits(now_ms)
    }

    /// As [`Limiter::kept_back`].
    pub fn kept_back(&mut self, now_ms: u64) -> Option<u64> {
        self.all.kept_back(now_ms)
    }
}

/// Whom an address belongs to: with IPv6 everybody has a /64, and could be a new source in each message.
pub fn host(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(ip) => Ipv6Network::new(ip, 64).map_or(source, |network| network.network().into()),
        source => source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_flood_is_logged_in_part_and_counted_whole() {
        let mut limiter = Limiter::new(20);
        let logged = (0..50).filter(|i| limiter.admits(1_000 + i)).count();
        assert_eq!(logged, 20);
        assert_eq!(limiter.kept_back(1_999), None, "its second is not over");
        assert_eq!(limiter.kept_back(2_000), Some(30));
        assert_eq!(limiter.kept_back(2_010), None);
        assert!(limiter.admits(2_020));
    }

    #[test]
    fn one_source_has_one_line_a_second_and_leaves_room_for_others() {
        let mut limiter = SourceLimiter::new(20);
        let logged = (0..10_000).filter(|i| limiter.admits(ip("192.0.2.1"), "a", 1_000 + i % 1_000)).count();
        assert_eq!(logged, 1);
        assert!(limiter.admits(ip("192.0.2.2"), "a", 1_999), "another one is heard");
        assert!(limiter.admits(ip("192.0.2.1"), "b", 1_999), "and about something else");
        assert!(limiter.admits(ip("2001:db8::1"), "a", 1_999));
        assert!(!limiter.admits(ip("2001:db8::ffff"), "a", 1_999), "the same /64");
        assert_eq!(limiter.kept_back(2_000), Some(10_000));
        assert!(limiter.admits(ip("192.0.2.1"), "a", 2_000), "the next second");
    }

    #[test]
    fn who_varies_what_is_wrong_has_a_few_lines_and_hides_nobody() {
        let mut limiter = SourceLimiter::new(20);
        let mut logged = |about: &str| limiter.admits(ip("192.0.2.1"), about, 1_000);
        assert_eq!((0..10_000).filter(|n| logged(&n.to_string())).count(), LINES_EACH_MAX);
        assert!(!logged("0"), "nor about what it had a line about");
        assert!(limiter.admits(ip("192.0.2.2"), "0", 1_000), "another one is heard");
    }

    #[test]
    fn many_sources_share_what_all_may_log() {
        let mut limiter = SourceLimiter::new(20);
        let sources = (0..5_000_u32).map(|n| IpAddr::from((0x0A00_0000 + n).to_be_bytes()));
        assert_eq!(sources.filter(|source| limiter.admits(*source, "a", 1_000)).count(), 20);
        assert!(limiter.sources.len() <= SOURCES_MAX);
    }
}
