//! What is said of a member: what the server makes of it, and then what it says of itself.

use std::io::Write as _;
use std::net::IpAddr;

use super::{Millionths, State};

/// What is said of a member.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberLine {
    /// Its label; of one that lives elsewhere its target, with a dot at the end.
    pub name: String,
    /// Its state.
    pub state: State,
    /// What is left of its own drain, or of an operator's, seconds; `None` if that has no end.
    pub drain_s: Option<u64>,
    /// The operator that drains it.
    pub drained_by: Option<String>,
    /// Why, in the operator's words.
    pub drained_why: Option<String>,
    /// What is left of its lease.
    pub lease: Left,
    /// What it weighs; 0 if it is out.
    pub weight: u32,
    /// Its place in line, 1 for who is the first to be asked; equals share one.
    pub rank: Families<u32>,
    /// How likely it is to be the first of the next answer; where a service's records are all shown, how likely it is to be the
    /// first that a client tries (RFC 2782).
    pub share: Families<Millionths>,
    /// Its priority, if the policy asks for it or it says one.
    pub priority: Option<u32>,
    /// Its load, if the policy asks for it or it says one.
    pub load: Option<SaidLoad>,
    /// Its load after smoothing, if that differs.
    pub smoothed: Option<Millionths>,
    /// How much busier a pick makes it, if the policy asks for it or it says so.
    pub degradation: Option<Millionths>,
    /// How often answers picked it since it last registered, if the policy counts that.
    pub picks: Option<u64>,
    /// What the policy takes for its load, if that is neither of the above.
    pub level: Option<Millionths>,
    /// How far a newcomer has come to its full share.
    pub warming: Option<Millionths>,
    /// What its record says, in a service's status.
    pub srv: Option<Srv>,
    /// What else it says of itself.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// Its addresses, as far as they live.
    pub addresses: Vec<IpAddr>,
}

/// What is left of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// So many seconds.
    Seconds(u64),
    /// It is over, and held: most of the zone's members are silent.
    Held,
    /// It has no end.
    Endless,
}

/// What a member says of its load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaidLoad {
    /// Nothing: it is taken to be half loaded.
    Unsaid,
    /// This.
    Is(Millionths),
}

/// The fields of a SRV record but its target (RFC 2782).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Srv {
    /// Port.
    pub port: u16,
    /// Priority, as written in the record: the least is asked first.
    pub priority: u16,
    /// Weight, as written in the record.
    pub weight: u16,
}

/// Something that each family of addresses has of its own, for each is picked on its own. Where there is one list alone,
/// both are what that says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Families<T> {
    /// Among the A records.
    pub v4: Option<T>,
    /// Among the AAAA records.
    pub v6: Option<T>,
}

impl<T> Default for Families<T> {
    fn default() -> Self {
        Families { v4: None, v6: None }
    }
}

impl<T: Copy + PartialEq> Families<T> {
    /// One for both.
    pub fn both(value: Option<T>) -> Self {
        Families { v4: value, v6: value }
    }

    /// ` key=both`, ` key=v4/v6`, or nothing.
    fn write(&self, key: &str, text: &mut Vec<u8>, put: impl Fn(T) -> String) {
        let word = |value: Option<T>| value.map_or_else(|| "-".to_owned(), &put);
        // Writing to a Vec cannot fail.
        _ = match (self.v4, self.v6) {
            (None, None) => Ok(()),
            (v4, v6) if v4 == v6 => write!(text, " {key}={}", word(v4)),
            (v4, v6) => write!(text, " {key}={}/{}", word(v4), word(v6)),
        };
    }

    fn parse(text: &str, get: impl Fn(&str) -> Option<T>) -> Option<Self> {
        let value = |word: &str| if word == "-" { Some(None) } else { get(word).map(Some) };
        match text.split_once('/') {
            None => get(text).map(|value| Families::both(Some(value))),
            Some((v4, v6)) => Some(Families { v4: value(v4)?, v6: value(v6)? }),
        }
    }
}

/// Keys that are the server's: a member that uses one for something of its own is written with `\DDD`.
const KEYS: [&str; 18] = [
    "left",
    "by",
    "for",
    "why",
    "lease",
    "weight",
    "rank",
    "share",
    "priority",
    "load",
    "smoothed",
    "degradation",
    "picks",
    "level",
    "warming",
    "port",
    "srv-priority",
    "srv-weight",
];

impl MemberLine {
    /// One of which nothing is known but this.
    pub fn new(name: String, state: State) -> Self {
        MemberLine {
            name,
            state,
            drain_s: None,
            drained_by: None,
            drained_why: None,
            lease: Left::Endless,
            weight: 0,
            rank: Families::default(),
            share: Families::default(),
            priority: None,
            load: None,
            smoothed: None,
            degradation: None,
            picks: None,
            level: None,
            warming: None,
            srv: None,
            attributes: Vec::new(),
            addresses: Vec::new(),
        }
    }

