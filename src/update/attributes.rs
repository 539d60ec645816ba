//! What a member says of itself: key=value strings of a TXT record at its name (RFC 6763 section 6, numbers as in
//! RFC 5356).

use crate::membership::{Attributes, Load, Said};
use crate::wire::label_text;

/// Most attributes of a member.
const ATTRIBUTES_MAX: usize = 32;
/// Most octets of a member's attributes together.
const OCTETS_MAX: usize = 1024;

/// An attribute that is not as it should be. It refuses a join; in a heartbeat it is ignored, and logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAttribute {
    /// Not key=value, or a key that RFC 6763 section 6.4 does not allow.
    #[error("attribute \"{text}\" is not key=value")]
    Form {
        /// The string.
        text: String,
    },
    /// A number that is none, or out of range.
    #[error("attribute \"{text}\": {key} must be {wanted}")]
    Value {
        /// The string.
        text: String,
        /// Its key.
        key: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// More than a member may have.
    #[error(
        "attribute \"{text}\" is over the limit of {ATTRIBUTES_MAX} attributes and {OCTETS_MAX} octets a member"
    )]
    TooMany {
        /// The string.
        text: String,
    },
}

/// The strings of TXT rdata. It parsed as TXT, so its strings are whole.
pub(super) fn strings(mut rdata: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&len, rest) = rdata.split_first()?;
        let (string, rest) = rest.split_at_checked(usize::from(len))?;
        rdata = rest;
        Some(string)
    })
}

/// Merges one string into a member's attributes, the last value of a key winning. `load` is not one of them: it is soft, and
/// goes where no disk follows.
pub(super) fn merge(attributes: &mut Attributes, said: &mut Said, string: &[u8]) -> Result<(), BadAttribute> {
    // An empty string is how a TXT record says nothing (RFC 6763 section 6.1).
    if string.is_empty() {
        return Ok(());
    }
    // A dot is nothing special here.
    let text = || label_text(string).replace("\\.", ".");
    let (key, value) = split(string).ok_or_else(|| BadAttribute::Form { text: text() })?;
    let number = |wanted: &'static str, key: &'static str, is_good: bool| {
        if is_good { Ok(()) } else { Err(BadAttribute::Value { text: text(), key, wanted }) }
    };
    const U32: &str = "a whole number from 0 to 4294967295";
    let parsed = std::str::from_utf8(value).unwrap_or_default();
    match key.as_str() {
        "weight" => number(U32, "weight", parsed.parse::<u32>().is_ok())?,
        "degradation" => {
            let is_share = share(parsed).is_some_and(|share| (0.0..=1.0).contains(&share));
            number("a number from 0 to 1, such as 0.05", "degradation", is_share)?;
        }
        "priority" => number(U32, "priority", parsed.parse::<u32>().is_ok())?,
        "load" => {
            let load = share(parsed);
            number("a number, such as 0.25", "load", load.is_some())?;
            // Out of range is clamped.
            *said = load.map_or(*said, |load| Said::Load(Load::of(load)));
            return Ok(());
        }
        "drain" => {
            number("seconds, as a whole number from 0 to 4294967295", "drain", parsed.parse::<u32>().is_ok())?
        }
        _ => {}
    }
    // As they lie in a TXT record: a length octet, the key, '=', the value.
    let others = attributes.iter().filter(|(other, _)| *other != key);
    let (count, octets) = others
        .fold((0, 0), |(count, octets), (key, value)| (count + 1, octets + key.len() + value.len() + 2));
    if count >= ATTRIBUTES_MAX || octets + string.len() + 1 > OCTETS_MAX {
        return Err(BadAttribute::TooMany { text: text() });
    }
    attributes.set(&key, value);
    Ok(())
}

/// Removes the attribute that a string names, if it has the string's value; a load, if it is `known` to be that or has just
/// been said to be.
pub(super) fn remove(attributes: &mut Attributes, said: &mut Said, known: Option<Load>, string: &[u8]) {
    let Some((key, value)) = split(string) else { return };
    if key == "load" {
        let load = std::str::from_utf8(value).ok().and_then(share).map(Load::of);
        let held = match *said {
            Said::Load(said) => Some(said),
            Said::Nothing => known,
            Said::Unsaid => None,
        };
        if load.is_some() && load == held {
            *said = Said::Unsaid;
        }
    } else if attributes.get(&key) == Some(value) {
        attributes.remove(&key);
    }
}

