//! The `[[grant]]` tables of a zone.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::source::{List, Source, Text};
use super::{ConfigError, Doubt, Fault, LEASE_MAX_S, key_name};
use crate::security::{Grant, GrantedLease, Holder, Keyring, NamePattern, Types, loopback, overlap};
use crate::wire::{Name, Rtype, name_text};

/// The keys that grants may be for, and the file that they come from.
pub(super) struct Keys<'k> {
    pub ring: &'k Keyring,
    pub file: Option<&'k Path>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantTable {
    key: Option<Text>,
    #[serde(default)]
    unsigned: bool,
    sources: List,
    pools: List,
    names: List,
    types: List,
    addresses: List,
    targets: List,
    own_address: Option<Spanned<bool>>,
    owner: Option<Text>,
    #[serde(default)]
    admin: bool,
    lease: Option<Spanned<toml::Value>>,
}

pub(super) fn read(
    source: &Source,
    table: &Spanned<GrantTable>,
    keys: &Keys<'_>,
) -> Result<Grant, ConfigError> {
    let span = table.span();
    let table = table.get_ref();
    let holder = match (&table.key, table.unsigned) {
        (Some(text), false) => Holder::Key(known_key(source, text, keys)?),
        (None, true) => Holder::Unsigned,
        _ => return Err(source.fault(span, Fault::Holder)),
    };
    let mut grant = Grant {
        sources: source.prefixes("sources", &table.sources)?,
        names: patterns(source, Patterns::Names, &table.names)?,
        types: types(source, &table.types)?,
        addresses: source.prefixes("addresses", &table.addresses)?,
        targets: patterns(source, Patterns::Targets, &table.targets)?,
        own_address: table.own_address.as_ref().is_some_and(|own| *own.get_ref()),
        owner: table.owner.as_ref().map(|text| owner(source, text)).transpose()?,
        admin: table.admin,
        lease: lease(source, &table.lease)?,
        ..Grant::to(holder)
    };
    // Who asks for names alone gets no pool besides.
    if table.pools.is_some() || table.names.is_some() {
        grant.pools = patterns(source, Patterns::Pools, &table.pools)?;
    }
    check_sense(source, table, &grant)?;
    Ok(grant)
}

/// What holds a grant back, or widens it, has to have something to act on: an operator who writes it relies on it.
fn check_sense(source: &Source, table: &GrantTable, grant: &Grant) -> Result<(), ConfigError> {
    let idle = |span, key, reason| Err(source.fault(span, Fault::Idle { key, reason }));
    if let Some(targets) = &table.targets {
        if grant.pools.is_empty() {
            return idle(
                targets.span(),
                "targets",
                "it covers no pool, and other SRV records need none; give `pools`",
            );
        }
        if !grant.types.covers(Rtype::SRV) {
            return idle(targets.span(), "targets", "its `types` have no SRV; add it");
        }
    }
    let own = table.own_address.as_ref().filter(|_| grant.own_address);
    let limits =
        [("addresses", table.addresses.as_ref().map(Spanned::span)), ("own_address", own.map(Spanned::span))];
    for (key, span) in limits {
        if let Some(span) = span.filter(|_| !grant.types.have_addresses()) {
            return idle(span, key, "its `types` have none of A, AAAA, HTTPS and SVCB; add one");
        }
    }
    let loopback: Vec<_> = loopback().collect();
    let sources = if grant.sources.is_empty() && grant.key.is_none() { &loopback } else { &grant.sources };
    let meet = |prefix| sources.is_empty() || sources.iter().any(|network| overlap(network, prefix));
    match &table.addresses {
        Some(list) if grant.own_address && !grant.addresses.iter().any(meet) => {
            Err(source.fault(list.span(), Fault::NeverOwn))
        }
        _ => Ok(()),
    }
}

/// Where in its table that stands which a doubt is about.
pub(super) fn place(table: &Spanned<GrantTable>, doubt: &Doubt) -> Range<usize> {
    let grant = table.get_ref();
    let about = match doubt {
        Doubt::NoPool { .. } => grant.pools.as_ref().map(Spanned::span),
        Doubt::LongLease { .. } => grant.lease.as_ref().map(Spanned::span),
        Doubt::Unguarded { .. } | Doubt::UnsignedAdmin { .. } => grant.sources.as_ref().map(Spanned::span),
        Doubt::WholeName { text, .. } => {
            let mut items = grant.pools.iter().chain(&grant.names).flat_map(|list| list.get_ref());
            items.find(|item| item.get_ref().eq_ignore_ascii_case(text)).map(Spanned::span)
        }
        _ => None,
    };
    about.unwrap_or_else(|| table.span())
}

