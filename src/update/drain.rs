//! Drains: a member that is to get no more clients, while those that it has finish.
//!
//! A member says so itself with the attribute `drain=SECONDS`, and leaves when they are over. An operator says so at
//! `_drain.MEMBER.POOL`, with TXT strings `for=SECONDS` and `why=TEXT`; that is kept apart from the member, and ends in the
//! member serving again.

use std::sync::Arc;

use super::Refusal;
use super::attributes::strings;
use crate::membership::{Drain, FOREVER_MS};
use crate::wire::label_text;

/// The longest drain that ends by itself, seconds: two weeks, as long as a name is kept.
pub const DRAIN_S_MAX: u32 = 14 * 86_400;

/// When a member's own drain of so many seconds ends, monotonic milliseconds.
pub(super) fn own_end_ms(now_ms: u64, seconds: u32) -> u64 {
    now_ms.saturating_add(u64::from(seconds.min(DRAIN_S_MAX)) * 1000)
}

/// What a message makes of an operator's drain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DrainWord {
    /// For how long, seconds; `None` until somebody says otherwise.
    seconds: Option<u32>,
    why: Box<str>,
}

impl DrainWord {
    /// What TXT rdata says.
    pub fn read(rdata: &[u8]) -> Result<Self, Refusal> {
        let mut word = DrainWord::default();
        for string in strings(rdata).filter(|string| !string.is_empty()) {
            let bad = || Refusal::BadDrain { text: label_text(string) };
            let text = std::str::from_utf8(string).map_err(|_| bad())?;
            match text.split_once('=') {
                Some((key, seconds)) if key.eq_ignore_ascii_case("for") => {
                    let seconds = seconds.parse().ok().filter(|seconds| (1..=DRAIN_S_MAX).contains(seconds));
                    word.seconds = Some(seconds.ok_or_else(bad)?);
                }
                Some((key, why)) if key.eq_ignore_ascii_case("why") => word.why = why.into(),
                _ => return Err(bad()),
            }
        }
        Ok(word)
    }

    /// The drain that it makes at `now_ms`, by this identity.
    pub fn drain(self, by: Box<str>, now_ms: u64) -> Arc<Drain> {
        let ends_ms = self.seconds.map_or(FOREVER_MS, |seconds| now_ms + u64::from(seconds) * 1000);
        Arc::new(Drain { by, why: self.why, ends_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_operators_say() {
        let word = |seconds, why: &str| DrainWord { seconds, why: why.into() };
        for (rdata, wanted) in [
            (&b"\x07for=600"[..], word(Some(600), "")),
            (b"\x07FOR=600\x0awhy=a bolt", word(Some(600), "a bolt")),
            (b"\x08why=a=bb", word(None, "a=bb")),
            (b"\x00", word(None, "")),
        ] {
            assert_eq!(DrainWord::read(rdata).unwrap(), wanted, "{rdata:?}");
        }
        for bad in
            [&b"\x05for=0"[..], b"\x0bfor=1209601", b"\x04for=", b"\x05drain", b"\x06for=1s", b"\x05why=\xFF"]
        {
            let refusal = DrainWord::read(bad).unwrap_err();
            assert!(refusal.to_string().contains("for=SECONDS"), "{refusal}");
        }
        assert_eq!(word(None, "").drain("ops".into(), 5).ends_ms, FOREVER_MS);
        assert_eq!(word(Some(2), "").drain("ops".into(), 5).ends_ms, 2_005);
        assert_eq!(own_end_ms(5, u32::MAX), 5 + 1_209_600_000);
    }
}
