//! Any text as a zone file; what is accepted can be served, record by record.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use hickory_proto::op::Message;
use rollcall::policy::Policy;
use rollcall::query::{self, Answered, Context, Outcome, Scratch, Transport};
use rollcall::security::{Cookies, Grants, Keyring};
use rollcall::update::{Limits, Registrar, Setup, ZoneInput};
use rollcall::wire::{Name, Question, Rtype};
use rollcall::zone::file::StaticRecord;
use rollcall::zone::{ZoneSettings, file};

use super::NOW_MS;
use super::world::{ZONE, pool_settings};

/// Records of a file that are asked for.
const ASKED_MAX: usize = 64;

/// The target.
pub fn run(text: &[u8]) {
    let apex = Name::bytes_from_str(ZONE).unwrap();
    let records = match file::parse(text, Path::new("any.zone"), &apex) {
        Ok(records) => records,
        Err(error) => return assert!(error.to_string().contains("any.zone"), "an error names the file"),
    };
    let asked: Vec<_> =
        records.records.iter().map(|record| (record.owner.clone(), record.rtype)).take(ASKED_MAX).collect();
    let leads = |record: &&StaticRecord| match record.rtype {
        Rtype::NS => record.owner != apex,
        rtype => rtype == Rtype::DNAME,
    };
    let redirections: BTreeSet<_> =
        records.records.iter().filter(leads).map(|record| (record.owner.clone(), record.rtype)).collect();
    let settings = ZoneSettings {
        apex,
        negative_ttl_s: 2,
        freeze_max_ms: 600_000,
        create_pools: true,
        defaults: pool_settings(Policy::RoundRobin),
        pools: Vec::new(),
    };
    let zone = ZoneInput { settings, records, grants: Grants::default(), serial: 1 };
    let limits = Limits { members: 1, pools: 1, records: 1 };
    let cookies = Arc::new(Cookies::new([7; 16]));
    let (zones, dynamics, keyring) = (vec![zone], Vec::new(), Keyring::default());
    let setup = Setup { zones, dynamics, keyring, cookies, limits, run: 1 };
    let registrar = Registrar::new(setup, NOW_MS, 1).expect("a zone file that was accepted can be served");
    let zones = registrar.published();
    let transport = Transport::Tcp;
    let context = Context {
        zones,
        transport,
        now_ms: NOW_MS,
        reserved: 0,
        client: None,
        cookie: None,
        keepalive: None,
    };
    let (mut question, mut scratch, mut out) = (Question::default(), Scratch::new(0, 1), vec![0; 65_535]);
    for (owner, rtype) in asked {
        let head = b"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00";
        let message = [head, owner.as_slice(), &rtype.to_int().to_be_bytes(), b"\x00\x01"].concat();
        let reading = query::read(zones, &message, &mut question);
        let outcome = query::answer(&context, &question, reading, &message, &mut scratch, &mut out);
        let Outcome::Reply(len, answered) = outcome else {
            panic!("{owner} {rtype} is in the file, and asked for it is {outcome:?}")
        };
        // What lies below a cut is the cut's, and what lies below a DNAME is wherever that leads.
        match leads_elsewhere(&redirections, &owner) {
            Some(Rtype::NS) => assert_eq!(answered, Answered::Referral, "{owner} {rtype}"),
            Some(_) => assert_ne!(answered, Answered::ServFail, "{owner} {rtype}"),
            None => assert_eq!(answered, Answered::Positive, "{owner} {rtype} is in the file"),
        }
        assert!(len > message.len(), "a record");
        assert_eq!(&out[12..message.len()], &message[12..]);
        _ = Message::from_vec(&out[..len]);
    }
}

/// The first that there is on the way from the apex to a name: a cut, also at the name, or a DNAME above it.
fn leads_elsewhere(redirections: &BTreeSet<(Name, Rtype)>, name: &Name) -> Option<Rtype> {
    let above: Vec<Name> = name.iter_suffixes().collect();
    above.into_iter().rev().find_map(|above| {
        let has = |rtype| redirections.contains(&(above.clone(), rtype));
        if has(Rtype::NS) {
            return Some(Rtype::NS);
        }
        (has(Rtype::DNAME) && above != *name).then_some(Rtype::DNAME)
    })
}
