//! What one change costs the thread that writes, with no disk in the way: judging it, publishing it, and freeing what was
//! published some changes before.
//!
//! `scripts/bench --scale` runs it. By hand:
//!
//! ```text
//! cargo run --release --example changing -- --members 1000000
//! ```
//!
//! What the figures are figures of:
//! 1. One zone of so many members, each with A, SRV and TXT, in pools of 10 but for one pool that is larger. They come as a restart
//!    brings them.
//! 2. A change is an UPDATE of one member that is alone in its group: nobody shares what it costs. A member leaves, joins again, and
//!    says another address and its old one, in pool after pool. It is unsigned: a signature costs 2 us more.
//! 3. CPU time of this thread, each kind's median and its longest, in microseconds.

#![allow(clippy::disallowed_methods, reason = "a benchmark has a clock of its own")]

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use rollcall::membership::{
    Address, Attributes, Crowd, FOLLOWS_LEASE, LeaseRules, List, Member, MemberName, NO_DRAIN, PoolHandle,
    Registered, Said, Service,
};
use rollcall::policy::{Policy, Shown};
use rollcall::query::Transport;
use rollcall::security::{Cookies, Grant, Grants, Holder, Keyring};
use rollcall::update::{Clock, Limits, Registrar, Request, Setup, ZoneInput};
use rollcall::wire::{Class, Header, Name, Opcode, Rtype};
use rollcall::zone::{OnAllDown, PoolSettings, ZoneSettings, file};
use rustix::time::{ClockId, clock_gettime};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ZONE: &str = "pool.example.";
const NOW_MS: u64 = 10_000_000;
const LEASE_MS: u32 = 3_600_000;
const WALL_S: u64 = 1_700_000_000;

/// Changes members of a large zone, and says what each change cost.
#[derive(Parser)]
struct Args {
    /// Members in all.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..=4_000_000))]
    members: u32,
    /// Members of the one large pool, among these.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    large: u32,
    /// Changes of each kind in pools of 10; in the large pool a tenth.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    changes: u32,
    /// The pools' policy.
    #[arg(long, default_value = "round-robin")]
    policy: String,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("changing: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    if args.large >= args.members {
        return Err("--large is to be less than --members".into());
    }
    let policy = Policy::named(&args.policy).ok_or("no such policy; see the README")?;
    let mut registrar = registrar(args, policy)?;
    let pools = (args.members - args.large) / 10;
    let large = (0..args.large).map(|member| (0, member));
    let small = (1..=pools).flat_map(|pool| (0..10).map(move |member| (pool, member)));
    let members =
        large.chain(small).map(|(pool, member)| registered(pool, member)).collect::<Result<Vec<_>>>()?;
    let restored = registrar.restore_all(members, 0, NOW_MS)?;
    if restored.left_count > 0 {
        return Err(format!("{} members found no place", restored.left_count).into());
    }
    println!("| pool of | change | median us | longest us |\n|---:|---|---:|---:|");
    let mut writer = Writer { registrar, changes: 0 };
    let places = (1..=args.changes).map(|number| (1 + number * 7 % pools, number % 10));
    writer.measure(10, &places.collect::<Vec<_>>())?;
    let places = (1..=(args.changes / 10).max(10)).map(|number| (0, number * 7919 % args.large));
    writer.measure(args.large, &places.collect::<Vec<_>>())
}

fn registrar(args: &Args, policy: Policy) -> Result<Registrar> {
    let apex = Name::bytes_from_str(ZONE)?;
    let defaults = PoolSettings {
        policy,
        ttl_s: 5,
        addresses: policy.addresses_by_default(),
        services: Shown::All,
        load_half_life_ms: 0,
        warm_up_ms: 0,
        on_all_down: OnAllDown::All,
        leases: LeaseRules { default_ms: LEASE_MS, min_ms: 2_000, max_ms: LEASE_MS },
        debug_from: [].into(),
    };
    let records = file::synthetic(&apex)?;
    let settings = ZoneSettings {
        apex,
        negative_ttl_s: 2,
        create_pools: true,
        freeze_max_ms: 0,
        defaults,
        pools: Vec::new(),
    };
    let addresses = vec!["0.0.0.0/0".parse()?];
    let grants = Grants::new(vec![Grant { addresses, ..Grant::to(Holder::Unsigned) }]);
    let setup = Setup {
        zones: vec![ZoneInput { settings, records, grants, serial: 1 }],
        dynamics: Vec::new(),
        keyring: Keyring::default(),
        cookies: Arc::new(Cookies::new([7; 16])),
        limits: Limits { members: args.members as usize + 1, pools: args.members as usize, records: 100 },
        run: 1,
    };
    Ok(Registrar::new(setup, NOW_MS - 60_000, 1)?)
}

fn pool_label(pool: u32) -> String {
    format!("p{pool:02}")
}

fn member_label(member: u32) -> String {
    format!("m{member}")
}

fn address(pool: u32, member: u32, moved: bool) -> Ipv4Addr {
    let first = if moved { 0x2000_0000 } else { 0x1000_0000 };
    Ipv4Addr::from_bits(first + pool * 16 + member)
}

