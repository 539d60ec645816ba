//! A server and the model of it, side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hickory_proto::op::ResponseCode;
use rollcall::membership::Cause;
use rollcall::security::Grant;
use tempfile::TempDir;

use super::event::{Beat, Event, KINDS, Kind, MEMBERS, TICK_MS};
use super::hold::FREEZE_MAX_MS;
use super::model::Model;
use super::world::{Answer, Setup, World, loopback_grant};

/// The pool's TTL, seconds.
const TTL_S: u64 = 5;
/// An answer's bound may be early, by as much as happened in so many milliseconds.
const BOUND_MS: u64 = 100;
/// While leases are held and the server is late, no later than this: past a second more their lease is over for want of ticks,
/// which the lease clock of the server sees to.
const LATE_MS_MAX: u64 = 896;
const WALL_MS: u64 = 1_700_000_000_000;

pub struct Lives {
    /// `None` between an end and a start.
    world: Option<World>,
    model: Model,
    /// What has happened by itself, before the last restart.
    facts: BTreeMap<&'static str, usize>,
    asked_ms: Option<u64>,
    serial: u32,
    _state: TempDir,
}

impl Lives {
    pub fn new() -> Self {
        // Where there is a disk of memory, a commit costs nothing.
        let memory = Path::new("/dev/shm");
        let state = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let operator =
            Grant { admin: true, sources: vec!["127.0.0.9/32".parse().unwrap()], ..loopback_grant() };
        let setup = Setup {
            grants: vec![operator, loopback_grant()],
            freeze_max_ms: FREEZE_MAX_MS as u32,
            ..Setup::default()
        };
        let world = World::stored(setup, state.path());
        Lives {
            serial: world.serial(),
            world: Some(world),
            model: Model::new(WALL_MS),
            facts: BTreeMap::new(),
            asked_ms: None,
            _state: state,
        }
    }

    fn world(&mut self) -> &mut World {
        self.world.as_mut().unwrap()
    }

    pub fn happen(&mut self, event: &Event) {
        match event {
            Event::Beat(beat) => self.beat(beat),
            Event::Everybody(lease_s) => {
                for m in 0..MEMBERS {
                    let named = vec![Kind::V4, Kind::Srv];
                    self.beat(&Beat { m, named, lease_s: Some(*lease_s), ..Beat::default() });
                }
            }
            Event::Delete(m, kind) => {
                let words = line(*m, *kind).replacen(" 30 ", " ", 1);
                self.say(&format!("delete {words}"), |model| model.delete_record(*m, *kind));
            }
            Event::Leave(m) => self.say(&format!("delete m{m}.web"), |model| model.leave(*m)),
            Event::TakeBack(m) => self.take_back(*m),
            Event::Drain(m, for_s) => {
                if self.model.present().contains(m) {
                    let word = for_s.map_or("why=disk".to_owned(), |seconds| format!("for={seconds}"));
                    let script = format!("add _drain.m{m}.web 0 TXT {word}");
                    self.say_as_operator(&script, |model| model.drain(*m, *for_s));
                }
            }
            Event::Undrain(m) => self.undrain(*m),
            Event::Live { ms, heard } => self.live(*ms, *heard),
            Event::Late { ms } => {
                let ms = if self.model.is_held() { (*ms).min(LATE_MS_MAX) } else { *ms };
                let since_tick_ms = self.model.now_ms - self.model.tick_ms;
                if !self.model.is_held() || since_tick_ms + ms <= LATE_MS_MAX {
                    self.world().advance_unswept(ms);
                    self.model.advance(ms);
                }
            }
            Event::Jump(ms) => self.jump(*ms),
            Event::Restart { is_clean, down_ms, times, up_ms, jump_ms } => {
                if *jump_ms != 0 {
                    self.jump(*jump_ms);
                }
                for _ in 0..*times {
                    self.restart(*is_clean, *down_ms);
                    self.check();
                    self.live(*up_ms, 0);
                }
            }
        }
    }

