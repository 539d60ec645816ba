//! The `[[grant]]` tables of a zone.

use serde::Deserialize;
use toml::Spanned;

use super::server::key_name;
use super::source::{List, Number, Source, Text};
use super::{ConfigError, Fault, LEASE_MAX_S};
use crate::security::{Grant, Keyring, PoolPattern, within_loopback};
use crate::wire::{Name, name_text};

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
    keyring: &Keyring,
) -> Result<Grant, ConfigError> {
    let span = table.span();
    let table = table.get_ref();
    let key = match (&table.key, table.unsigned) {
        (Some(text), false) => Some(known_key(source, text, keyring)?),
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

/// The name of a key that the server has: a grant to a misspelt one would never be found, and nobody would know why.
fn known_key(source: &Source, text: &Text, keyring: &Keyring) -> Result<Name, ConfigError> {
    let name = key_name(source, "key", text)?;
    if keyring.get(&name).is_some() {
        return Ok(name);
    }
    let known: Vec<_> = keyring.names().iter().map(|name| name_text(name.as_slice())).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(source.fault(text.span(), Fault::UnknownKey { text: text.get_ref().clone(), known }))
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
