//! The format before this one: `testdata/store/format-2.redb` was written by the last rollcall of that format, from messages of
//! nsupdate's kind and with leases, in three runs, and ended by SIGKILL.

use std::io;
use std::sync::Mutex;

use redb::{ReadableDatabase, ReadableTable, StorageBackend};

use super::*;
use crate::membership::LEASE_FOREVER_MS;
use crate::wire::name_text;

/// The file, and a moment eight seconds after its second run began: graces count from then.
const FORMAT_2: &[u8] = include_bytes!("../../../testdata/store/format-2.redb");
const EIGHT_S_LATER: u64 = 1_795_458_774_952;

fn format_2() -> TempDir {
    let state = dir();
    std::fs::write(state.path().join(FILE_NAME), FORMAT_2).unwrap();
    state
}

fn version_of(state: &Path) -> u32 {
    format::version(&format::database(&state.join(FILE_NAME), CACHE_BYTES).unwrap()).unwrap()
}

/// Everything that a start is given, but for what the run is and where the file comes from.
fn contents(loaded: &Loaded) -> String {
    let Loaded { members, absent, drains, floors, serials, gone, .. } = loaded;
    format!("{members:?}\n{absent:?}\n{drains:?}\n{:?}\n{floors:?}\n{serials:?}\n{gone}", loaded.dynamics(0))
}

/// How many members are in which encoding.
fn encodings(store: &Store) -> (usize, usize) {
    let stored = store.db.as_ref().unwrap().begin_read().unwrap();
    let members = stored.open_table(format::MEMBERS).unwrap();
    let first = members.iter().unwrap().map(|entry| entry.unwrap().1.value()[0]);
    let (before, now): (Vec<_>, Vec<_>) = first.partition(|&octet| octet == 2);
    assert!(now.iter().all(|&octet| octet == 3));
    (before.len(), now.len())
}

#[test]
fn everything_in_the_format_before_comes_back() {
    let state = format_2();
    assert_eq!(version_of(state.path()), 2);
    let (store, loaded) = open(state.path(), EIGHT_S_LATER);
    assert_eq!((loaded.run, loaded.upgraded_from, loaded.gone), (4, Some(2), 0));
    let elsewhere = "\0\u{3}sip\u{7}example\u{3}net\0";
    let wanted = [(elsewhere, 52_000), ("m1", 52_000), ("m4", 22_000), ("p1", LEASE_FOREVER_MS)];
    let wanted = [&wanted[..], &[("g1", 22_000), ("x1", 52_000)]].concat();
    assert_eq!(graces(&loaded), wanted.map_names());
    let m1 = &loaded.members[1];
    assert_eq!((name_text(&m1.pool).as_str(), &*m1.member.owner), ("web.pool.example.", "fleet."));
    let ips: Vec<_> = m1.member.addresses.iter().map(|address| address.ip.to_string()).collect();
    assert_eq!(ips, ["10.0.0.1", "2001:db8::1"]);
    let service = &m1.member.services[0];
    assert_eq!((service.port, service.priority, service.weight), (8080, 3, 10));
    assert_eq!((m1.member.bindings[0].rtype, m1.member.attributes.weight()), (65, Some(20)));
    assert_eq!(m1.floor.map(|floor| (floor.at_s, floor.fudge_s)), Some((1_795_458_766, 300)));
    assert_eq!((m1.name_left_ms, m1.drain_left_ms), (14 * 86_400_000 - 8_000, None));

    // m2 left and keeps its name for two hours, m3 freed it; both keep their floors for ten minutes.
    let absent: Vec<_> = loaded.absent.iter().map(|absent| (&*absent.name, absent.floor.is_some())).collect();
    assert_eq!(absent, [(&b"m2"[..], true), (&b"m3"[..], true)]);
    let [m2, m3] = &loaded.absent[..] else { panic!("{:?}", loaded.absent) };
    assert!((7_190_000..7_192_000).contains(&m2.name_left_ms) && m3.name_left_ms == 0, "{absent:?}");
    assert!((590_000..592_000).contains(&m3.floor_left_ms));
    assert!(loaded.drains.is_empty());

    let dynamics = loaded.dynamics(0);
    let names: Vec<_> = dynamics.iter().map(|(name, _)| name_text(name)).collect();
    assert_eq!(
        names,
        ["ns.pool.example.", "host.pool.example.", "info.pool.example.", "lease.pool.example."]
    );
    assert_eq!((dynamics[0].1.deleted.len(), dynamics[3].1.added[0].term.ends_ms), (1, 52_000));
    assert_eq!((loaded.floors.len(), loaded.serials[0].1), (4, 3_016));

    // Another start finds the same in the format of today.
    drop(store);
    assert_eq!(version_of(state.path()), 3);
    let (_, again) = open(state.path(), EIGHT_S_LATER);
    assert_eq!((again.run, again.upgraded_from), (5, None));
    assert_eq!(contents(&again), contents(&loaded));
}

