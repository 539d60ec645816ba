//! A disk that hangs, on a real clock: nobody who sends heartbeats meanwhile is missed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Sender, bounded};

use super::*;
use crate::query::{self, Context, Outcome, Scratch};
use crate::wire::Question;

const LEASE_MS: u64 = 2_000;

/// A disk that says when it is written to, and hangs until it is told to go on, or nobody can tell it any more.
struct Hanging {
    begun: Sender<()>,
    go_on: Receiver<()>,
}

impl Commit for Hanging {
    type Error = &'static str;

    fn commit<'c>(
        &mut self,
        _changes: impl IntoIterator<Item = &'c Change>,
        _serials: &[(Box<[u8]>, u32)],
        _at: Moment,
    ) -> Result<(), &'static str> {
        _ = self.begun.send(());
        _ = self.go_on.recv();
        Ok(())
    }
}

/// What an answer said, and when.
struct Seen {
    now_ms: u64,
    received_ms: u64,
    /// After it: meanwhile the registrar may have taken somebody out of the view.
    after_ms: u64,
    /// Last octets of the addresses.
    members: Vec<u8>,
}

/// Asks for `web.pool.example. A` again and again until told to stop.
fn ask(zones: &ArcSwap<ZoneSet>, leases: &LeaseClock, stop: &AtomicBool) -> Vec<Seen> {
    let message =
        b"\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03web\x04pool\x07example\x00\x00\x01\x00\x01";
    let (mut question, mut scratch, mut out) = (Question::default(), Scratch::new(0, 1), [0; 512]);
    let mut all = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let clock::LeaseTime { now_ms, received_ms } = leases.now();
        let zones = zones.load();
        let context = Context {
            zones: &zones,
            transport: Transport::Udp,
            now_ms,
            reserved: 0,
            client: None,
            cookie: None,
            keepalive: None,
        };
        let reading = query::read(&zones, message, &mut question);
        let Outcome::Reply(len, _) =
            query::answer(&context, &question, reading, message, &mut scratch, &mut out)
        else {
            panic!("no answer")
        };
        // Each record is a pointer, type, class, TTL, length and address: 16 octets.
        let records = out[message.len()..len].chunks(16).take(out[7].into());
        let mut members: Vec<_> = records.map(|record| record[15]).collect();
        members.sort_unstable();
        all.push(Seen { now_ms, received_ms, after_ms: leases.now().now_ms, members });
        thread::sleep(Duration::from_millis(2));
    }
    all
}

/// The registrar at work.
struct Desk {
    tasks: Sender<Task>,
    leases: Arc<LeaseClock>,
    to_client: mpsc::Sender<Option<Vec<u8>>>,
    replies: mpsc::Receiver<Option<Vec<u8>>>,
}

impl Desk {
    /// Sends a registration for a lease of two seconds. When it was received.
    fn send(&self, label: &str, last: u8) -> u64 {
        let received_ms = self.leases.now().received_ms;
        let message = asking(label, last, (LEASE_MS / 1000) as u32).into();
        let (source, reply_to) = (([127, 0, 0, 1], 4_000).into(), ReplyTo::Tcp(self.to_client.clone()));
        self.tasks.send(Task::Judge(Job { message, source, received_ms, reply_to })).unwrap();
        received_ms
    }

    fn is_acknowledged(&mut self) {
        let reply = self.replies.blocking_recv().unwrap().unwrap();
        assert_eq!(Rcode::masked_from_int(reply[3]), Rcode::NOERROR);
    }

    fn wait_until(&self, is_time: impl Fn(clock::LeaseTime) -> bool) {
        while !is_time(self.leases.now()) {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

#[test]
fn nobody_is_missed_while_heartbeats_wait_for_a_disk_that_hangs() {
    let (begun, writes) = bounded(64);
    let (let_go, go_on) = bounded(64);
    let (tasks, queue) = bounded(64);
    let counters = Arc::new(Counters::new(0));
    let leases = Arc::new(LeaseClock::new(clock::now_ms(), Arc::clone(&counters)));
    let registrar = registrar();
    let zones = Arc::new(ArcSwap::new(Arc::clone(registrar.published())));
    let store = Hanging { begun, go_on };
    let observer = Observer::new(Arc::clone(&counters));
    let registrar = GroupCommit::new(
        registrar,
        Arc::clone(&zones),
        store,
        observer,
        Arc::clone(&leases),
        &Restored::default(),
    );
    let clocks = Arc::downgrade(&leases);
    let (registrar, pulse) =
        (thread::spawn(move || registrar.run(&queue)), thread::spawn(move || clock::pulse(&clocks)));
    let (to_client, replies) = mpsc::channel(64);
    let mut desk = Desk { tasks, leases: Arc::clone(&leases), to_client, replies };

    let mut ends_ms = [0; 3];
    for (last, label) in [(1, "m1"), (2, "m2"), (3, "silent")] {
        ends_ms[usize::from(last) - 1] = desk.send(label, last) + LEASE_MS;
        writes.recv().unwrap();
        let_go.send(()).unwrap();
        desk.is_acknowledged();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (asked_zones, asked_leases, asked_stop) =
        (Arc::clone(&zones), Arc::clone(&leases), Arc::clone(&stop));
    let asker = thread::spawn(move || ask(&asked_zones, &asked_leases, &asked_stop));

    // A fourth joins, and the disk hangs for longer than what is left of all leases. Two send a heartbeat meanwhile.
    desk.send("m4", 4);
    writes.recv().unwrap();
    desk.wait_until(|time| time.received_ms >= ends_ms[0] - LEASE_MS / 2);
    ends_ms[0] = desk.send("m1", 1) + LEASE_MS;
    ends_ms[1] = desk.send("m2", 2) + LEASE_MS;
    desk.wait_until(|time| time.received_ms >= ends_ms[2] + LEASE_MS / 4);
    let released_ms = leases.now().received_ms;
    drop(let_go);
    (0..3).for_each(|_| desk.is_acknowledged());
    let caught_up_ms = leases.now().received_ms;
    // m1 and m2 end with what they were heard, and no later.
    desk.wait_until(|time| time.now_ms >= ends_ms[1] + LEASE_MS / 20);
    stop.store(true, Ordering::Relaxed);
    let seen = asker.join().unwrap();
    drop((desk, writes));
    registrar.join().unwrap();
    drop(leases);
    pulse.join().unwrap();

    let mut while_hanging = 0;
    for Seen { now_ms, received_ms, after_ms, members } in &seen {
        for last in 1..=3 {
            let ends_ms = ends_ms[usize::from(last) - 1];
            let is_there = members.contains(&last);
            let at = format!("member {last} at {now_ms} ({received_ms}), its end being {ends_ms}");
            assert!(is_there || *after_ms >= ends_ms, "missed: {at}");
            assert!(!is_there || *now_ms < ends_ms, "still there: {at}");
        }
        if *received_ms < released_ms {
            while_hanging += 1;
            assert!(members.len() >= 3, "nobody was over: the time stands still");
        }
    }
    assert!(while_hanging > 50, "asked {while_hanging} times while the disk hung");
    let made_up = |seen: &&Seen| seen.received_ms >= caught_up_ms && seen.now_ms == seen.received_ms;
    assert!(seen.iter().find(made_up).is_some(), "what was held up is made up for");
    assert!(seen.last().unwrap().now_ms >= ends_ms[1], "seen to the end");
    let json = counters.to_json();
    let clock = &json["clock"];
    assert_eq!(clock["suspended"], 0, "no time is left out: the heartbeats were heard");
    assert_eq!(json["changes"]["joined"], 4);
}