    fn undrain(&mut self, m: u8) {
        self.say_as_operator(&format!("delete _drain.m{m}.web"), |model| model.undrain(m));
    }

    fn take_back(&mut self, m: u8) {
        let seconds = self.model.own_drain_s(m).unwrap_or(1);
        self.say(&format!("delete m{m}.web TXT drain={seconds}"), |model| model.take_back(m));
    }

    fn beat(&mut self, beat: &Beat) {
        let Beat { m, named, lease_s, has_load, site, drain_s } = beat;
        let records = named.iter().map(|kind| format!("add {}", line(*m, *kind)));
        let load = has_load.then(|| "load=0.25".to_owned());
        let attributes: Vec<_> = [load, site.map(|site| format!("site={site}"))]
            .into_iter()
            .chain([drain_s.map(|seconds| format!("drain={seconds}"))])
            .flatten()
            .map(|attribute| format!("add m{m}.web 30 TXT {attribute}"))
            .collect();
        let script: Vec<_> = records.chain(attributes).collect();
        self.send(&script.join("; "), *lease_s, |model| model.beat(beat).map_err(|_| ()));
    }

    fn say(&mut self, script: &str, says: impl FnOnce(&mut Model) -> Option<Cause>) {
        self.send(script, None, |model| Ok(says(model)));
    }

    fn say_as_operator(&mut self, script: &str, says: impl FnOnce(&mut Model) -> Option<Cause>) {
        let own = std::mem::replace(&mut self.world().source, "127.0.0.9".parse().unwrap());
        self.say(script, says);
        self.world().source = own;
    }

    /// Sends a message to both: the verdict is the model's, and the serial moves when clients see something else.
    fn send(
        &mut self,
        script: &str,
        lease_s: Option<u32>,
        says: impl FnOnce(&mut Model) -> Result<Option<Cause>, ()>,
    ) {
        let (shown, serial) = (self.model.shown(), self.world().serial());
        let lease = lease_s.map(u32::to_be_bytes);
        let updated = self.world().update_with_lease(script, lease.as_ref().map(<[u8; 4]>::as_slice));
        let wanted = says(&mut self.model);
        let rcode = if wanted.is_ok() { ResponseCode::NoError } else { ResponseCode::Refused };
        assert_eq!(updated.rcode, rcode, "{script} at {}: {:?}", self.model.now_ms, updated.refusal);
        let (facts, causes): (Vec<Cause>, Vec<Cause>) =
            updated.causes.into_iter().partition(|cause| cause.is_fact());
        let is_deletion = !script.contains("add ");
        let causes: Vec<_> =
            causes.into_iter().filter(|cause| !(is_deletion && *cause == Cause::Renewed)).collect();
        assert_eq!(
            causes,
            wanted.unwrap_or(None).into_iter().collect::<Vec<_>>(),
            "{script} at {}",
            self.model.now_ms
        );
        let (was, is, moved) = (shown, self.model.shown(), self.world().serial() != serial);
        assert!(was == is || moved, "{script}: clients see something else, and the serial is the same");
        let is_operators = script.contains("_drain");
        assert!(was != is || !moved || !facts.is_empty() || is_operators, "{script}: the serial moved");
    }

    /// Time passes tick by tick. Whoever is heard renews all that it has, once a second.
    fn live(&mut self, ms: u64, heard: u8) {
        let (mut left_ms, mut beat_in_ms) = (ms, 0);
        while left_ms > 0 {
            if beat_in_ms == 0 {
                beat_in_ms = 1_008;
                for m in self.model.present().into_iter().filter(|m| *m < heard) {
                    self.beat(&Beat { m, has_load: true, lease_s: Some(9), ..Beat::default() });
                }
            }
            let step_ms = left_ms.min(TICK_MS);
            self.world().live(step_ms);
            self.model.advance(step_ms);
            self.model.tick();
            left_ms -= step_ms;
            beat_in_ms = u64::saturating_sub(beat_in_ms, step_ms);
        }
    }

