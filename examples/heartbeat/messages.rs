//! The UPDATEs that a fleet sends: who is in which pool, and what changes there.

use std::net::Ipv4Addr;

use rollcall::wire::tsig::{self, Key};
use rollcall::wire::{Class, Header, Name, Opcode, Rtype};

use super::{Args, Result};

/// TTL of the records, seconds.
const TTL_S: u32 = 30;

/// After so many changes a pool is as it was.
pub const CHANGES: usize = 4;

/// One signed UPDATE a member, which registers it with a load of so many hundredths and 25 more.
pub fn signed_fleet(args: &Args, key: &Key, wall_s: u64, load: u64) -> Result<Vec<Vec<u8>>> {
    let load = 25 + load % 75;
    places(args)
        .map(|(pool, member)| Ok(signed(registration(&args.zone, pool, member, load)?, key, wall_s)))
        .collect()
}

/// One signed UPDATE a member, which has another address in each round.
pub fn signed_moves(args: &Args, key: &Key, wall_s: u64, round: u8) -> Result<Vec<Vec<u8>>> {
    places(args)
        .map(|(pool, member)| Ok(signed(moving(&args.zone, pool, member, round)?, key, wall_s)))
        .collect()
}

/// One signed UPDATE a member, which takes it off.
pub fn signed_departures(args: &Args, key: &Key, wall_s: u64) -> Result<Vec<Vec<u8>>> {
    places(args).map(|(pool, member)| Ok(signed(departure(&args.zone, pool, member)?, key, wall_s))).collect()
}

/// A question for the address of each member's own name.
pub fn questions(args: &Args) -> Result<Vec<Vec<u8>>> {
    let question = |(pool, member)| {
        let mut message = Header { id: 0, flags: 0, counts: [1, 0, 0, 0] }.octets().to_vec();
        message.extend_from_slice(member_name(&args.zone, pool, member)?.as_slice());
        message.extend_from_slice(&Rtype::A.to_int().to_be_bytes());
        message.extend_from_slice(&Class::IN.to_int().to_be_bytes());
        Ok(message)
    };
    places(args).map(question).collect()
}

/// Every member's pool and number.
fn places(args: &Args) -> impl Iterator<Item = (u32, u16)> {
    let members = args.members;
    let pools = args.first_pool..args.first_pool + args.pools;
    pools.flat_map(move |pool| (1..=members).map(move |member| (pool, member)))
}

/// The change of this number to the first pool, signed. In turn one member leaves and joins again, and the next says another
/// weight and its old one.
pub fn signed_change(args: &Args, key: &Key, wall_s: u64, number: usize) -> Result<Vec<u8>> {
    let pair = (number / CHANGES) % usize::from(args.members / 2).max(1);
    let first = u16::try_from(2 * pair + 1)?;
    let (zone, pool) = (&args.zone, args.first_pool);
    let message = match number % CHANGES {
        0 => departure(zone, pool, first)?,
        1 => registration(zone, pool, first, 25)?,
        2 => attributes(zone, pool, first + 1, b"\x09weight=11")?,
        _ => attributes(zone, pool, first + 1, b"\x09weight=10")?,
    };
    Ok(signed(message, key, wall_s))
}

fn signed(mut message: Vec<u8>, key: &Key, wall_s: u64) -> Vec<u8> {
    tsig::sign_request(&mut message, key, wall_s, tsig::FUDGE_S);
    message
}

/// `m1.p00 A`, `_http._tcp.p00 SRV`, `m1.p00 TXT`: member `member` of pool `pool`, who both are in its address. From 65,536
/// pools on, addresses go on in 11.0.0.0/8.
fn registration(zone: &Name, pool: u32, member: u16, load: u64) -> Result<Vec<u8>> {
    let own = member_name(zone, pool, member)?;
    let service = name_in(zone, &format!("_http._tcp.p{pool:02}"))?;
    let address = address_of(pool, member, 0);
    let srv = [&[0, 0, 0, 10, 0x1F, 0x90], own.as_slice()].concat();

    let mut message = update_of(zone, 3);
    put_record(&mut message, &own, Rtype::A, &address.to_be_bytes());
    put_record(&mut message, &service, Rtype::SRV, &srv);
    put_record(&mut message, &own, Rtype::TXT, format!("\x09weight=10\x09load=0.{load:02}").as_bytes());
    Ok(message)
}

