//! Globs of names.

use crate::wire::{Name, lower, name_text};

/// A glob of names in lower-case presentation form without a closing dot: `*` stands for any run of characters, dots
/// included. Pools and ordinary names are relative to the zone, and `@` is its apex; targets are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(Box<str>);

impl NamePattern {
    /// A pattern; its case does not matter.
    pub fn new(pattern: &str) -> Self {
        NamePattern(pattern.to_ascii_lowercase().into())
    }

    /// As given, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it covers a name, given in lower case.
    pub fn matches(&self, name: &str) -> bool {
        let Some((head, tail)) = self.0.split_once('*') else { return *self.0 == *name };
        let Some(mut rest) = name.strip_prefix(head) else { return false };
        let (middle, last) = tail.rsplit_once('*').unwrap_or(("", tail));
        for piece in middle.split('*') {
            // The leftmost place for each piece leaves the most room for those after it.
            let Some((_, after)) = rest.split_once(piece) else { return false };
            rest = after;
        }
        rest.ends_with(last)
    }

    /// Whether there is any name that it covers. A name has one spelling (RFC 1035 section 5.1 escapes included), so the
    /// pattern must be one where its stars stand for nothing, or for one character where a label would be empty.
    pub fn can_match(&self) -> bool {
        if &*self.0 == "@" {
            return true;
        }
        let least = |label: &str| match label.replace('*', "") {
            rest if rest.is_empty() && !label.is_empty() => "x".to_owned(),
            rest => rest,
        };
        let shortest = self.0.split('.').map(least).collect::<Vec<_>>().join(".");
        let name = Name::bytes_from_str(&shortest).ok().filter(|_| !shortest.is_empty());
        name.is_some_and(|name| name_text(&lower(name.as_slice())) == format!("{shortest}."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_run_of_characters() {
        for (pattern, name, wanted) in [
            ("*", "web.eu", true),
            ("*", "@", true),
            ("@", "@", true),
            ("@", "web", false),
            ("web", "web", true),
            ("web", "web.eu", false),
            ("WEB*", "web.eu", true),
            ("*.eu", "web.eu", true),
            ("*.eu", "eu", false),
            ("w*b*u", "web.eu", true),
            ("a*a", "a", false),
            ("a*b*b", "ab", false),
            ("a*b*b", "abb", true),
            ("**", "web", true),
            ("*b*", "web", true),
            ("*x*", "web", false),
            ("_acme-challenge.*", "_acme-challenge.www", true),
            ("_acme-challenge.*", "_acme-challenge", false),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(NamePattern::new(pattern).matches(name), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_that_no_name_is_spelt_like_cannot_match() {
        let longest = "x".repeat(63);
        for pattern in [
            "*",
            "**",
            "@",
            "web",
            "Web-*",
            "*.*",
            "a.*.b",
            "_acme-challenge.*",
            "a\\.b",
            "a\\032b",
            &longest,
        ] {
            assert!(NamePattern::new(pattern).can_match(), "{pattern}");
        }
        let too_long = format!("{longest}x*");
        for pattern in [
            "", ".", "web.", "*.", ".web", ".*", "a..b", "a b", "a\tb", "a@b", "ä", "a\\", "\\065", "a;b",
            &too_long,
        ] {
            assert!(!NamePattern::new(pattern).can_match(), "{pattern}");
        }
    }
}
