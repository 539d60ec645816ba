//! What clients get: how the connections of many clients fall on members, beside what the policy makes of their weights, loads
//! and priorities. By addresses, asked for at the server itself, through Unbound that keeps nothing, and through Unbound that
//! keeps an answer for ten connections; and by SRV records, among which clients choose for themselves (RFC 2782).
//!
//! With `SHARES_LONG=1` a row is 100,000 connections, and what is printed is the tables of docs/policies.md. Without, it is as
//! many as show that a tenth of the largest share goes elsewhere.

mod asker;
mod pool;
mod tally;

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::clients::or_say;
use super::server::{Server, Site};
use super::{python, unbound};
use asker::Asker;
use pool::{EXACT, HUNDREDS, Kept, POOLS, Pool, THE_NEXT, WORKERS};
use tally::{Bound, MEMBERS, Tally};

/// Picks from one heartbeat to the next, where picks are counted.
const PICKS_A_HEARTBEAT: u64 = 100;
/// Connections to what a resolver keeps, before it forgets it.
const CONNECTIONS_KEPT: u64 = 10;
/// Choices of a SRV client from an answer that is not kept, before it asks again.
const CHOICES_FRESH: u64 = 100;

/// Connections, or choices, of one row.
fn connections() -> u64 {
    if std::env::var_os("SHARES_LONG").is_some() { 100_000 } else { 3_000 }
}

/// A server of all pools, with their members.
fn all_pools() -> Option<Server> {
    if !unbound::is_here() {
        return None;
    }
    let pools = || POOLS.iter().chain([&HUNDREDS]);
    let declared: String = pools().map(Pool::declared).collect();
    let server = Site::new(&declared).append(&format!("[udp]\nworkers = {WORKERS}\n")).serve()?;
    for pool in pools() {
        server.update(&[], &pool.registration(Kept::Not, 0));
        server.update(&[], &pool.registration(Kept::For5s, 0));
    }
    Some(server)
}

/// Where Unbound takes orders.
fn control(server: &Server) -> PathBuf {
    server.path().join("control")
}

/// Unbound that takes orders, and writes no line for each question.
fn unbound_for(server: &Server) -> unbound::Unbound {
    let more = format!(
        "server:
            verbosity: 1
        remote-control:
            control-enable: yes
            control-use-cert: no
            control-interface: \"{}\"",
        control(server).display()
    );
    unbound::in_front_with(server, "pool.example", &more)
}

/// Has Unbound forget a name's addresses, as `unbound-control flush_type` does.
fn forget(server: &Server, name: &str) {
    let mut socket = UnixStream::connect(control(server)).unwrap();
    socket.write_all(format!("UBCT1 flush_type {name} A\n").as_bytes()).unwrap();
    let mut said = String::new();
    socket.read_to_string(&mut said).unwrap();
    assert_eq!(said, "ok\n");
}

/// How many questions the server answered with records.
fn answered(counters: &Value) -> u64 {
    counters["udp"]["positive"].as_u64().unwrap()
}

/// Connects time and again to what `at` answers for one of the two pools. Where answers are kept, ten connections are to have
/// the same, and then it is forgotten.
fn connect(server: &Server, at: SocketAddr, pool: &Pool, kept: Kept) -> Tally {
    let name = format!("{}.pool.example.", pool.name(kept));
    let each = if kept == Kept::For5s { CONNECTIONS_KEPT } else { 1 };
    let (mut asker, mut tally) = (Asker::new(at, &name), Tally::new(each));
    for draw in 0..connections() / each {
        if pool.counts_picks() && draw % PICKS_A_HEARTBEAT == 0 {
            server.update(&[], &pool.registration(kept, draw + 1));
        }
        if kept == Kept::For5s {
            forget(server, &name);
        }
        let member = asker.connect();
        tally.add(member);
        assert!((1..each).all(|_| asker.connect() == member), "{name} is not kept");
    }
    tally
}

