//! The `[[grant]]` tables of a zone.

use std::ops::Range;

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::source::{List, Number, Source, Text};
use super::{ConfigError, Doubt, Fault, LEASE_MAX_S, key_name};
use crate::security::{Grant, Keyring, PoolPattern, within_loopback};
use crate::wire::{Name, name_text};

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
    addresses: List,
    owner: Option<Text>,
    #[serde(default)]
    admin: bool,
    lease: Number,
}

pub(super) fn read(
    source: &Source,
    table: &Spanned<GrantTable>,
    keys: &Keys<'_>,
) -> Result<Grant, ConfigError> {
    let span = table.span();
    let table = table.get_ref();
    let key = match (&table.key, table.unsigned) {
        (Some(text), false) => Some(known_key(source, text, keys)?),
        (None, true) => None,
        _ => return Err(source.fault(span, Fault::Holder)),
    };
    let lease_s = match &table.lease {
        None => None,
        lease => Some(source.number("lease", lease, 0, 1..=LEASE_MAX_S)?),
    };
    Ok(Grant {
        sources: sources(source, table, key.is_none())?,
        key,
        pools: patterns(source, &table.pools)?,
        addresses: source.prefixes("addresses", &table.addresses)?,
        owner: table.owner.as_ref().map(|text| owner(source, text)).transpose()?,
        admin: table.admin,
        lease_s,
    })
}

/// Where in its table that stands which a doubt is about.
pub(super) fn place(table: &Spanned<GrantTable>, doubt: &Doubt) -> Range<usize> {
    let about = match doubt {
        Doubt::NoPool { .. } => table.get_ref().pools.as_ref().map(Spanned::span),
        Doubt::LongLease { .. } => table.get_ref().lease.as_ref().map(Spanned::span),
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

/// Anybody may forge the source of an unsigned datagram; only loopback's cannot come in over a wire.
fn sources(
    source: &Source,
    table: &GrantTable,
    unsigned: bool,
) -> Result<Vec<ipnetwork::IpNetwork>, ConfigError> {
    let networks = source.prefixes("sources", &table.sources)?;
    let texts = table.sources.iter().flat_map(|list| list.get_ref());
    match texts.zip(&networks).find(|(_, network)| unsigned && !within_loopback(network)) {
        Some((text, _)) => Err(source.fault(text.span(), Fault::BeyondLoopback)),
        None => Ok(networks),
    }
}

fn patterns(source: &Source, given: &List) -> Result<Vec<PoolPattern>, ConfigError> {
    let texts = source.list("pools", given)?;
    if texts.is_empty() {
        return Ok(vec![PoolPattern::new("*")]);
    }
    let pattern = |text: &Text| {
        let pattern = text.get_ref();
        let hopeless = pattern.is_empty() || pattern.ends_with('.') || pattern.contains(char::is_whitespace);
        if hopeless {
            return Err(source.fault(text.span(), Fault::Pattern { text: pattern.clone() }));
        }
        Ok(PoolPattern::new(pattern))
    };
    texts.iter().map(pattern).collect()
}

fn owner(source: &Source, text: &Text) -> Result<Box<str>, ConfigError> {
    let owner = text.get_ref();
    let readable = owner.chars().all(|character| !character.is_whitespace() && !character.is_control());
    if !readable || !(1..=64).contains(&owner.chars().count()) {
        return Err(source.fault(text.span(), Fault::Owner));
    }
    Ok(owner.as_str().into())
}