trait MapNames {
    fn map_names(self) -> Vec<(String, u32)>;
}

impl MapNames for Vec<(&str, u32)> {
    fn map_names(self) -> Vec<(String, u32)> {
        self.into_iter().map(|(name, grace_ms)| (name.to_owned(), grace_ms)).collect()
    }
}

#[test]
fn entries_of_both_encodings_live_side_by_side() {
    let state = format_2();
    let (mut store, _) = open(state.path(), EIGHT_S_LATER);
    assert_eq!(encodings(&store), (6, 0), "an upgrade rewrites none");
    store.commit(&[joined("m1", 4), joined("m9", 4)], &[], AT).unwrap();
    assert_eq!(encodings(&store), (5, 2));
    drop(store);
    let (_, loaded) = open(state.path(), EIGHT_S_LATER);
    let names: Vec<_> =
        loaded.members.iter().skip(1).map(|back| (&*back.name, back.member.heard_run)).collect();
    assert_eq!(names[..4], [(&b"m1"[..], 4), (b"m4", 1), (b"m9", 4), (b"p1", 1)]);
}

/// A disk that ends in the middle: after so many calls that change it, nothing reaches it any more.
#[derive(Debug)]
struct Ending {
    octets: Arc<Mutex<Vec<u8>>>,
    calls_left: Mutex<usize>,
}

impl Ending {
    fn spend(&self) -> io::Result<()> {
        let mut left = self.calls_left.lock().unwrap();
        *left = left.checked_sub(1).ok_or_else(|| io::Error::other("the machine is off"))?;
        Ok(())
    }
}

impl StorageBackend for Ending {
    fn len(&self) -> io::Result<u64> {
        Ok(self.octets.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (octets, at) = (self.octets.lock().unwrap(), offset as usize);
        out.copy_from_slice(&octets[at..at + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.spend()?;
        self.octets.lock().unwrap().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.spend()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.spend()?;
        let at = offset as usize;
        self.octets.lock().unwrap()[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }
}

#[test]
fn a_crash_in_an_upgrade_leaves_one_format_or_the_other_whole() {
    let wanted = contents(&open(format_2().path(), EIGHT_S_LATER).1);
    let (mut before, mut after) = (0, 0);
    for calls in 0.. {
        let octets = Arc::new(Mutex::new(FORMAT_2.to_vec()));
        let disk = Ending { octets: Arc::clone(&octets), calls_left: Mutex::new(calls) };
        let opened = redb::Builder::new().create_with_backend(disk).map_err(redb::Error::from);
        let begun = opened.and_then(|db| {
            let (begun, _) = restart::begin_run(&db, 2, EIGHT_S_LATER)?;
            begun.finish(&db, EIGHT_S_LATER, &mut drop).map(|_| ())
        });
        let state = dir();
        std::fs::write(state.path().join(FILE_NAME), &*octets.lock().unwrap()).unwrap();
        let found = version_of(state.path());
        let (_, loaded) = open(state.path(), EIGHT_S_LATER);
        assert_eq!(loaded.run, if found == 2 { 4 } else { 5 }, "the run goes with the format: {calls} calls");
        assert_eq!(contents(&loaded), wanted, "{calls} calls");
        match found {
            2 => before += 1,
            3 => after += 1,
            other => panic!("format {other} after {calls} calls"),
        }
        if begun.is_ok() {
            assert_eq!(found, 3);
            break;
        }
    }
    assert!(before > 3 && after > 0, "{before} before, {after} after");
}