/// The name of a key that the server has: a grant to a misspelt one would never be found, and nobody would know why.
fn known_key(source: &Source, text: &Text, keys: &Keys<'_>) -> Result<Name, ConfigError> {
    let name = key_name(source, "key", text)?;
    if keys.ring.get(&name).is_some() {
        return Ok(name);
    }
    let known: Vec<_> = keys.ring.names().iter().map(|name| name_text(name.as_slice())).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let text_of_key = text.get_ref().clone();
    Err(source.fault(
        text.span(),
        match keys.file {
            Some(file) => Fault::UnknownKey { text: text_of_key, file: file.into(), known },
            None => Fault::NoKeys { text: text_of_key },
        },
    ))
}

/// A list of globs, and what they are globs of.
#[derive(Clone, Copy)]
enum Patterns {
    Pools,
    Names,
    Targets,
}

impl Patterns {
    /// The list's key; what its items match; what would be right.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Patterns::Pools => ("pools", "pool", "relative to the zone, such as \"web\" or \"web-*\""),
            Patterns::Names => (
                "names",
                "name",
                "relative to the zone, such as \"_acme-challenge.*\", or \"@\" for its apex",
            ),
            Patterns::Targets => {
                ("targets", "target", "whole names, such as \"db.example.net.\" or \"*.example.net.\"")
            }
        }
    }

    fn read(self, text: &str) -> Option<NamePattern> {
        let pattern = NamePattern::new(match self {
            Patterns::Targets => text.strip_suffix('.').unwrap_or(text),
            Patterns::Pools | Patterns::Names => text,
        });
        let can_match = match self {
            // No pool is at the apex, and no name but the root's is "@" where names are whole. A target may be the root:
            // no such service (RFC 2782).
            Patterns::Pools => pattern.as_str() != "@" && pattern.can_match(),
            Patterns::Names => pattern.can_match(),
            Patterns::Targets => text == "." || (pattern.as_str() != "@" && pattern.can_match()),
        };
        can_match.then_some(pattern)
    }
}

fn patterns(source: &Source, of: Patterns, given: &List) -> Result<Vec<NamePattern>, ConfigError> {
    let (key, what, wanted) = of.words();
    let pattern = |text: &Text| {
        of.read(text.get_ref()).ok_or_else(|| {
            let fault = Fault::Pattern { key, text: text.get_ref().clone(), what, wanted };
            source.fault(text.span(), fault)
        })
    };
    source.list(key, given)?.iter().map(pattern).collect()
}

fn types(source: &Source, given: &List) -> Result<Types, ConfigError> {
    let texts = source.list("types", given)?;
    let every = texts.iter().find(|text| text.get_ref() == "*");
    match every {
        Some(text) if texts.len() > 1 => return Err(source.fault(text.span(), Fault::EveryType)),
        Some(_) => return Ok(Types::All),
        None if texts.is_empty() => return Ok(Types::Default),
        None => {}
    }
    let named = |text: &Text| {
        let rtype = Types::named(text.get_ref());
        rtype.ok_or_else(|| source.fault(text.span(), Fault::Type { text: text.get_ref().clone() }))
    };
    texts.iter().map(named).collect::<Result<_, _>>().map(Types::Only)
}

fn lease(source: &Source, given: &Option<Spanned<toml::Value>>) -> Result<GrantedLease, ConfigError> {
    let Some(given) = given else { return Ok(GrantedLease::Pools) };
    let lease = match given.get_ref() {
        toml::Value::String(text) if text == "none" => Some(GrantedLease::None),
        toml::Value::Integer(seconds) if (1..=LEASE_MAX_S).contains(seconds) => {
            u32::try_from(*seconds).ok().map(GrantedLease::Seconds)
        }
        _ => None,
    };
    lease.ok_or_else(|| source.fault(given.span(), Fault::Lease { text: given.get_ref().to_string() }))
}

fn owner(source: &Source, text: &Text) -> Result<Box<str>, ConfigError> {
    let owner = text.get_ref();
    let readable = owner.chars().all(|character| !character.is_whitespace() && !character.is_control());
    if !readable || !(1..=64).contains(&owner.chars().count()) {
        return Err(source.fault(text.span(), Fault::Owner));
    }
    Ok(owner.as_str().into())
}