/// A member as a restart brings it back.
fn registered(pool: u32, member: u32) -> Result<(PoolHandle, MemberName, Registered)> {
    let handle: PoolHandle = Name::bytes_from_str(&format!("{}.{ZONE}", pool_label(pool)))?.as_slice().into();
    let name: MemberName = member_label(member).into_bytes().into();
    let service = Service {
        service: b"\x05_http\x04_tcp"[..].into(),
        port: 8080,
        priority: 0,
        weight: 10,
        lapses_ms: FOLLOWS_LEASE,
    };
    let mut attributes = Attributes::default();
    attributes.set("weight", b"10");
    let member = Member {
        owner: "127.0.0.1".into(),
        lease_ms: LEASE_MS,
        key_lease_ms: LEASE_MS,
        own_ttl_s: 30,
        heard_run: 1,
        addresses: vec![Address { ip: address(pool, member, false).into(), lapses_ms: FOLLOWS_LEASE }],
        services: vec![service].into(),
        bindings: List::default(),
        attributes,
        drain_ends_ms: NO_DRAIN,
    };
    let ends_ms = NOW_MS + u64::from(LEASE_MS);
    let registered = Registered {
        member,
        ends_ms,
        name_ends_ms: ends_ms,
        signed: None,
        said: Said::Nothing,
        renews: true,
        crowd: Crowd::default(),
        restored: true,
    };
    Ok((handle, name, registered))
}

/// What an UPDATE does.
#[derive(Clone, Copy)]
enum Kind {
    Leaves,
    Joins,
    Moves,
    MovesBack,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Leaves, Kind::Joins, Kind::Moves, Kind::MovesBack];

    fn name(self) -> &'static str {
        match self {
            Kind::Leaves => "a member leaves",
            Kind::Joins => "a member joins",
            Kind::Moves => "another address",
            Kind::MovesBack => "its old address",
        }
    }

    fn message(self, pool: u32, member: u32) -> Result<Vec<u8>> {
        let (any, none) = (Class::ANY, Class::NONE);
        let own = Name::bytes_from_str(&format!("{}.{}.{ZONE}", member_label(member), pool_label(pool)))?;
        let service = Name::bytes_from_str(&format!("_http._tcp.{}.{ZONE}", pool_label(pool)))?;
        let at = |moved| address(pool, member, moved).octets();
        let srv = [&[0, 0, 0, 10, 0x1F, 0x90], own.as_slice()].concat();
        let moving = |from: bool| {
            vec![
                record(&own, Rtype::A, none, 0, &at(from)),
                record(&own, Rtype::A, Class::IN, 30, &at(!from)),
            ]
        };
        let records = match self {
            Kind::Leaves => vec![record(&own, Rtype::ANY, any, 0, &[])],
            Kind::Joins => vec![
                record(&own, Rtype::A, Class::IN, 30, &at(false)),
                record(&service, Rtype::SRV, Class::IN, 30, &srv),
                record(&own, Rtype::TXT, Class::IN, 30, b"\x09weight=10"),
            ],
            Kind::Moves => moving(false),
            Kind::MovesBack => moving(true),
        };
        let flags = u16::from(Opcode::UPDATE.to_int()) << 11;
        let mut message = Header { id: 7, flags, counts: [1, 0, records.len() as u16, 0] }.octets().to_vec();
        message.extend_from_slice(Name::bytes_from_str(ZONE)?.as_slice());
        message.extend_from_slice(&Rtype::SOA.to_int().to_be_bytes());
        message.extend_from_slice(&Class::IN.to_int().to_be_bytes());
        records.iter().for_each(|record| message.extend_from_slice(record));
        Ok(message)
    }
}

fn record(owner: &Name, rtype: Rtype, class: Class, ttl_s: u32, rdata: &[u8]) -> Vec<u8> {
    let mut record = owner.as_slice().to_vec();
    record.extend_from_slice(&rtype.to_int().to_be_bytes());
    record.extend_from_slice(&class.to_int().to_be_bytes());
    record.extend_from_slice(&ttl_s.to_be_bytes());
    record.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
    record.extend_from_slice(rdata);
    record
}

/// The thread that writes.
struct Writer {
    registrar: Registrar,
    changes: u64,
}

impl Writer {
    /// Makes a change of each kind at each of these members, and prints what they cost.
    fn measure(&mut self, pool_of: u32, places: &[(u32, u32)]) -> Result<()> {
        let mut costs = [const { Vec::new() }; 4];
        for (pool, member) in places {
            for (kind, costs) in Kind::ALL.into_iter().zip(&mut costs) {
                costs.push(self.change(&kind.message(*pool, *member)?)?);
            }
        }
        for (kind, mut costs) in Kind::ALL.into_iter().zip(costs) {
            costs.sort_unstable();
            let us = |cost: Option<&Duration>| cost.map_or(0.0, |cost| cost.as_secs_f64() * 1e6);
            let (median, longest) = (us(costs.get(costs.len() / 2)), us(costs.last()));
            println!("| {pool_of} | {} | {median:.1} | {longest:.1} |", kind.name());
        }
        Ok(())
    }

    fn change(&mut self, message: &[u8]) -> Result<Duration> {
        self.changes += 1;
        let now_ms = NOW_MS + self.changes;
        let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let request = Request { message, source, transport: Transport::Tcp, received_ms: now_ms };
        let began = cpu_time();
        let handled = self.registrar.handle(&request, Clock { now_ms, wall_s: WALL_S });
        self.registrar.publish(&handled.changes, now_ms)?;
        let reply = handled.reply.as_ref().map(|plan| plan.finish(true, WALL_S));
        let took = cpu_time() - began;
        let is_done = reply.is_some_and(|reply| reply.get(3).is_some_and(|flags| flags & 15 == 0));
        if !is_done || handled.changes.is_empty() {
            return Err(format!("a change was not made: {:?}", handled.refusal).into());
        }
        Ok(took)
    }
}

fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
