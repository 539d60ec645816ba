//! Broken zone files, one fault in each: every good record with every kind of damage, rdata that is none of its type's, and
//! directives that say nothing. Each is refused at the line of its fault, in words.

use super::bad_rdata::BAD_RDATA;
use super::*;

/// One record of every type, and of some several.
const TYPES: &str = include_str!("../../../../testdata/zones/types.example.zone");

/// A record whose owner is `t`.
struct Good {
    rtype: String,
    rdata: String,
}

fn goods() -> Vec<Good> {
    let records = TYPES.lines().filter_map(|line| line.strip_prefix("t "));
    let good = |line: &str| {
        let (rtype, rdata) = line.trim_start().split_once(char::is_whitespace).unwrap();
        Good { rtype: rtype.into(), rdata: rdata.trim_start().into() }
    };
    records.map(good).collect()
}

/// What is done to a record: `OWNER`, `TYPE` and `RDATA` stand for its own.
const DAMAGES: [&str; 44] = [
    // Types, classes and TTLs.
    "OWNER XTYPEX RDATA",
    "OWNER \"TYPE\" RDATA",
    "OWNER TYPE, RDATA",
    "OWNER RDATA",
    "OWNER",
    "OWNER IN",
    "OWNER 60 IN",
    "OWNER CH TYPE RDATA",
    "OWNER HS TYPE RDATA",
    "OWNER CLASS2 TYPE RDATA",
    "OWNER CLASS65536 TYPE RDATA",
    "OWNER IN IN TYPE RDATA",
    "OWNER 60 60 TYPE RDATA",
    "OWNER 60 IN 60 TYPE RDATA",
    "OWNER 2147483648 TYPE RDATA",
    "OWNER 99999999999999999999 TYPE RDATA",
    "OWNER 4000w TYPE RDATA",
    "OWNER 1y TYPE RDATA",
    "OWNER 1h30 TYPE RDATA",
    "OWNER -60 TYPE RDATA",
    "OWNER 6.0 TYPE RDATA",
    // Owners.
    ".OWNER TYPE RDATA",
    "OWNER..x TYPE RDATA",
    "OWNER\\256 TYPE RDATA",
    "OWNER\\1 TYPE RDATA",
    "OWNER\\0a0 TYPE RDATA",
    "OWNER\u{1} TYPE RDATA",
    "LONG-LABEL.OWNER TYPE RDATA",
    "LONG-NAME.OWNER TYPE RDATA",
    "$OWNER TYPE RDATA",
    // Parentheses and quotes, closed by nobody.
    "OWNER ( TYPE RDATA",
    "OWNER TYPE ( RDATA",
    "OWNER TYPE ( RDATA ) (",
    "OWNER TYPE RDATA )",
    ") OWNER TYPE RDATA",
    "OWNER TYPE \"RDATA",
    // Rdata.
    "OWNER TYPE RDATA \\",
    "OWNER TYPE RDATA \u{7}",
    "OWNER TYPE \\#",
    "OWNER TYPE \\# RDATA",
    "OWNER TYPE \\# 5 00010203",
    "OWNER TYPE \\# 3 00010203",
    "OWNER TYPE \\# 2 000x",
    "OWNER TYPE \\# 65536 00",
];

/// What a damage would leave whole: a quote before text that is quoted, or that has one.
fn is_whole(damage: &str, good: &Good) -> bool {
    damage.contains("\"RDATA") && good.rdata.bytes().filter(|&octet| octet == b'"').count() % 2 == 1
}

/// Lines that are refused for what they are, at the last of them.
const LINES: [&str; 84] = [
    "$",
    "$ORIGIN",
    "$ORIGIN a b",
    "$ORIGIN a..b",
    "$ORIGIN \\999",
    "$ORIGIN LONG-LABEL",
    "$ORIGIN LONG-NAME",
    "$ORIGIN a (",
    "$ORIGINS a",
    "$TTL",
    "$TTL x",
    "$TTL 1 2",
    "$TTL -1",
    "$TTL 1x",
    "$TTL 2147483648",
    "$TTL \"60\"",
    "$TTL 1h 30m",
    "$INCLUDE",
    "$INCLUDE a b c",
    "$INCLUDE a a..b",
    "$INCLUDE nothing-there",
    "$INCLUDE \\256",
    "$INCLUDE \"",
    "$INCLUDE ../z",
    "$INCLUDE /",
    "$GENERATE",
    "$GENERATE 1-2",
    "$GENERATE 1-2 a",
    "$GENERATE 1-2 a$ A",
    "$GENERATE 1-2 a$ 60 IN A",
    "$GENERATE 1-2 a$ XX 10.0.0.1",
    "$GENERATE 1-2 a$ CH A 10.0.0.1",
    "$GENERATE 2-1 a$ A 10.0.0.$",
    "$GENERATE 1 a$ A 10.0.0.$",
    "$GENERATE 1- a$ A 10.0.0.$",
    "$GENERATE -1-2 a$ A 10.0.0.$",
    "$GENERATE 1-2/0 a$ A 10.0.0.$",
    "$GENERATE 1-2/x a$ A 10.0.0.$",
    "$GENERATE 1-2147483648 a$ A 10.0.0.$",
    "$GENERATE 0-1048576 a$ A 10.0.0.1",
    "$GENERATE x-y a$ A 10.0.0.$",
    "$GENERATE 250-260 a$ A 10.0.0.$",
    "$GENERATE 1-2 a${ A 10.0.0.1",
    "$GENERATE 1-2 a${} A 10.0.0.1",
    "$GENERATE 1-2 a${x} A 10.0.0.1",
    "$GENERATE 1-2 a${0,256} A 10.0.0.1",
    "$GENERATE 1-2 a${0,1,y} A 10.0.0.1",
    "$GENERATE 1-2 a${0,1,d,1} A 10.0.0.1",
    "$GENERATE 1-2 a${-2} A 10.0.0.1",
    "$GENERATE 1-2 a..$ A 10.0.0.1",
    "$GENERATE 1-2 ${0,64} A 10.0.0.1",
    "$GENERATE 1-2 a$ A 10.0.0.${0,3,x",
    "$GENERATE 1-2 a$ MX $",
    "$GENERATE 1-2 a$ TXT \"( $\"",
    "$GENERATE 1-2 same CNAME a$",
    "$UNKNOWN",
    "@ SOA a b 1 2 3 4 5",
    "@ SOA a b 1 2 3 4",
    "t SOA a b 1 2 3 4 5",
    "other. SOA a b 1 2 3 4 5",
    "@ CNAME x",
    "t CNAME x\nt CNAME y",
    "t CNAME x\nt A 10.0.0.1",
    "t A 10.0.0.1\nt CNAME x",
    "t CNAME x\n\nT TXT a",
    "t DS 1 8 2 00",
    "t RRSIG \\# 0",
    "t NSEC a A",
    "t NSEC3 1 0 0 - 00000000000000000000000000000000 A",
    "t DNSKEY 256 3 8 AQID",
    "t CDS 1 8 2 00",
    "t CDNSKEY 256 3 8 AQID",
    "t NSEC3PARAM 1 0 0 -",
    "t ZONEMD 1 1 1 00",
    "t SIG \\# 0",
    "t NXT \\# 0",
    "t ANY \\# 0",
    "t AXFR \\# 0",
    "t OPT \\# 0",
    "t TSIG \\# 0",
    "t NULL \\# 0",
    "t WKS 10.0.0.1 6 25",
    "\"",
    "(",
];

