//! A client: it owns members and names that nobody else touches, and does with them whatever comes to its mind.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::check::{self, Found, POOLS};
use super::ledger::{Entry, Fault, Records, Registration, Runs, Span, Standing, Why, World};
use super::message::{By, Heard, Line, Stage, Update};
use super::report::{Tally, Violation};
use super::server::{DEFAULT_LEASE_S, FILE_NAMES, Result};

/// Members of a client.
const MEMBERS: u16 = 28;
/// Names with ordinary records of a client.
const NAMES: u16 = 10;
/// Names of a client: the next client's ids begin so much further on.
const ENTRIES: u16 = MEMBERS + NAMES;
/// Seconds that are asked for. Short ones end within rounds, one is longer than any grace.
const LEASES_S: [u32; 10] = [2, 2, 2, 3, 3, 5, 8, 15, 30, 90];
/// The most that a client waits between one message and the next.
const PAUSE_US_MAX: u64 = 2_000;
/// For this long before its end, a registration is not changed by attributes alone: it may end on the way.
const MARGIN: Duration = Duration::from_millis(500);

/// A client, with what it owns.
pub struct Client {
    rng: Rng,
    pub entries: Vec<Entry>,
    /// The last serial that it saw.
    pub serial: Option<u32>,
    pub tally: Tally,
    pub violations: Vec<Violation>,
}

/// A message, and what is there once it is done.
struct Intent {
    what: String,
    update: Update,
    /// Records, and for how long; `None` leaves nothing.
    after: Option<(Records, Option<Duration>)>,
    /// It says attributes alone: REFUSED if there is nobody who has them.
    is_attributes: bool,
}