/// Of a string that says a load, where its value begins, and what it says as [`merge`] has it; no load if it is a bad one.
pub(super) fn load_of(string: &[u8]) -> Option<(usize, Option<Load>)> {
    const KEY: &[u8] = b"load=";
    let (key, value) = string.split_at_checked(KEY.len())?;
    key.eq_ignore_ascii_case(KEY)
        .then(|| (KEY.len(), std::str::from_utf8(value).ok().and_then(share).map(Load::of)))
}

/// A number as loads are written; "nan" is none.
fn share(text: &str) -> Option<f64> {
    text.parse().ok().filter(|share: &f64| !share.is_nan())
}

/// Key in lower case, and value. Keys are printable ASCII without '=' (RFC 6763 section 6.4).
fn split(string: &[u8]) -> Option<(String, &[u8])> {
    let at = string.iter().position(|&octet| octet == b'=')?;
    let (key, value) = (string.get(..at)?, string.get(at + 1..)?);
    let is_key = !key.is_empty() && key.iter().all(|octet| (0x20..0x7F).contains(octet));
    is_key.then(|| (String::from_utf8_lossy(key).to_ascii_lowercase(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged_with_load(strings: &[&str]) -> (Attributes, Said, Vec<BadAttribute>) {
        let (mut attributes, mut said) = (Attributes::default(), Said::Nothing);
        let merged = strings.iter().map(|string| merge(&mut attributes, &mut said, string.as_bytes()));
        let bad = merged.filter_map(Result::err).collect();
        (attributes, said, bad)
    }

    fn merged(strings: &[&str]) -> (Attributes, Vec<BadAttribute>) {
        let (attributes, _, bad) = merged_with_load(strings);
        (attributes, bad)
    }

    #[test]
    fn the_last_value_of_a_key_wins_and_load_is_none_of_them() {
        let (attributes, said, bad) =
            merged_with_load(&["Weight=20", "site=fra", "weight=5", "load=0.25", "LOAD=7", ""]);
        assert!(bad.is_empty(), "{bad:?}");
        assert_eq!(said, Said::Load(Load::FULL), "clamped");
        let all: Vec<_> = attributes.iter().collect();
        assert_eq!(all, [("site", &b"fra"[..]), ("weight", b"5")]);
        assert_eq!(attributes.weight(), Some(5));
    }

    #[test]
    fn bad_ones_are_named() {
        for bad in [
            "weight=heavy",
            "weight=-1",
            "weight=4294967296",
            "load=nan",
            "load=x",
            "drain=soon",
            "site",
            "=x",
        ]
        .into_iter()
        .chain(["priority=0.5", "degradation=1.01", "degradation=-0.1", "degradation=nan", "load="])
        {
            let (attributes, said, errors) = merged_with_load(&[bad]);
            assert!(attributes.is_empty() && said == Said::Nothing);
            assert!(errors[0].to_string().contains(bad), "{}", errors[0]);
        }
    }

    #[test]
    fn limits_hold() {
        let many: Vec<_> = (0..40).map(|n| format!("key{n}=v")).collect();
        let (attributes, bad) = merged(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((attributes.len(), bad.len()), (32, 8));
        let long: Vec<_> = (0..6).map(|n| format!("key{n}={}", "x".repeat(240))).collect();
        let (mut attributes, bad) = merged(&long.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((attributes.len(), bad.len()), (4, 2));
        let again = merge(&mut attributes, &mut Said::Nothing, long[0].as_bytes());
        assert_eq!(again, Ok(()), "what it has may be repeated");
    }

    #[test]
    fn removing_asks_for_the_value_too() {
        let (mut attributes, _) = merged(&["site=fra"]);
        let mut said = Said::Nothing;
        remove(&mut attributes, &mut said, None, b"site=ams");
        assert_eq!(attributes.len(), 1);
        remove(&mut attributes, &mut said, None, b"SITE=fra");
        assert!(attributes.is_empty());
        for (known, said, left) in [
            (Some(0.5), Said::Nothing, Said::Unsaid),
            (Some(0.4), Said::Nothing, Said::Nothing),
            (None, Said::Nothing, Said::Nothing),
            (Some(0.4), Said::Load(Load::of(0.5)), Said::Unsaid),
            (Some(0.5), Said::Load(Load::of(0.4)), Said::Load(Load::of(0.4))),
        ] {
            let mut after = said;
            remove(&mut attributes, &mut after, known.map(Load::of), b"load=0.50");
            assert_eq!(after, left, "{known:?} {said:?}");
        }
    }
}