/// The text with what its words in capitals stand for.
fn filled(text: &str, good: &Good) -> String {
    let label = "l".repeat(64);
    let name = ["n".repeat(63).as_str(); 4].join(".");
    text.replace("RDATA", &good.rdata)
        .replace("OWNER", "t")
        .replace("TYPE", &good.rtype)
        .replace("LONG-LABEL", &label)
        .replace("LONG-NAME", &name)
}

/// Holds what is said of a zone whose last lines these are against what every refusal is: at the line of the fault, and
/// words with a mark under what they are about. What is wrong with it, if anything is.
fn is_refused(tail: &str) -> Option<String> {
    let text = format!("{HEAD}{tail}\nlater A 10.0.0.1\n");
    let Err(error) = zone(&text) else { return Some(format!("accepted: {tail}\n")) };
    let error = error.to_string();
    let line = HEAD.lines().count() + tail.lines().count();
    let width = tail.lines().last().unwrap_or_default().chars().count();
    let (told, excerpt) = error.split_once('\n')?;
    let rest = told.strip_prefix(&format!("z:{line}:")).and_then(|rest| rest.split_once(": "));
    let is_good = rest.is_some_and(|(column, what)| {
        column.parse().is_ok_and(|column: usize| (1..=width + 1).contains(&column))
            && what.split_whitespace().count() > 2
            && excerpt.lines().any(|line| line.trim_start_matches([' ', '|']).starts_with('^'))
    });
    (!is_good).then(|| format!("{tail}: {error}\n"))
}

/// All that is wrong with the refusals of these, which are more than so many.
fn are_refused(tails: impl IntoIterator<Item = String>, least: usize) {
    let mut count = 0;
    let wrong: String =
        tails.into_iter().inspect(|_| count += 1).filter_map(|tail| is_refused(&tail)).collect();
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > least, "{count} broken files");
}

/// The last lines of a zone, each with its fault.
fn damaged() -> Vec<String> {
    let damages = |good: Good| {
        let beside = format!("c CNAME x\nC {} {}", good.rtype, good.rdata);
        let damages = DAMAGES.iter().filter(|damage| !is_whole(damage, &good));
        damages.map(|damage| filled(damage, &good)).chain([beside]).collect::<Vec<_>>()
    };
    goods().into_iter().flat_map(damages).collect()
}

/// Whole files, one fault in each, and the line that it is on.
pub(crate) fn files() -> impl Iterator<Item = (String, usize)> {
    damaged().into_iter().map(|tail| (format!("{HEAD}{tail}\n"), HEAD.lines().count() + tail.lines().count()))
}

#[test]
fn every_record_with_every_damage() {
    for Good { rtype, rdata } in goods() {
        assert!(zone(&format!("{HEAD}t {rtype} {rdata}\n")).is_ok(), "{rtype} {rdata} is good");
    }
    are_refused(damaged(), 2_000);
}

#[test]
fn every_type_with_rdata_that_is_not_its_own() {
    let records = BAD_RDATA.iter().flat_map(|(rtype, bad)| bad.iter().map(move |rdata| (rtype, rdata)));
    are_refused(records.map(|(rtype, rdata)| format!("t {rtype} {rdata}")), 300);
    let named: Vec<_> = BAD_RDATA.iter().map(|(rtype, _)| *rtype).collect();
    for Good { rtype, .. } in goods() {
        assert!(named.contains(&&*rtype), "{rtype} has no bad rdata here");
    }
}

#[test]
fn lines_that_no_zone_has() {
    let good = Good { rtype: "A".into(), rdata: "10.0.0.1".into() };
    are_refused(LINES.iter().map(|line| filled(line, &good)), 80);
}