    /// Nobody drains any more: how much of a drain is left, another process can tell by the wall clock alone.
    fn end_drains(&mut self) {
        // Whoever is over is gone first.
        self.live(TICK_MS, 0);
        let (own, operators) = self.model.draining();
        own.into_iter().for_each(|m| self.take_back(m));
        operators.into_iter().for_each(|m| self.undrain(m));
    }

    /// No lease hears of it.
    fn jump(&mut self, ms: i64) {
        self.end_drains();
        let world = self.world();
        world.wall_ms = world.wall_ms.saturating_add_signed(ms);
        self.model.wall_ms = self.model.wall_ms.saturating_add_signed(ms);
    }

    fn restart(&mut self, is_clean: bool, down_ms: u64) {
        self.check_facts();
        self.keep_facts();
        let before = self.world.take().unwrap();
        let world = match is_clean {
            true => before.stop_and_restart(down_ms),
            false => before.crash_and_restart(down_ms),
        };
        self.model.advance(down_ms);
        self.model.restart();
        let restored = world.changes.iter().filter(|change| change.cause() == Cause::Restored).count();
        assert_eq!(restored, self.model.len(), "who comes back");
        self.world = Some(world);
        self.asked_ms = None;
    }

    /// Asks for every name that a member can be found by.
    pub fn check(&mut self) {
        let now_ms = self.model.now_ms;
        let is_long_ago = self.asked_ms.is_none_or(|asked_ms| asked_ms + BOUND_MS <= now_ms);
        self.asked_ms = Some(now_ms);
        let in_service: Vec<_> = KINDS
            .iter()
            .flat_map(|kind| (0..MEMBERS).map(move |m| (m, *kind)))
            .filter_map(|(m, kind)| self.model.in_service(m, kind).map(|ends_ms| ((m, kind), ends_ms)))
            .collect();
        let in_service: BTreeMap<(u8, Kind), u64> = in_service.into_iter().collect();
        let first_ms = in_service.values().copied().min().unwrap_or(u64::MAX);
        let floor_s = if is_long_ago { left_s(first_ms, now_ms) } else { 0 };
        for (name, rtype, kind) in [
            ("web", "A", Kind::V4),
            ("all.web", "A", Kind::V4),
            ("web", "AAAA", Kind::V6),
            ("all.web", "AAAA", Kind::V6),
            ("_s._tcp.web", "SRV", Kind::Srv),
            ("_s._tcp.all.web", "SRV", Kind::Srv),
        ] {
            let answer = self.world().ask(name, rtype);
            let wanted: BTreeSet<u8> =
                in_service.keys().filter(|(_, of)| *of == kind).map(|(m, _)| *m).collect();
            assert_eq!(members(&answer), wanted, "{name} {rtype} at {now_ms}");
            if let Some(record) = answer.message.answers.first() {
                let ends = in_service.iter().filter(|((_, of), _)| *of == kind).map(|(_, ends_ms)| *ends_ms);
                let most_s = left_s(ends.min().unwrap(), now_ms);
                let ttl_s = u64::from(answer.ttl_s());
                assert!((floor_s..=most_s).contains(&ttl_s), "{name} {rtype}: TTL {ttl_s} at {now_ms}");
                assert_eq!(record.record_type().to_string(), rtype);
            }
            for record in &answer.message.additionals {
                let (m, kind) = of(&record.data.to_string());
                let ends_ms = in_service.get(&(m, kind)).expect("no address of anybody else");
                assert!(u64::from(record.ttl) <= left_s(*ends_ms, now_ms), "{record} at {now_ms}");
            }
        }
        (0..MEMBERS).for_each(|m| self.check_own(m));
        let serial = self.world().serial();
        assert!(serial >= self.serial, "the serial went back from {} to {serial}", self.serial);
        self.serial = serial;
    }

