//! Which record types a grant covers.

use crate::wire::Rtype;

/// The types of the records that a grant lets its holder add, change and delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Types {
    /// [`Types::DEFAULT`]: what servers say of themselves. None of them changes what another name means, as CNAME, DNAME and
    /// NS do, nor who may act for it, as CAA, TLSA and DS do.
    #[default]
    Default,
    /// Every type, SOA and NS at the apex included.
    All,
    /// These alone.
    Only(Vec<Rtype>),
}

impl Types {
    /// What a grant covers that says nothing of types.
    pub const DEFAULT: [Rtype; 6] =
        [Rtype::A, Rtype::AAAA, Rtype::SRV, Rtype::TXT, Rtype::HTTPS, Rtype::SVCB];
    /// Types whose records hold addresses: HTTPS and SVCB as hints (RFC 9460 section 7.3).
    const WITH_ADDRESSES: [Rtype; 4] = [Rtype::A, Rtype::AAAA, Rtype::HTTPS, Rtype::SVCB];

    /// Whether it is one of them.
    pub fn covers(&self, rtype: Rtype) -> bool {
        match self {
            Types::Default => Self::DEFAULT.contains(&rtype),
            Types::All => true,
            Types::Only(types) => types.contains(&rtype),
        }
    }

    /// Whether any of them holds addresses.
    pub fn have_addresses(&self) -> bool {
        Self::WITH_ADDRESSES.iter().any(|&rtype| self.covers(rtype))
    }

    /// As a configuration lists them.
    pub fn texts(&self) -> Vec<String> {
        let list: &[Rtype] = match self {
            Types::Default => &Self::DEFAULT,
            Types::All => return vec!["*".to_owned()],
            Types::Only(types) => types,
        };
        list.iter().map(Rtype::to_string).collect()
    }

    /// The type of this name, in either case, or TYPEnnn (RFC 3597 section 5), if records can have it. Those that cannot are
    /// the types of questions and of signatures on messages, 128 to 255 (RFC 6895 section 3.1), OPT, and 0, which is
    /// reserved.
    pub fn named(text: &str) -> Option<Rtype> {
        let rtype: Rtype = text.parse().ok()?;
        (!matches!(rtype.to_int(), 0 | 128..=255) && rtype != Rtype::OPT).then_some(rtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_covers() {
        let only = Types::Only(vec![Rtype::CNAME, Rtype::from_int(65_280)]);
        for (rtype, by_default, by_only) in [
            (Rtype::A, true, false),
            (Rtype::SVCB, true, false),
            (Rtype::CNAME, false, true),
            (Rtype::MX, false, false),
            (Rtype::NS, false, false),
            (Rtype::SOA, false, false),
            (Rtype::from_int(65_280), false, true),
        ] {
            assert_eq!(Types::default().covers(rtype), by_default, "{rtype}");
            assert_eq!(only.covers(rtype), by_only, "{rtype}");
            assert!(Types::All.covers(rtype), "{rtype}");
        }
        assert!(Types::Default.have_addresses() && Types::All.have_addresses() && !only.have_addresses());
        assert!(Types::Only(vec![Rtype::HTTPS]).have_addresses());
    }

    #[test]
    fn names_of_types() {
        for (text, wanted) in [
            ("A", Some(Rtype::A)),
            ("https", Some(Rtype::HTTPS)),
            ("TYPE1", Some(Rtype::A)),
            ("type65280", Some(Rtype::from_int(65_280))),
            ("SOA", Some(Rtype::SOA)),
            ("CAA", Some(Rtype::CAA)),
            ("ANY", None),
            ("AXFR", None),
            ("TSIG", None),
            ("TKEY", None),
            ("OPT", None),
            ("TYPE41", None),
            ("TYPE0", None),
            ("TYPE128", None),
            ("TYPE65536", None),
            ("*", None),
            ("", None),
            ("AAAAA", None),
        ] {
            assert_eq!(Types::named(text), wanted, "{text}");
        }
    }

    #[test]
    fn types_read_as_they_are_written() {
        let only = Types::Only(vec![Rtype::MX, Rtype::from_int(65_280)]);
        assert_eq!(only.texts(), ["MX", "TYPE65280"]);
        assert_eq!(Types::All.texts(), ["*"]);
        assert_eq!(Types::Default.texts(), ["A", "AAAA", "SRV", "TXT", "HTTPS", "SVCB"]);
    }
}