/// Does this for all pools at once, and prints the rows of the table that come of it.
fn for_each_pool(row: impl Fn(&Pool) -> Option<String> + Sync) {
    let rows = std::thread::scope(|scope| {
        let threads: Vec<_> = POOLS.iter().map(|pool| scope.spawn(|| row(pool))).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    // Below the line that the test harness has begun.
    println!("\n{}", rows.join("\n"));
}

#[test]
fn by_addresses_from_the_server_itself() {
    let Some(server) = all_pools() else { return };
    for_each_pool(|pool| {
        let tally = connect(&server, server.address, pool, Kept::Not);
        Some(tally.held_against(pool.parts, pool.bound, &pool.row("A, no resolver")))
    });
}

#[test]
fn by_addresses_through_unbound_that_keeps_nothing() {
    let Some(server) = all_pools() else { return };
    let unbound = unbound_for(&server);
    let before = answered(&server.counters());
    for_each_pool(|pool| {
        let tally = connect(&server, unbound.address, pool, Kept::Not);
        // It turns an answer of several records itself, by the number of the question.
        let bound = if pool.policy == "round-robin" { Bound::Random } else { pool.bound };
        Some(tally.held_against(pool.parts, bound, &pool.row("A, Unbound, TTL 0")))
    });
    // Every one was asked for here.
    let wanted = before + connections() * POOLS.len() as u64;
    server.counters_when(|counters| answered(counters) >= wanted);
}

#[test]
fn by_addresses_through_unbound_that_keeps_each_for_ten_connections() {
    let Some(server) = all_pools() else { return };
    let unbound = unbound_for(&server);
    let before = answered(&server.counters());
    for_each_pool(|pool| {
        let client = format!("A, Unbound, TTL 5, one answer for {CONNECTIONS_KEPT}");
        pool.is_drawn_one_by_one().then(|| {
            let tally = connect(&server, unbound.address, pool, Kept::For5s);
            tally.held_against(pool.parts, pool.bound, &pool.row(&client))
        })
    });
    let pools = POOLS.iter().filter(|pool| pool.is_drawn_one_by_one()).count() as u64;
    let (asked, connected) = (answered(&server.counters()) - before, connections() * pools);
    assert!(asked < connected / 2, "{asked} questions for {connected} connections: it keeps nothing");
}

#[test]
fn whoever_is_next_by_priority_has_all_once_the_best_has_left() {
    let Some(server) = all_pools() else { return };
    let unbound = unbound_for(&server);
    let pool = POOLS.iter().find(|pool| pool.policy == "priority").unwrap();
    println!();
    for kept in [Kept::Not, Kept::For5s] {
        server.update(&[], &format!("update delete m4.{}.pool.example.", pool.name(kept)));
        let tally = connect(&server, unbound.address, pool, kept);
        let client = if kept == Kept::Not { "TTL 0" } else { "TTL 5" };
        let row = pool.row(&format!("A, Unbound, {client}, the best has left"));
        println!("{}", tally.held_against(THE_NEXT, EXACT, &row));
    }
}

/// A server of all pools, if there are clients here that choose among SRV records.
fn all_pools_and_choosers() -> Option<Server> {
    let glib = Command::new("python3").args(["-c", "import ctypes; ctypes.CDLL('libgio-2.0.so.0')"]).status();
    let has_glib = glib.is_ok_and(|status| status.success());
    let is_here = python::is_here() && or_say(has_glib, "GLib is missing: apt-get install -y libglib2.0-0");
    is_here.then(all_pools).flatten()
}

/// Has two clients choose among the SRV records of pools, so often from one answer of Unbound's, and prints the rows of the
/// table that come of it. How many questions it took: at least two for each answer that is not kept.
fn choose<'a>(server: &Server, kept: Kept, every: u64, pools: impl Iterator<Item = &'a Pool>) -> u64 {
    let unbound = unbound_for(server);
    let before = answered(&server.counters());
    let pools: Vec<_> = pools.collect();
    let names: String = pools.iter().map(|pool| format!("'{}', ", pool.name(kept))).collect();
    let (ip, port, choices) = (unbound.address.ip(), unbound.address.port(), connections());
    let asked = format!("RESOLVER = '{ip}', {port}\nCHOICES, EVERY = {choices}, {every}\nPOOLS = {names}\n");
    let told = server.python(&(asked + include_str!("python/srv_choice.py")));
    assert_eq!(told.len(), 2 * pools.len());
    println!();
    for (pool, told) in pools.iter().zip(told.chunks(2)) {
        for (client, line) in ["dnspython", "GLib"].into_iter().zip(told) {
            println!("{}", chosen(pool, kept, client, line));
        }
    }
    // On the way to a service Unbound asks for the pool's address too (RFC 9156).
    let wanted = before + 2 * pools.len() as u64 * if kept == Kept::Not { 2 * choices / every } else { 1 };
    answered(&server.counters_when(|counters| answered(counters) >= wanted)) - before
}

#[test]
fn by_services_in_an_answer_that_unbound_keeps() {
    let Some(server) = all_pools_and_choosers() else { return };
    let pools = POOLS.iter().chain([&HUNDREDS]);
    let asked = choose(&server, Kept::For5s, connections(), pools);
    let at_least = 2 * (POOLS.len() as u64 + 1);
    assert!(
        asked < at_least + at_least / 2,
        "{asked} questions: the second client was not told what was kept"
    );
}

#[test]
fn by_services_in_answers_that_nobody_keeps() {
    let Some(server) = all_pools_and_choosers() else { return };
    choose(&server, Kept::Not, CHOICES_FRESH, POOLS.iter());
}

/// Checks whom a client chose, of which Python said a line, and makes rows of the table of it.
fn chosen(pool: &Pool, kept: Kept, client: &str, line: &str) -> String {
    let mut words = line.split(' ');
    assert_eq!([words.next(), words.next()], [Some(pool.name(kept).as_str()), Some(client)]);
    let counts: Vec<u64> = words.map(|count| count.parse().unwrap()).collect();
    let (first, second) = counts.split_at(MEMBERS);
    let [first, second] = [first, second].map(|counts| Tally::of(counts.try_into().unwrap()));
    let from = if kept == Kept::For5s { "one answer" } else { "one for 100" };
    let row = pool.row(&format!("SRV, {client}, {from}"));
    if pool.policy == "priority" {
        let next = second.held_against(THE_NEXT, EXACT, &format!("{row}, the best is down"));
        return format!("{}\n{next}", first.held_against(pool.service_parts, EXACT, &row));
    }
    let mut parts = pool.service_parts;
    // Where weights are small it shows that GLib draws a number of 0 to their sum, both included (RFC 2782), and goes through the
    // records from the lightest on: that one has a chance more.
    if client == "GLib" && pool.policy == "round-robin" {
        parts[0] += 1.0;
    }
    first.held_against(parts, Bound::Random, &row)
}
