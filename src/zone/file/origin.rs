//! A free-standing `@` is the current origin (RFC 1035 section 5.1).
//!
//! The scanner knows this of owners alone; among a record's fields it would read a name with the label "@". So the origin
//! is spelt out before the scanner sees the entry, and only in a field that is a name: the one of `x TXT @` is text, as is
//! that of HINFO or CAA. In quotes, or behind a backslash, it is an at sign everywhere.

use std::borrow::Cow;

use super::tokens::{Token, tokens};
use crate::wire::{Name, Rtype, name_text};

/// What may stand between an owner and the rdata: TTL and class, in either order, and the type.
const BEFORE_RDATA_MAX: usize = 3;

/// The entry's text, with `origin` for each `@` that means it.
pub(super) fn spelt_out<'t>(entry: &'t [u8], origin: &Name) -> Cow<'t, [u8]> {
    if !entry.contains(&b'@') {
        return Cow::Borrowed(entry);
    }
    let tokens = tokens(entry);
    let (fields, names) = name_fields(&tokens);
    let meant = names.iter().filter_map(|&place| fields.get(place)).filter(|token| token.is_at_sign());
    let (mut text, mut copied) = (Vec::new(), 0);
    for token in meant {
        text.extend_from_slice(entry.get(copied..token.at).unwrap_or_default());
        text.extend_from_slice(name_text(origin.as_slice()).as_bytes());
        copied = token.at + token.text.len();
    }
    if copied == 0 {
        return Cow::Borrowed(entry);
    }
    text.extend_from_slice(entry.get(copied..).unwrap_or_default());
    Cow::Owned(text)
}

/// The fields of an entry's rdata, and which of them are names. A directive's are what follows it.
fn name_fields<'e, 't>(tokens: &'e [Token<'t>]) -> (&'e [Token<'t>], &'static [usize]) {
    const NONE: (&[Token<'_>], &[usize]) = (&[], &[]);
    let Some((first, rest)) = tokens.split_first() else { return NONE };
    if !first.follows_space && first.text.starts_with(b"$") {
        return if first.text.eq_ignore_ascii_case(b"$ORIGIN") { (rest, &[0]) } else { NONE };
    }
    let after_owner = if first.follows_space { tokens } else { rest };
    let mut leading = after_owner.iter().take(BEFORE_RDATA_MAX).enumerate();
    let Some((place, rtype)) = leading.find_map(|(place, token)| Some((place, token.rtype()?))) else {
        return NONE;
    };
    (after_owner.get(place + 1..).unwrap_or_default(), names_of(rtype))
}

/// Which fields of a type's rdata are names, counted from 0. All types with names that the scanner reads in text form; of
/// others it takes the form of RFC 3597 alone, which has none.
fn names_of(rtype: Rtype) -> &'static [usize] {
    match rtype {
        Rtype::CNAME | Rtype::DNAME | Rtype::NS | Rtype::PTR => &[0],
        Rtype::MB | Rtype::MD | Rtype::MF | Rtype::MG | Rtype::MR => &[0],
        Rtype::SOA | Rtype::MINFO | Rtype::RP => &[0, 1],
        Rtype::MX | Rtype::SVCB | Rtype::HTTPS => &[1],
        Rtype::SRV | Rtype::IPSECKEY => &[3],
        Rtype::NAPTR => &[5],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelt(entry: &str) -> String {
        let origin = Name::bytes_from_str("o.").unwrap();
        String::from_utf8(spelt_out(entry.as_bytes(), &origin).into_owned()).unwrap()
    }

    #[test]
    fn names_are_spelt_out_and_nothing_else_changes() {
        for (entry, wanted) in [
            ("w CNAME @\n", "w CNAME o.\n"),
            ("@ 60 in ns @ ; @\n", "@ 60 in ns o. ; @\n"),
            ("\tIN\t60\tNS\t@\r\n", "\tIN\t60\tNS\to.\r\n"),
            ("@ SOA @ @ (\n 1 ; @ (\n 2 3 4 5 )\n", "@ SOA o. o. (\n 1 ; @ (\n 2 3 4 5 )\n"),
            ("x MX (10\n@)", "x MX (10\no.)"),
            ("(;a b\nx PTR @ )", "(;a b\nx PTR o. )"),
            ("s SRV 0 0 80 @", "s SRV 0 0 80 o."),
            ("n NAPTR 1 1 @ \"\" \"\" @", "n NAPTR 1 1 @ \"\" \"\" o."),
            ("h HTTPS 1 @ alpn=h2", "h HTTPS 1 o. alpn=h2"),
            ("cname MX 10 @", "cname MX 10 o."),
            ("\"a\\\"b c\" CNAME @", "\"a\\\"b c\" CNAME o."),
            ("$origin @", "$origin o."),
        ] {
            assert_eq!(spelt(entry), wanted);
        }
    }

    #[test]
    fn an_at_sign_that_is_none_stays() {
        for entry in [
            "x CNAME \\@",
            "x CNAME \"@\"",
            "x CNAME @.a",
            "x CNAME a@",
            "x TXT @ a @",
            "x HINFO @ @",
            "x CAA 0 issue @",
            "x MX @ a",
            "@ A 10.0.0.1 ; @",
            "; x CNAME @",
            "$TTL @",
            "@",
            " @",
            "x @ CNAME",
        ] {
            assert_eq!(spelt(entry), entry);
        }
    }
}
