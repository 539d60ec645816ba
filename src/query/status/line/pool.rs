//! What is said of a pool, or of one of its services.

use std::io::Write as _;
use std::net::IpAddr;

use crate::policy::{Policy, Shown};

/// Whose status it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A pool's: what its A and AAAA are picked from.
    Pool,
    /// A service's of a pool: its SRV records.
    Service,
}

/// What is said of a pool, or of one of its services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolLine {
    /// Its name, with a dot at the end.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// How members are picked.
    pub policy: Policy,
    /// How many members an answer shows.
    pub answers: Shown,
    /// The most that an answer's TTL may be, seconds.
    pub ttl_s: u32,
    /// How many take part in answers.
    pub up: usize,
    /// How many do not.
    pub out: usize,
    /// How many have ended and are about to be swept.
    pub gone: usize,
    /// How many drain.
    pub draining: usize,
    /// How many are lost, and answered all the same.
    pub lost: usize,
    /// How many of all these have a lease that is over and held.
    pub held: usize,
    /// What is answered because nobody is fit to serve; `None` while somebody is.
    pub on_all_down: Option<AllDown>,
    /// The client that the question was asked for, and whether it would be told.
    pub client: Option<(IpAddr, bool)>,
}

/// What is answered when nobody is fit to serve, as the pool's `on_all_down` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllDown {
    /// Everybody whose lease runs and that does not drain.
    All,
    /// Who was good last, for so many seconds more; `None` if there is nobody, or was too long ago.
    LastGood(Option<u64>),
    /// What this pool answers; its name, with a dot at the end.
    Fallback(String),
    /// Nothing.
    NoData,
    /// SERVFAIL.
    ServFail,
}

impl AllDown {
    /// As it is written, and as the pool is configured.
    pub fn name(&self) -> &'static str {
        match self {
            AllDown::All => "all",
            AllDown::LastGood(_) => "last-good",
            AllDown::Fallback(_) => "fallback",
            AllDown::NoData => "nodata",
            AllDown::ServFail => "servfail",
        }
    }

    fn write(&self, text: &mut Vec<u8>) -> std::io::Result<()> {
        write!(text, " on-all-down={}", self.name())?;
        match self {
            AllDown::LastGood(Some(left_s)) => write!(text, ":{left_s}s"),
            AllDown::LastGood(None) => write!(text, ":{NOBODY}"),
            AllDown::Fallback(pool) => write!(text, ":{pool}"),
            AllDown::All | AllDown::NoData | AllDown::ServFail => Ok(()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        match (name, rest) {
            ("all", None) => Some(AllDown::All),
            ("last-good", Some(NOBODY)) => Some(AllDown::LastGood(None)),
            ("last-good", Some(left)) => Some(AllDown::LastGood(Some(left.strip_suffix('s')?.parse().ok()?))),
            // Not for a terminal if it is not in presentation form.
            ("fallback", Some(pool)) if pool.bytes().all(|octet| octet.is_ascii_graphic()) => {
                Some(AllDown::Fallback(pool.to_owned()))
            }
            ("nodata", None) => Some(AllDown::NoData),
            ("servfail", None) => Some(AllDown::ServFail),
            _ => None,
        }
    }
}

/// For how long who was good last is answered, if nobody was.
const NOBODY: &str = "nobody";

impl Kind {
    pub(super) const ALL: [Kind; 2] = [Kind::Pool, Kind::Service];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Pool => "pool",
            Kind::Service => "service",
        }
    }
}

impl PoolLine {
    pub(super) fn write(&self, text: &mut Vec<u8>) -> std::io::Result<()> {
        let (kind, policy, ttl_s) = (self.kind.name(), self.policy.name(), self.ttl_s);
        write!(text, "{} {kind} policy={policy} answers=", self.name)?;
        match self.answers {
            Shown::All => text.write_all(b"all")?,
            Shown::Best => text.write_all(b"best")?,
            Shown::AtMost(most) => write!(text, "{most}")?,
        }
        write!(text, " ttl={ttl_s}s up={} out={} gone={}", self.up, self.out, self.gone)?;
        for (key, count) in [("draining", self.draining), ("lost", self.lost), ("held", self.held)] {
            if count > 0 {
                write!(text, " {key}={count}")?;
            }
        }
        if let Some(all_down) = &self.on_all_down {
            all_down.write(text)?;
        }
        if let Some((client, is_told)) = self.client {
            write!(text, " client={client} told={}", if is_told { "yes" } else { "no" })?;
        }
        Ok(())
    }

    pub(super) fn parse<'t>(name: &str, kind: Kind, words: impl Iterator<Item = &'t [u8]>) -> Option<Self> {
        let (mut policy, mut answers, mut ttl_s) = (None, None, None);
        let ([mut up, mut out, mut gone], [mut draining, mut lost, mut held]) = ([None; 3], [0; 3]);
        let (mut on_all_down, mut client, mut is_told) = (None, None, false);
        for word in words {
            let (key, value) = std::str::from_utf8(word).ok()?.split_once('=')?;
            match key {
                "policy" => policy = Policy::named(value),
                "answers" => {
                    answers = match value {
                        "all" => Some(Shown::All),
                        "best" => Some(Shown::Best),
                        most => most.parse().ok().map(Shown::AtMost),
                    }
                }
                "ttl" => ttl_s = value.strip_suffix('s')?.parse().ok(),
                "up" => up = value.parse().ok(),
                "out" => out = value.parse().ok(),
                "gone" => gone = value.parse().ok(),
                "draining" => draining = value.parse().ok()?,
                "lost" => lost = value.parse().ok()?,
                "held" => held = value.parse().ok()?,
                "on-all-down" => on_all_down = Some(AllDown::parse(value)?),
                "client" => client = Some(value.parse().ok()?),
                "told" => is_told = value == "yes",
                // A later version may say more.
                _ => {}
            }
        }
        Some(PoolLine {
            name: name.to_owned(),
            kind,
            policy: policy?,
            answers: answers?,
            ttl_s: ttl_s?,
            up: up?,
            out: out?,
            gone: gone?,
            draining,
            lost,
            held,
            on_all_down,
            client: client.map(|client| (client, is_told)),
        })
    }
}
