//! A server without sockets, disk or clock of its own: the registrar and the question path, as production has them, on a
//! time that the test moves. Messages are built and answers read by hickory-proto, never by the code under test.

// Each test binary that includes this file uses its own part of it, and a test may fail by panicking.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use rollcall::change::Change;
use rollcall::membership::{self, Cause};
use rollcall::policy::Policy;
use rollcall::query::{self, Answered, Context, CookieTerms, Outcome, Scratch, Transport};
use rollcall::security::Cookies;
use rollcall::store::{Moment, Store};
use rollcall::update::{
    self, Clock, Desk, Limits, Registrar, Reload, Reloaded, Request, Silenced, Taken, ZoneInput,
};
use rollcall::wire::{NameKey, Question};
use rollcall::zone::{Draft, PoolSettings};

#[path = "answer.rs"]
pub mod answer;
#[path = "script.rs"]
pub mod script;
#[path = "setup.rs"]
pub mod setup;

pub use answer::Answer;
pub use script::{question_message, text, update_message};
pub use setup::*;

/// A reply to an UPDATE.
#[derive(Debug)]
pub struct Updated {
    pub octets: Vec<u8>,
    pub rcode: ResponseCode,
    /// The lease option that came back.
    pub lease: Option<Vec<u8>>,
    pub refusal: Option<String>,
    pub causes: Vec<Cause>,
    pub ignored: usize,
}

impl Updated {
    fn of(octets: Vec<u8>) -> Self {
        let reply = Message::from_vec(&octets).expect("a reply that parses");
        let lease = reply.edns.as_ref().and_then(|edns| edns.option(2.into())).map(|option| match option {
            EdnsOption::Unknown(_, data) => data.clone(),
            other => panic!("{other:?}"),
        });
        let (rcode, refusal, causes) = (reply.metadata.response_code, None, Vec::new());
        Updated { octets, rcode, lease, refusal, causes, ignored: 0 }
    }
}

pub struct World {
    pub registrar: Registrar,
    pub scratch: Scratch,
    question: Question,
    store: Option<Store>,
    state: Option<PathBuf>,
    /// What the next start begins with.
    pub setup: Setup,
    pub now_ms: u64,
    pub wall_ms: u64,
    /// Every change so far.
    pub changes: Vec<Change>,
    pub source: IpAddr,
    /// Every zone that was held, and held no more, so far.
    pub silenced: Vec<Silenced>,
    /// As what the last answer is counted.
    pub answered: Option<Answered>,
    /// Whether heartbeats that are known are taken where they come in, as a server's workers do.
    pub has_workers: bool,
    desk: Desk,
    /// Heartbeats that were.
    pub taken: usize,
}

impl World {
    pub fn new() -> Self {
        Self::with(Setup::default())
    }

    pub fn with(setup: Setup) -> Self {
        Self::start(setup, None, 1_700_000_000_000)
    }

