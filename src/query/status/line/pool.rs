//! What is said of a pool, or of one of its services.

use std::io::Write as _;
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::instead::Instead;
use crate::policy::{Policy, Shown};

/// Whose status it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A pool's: what its A and AAAA are picked from.
    Pool,
    /// A service's of a pool: its SRV records.
    Service,
}

/// What is said of a pool, or of one of its services. As JSON it is the `pool` of `rollcall explain --json`, which says in
/// fields of its own what the name is and whether its client would be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolLine {
    /// Its name, with a dot at the end.
    pub name: String,
    /// What it is.
    #[serde(skip)]
    pub kind: Kind,
    /// How members are picked.
    #[serde(serialize_with = "policy_name")]
    pub policy: Policy,
    /// How many members an answer shows. In JSON a number, `all`, or `best`.
    #[serde(serialize_with = "shown_text")]
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
    pub on_all_down: Option<Instead>,
    /// The client that the question was asked for, and whether it would be told.
    #[serde(skip)]
    pub client: Option<(IpAddr, bool)>,
}

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
                "on-all-down" => on_all_down = Some(Instead::parse(value)?),
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

fn policy_name<S: Serializer>(policy: &Policy, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(policy.name())
}

fn shown_text<S: Serializer>(shown: &Shown, serializer: S) -> Result<S::Ok, S::Error> {
    match shown {
        Shown::All => serializer.serialize_str("all"),
        Shown::Best => serializer.serialize_str("best"),
        Shown::AtMost(most) => serializer.serialize_u16(most.get()),
    }
}