fn address_of(pool: u32, member: u16, round: u8) -> u32 {
    // The two octets of a pool and its 1,000 members leave the first for rounds: 10 and 11 are 0's.
    let first = u32::from(Ipv4Addr::new(10 + 2 * (round % 100), 0, 0, 0));
    first + (pool << 8) + u32::from(member)
}

/// `m1.p00 A` of the round before deleted, and this round's added.
fn moving(zone: &Name, pool: u32, member: u16, round: u8) -> Result<Vec<u8>> {
    let own = member_name(zone, pool, member)?;
    let mut message = update_of(zone, 2);
    message.extend_from_slice(own.as_slice());
    message.extend_from_slice(&Rtype::A.to_int().to_be_bytes());
    message.extend_from_slice(&Class::NONE.to_int().to_be_bytes());
    // RFC 2136 section 2.5.4: no TTL, and the RDATA of the record that goes.
    message.extend_from_slice(&[0, 0, 0, 0, 0, 4]);
    message.extend_from_slice(&address_of(pool, member, round - 1).to_be_bytes());
    put_record(&mut message, &own, Rtype::A, &address_of(pool, member, round).to_be_bytes());
    Ok(message)
}

/// All RRsets at `m1.p00` deleted (RFC 2136 section 2.5.3).
fn departure(zone: &Name, pool: u32, member: u16) -> Result<Vec<u8>> {
    let mut message = update_of(zone, 1);
    message.extend_from_slice(member_name(zone, pool, member)?.as_slice());
    message.extend_from_slice(&Rtype::ANY.to_int().to_be_bytes());
    message.extend_from_slice(&Class::ANY.to_int().to_be_bytes());
    // No TTL, no RDATA.
    message.extend_from_slice(&[0; 6]);
    Ok(message)
}

/// `m1.p00 TXT`: what a member says of itself, and no more.
fn attributes(zone: &Name, pool: u32, member: u16, texts: &[u8]) -> Result<Vec<u8>> {
    let mut message = update_of(zone, 1);
    put_record(&mut message, &member_name(zone, pool, member)?, Rtype::TXT, texts);
    Ok(message)
}

fn member_name(zone: &Name, pool: u32, member: u16) -> Result<Name> {
    name_in(zone, &format!("m{member}.p{pool:02}"))
}

fn name_in(zone: &Name, labels: &str) -> Result<Name> {
    let zone = zone.to_string();
    Ok(Name::bytes_from_str(&format!("{labels}.{}.", zone.trim_end_matches('.')))?)
}

/// An UPDATE of the zone, up to its update section, which is to hold so many records.
fn update_of(zone: &Name, records: u16) -> Vec<u8> {
    let header =
        Header { id: 0, flags: u16::from(Opcode::UPDATE.to_int()) << 11, counts: [1, 0, records, 0] };
    let mut message = header.octets().to_vec();
    message.extend_from_slice(zone.as_slice());
    message.extend_from_slice(&Rtype::SOA.to_int().to_be_bytes());
    message.extend_from_slice(&Class::IN.to_int().to_be_bytes());
    message
}

fn put_record(message: &mut Vec<u8>, owner: &Name, rtype: Rtype, rdata: &[u8]) {
    message.extend_from_slice(owner.as_slice());
    message.extend_from_slice(&rtype.to_int().to_be_bytes());
    message.extend_from_slice(&Class::IN.to_int().to_be_bytes());
    message.extend_from_slice(&TTL_S.to_be_bytes());
    message.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
    message.extend_from_slice(rdata);
}
