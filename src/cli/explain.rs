//! `rollcall check --explain-update`: which grant allows or refuses each line of an nsupdate script.
//!
//! The script becomes the messages that nsupdate would send, and they take the server's own way, with nobody on the roll.

mod report;

use std::io::{self, Read as _, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use super::nsupdate_script::{self, ScriptKey, ScriptMessage};
use super::{EXIT_FAILED, EXIT_OK, ExplainArgs};
use crate::config::Config;
use crate::security::{Sender, Sent};
use crate::update::{Explainer, Refusal, ZoneInput};
use crate::wire::tsig::{Algorithm, TsigFailure};
use crate::wire::{Name, name_text};

use report::{MessageReport, Report};

/// Explains the script on `out`; what is wrong with it goes to `err`.
pub(super) fn explain(
    config: &Config,
    args: &ExplainArgs,
    json: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let script = args.script.as_deref().unwrap_or(Path::new("-"));
    let name = if script == Path::new("-") { "stdin".to_owned() } else { script.display().to_string() };
    let read = read(script).map_err(|error| format!("{name}: {error}"));
    let messages =
        read.and_then(|octets| nsupdate_script::read(&octets).map_err(|error| format!("{name}:{error}")));
    let explained = messages.and_then(|messages| explain_all(config, args, &messages));
    let report = Report::of(name, args, explained);
    report.write_messages(err)?;
    if json {
        report.write_json(out)?
    } else {
        report.write_text(out)?
    }
    Ok(if report.is_ok() { EXIT_OK } else { EXIT_FAILED })
}

fn read(script: &Path) -> io::Result<Vec<u8>> {
    if script != Path::new("-") {
        return std::fs::read(script);
    }
    let mut octets = Vec::new();
    io::stdin().read_to_end(&mut octets)?;
    Ok(octets)
}

fn explain_all(
    config: &Config,
    args: &ExplainArgs,
    messages: &[ScriptMessage],
) -> Result<Vec<MessageReport>, String> {
    if let Some(key) = args.key.as_ref().filter(|key| config.keyring.get(key).is_none()) {
        let known = config.keyring.names().into_iter().map(|name| name_text(name.as_slice()));
        let known = known.collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "none".to_owned() } else { known };
        let key = name_text(key.as_slice());
        return Err(format!("--key: the configuration has no key {key}; it has: {known}"));
    }
    let zones = config.zones.iter().map(|zone| ZoneInput {
        settings: zone.settings.clone(),
        records: zone.records.clone(),
        grants: zone.grants.clone(),
        serial: zone.records.soa.serial,
    });
    let explainer = Explainer::new(zones.collect());
    let explainer = explainer.map_err(|error| format!("cannot publish the zones: {error}"))?;
    let mut session = Session { config, args, explainer };
    Ok(messages.iter().map(|message| session.explain(message)).collect())
}

/// The address that everything is taken to come from.
fn source(args: &ExplainArgs) -> IpAddr {
    args.from.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)).to_canonical()
}

/// A script on its way through the zones.
struct Session<'c> {
    config: &'c Config,
    args: &'c ExplainArgs,
    explainer: Explainer,
}

impl Session<'_> {
    fn explain(&mut self, message: &ScriptMessage) -> MessageReport {
        let key = self.args.key.as_ref().or(message.key.as_ref().map(|key| &key.name)).cloned();
        let zone = message.zone.clone().or_else(|| self.zone_of(message.first_name()?));
        let explanation = zone.as_ref().map(|zone| {
            let source = source(self.args);
            let is_proven = self.args.tcp || source.is_loopback();
            let sent = self.sender(message.key.as_ref());
            let sent = sent.map(|sender| Sent { sender, source, is_proven });
            self.explainer.explain(&message.octets(zone), sent)
        });
        let is_it = |apex: &Name| Some(apex) == zone.as_ref();
        let config = self.config.zones.iter().find(|config| is_it(&config.settings.apex));
        MessageReport::of(message, zone.as_ref(), key.as_ref(), explanation, config)
    }

    /// The zone that nsupdate finds when it asks for the name's SOA, if it is one of this configuration.
    fn zone_of(&self, name: &Name) -> Option<Name> {
        let apexes = self.config.zones.iter().map(|zone| &zone.settings.apex);
        let above = apexes.filter(|apex| name.ends_with(apex));
        above.max_by_key(|apex| apex.label_count()).cloned()
    }

    /// The holder of `--key`, or of the script's key if the server would know it.
    fn sender(&self, script: Option<&ScriptKey>) -> Result<Sender, Refusal> {
        let keyring = &self.config.keyring;
        if let Some(key) = self.args.key.as_ref().and_then(|key| keyring.get(key)) {
            return Ok(Sender::Key(Arc::clone(key)));
        }
        let Some(ScriptKey { name, algorithm }) = script else { return Ok(Sender::Unsigned) };
        let is_other =
            |known: Algorithm, algorithm: &Name| Algorithm::from_wire(algorithm.as_slice()) != Some(known);
        match (keyring.get(name), algorithm) {
            (Some(key), Some(algorithm)) if is_other(key.algorithm(), algorithm) => {
                let (key, algorithm) = (Arc::clone(key), algorithm.clone());
                Err(TsigFailure::OtherAlgorithm { key, algorithm }.into())
            }
            (Some(key), _) => Ok(Sender::Key(Arc::clone(key))),
            (None, algorithm) => {
                let default = || Name::from_octets(Algorithm::HmacSha256.wire().into());
                let algorithm = algorithm.clone().or_else(|| default().ok());
                let algorithm = algorithm.unwrap_or_else(Name::root_bytes);
                Err(TsigFailure::UnknownKey { key: name.clone(), algorithm }.into())
            }
        }
    }
}

#[cfg(test)]
mod tests;