    /// A member's own name, also while it drains.
    fn check_own(&mut self, m: u8) {
        let now_ms = self.model.now_ms;
        let [v4, v6] = [Kind::V4, Kind::V6].map(|kind| self.model.own(m, kind));
        for (rtype, ends_ms) in [("A", v4), ("AAAA", v6)] {
            let answer = self.world().ask(&format!("m{m}.web"), rtype);
            let ttl_s = answer.message.answers.first().map(|record| u64::from(record.ttl));
            assert_eq!(ttl_s, ends_ms.map(|ends_ms| left_s(ends_ms, now_ms)), "m{m} {rtype} at {now_ms}");
            match v4.or(v6) {
                Some(_) => assert_eq!(answer.rcode(), ResponseCode::NoError, "m{m} at {now_ms}"),
                None => assert!(answer.is_nxdomain(), "m{m} is gone at {now_ms}"),
            }
            let is_held = self.model.is_held() && ends_ms == Some(self.model.held_until_ms());
            assert!(!is_held || ttl_s == Some(1), "m{m} is held: 1 s at {now_ms}");
        }
    }

    /// What has happened by itself was counted as what it was.
    fn check_facts(&mut self) {
        let mut counted = self.facts.clone();
        for (cause, count) in facts(self.world()) {
            *counted.entry(cause).or_default() += count;
        }
        for cause in [Cause::Expired, Cause::Drained, Cause::DrainOver].map(Cause::as_str) {
            let counted = counted.get(cause).copied().unwrap_or(0);
            assert_eq!(counted, self.model.facts.get(cause).copied().unwrap_or(0), "{cause}");
        }
    }

    fn keep_facts(&mut self) {
        for (cause, count) in facts(self.world()) {
            *self.facts.entry(cause).or_default() += count;
        }
    }

    /// Everything comes to its end.
    pub fn end(&mut self) {
        // A lease, a hold, and for those who are late in it, one lease more.
        for _ in 0..40 {
            if self.model.len() > 0 {
                self.live(5_000, 0);
            }
        }
        self.live(TICK_MS, 0);
        self.check();
        self.check_facts();
        assert_eq!(self.model.len(), 0, "nobody lives for ever");
        assert_eq!(self.world().registrar.members(), 0);
    }
}

fn facts(world: &World) -> BTreeMap<&'static str, usize> {
    let mut facts = BTreeMap::new();
    for change in world.changes.iter().filter(|change| change.cause().is_fact()) {
        *facts.entry(change.cause().as_str()).or_default() += 1;
    }
    facts
}

fn left_s(ends_ms: u64, now_ms: u64) -> u64 {
    ((ends_ms - now_ms) / 1000).min(TTL_S)
}

fn line(m: u8, kind: Kind) -> String {
    match kind {
        Kind::V4 => format!("m{m}.web 30 A 10.0.0.{}", m + 1),
        Kind::V6 => format!("m{m}.web 30 AAAA 2001:db8::{:x}", m + 1),
        Kind::Srv => format!("_s._tcp.web 30 SRV 0 1 80 m{m}.web"),
    }
}

/// Whose record it is.
fn of(text: &str) -> (u8, Kind) {
    match text.split(' ').nth(3) {
        Some(target) => (target.split('.').next().unwrap()[1..].parse().unwrap(), Kind::Srv),
        None if text.contains(':') => {
            (u8::from_str_radix(text.rsplit(':').next().unwrap(), 16).unwrap() - 1, Kind::V6)
        }
        None => (text.rsplit('.').next().unwrap().parse::<u8>().unwrap() - 1, Kind::V4),
    }
}

fn members(answer: &Answer) -> BTreeSet<u8> {
    answer.data().iter().map(|text| of(text).0).collect()
}
