//! The fast path, with zones of zone files and nothing else.

use std::path::Path;
use std::sync::Arc;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::Name;
use rollcall::membership::LeaseRules;
use rollcall::policy::{Policy, Shown};
use rollcall::query::{self, Context, Outcome, Scratch, Transport};
use rollcall::security::{Cookies, Grants, Keyring};
use rollcall::update::{Limits, Registrar, Setup, ZoneInput};
use rollcall::wire::Question;
use rollcall::zone::{OnAllDown, PoolSettings, ZoneSettings, file};

use super::zones::NEGATIVE_TTL_S;

const NOW_MS: u64 = 1_000;

pub struct Subject {
    registrar: Registrar,
    question: Question,
    scratch: Scratch,
}

impl Subject {
    /// Serves these: each zone's apex and the text of its file.
    pub fn new(zones: &[(String, String)]) -> Self {
        let limits = Limits { members: 1, pools: 1, records: 1 };
        let (zones, cookies) = (zones.iter().map(input).collect(), Arc::new(Cookies::new([7; 16])));
        let setup =
            Setup { zones, dynamics: Vec::new(), keyring: Keyring::default(), cookies, limits, run: 1 };
        let registrar = Registrar::new(setup, NOW_MS, 1).unwrap();
        Subject { registrar, question: Question::default(), scratch: Scratch::new(0, 1) }
    }

    /// Asks without EDNS.
    pub fn ask(&mut self, transport: Transport, name: &str, rtype: u16) -> Vec<u8> {
        let message = question(name, rtype).to_vec().unwrap();
        let zones = self.registrar.published();
        let context = Context {
            zones,
            transport,
            now_ms: NOW_MS,
            reserved: 0,
            cookie: None,
            keepalive: None,
            client: None,
        };
        let mut out = vec![0; 65_535];
        let reading = query::read(zones, &message, &mut self.question);
        match query::answer(&context, &self.question, reading, &message, &mut self.scratch, &mut out) {
            Outcome::Reply(len, _) => out.truncate(len),
            other => panic!("{name} TYPE{rtype}: {other:?}"),
        }
        out
    }
}

/// A question without EDNS.
pub fn question(name: &str, rtype: u16) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), rtype.into()));
    message
}

fn input((apex, text): &(String, String)) -> ZoneInput {
    let apex = rollcall::wire::Name::bytes_from_str(apex).unwrap();
    let records = file::parse(text.as_bytes(), Path::new("random.zone"), &apex).unwrap_or_else(|error| {
        panic!("{error}\n{text}");
    });
    let leases = LeaseRules { default_ms: 30_000, min_ms: 2_000, max_ms: 3_600_000 };
    let (addresses, services) = (Shown::All, Shown::All);
    let debug_from = Default::default();
    let defaults = PoolSettings {
        policy: Policy::RoundRobin,
        ttl_s: 5,
        addresses,
        services,
        load_half_life_ms: 0,
        warm_up_ms: 0,
        on_all_down: OnAllDown::All,
        leases,
        debug_from,
    };
    let (negative_ttl_s, create_pools, pools) = (NEGATIVE_TTL_S, false, Vec::new());
    let settings =
        ZoneSettings { apex, negative_ttl_s, freeze_max_ms: 600_000, create_pools, defaults, pools };
    ZoneInput { settings, records, grants: Grants::default(), serial: 7 }
}