    pub fn with_pools(pools: &[(&'static str, PoolSettings)]) -> Self {
        Self::with(Setup { pools: pools.to_vec(), ..Setup::default() })
    }

    /// One that holds little.
    pub fn with_limits(limits: Limits) -> Self {
        Self::with(Setup { limits, ..Setup::default() })
    }

    /// One for ordinary records: no registration makes a pool, and there is a zone below the zone.
    pub fn for_records() -> Self {
        let grants = vec![records_grant()];
        Self::with(Setup { create_pools: false, has_nested_zone: true, grants, ..Setup::default() })
    }

    /// One whose members survive a restart.
    pub fn with_store(state: &Path) -> Self {
        let pools = vec![("web", pool_settings(Policy::RoundRobin))];
        Self::stored(Setup { pools, ..Setup::default() }, state)
    }

    /// One made of this that a store outlives.
    pub fn stored(setup: Setup, state: &Path) -> Self {
        Self::start(setup, Some(state.to_owned()), 1_700_000_000_000)
    }

    fn start(setup: Setup, state: Option<PathBuf>, wall_ms: u64) -> Self {
        let now_ms = 1_000;
        let loaded = state.as_ref().map(|state| Store::open(state, 1 << 20, wall_ms).unwrap());
        let (mut store, loaded) = loaded.map_or((None, None), |(store, loaded)| (Some(store), Some(loaded)));
        let serials = loaded.as_ref().map(|loaded| &loaded.serials[..]).unwrap_or_default();
        let zones = zones(&setup, serials);
        let run = loaded.as_ref().map_or(1, |loaded| loaded.run);
        let cookies = Arc::new(Cookies::new([7; 16]));
        let dynamics = loaded.as_ref().map(|loaded| loaded.dynamics(now_ms)).unwrap_or_default();
        let (keyring, limits) = (keyring(&setup.keys), setup.limits);
        let beginning = update::Setup { zones, dynamics, keyring, cookies, limits, run };
        let mut registrar = Registrar::new(beginning, now_ms, 1).unwrap();
        if let Some(store) = &mut store {
            let at = Moment { now_ms, wall_ms };
            store.commit(&registrar.overtaken(), &registrar.serials(), at).unwrap();
        }
        loaded
            .iter()
            .flat_map(|loaded| &loaded.floors)
            .for_each(|floor| registrar.restore_floor(floor, now_ms));
        let (members, absent, drains) =
            loaded.map_or_else(Default::default, |loaded| (loaded.members, loaded.absent, loaded.drains));
        for drained in drains {
            let (pool, name, drain) = drained.drain(now_ms);
            registrar.restore_drain(&pool, &name, drain);
        }
        let members = members.into_iter().map(|returning| returning.registered(now_ms));
        let restored = registrar.restore_all(members, usize::MAX, now_ms).unwrap();
        for absent in absent {
            let (pool, name, absence) = absent.absence(now_ms);
            registrar.restore_absence(&pool, &name, absence);
        }
        World {
            registrar,
            scratch: Scratch::new(0, 1),
            question: Question::default(),
            store,
            state,
            setup,
            now_ms,
            wall_ms,
            changes: restored.told,
            source: "127.0.0.1".parse().unwrap(),
            silenced: Vec::new(),
            answered: None,
            has_workers: true,
            desk: Desk::default(),
            taken: 0,
        }
    }

    /// Has the server serve what `setup` says from now on, and no other zone.
    pub fn reload(&mut self, setup: Setup) -> Reloaded {
        let zones = zones(&setup, &[]);
        let was = std::mem::replace(&mut self.setup, setup);
        let unloaded = was.has_nested_zone && !self.setup.has_nested_zone;
        let unloaded = unloaded.then(|| apex(NESTED_ZONE)).into_iter().collect();
        self.serve(zones, unloaded)
    }

    /// Has the server serve the zone below as well, while the zone itself cannot be read.
    pub fn add_nested_zone_alone(&mut self) -> Reloaded {
        self.setup.has_nested_zone = true;
        let nested = zones(&self.setup, &[]).split_off(1);
        self.serve(nested, Vec::new())
    }

    /// Has it serve that zone no more, while the zone itself cannot be read.
    pub fn drop_nested_zone_alone(&mut self) -> Reloaded {
        self.setup.has_nested_zone = false;
        self.serve(Vec::new(), vec![apex(NESTED_ZONE)])
    }

    /// Has the server serve nothing.
    pub fn unload(&mut self) -> Reloaded {
        self.serve(Vec::new(), vec![apex(ZONE)])
    }

    fn serve(&mut self, zones: Vec<ZoneInput>, unloaded: Vec<Box<[u8]>>) -> Reloaded {
        let hasher = self.registrar.published().hasher().clone();
        let draft =
            |zone: ZoneInput| (Draft::new(zone.settings, &zone.records, &hasher).unwrap(), zone.grants);
        let zones = zones.into_iter().map(draft).collect();
        let keyring = Some(keyring(&self.setup.keys));
        let reloaded = self.registrar.reload(Reload { zones, unloaded, keyring }, self.now_ms).unwrap();
        if let Some(store) = &mut self.store {
            let at = Moment { now_ms: self.now_ms, wall_ms: self.wall_ms };
            store.commit(&reloaded.changes, &self.registrar.serials(), at).unwrap();
        }
        reloaded
    }

    /// SIGKILL now, and a start `down_ms` later.
    pub fn crash_and_restart(self, down_ms: u64) -> Self {
        let World { setup, state, wall_ms, store, .. } = self;
        drop(store);
        Self::start(setup, state, wall_ms + down_ms)
    }

    /// SIGTERM now, and a start `down_ms` later.
    pub fn stop_and_restart(mut self, down_ms: u64) -> Self {
        let floors = self.registrar.unstored_floors();
        let at = Moment { now_ms: self.now_ms, wall_ms: self.wall_ms };
        if let Some(store) = self.store.as_mut().filter(|_| !floors.is_empty()) {
            store.commit(&floors, &self.registrar.serials(), at).unwrap();
        }
        self.crash_and_restart(down_ms)
    }

    /// Seconds since 1970.
    pub fn wall_s(&self) -> u64 {
        self.wall_ms / 1000
    }

    /// Time passes; leases that are due end, as the server's tick would have it.
    pub fn advance(&mut self, ms: u64) {
        self.now_ms += ms;
        self.wall_ms += ms;
        self.expire();
    }

    /// Time passes as it does for a server: it ticks every 50 ms, looks at leases, holds and expires.
    pub fn live(&mut self, ms: u64) {
        let until_ms = self.now_ms + ms;
        while self.now_ms < until_ms {
            let step_ms = (until_ms - self.now_ms).min(50);
            self.advance_unswept(step_ms);
            let heard = self.registrar.listen(self.now_ms);
            self.silenced.extend(heard);
            self.expire();
        }
    }

    /// Time passes and the server's tick is late: nothing has been swept.
    pub fn advance_unswept(&mut self, ms: u64) {
        self.now_ms += ms;
        self.wall_ms += ms;
    }

    pub fn expire(&mut self) {
        loop {
            let (changes, looked_at) = self.registrar.expire(self.now_ms, 4096);
            self.publish(changes);
            if looked_at < 4096 {
                return;
            }
        }
    }

    fn publish(&mut self, changes: Vec<Change>) {
        // A tick at which nothing happened costs no commit.
        if let Some(store) = self.store.as_mut().filter(|_| !changes.is_empty()) {
            let at = Moment { now_ms: self.now_ms, wall_ms: self.wall_ms };
            store.commit(&changes, &self.registrar.serials(), at).unwrap();
        }
        self.registrar.publish(&changes, self.now_ms).unwrap();
        self.changes.extend(changes);
    }

    /// Sends an UPDATE in the words of [`update_message`].
    pub fn update(&mut self, script: &str) -> Updated {
        self.update_with_lease(script, None)
    }

    /// With the lease option of RFC 9664, as octets.
    pub fn update_with_lease(&mut self, script: &str, lease: Option<&[u8]>) -> Updated {
        let octets = update_message(script, lease).to_vec().unwrap();
        self.send(&octets)
    }

    /// Sends any message that is no question.
    pub fn send(&mut self, octets: &[u8]) -> Updated {
        self.send_over(Transport::Udp, octets)
    }

    pub fn send_over(&mut self, transport: Transport, octets: &[u8]) -> Updated {
        let request = Request { message: octets, source: self.source, transport, received_ms: self.now_ms };
        let clock = Clock { now_ms: self.now_ms, wall_s: self.wall_ms / 1000 };
        if self.has_workers {
            let heartbeats = self.registrar.heartbeats();
            let mut out = vec![0; 65_535];
            if let Some((len, taken)) = heartbeats.take(&request, clock.wall_s, &mut self.desk, &mut out) {
                out.truncate(len);
                self.taken += 1;
                let causes = if taken == Taken::Renewed { vec![Cause::Renewed] } else { Vec::new() };
                return Updated { causes, ..Updated::of(out) };
            }
        }
        let handled = self.registrar.handle(&request, clock);
        let is_floor = |change: &&Change| matches!(change, Change::Floor(_));
        let causes = handled.changes.iter().filter(|change| !is_floor(change)).map(Change::cause).collect();
        self.publish(handled.changes);
        if let Some(heartbeat) = &handled.heartbeat {
            self.registrar.recognise(heartbeat);
        }
        let octets = handled.reply.expect("a reply").finish(true, clock.wall_s);
        Updated { causes, refusal: handled.refusal, ignored: handled.ignored.len(), ..Updated::of(octets) }
    }

    /// Sends an UPDATE that must be accepted.
    pub fn accept(&mut self, script: &str) -> Vec<Cause> {
        let updated = self.update(script);
        assert_eq!(updated.rcode, ResponseCode::NoError, "{script}: {:?}", updated.refusal);
        updated.causes
    }

    /// Sends an UPDATE that must be refused, and returns the reason.
    pub fn refuse(&mut self, script: &str) -> String {
        let updated = self.update(script);
        assert_eq!(updated.rcode, ResponseCode::Refused, "{script}");
        assert!(updated.causes.is_empty(), "a refusal changes nothing");
        updated.refusal.expect("a reason")
    }

    /// Asks over TCP. NAME is relative to the zone unless it ends in a dot.
    pub fn ask(&mut self, name: &str, rtype: &str) -> Answer {
        self.ask_over(Transport::Tcp, name, rtype, None)
    }

    pub fn ask_over(
        &mut self,
        transport: Transport,
        name: &str,
        rtype: &str,
        udp_size: Option<u16>,
    ) -> Answer {
        let octets = self.answer(transport, &question_message(name, rtype, udp_size)).expect("a reply");
        let message = Message::from_vec(&octets).expect("an answer that parses");
        Answer { octets, message }
    }

    /// What cookies are made from, for a question from `source` now.
    pub fn cookie_terms(&self) -> CookieTerms<'_> {
        cookie_terms(&self.registrar, self.source, self.wall_ms)
    }

    /// The raw reply to a raw message.
    pub fn answer(&mut self, transport: Transport, message: &[u8]) -> Option<Vec<u8>> {
        let zones = self.registrar.published();
        let cookie = Some(cookie_terms(&self.registrar, self.source, self.wall_ms));
        let client = Some(self.source);
        let context =
            Context { zones, transport, now_ms: self.now_ms, reserved: 0, client, cookie, keepalive: None };
        let mut out = vec![0; 65_535];
        let reading = query::read(zones, message, &mut self.question);
        match query::answer(&context, &self.question, reading, message, &mut self.scratch, &mut out) {
            Outcome::Reply(len, answered) => {
                self.answered = Some(answered);
                out.truncate(len);
                Some(out)
            }
            Outcome::Registrar | Outcome::Silence => None,
        }
    }

    pub fn serial(&self) -> u32 {
        let zones = self.registrar.published();
        let apex = NameKey::of(&apex(ZONE), zones.hasher()).unwrap();
        zones.find(&apex).unwrap().serial()
    }
}

fn cookie_terms(registrar: &Registrar, client: IpAddr, wall_ms: u64) -> CookieTerms<'_> {
    CookieTerms { cookies: registrar.cookies(), client, now_s: (wall_ms / 1000) as u32 }
}

/// The change of a member that it is.
pub fn of_member(change: &Change) -> &membership::Change {
    match change {
        Change::Member(change) => change,
        other => panic!("of no member: {other:?}"),
    }
}

/// The same with a COOKIE option of these octets.
pub fn question_with_cookie(name: &str, rtype: &str, udp_size: u16, cookie: &[u8]) -> Vec<u8> {
    with_option(question_message(name, rtype, Some(udp_size)), 10, cookie)
}

/// The same with an EDNS option of these octets.
pub fn question_with_option(name: &str, rtype: &str, code: u8, data: &[u8]) -> Vec<u8> {
    with_option(question_message(name, rtype, Some(1232)), code, data)
}

fn with_option(mut message: Vec<u8>, code: u8, data: &[u8]) -> Vec<u8> {
    // The OPT record comes last, and its length last in that.
    message.truncate(message.len() - 2);
    message.extend([0, 4 + data.len() as u8, 0, code, 0, data.len() as u8]);
    message.extend_from_slice(data);
    message
}
