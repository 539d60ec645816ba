//! What is answered in the place of members that are fit to serve, and for how long.

use std::io::Write as _;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

/// For how long who was good last is answered, if nobody was.
const NOBODY: &str = "nobody";

/// What is answered when nobody is fit to serve, as the pool's `on_all_down` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instead {
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

impl Instead {
    /// As it is written, and as the pool is configured.
    pub fn name(&self) -> &'static str {
        match self {
            Instead::All => "all",
            Instead::LastGood(_) => "last-good",
            Instead::Fallback(_) => "fallback",
            Instead::NoData => "nodata",
            Instead::ServFail => "servfail",
        }
    }

    pub(super) fn write(&self, text: &mut Vec<u8>) -> std::io::Result<()> {
        write!(text, " on-all-down={}", self.name())?;
        match self {
            Instead::LastGood(Some(left_s)) => write!(text, ":{left_s}s"),
            Instead::LastGood(None) => write!(text, ":{NOBODY}"),
            Instead::Fallback(pool) => write!(text, ":{pool}"),
            Instead::All | Instead::NoData | Instead::ServFail => Ok(()),
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        match (name, rest) {
            ("all", None) => Some(Instead::All),
            ("last-good", Some(NOBODY)) => Some(Instead::LastGood(None)),
            ("last-good", Some(left)) => Some(Instead::LastGood(Some(left.strip_suffix('s')?.parse().ok()?))),
            // Not for a terminal if it is not in presentation form.
            ("fallback", Some(pool)) if pool.bytes().all(|octet| octet.is_ascii_graphic()) => {
                Some(Instead::Fallback(pool.to_owned()))
            }
            ("nodata", None) => Some(Instead::NoData),
            ("servfail", None) => Some(Instead::ServFail),
            _ => None,
        }
    }
}

impl Serialize for Instead {
    /// Every choice has the same fields, so that a program looks for each of them in one place.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (left_s, fallback) = match self {
            Instead::LastGood(left_s) => (*left_s, None),
            Instead::Fallback(pool) => (None, Some(pool)),
            Instead::All | Instead::NoData | Instead::ServFail => (None, None),
        };
        let mut fields = serializer.serialize_struct("Instead", 3)?;
        fields.serialize_field("answer", self.name())?;
        fields.serialize_field("left_s", &left_s)?;
        fields.serialize_field("fallback", &fallback)?;
        fields.end()
    }
}
