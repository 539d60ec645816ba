//! What a record is to rollcall, in the words of design and log.

use crate::update::message::{Command, Prerequisite};
use crate::update::names::{Target, member_text};
use crate::update::plan::Touched;
use crate::wire::{Rtype, name_text};
use crate::zone::{Publisher, pool_needs};

/// Names of one zone, as grants spell them.
pub(super) struct Names<'z> {
    apex: &'z [u8],
}

impl<'z> Names<'z> {
    pub fn of(publisher: &'z Publisher) -> Self {
        Names { apex: publisher.zone().apex() }
    }

    /// A name relative to the zone, without a closing dot; `@` is the apex.
    pub fn relative(&self, name: &[u8]) -> String {
        if name == self.apex {
            "@".to_owned()
        } else {
            name_text(name.strip_suffix(self.apex).unwrap_or(name))
        }
    }

    /// What a prerequisite asks (RFC 2136 section 2.4).
    pub fn condition(&self, prerequisite: &Prerequisite) -> String {
        let name = self.relative(prerequisite.name());
        match prerequisite {
            Prerequisite::NameInUse { .. } => format!("condition that {name} is in use"),
            Prerequisite::NameNotInUse { .. } => format!("condition that {name} is not in use"),
            Prerequisite::RrsetExists { rtype, .. } => format!("condition that {name} {rtype} exists"),
            Prerequisite::NoRrset { rtype, .. } => format!("condition that {name} {rtype} does not exist"),
            Prerequisite::RrsetHas { rtype, .. } => {
                format!("condition that {name} {rtype} has just the records given")
            }
        }
    }

    /// What a record of the update section is, and the member that it is about, if it is about one.
    pub fn what(&self, command: &Command, target: &Target, touched: &[Touched]) -> (String, Option<String>) {
        // What several members share is nobody's: a deletion there is about all that are the sender's.
        let is_of_one = match target {
            Target::Pool(_) => match command {
                Command::Add { .. } => true,
                Command::DeleteRecord { rtype, .. } => matches!(*rtype, Rtype::SVCB | Rtype::HTTPS),
                _ => false,
            },
            Target::Service(..) => matches!(command, Command::Add { .. } | Command::DeleteRecord { .. }),
            _ => false,
        };
        let member = match (target, touched) {
            (Target::Member(_, member), _) => Some(member_text(member)),
            (_, [Touched::Member(_, member)]) if is_of_one => Some(member_text(member)),
            _ => None,
        };
        let (rtype, deletes) = match command {
            Command::Add { rtype, .. } => (Some(*rtype), false),
            Command::DeleteRrset { rtype, .. } | Command::DeleteRecord { rtype, .. } => (Some(*rtype), true),
            Command::DeleteName { .. } => (None, true),
        };
        let thing = self.thing(command, target, rtype, member.as_deref());
        let what = if deletes { format!("deletion of {thing}") } else { thing };
        (what, member)
    }

    fn thing(
        &self,
        command: &Command,
        target: &Target,
        rtype: Option<Rtype>,
        member: Option<&str>,
    ) -> String {
        let pool = target.pool().map(|pool| self.relative(pool)).unwrap_or_default();
        let whose = match (member, command) {
            (Some(member), _) => format!("member {member} of pool {pool}"),
            (None, Command::Add { .. }) => format!("a member of pool {pool}"),
            (None, _) => format!("the sender's members of pool {pool}"),
        };
        let is_address = matches!(rtype, None | Some(Rtype::A | Rtype::AAAA));
        let one = matches!(command, Command::Add { .. } | Command::DeleteRecord { .. });
        match (target, rtype) {
            (Target::Member(..), None) => whose,
            (Target::Member(..), Some(Rtype::TXT)) => format!("attributes of {whose}"),
            (Target::Member(..) | Target::Pool(_), _) if is_address => {
                let what = if one { "an address" } else { "the addresses" };
                format!("{what} of {whose}")
            }
            (Target::Pool(_), Some(rtype @ (Rtype::SVCB | Rtype::HTTPS))) => format!("{rtype} of {whose}"),
            (Target::Service(_, service), None | Some(Rtype::SRV)) => {
                format!("service {} of {whose}", name_text(service))
            }
            (Target::Drain(_, drained), None | Some(Rtype::TXT)) => {
                format!("drain of member {} of pool {pool}", member_text(drained))
            }
            (Target::InPool(in_pool), Some(rtype))
                if !one
                    && pool_needs(
                        command.name().strip_suffix(in_pool.as_ref()).unwrap_or_default(),
                        rtype,
                    ) =>
            {
                format!("what pool {pool} answers by itself")
            }
            _ => self.ordinary(command.name(), rtype, one),
        }
    }

    fn ordinary(&self, name: &[u8], rtype: Option<Rtype>, is_one: bool) -> String {
        let name = self.relative(name);
        match rtype {
            None => format!("all ordinary records of {name}"),
            Some(rtype) if is_one => format!("ordinary record {name} {rtype}"),
            Some(rtype) => format!("ordinary records {name} {rtype}"),
        }
    }
}