    pub(super) fn write(&self, text: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        _ = write!(text, "{} {} {}", self.name, self.state.name(), self.state.why());
        if let Some(by) = &self.drained_by {
            text.extend_from_slice(b" by=");
            escape(by.as_bytes(), false, text);
        }
        if let Some(drain_s) = self.drain_s {
            // A member that drains by its own word leaves then; another serves again.
            let key = if self.state == State::Leaving { "left" } else { "for" };
            _ = write!(text, " {key}={drain_s}s");
        }
        if let Some(why) = &self.drained_why {
            text.extend_from_slice(b" why=");
            escape(why.as_bytes(), false, text);
        }
        _ = match self.lease {
            Left::Seconds(left_s) => write!(text, " lease={left_s}s"),
            Left::Held => write!(text, " lease=held"),
            Left::Endless => write!(text, " lease=none"),
        };
        if self.weight > 0 {
            _ = write!(text, " weight={}", self.weight);
        }
        self.rank.write("rank", text, |rank| rank.to_string());
        self.share.write("share", text, Millionths::percent);
        let mut put = |key: &str, value: Option<String>| {
            _ = value.map(|value| write!(text, " {key}={value}"));
        };
        let plain = |value: Option<Millionths>| value.map(|value| value.to_string());
        put("priority", self.priority.map(|priority| priority.to_string()));
        put("load", self.load.map(SaidLoad::text));
        put("smoothed", plain(self.smoothed));
        put("degradation", plain(self.degradation));
        put("picks", self.picks.map(|picks| picks.to_string()));
        put("level", plain(self.level));
        put("warming", self.warming.map(Millionths::percent));
        put("port", self.srv.map(|srv| srv.port.to_string()));
        put("srv-priority", self.srv.map(|srv| srv.priority.to_string()));
        put("srv-weight", self.srv.map(|srv| srv.weight.to_string()));
        for (key, value) in &self.attributes {
            text.push(b' ');
            let is_ours = KEYS.iter().any(|ours| ours.as_bytes() == key.as_slice());
            escape(key, is_ours, text);
            text.push(b'=');
            escape(value, false, text);
        }
        for address in &self.addresses {
            _ = write!(text, " {address}");
        }
    }

    pub(super) fn parse<'t>(name: &str, state: State, words: impl Iterator<Item = &'t [u8]>) -> Option<Self> {
        let mut member = MemberLine::new(name.to_owned(), state);
        for word in words {
            let Some(at) = word.iter().position(|octet| *octet == b'=') else {
                member.addresses.push(std::str::from_utf8(word).ok()?.parse().ok()?);
                continue;
            };
            let (key, value) = (word.get(..at)?, word.get(at + 1..)?);
            match KEYS.iter().find(|ours| ours.as_bytes() == key) {
                Some(key) => member.take(key, std::str::from_utf8(value).ok()?)?,
                None => member.attributes.push((unescape(key)?, unescape(value)?)),
            }
        }
        Some(member)
    }

    /// Takes in what the server says.
    fn take(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "left" | "for" => self.drain_s = Some(value.strip_suffix('s')?.parse().ok()?),
            "by" => self.drained_by = Some(String::from_utf8(unescape(value.as_bytes())?).ok()?),
            "why" => self.drained_why = Some(String::from_utf8(unescape(value.as_bytes())?).ok()?),
            "lease" if value == "none" => self.lease = Left::Endless,
            "lease" if value == "held" => self.lease = Left::Held,
            "lease" => self.lease = Left::Seconds(value.strip_suffix('s')?.parse().ok()?),
            "weight" => self.weight = value.parse().ok()?,
            "rank" => self.rank = Families::parse(value, |rank| rank.parse().ok())?,
            "share" => self.share = Families::parse(value, Millionths::parse_percent)?,
            "priority" => self.priority = Some(value.parse().ok()?),
            "load" if value == SaidLoad::UNSAID => self.load = Some(SaidLoad::Unsaid),
            "load" => self.load = Some(SaidLoad::Is(Millionths::parse(value)?)),
            "smoothed" => self.smoothed = Some(Millionths::parse(value)?),
            "degradation" => self.degradation = Some(Millionths::parse(value)?),
            "picks" => self.picks = Some(value.parse().ok()?),
            "level" => self.level = Some(Millionths::parse(value)?),
            "warming" => self.warming = Some(Millionths::parse_percent(value)?),
            _ => {
                let srv = self.srv.get_or_insert(Srv { port: 0, priority: 0, weight: 0 });
                let field = match key {
                    "port" => &mut srv.port,
                    "srv-priority" => &mut srv.priority,
                    _ => &mut srv.weight,
                };
                *field = value.parse().ok()?;
            }
        }
        Some(())
    }
}

impl SaidLoad {
    const UNSAID: &str = "unsaid";

    /// As it is written.
    pub fn text(self) -> String {
        match self {
            SaidLoad::Unsaid => Self::UNSAID.to_owned(),
            SaidLoad::Is(load) => load.to_string(),
        }
    }
}

/// Appends what a member says, its first octet escaped if `first` is set, and so that it is one word.
fn escape(said: &[u8], first: bool, text: &mut Vec<u8>) {
    for (&octet, at) in said.iter().zip(0..) {
        if octet <= b' ' || octet == 0x7F || octet == b'\\' || (first && at == 0) {
            _ = write!(text, "\\{octet:03}");
        } else {
            text.push(octet);
        }
    }
}

fn unescape(mut word: &[u8]) -> Option<Vec<u8>> {
    let mut said = Vec::with_capacity(word.len());
    while let Some((&octet, rest)) = word.split_first() {
        word = rest;
        if octet != b'\\' {
            said.push(octet);
            continue;
        }
        let (digits, rest) = word.split_at_checked(3)?;
        said.push(std::str::from_utf8(digits).ok()?.parse().ok()?);
        word = rest;
    }
    Some(said)
}