impl Client {
    /// Number `number`, which chooses by this seed. `start` is when the zone file's names are there.
    pub fn new(number: u16, seed: u64, start: Instant) -> Self {
        let mut rng = Rng::with_seed(seed ^ (u64::from(number) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let never = || World::Absent(Why::Never);
        let first = number * ENTRIES;
        let members = (first..first + MEMBERS).map(|id| {
            let (pool, _) = POOLS.get(rng.usize(..POOLS.len())).copied().unwrap_or(("web", true));
            Entry::new(id, format!("m{id}.{pool}"), Some(pool), never())
        });
        let mut entries: Vec<Entry> = members.collect();
        entries.extend((first + MEMBERS..first + ENTRIES).map(|id| {
            // The last name of each of the first clients is one of the zone file's.
            if id + 1 == first + ENTRIES && usize::from(number) < FILE_NAMES {
                let records = Records { txt: ["file=1".to_owned()].into(), ..Records::default() };
                let heard = Span { from: start, to: start };
                let registration = Registration { records, lease: None, run: 0, heard };
                return Entry::new(id, format!("f{number}"), None, World::Registered(registration));
            }
            Entry::new(id, format!("host{id}"), None, never())
        }));
        Client { rng, entries, serial: None, tally: Tally::default(), violations: Vec::new() }
    }

    /// Works until the server is killed.
    pub fn work(&mut self, line: &mut Line<'_>, runs: &Runs, stage: &Stage, round: u32) -> Result<()> {
        while !stage.is_being_killed() {
            thread::sleep(Duration::from_micros(self.rng.u64(..PAUSE_US_MAX)));
            if self.rng.u8(..16) == 0 {
                self.read_serial(line, round)?;
            }
            let at = self.rng.usize(..self.entries.len());
            let now = Instant::now();
            let Some(entry) = self.entries.get_mut(at) else { continue };
            if entry.silent_until.is_some_and(|until| now < until) {
                continue;
            }
            entry.silent_until = None;
            let Some(intent) = intend(entry, &mut self.rng, runs, now, stage.is_calm())? else { continue };
            let by = if self.rng.u8(..3) == 0 { By::Tcp } else { By::Udp };
            if !self.send(line, runs, (at, intent), by, round)? {
                break;
            }
        }
        Ok(())
    }

    /// Sends a message and writes down what came of it. Whether the server is still there.
    fn send(
        &mut self,
        line: &mut Line<'_>,
        runs: &Runs,
        (at, intent): (usize, Intent),
        by: By,
        round: u32,
    ) -> Result<bool> {
        let Some(entry) = self.entries.get_mut(at) else { return Ok(true) };
        let Intent { what, update, after, is_attributes } = intent;
        let from = Instant::now();
        let heard = line.update(update, by)?;
        self.tally.slowest = self.tally.slowest.max(from.elapsed());
        let what = format!("{what} over {by:?} in round {round}");
        let world = |heard: Span| match after.clone() {
            Some((records, lease)) => {
                World::Registered(Registration { records, lease, run: runs.current(), heard })
            }
            None => World::Absent(Why::Deregistered),
        };
        let wrong = match heard {
            Heard::Killed => {
                entry.unacknowledged(&what, world(Span { from, to: Instant::now() }));
                self.tally.unacknowledged += 1;
                return Ok(false);
            }
            Heard::Nothing(why) => {
                entry.unacknowledged(&what, world(Span { from, to: Instant::now() }));
                (false, Fault::Other, why)
            }
            Heard::Reply(reply, heard) => match reply.metadata.response_code {
                ResponseCode::NoError => {
                    *if after.is_some() {
                        &mut self.tally.registrations
                    } else {
                        &mut self.tally.deregistrations
                    } += 1;
                    entry.acknowledged(&what, world(heard));
                    return self.read_back(line, runs, at, by, round);
                }
                rcode => {
                    let must = |world| runs.standing(world, heard) == Standing::Must;
                    let is_due = is_attributes && !entry.worlds.iter().all(must);
                    if is_due && rcode == ResponseCode::Refused {
                        return Ok(true);
                    }
                    let fault = if is_attributes { Fault::Lost } else { Fault::Other };
                    (true, fault, format!("{rcode} {:?}; {}", reply.edns, entry.told(runs, heard)))
                }
            },
        };
        // A server that does not reply need not be asked again.
        let (is_there, fault, text) = wrong;
        self.violations.push(Violation { round, fault, text: format!("{} {what}: {text}", entry.name) });
        Ok(is_there)
    }

    /// Now and then: what was acknowledged can be read (RFC 2136 section 3.5). Whether the server is still there.
    fn read_back(&mut self, line: &mut Line<'_>, runs: &Runs, at: usize, by: By, round: u32) -> Result<bool> {
        let Some(entry) = self.entries.get_mut(at).filter(|_| self.rng.u8(..6) == 0) else { return Ok(true) };
        let seen = match check::ask_for(line, &entry.name, by)? {
            Found::Killed => return Ok(false),
            Found::Bad(text) => {
                self.violations.push(Violation { round, fault: Fault::Other, text });
                return Ok(true);
            }
            Found::Seen(seen) => seen,
        };
        self.tally.read_back += 1;
        if let Some(last) = seen.last() {
            let told = entry.told(runs, last.asked);
            if let Some(fault) = entry.judge(runs, &seen) {
                let text = format!("{told}; read right after: {seen:?}");
                self.violations.push(Violation { round, fault, text });
            }
        }
        Ok(true)
    }

    fn read_serial(&mut self, line: &mut Line<'_>, round: u32) -> Result<()> {
        let Some(serial) = check::serial(line)? else { return Ok(()) };
        if let Some(before) = self.serial.filter(|before| !check::is_no_step_back(*before, serial)) {
            let text = format!("from {before} to {serial} while the server ran");
            self.violations.push(Violation { round, fault: Fault::SerialBack, text });
        }
        self.serial = Some(serial);
        Ok(())
    }
}

/// What to do with a name next; `None` is nothing. Where all is calm, it is renewed or falls silent.
fn intend(
    entry: &mut Entry,
    rng: &mut Rng,
    runs: &Runs,
    now: Instant,
    is_calm: bool,
) -> Result<Option<Intent>> {
    let soon = Span { from: now, to: now + MARGIN };
    let standing = entry.known().map(|world| (world.clone(), runs.standing(world, soon)));
    match standing {
        Some((World::Registered(held), Standing::Must)) => match rng.u8(..100) {
            // The first renewal in a run is stored: not a calm one.
            0..55 if !is_calm || held.run == runs.current() => renew(entry, rng, held).map(Some),
            94.. => {
                let silence_ms = if rng.u8(..5) == 0 { rng.u64(10_000..70_000) } else { rng.u64(500..8_000) };
                entry.silent_until = Some(now + Duration::from_millis(silence_ms));
                Ok(None)
            }
            _ if is_calm => Ok(None),
            55..75 => replace(entry, rng).map(Some),
            75..85 if entry.pool.is_some() => reword(entry, held).map(Some),
            _ => leave(entry, rng, Some(&held.records)).map(Some),
        },
        _ if is_calm => Ok(None),
        // Nothing is there, or it is not known what is: all of it at once, or nothing.
        Some((_, Standing::Gone(_))) if rng.bool() => join(entry, rng).map(Some),
        _ if rng.u8(..5) == 0 => leave(entry, rng, None).map(Some),
        _ => replace(entry, rng).map(Some),
    }
}

/// The same again, for as long.
fn renew(entry: &mut Entry, rng: &mut Rng, held: Registration) -> Result<Intent> {
    let mut update = Update::new()?;
    entry.wish = held.lease_s();
    put(&mut update, entry, &held.records, rng.bool())?;
    let after = Some((held.records, wish(&mut update, entry)));
    Ok(Intent { what: "renewed".to_owned(), update, after, is_attributes: false })
}

/// Where nothing is: records, and no deletion.
fn join(entry: &mut Entry, rng: &mut Rng) -> Result<Intent> {
    let mut update = Update::new()?;
    let records = compose(entry, rng);
    put(&mut update, entry, &records, rng.bool())?;
    let after = Some((records, wish(&mut update, entry)));
    Ok(Intent { what: format!("joined as {}", entry.version), update, after, is_attributes: false })
}

/// Other records in the place of whatever is there.
fn replace(entry: &mut Entry, rng: &mut Rng) -> Result<Intent> {
    let mut update = Update::new()?;
    update.delete(&entry.name, RecordType::ANY)?;
    let records = compose(entry, rng);
    put(&mut update, entry, &records, rng.bool())?;
    let after = Some((records, wish(&mut update, entry)));
    Ok(Intent { what: format!("replaced by {}", entry.version), update, after, is_attributes: false })
}

/// An attribute alone, which renews the whole member.
fn reword(entry: &mut Entry, held: Registration) -> Result<Intent> {
    let mut update = Update::new()?;
    entry.version += 1;
    entry.wish = held.lease_s();
    let attribute = format!("v={}", entry.version);
    update.add_txt(&entry.name, vec![attribute.clone()])?;
    let mut records = held.records;
    records.txt.retain(|string| !string.starts_with("v="));
    records.txt.insert(attribute);
    let after = Some((records, wish(&mut update, entry)));
    Ok(Intent { what: format!("reworded as {}", entry.version), update, after, is_attributes: true })
}

/// Leaves in one of the ways that there are; where it is known what is there, by LEASE 0 too.
fn leave(entry: &Entry, rng: &mut Rng, held: Option<&Records>) -> Result<Intent> {
    let mut update = Update::new()?;
    let what = match (rng.u8(..3), held) {
        (0, Some(held)) => {
            put(&mut update, entry, held, false)?;
            update.lease(0);
            "left by LEASE 0"
        }
        (1, _) => {
            for rtype in [RecordType::A, RecordType::AAAA, RecordType::TXT] {
                update.delete(&entry.name, rtype)?;
            }
            "deleted, type by type"
        }
        _ => {
            update.delete(&entry.name, RecordType::ANY)?;
            "deleted"
        }
    };
    Ok(Intent { what: what.to_owned(), update, after: None, is_attributes: false })
}

/// New records, unlike all that were there before, and a new wish for how long.
fn compose(entry: &mut Entry, rng: &mut Rng) -> Records {
    entry.version += 1;
    let version = entry.version;
    let [high, low] = entry.id.to_be_bytes();
    let v4 = Ipv4Addr::new(10, high, low, (version % 250) as u8 + 1);
    let v6 = Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, entry.id, version as u16);
    let mut txt = BTreeSet::from([format!("v={version}")]);
    let is_member = entry.pool.is_some();
    if is_member {
        txt.insert(format!("weight={}", rng.u8(1..=100)));
        if rng.bool() {
            txt.insert(format!("site=s{}", rng.u8(..9)));
        }
    }
    let asks = rng.u8(..10) < if is_member { 8 } else { 4 };
    entry.wish = LEASES_S.get(rng.usize(..LEASES_S.len())).copied().filter(|_| asks);
    let (has_v4, has_v6) = if is_member { (rng.u8(..10) > 0, rng.u8(..3) == 0) } else { (rng.bool(), false) };
    Records {
        v4: has_v4.then_some(v4),
        v6: (has_v6 || (is_member && !has_v4)).then_some(v6),
        port: (is_member && rng.u8(..5) > 0).then_some((1024 + version % 60_000) as u16),
        txt,
    }
}

/// Adds records to a message. A load is said, and shows nowhere.
fn put(update: &mut Update, entry: &Entry, records: &Records, says_load: bool) -> Result<()> {
    if let Some(ip) = records.v4 {
        update.add_v4(&entry.name, ip)?;
    }
    if let Some(ip) = records.v6 {
        update.add_v6(&entry.name, ip)?;
    }
    let mut strings: Vec<String> = records.txt.iter().cloned().collect();
    if let Some(pool) = entry.pool {
        if let Some(port) = records.port {
            update.add_srv(pool, port, &entry.name)?;
        }
        strings.extend(says_load.then(|| "load=0.25".to_owned()));
    }
    update.add_txt(&entry.name, strings)
}

/// Asks for the lease that the entry wants, and says for how long it then is.
fn wish(update: &mut Update, entry: &Entry) -> Option<Duration> {
    if let Some(lease_s) = entry.wish {
        update.lease(lease_s);
    }
    let without = entry.pool.map(|_| DEFAULT_LEASE_S);
    entry.wish.or(without).map(|lease_s| Duration::from_secs(lease_s.into()))
}
