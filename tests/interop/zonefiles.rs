//! Zone files: what we read from those in testdata/zones, what BIND and ldns read from them, and whether Knot finds a fault.
//!
//! BIND's reading comes as octets (its raw format), that of ldns in the form of RFC 3597: neither passes through a text
//! form that could hide a difference, nor through our own reader of one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rollcall::wire::Name;
use rollcall::zone::file::{self, ZoneRecords};

use super::clients::{or_say, text};

/// Owner in lower-case wire form, type, TTL and rdata of every record, SOA included; how often each is there.
type Records = BTreeMap<(Vec<u8>, u16, u32, Vec<u8>), usize>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/zones")
}

fn is_here(program: &str, package: &str) -> bool {
    or_say(
        Command::new(program).arg("-h").output().is_ok(),
        &format!("{program} is missing: apt-get install -y {package}"),
    )
}

/// Runs a program among the zone files; it has to be content with them.
fn run(program: &str, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } =
        Command::new(program).args(arguments).current_dir(folder()).output().unwrap();
    assert!(status.success(), "{program} {arguments:?}: {}{}", text(stdout), text(stderr));
    text(stdout)
}

fn name(text: &str) -> Name {
    Name::bytes_from_str(text).unwrap()
}

fn put(records: &mut Records, owner: &[u8], rtype: u16, ttl_s: u32, rdata: &[u8]) {
    *records.entry((owner.to_ascii_lowercase(), rtype, ttl_s, rdata.to_vec())).or_default() += 1;
}

/// What we read from a file.
fn ours(zone: &str) -> Records {
    let apex = name(zone);
    let path = folder().join(format!("{zone}.zone"));
    let ZoneRecords { soa, records, .. } = file::read(&path, &apex, &mut |_| ()).unwrap();
    let mut found = Records::new();
    let numbers =
        [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum].map(u32::to_be_bytes).concat();
    let rdata = [soa.mname.as_slice(), soa.rname.as_slice(), &numbers].concat();
    put(&mut found, apex.as_slice(), 6, soa.ttl_s, &rdata);
    for record in records {
        put(&mut found, record.owner.as_slice(), record.rtype.to_int(), record.ttl_s, &record.rdata);
    }
    found
}

/// What BIND reads from it.
fn binds(zone: &str) -> Records {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let file = format!("{zone}.zone");
    // Hosts without addresses and odd owners are not what this is about.
    let lenient = ["-i", "none", "-k", "ignore", "-m", "ignore", "-r", "ignore"];
    let arguments = ["-F", "raw", "-o", raw.to_str().unwrap(), zone, &file];
    run("named-checkzone", &[&lenient[..], &arguments].concat());
    let octets = std::fs::read(raw).unwrap();
    let mut rest = octets.as_slice();
    let mut take = move |len: usize| {
        let (taken, after) = rest.split_at_checked(len)?;
        rest = after;
        Some(taken)
    };
    fn number(octets: &[u8]) -> u32 {
        octets.iter().fold(0, |number, &octet| number << 8 | u32::from(octet))
    }
    // Format, version, time, flags and two serials.
    let header = take(24).unwrap();
    assert_eq!((number(&header[..4]), number(&header[4..8])), (2, 1), "the raw format that this knows");
    let mut found = Records::new();
    while let Some(head) = take(20) {
        let (rtype, ttl_s, count) =
            (number(&head[6..8]) as u16, number(&head[10..14]), number(&head[14..18]));
        let owner = take(number(&head[18..20]) as usize).unwrap();
        for _ in 0..count {
            let len = number(take(2).unwrap()) as usize;
            put(&mut found, owner, rtype, ttl_s, take(len).unwrap());
        }
    }
    found
}

/// Says what one has and the other has not.
fn assert_same(ours: &Records, theirs: &Records, who: &str) {
    assert!(ours.len() > 50, "{} records", ours.len());
    let only = |some: &Records, others: &Records| {
        let only = some.iter().filter(|(record, count)| others.get(*record) != Some(count));
        only.map(|((owner, rtype, ttl_s, rdata), count)| {
            let owner = rollcall::wire::name_text(owner);
            format!("{owner} {ttl_s} TYPE{rtype} {rdata:02x?} x{count}\n")
        })
        .collect::<String>()
    };
    assert!(ours == theirs, "only ours:\n{}only {who}:\n{}", only(ours, theirs), only(theirs, ours));
}

#[test]
fn named_checkzone_reads_the_same_records() {
    if is_here("named-checkzone", "bind9-utils") {
        for zone in ["rich.example", "types.example"] {
            assert_same(&ours(zone), &binds(zone), "BIND's");
        }
    }
}

/// The lines of the file of all types but for those of some types, in a file of their own.
fn without(types: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let whole = std::fs::read_to_string(folder().join("types.example.zone")).unwrap();
    let rtype = |line: &str| line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    for rtype_left_out in types {
        assert!(whole.lines().any(|line| rtype(line) == *rtype_left_out), "{rtype_left_out}");
    }
    let left: String = whole
        .lines()
        .filter(|line| !types.contains(&rtype(line).as_str()))
        .map(|line| format!("{line}\n"))
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("types.example.zone");
    std::fs::write(&path, left).unwrap();
    (dir, path)
}

/// Types that ldns has no text form for, and NSAP-PTR, whose name (RFC 1348) it takes for a string.
const UNKNOWN_TO_LDNS: [&str; 6] = ["SINK", "NINFO", "RKEY", "AVC", "TA", "NSAP-PTR"];

#[test]
fn ldns_read_zone_reads_the_same_records() {
    if !is_here("ldns-read-zone", "ldnsutils") {
        return;
    }
    let (ours, (_dir, path)) = (ours("types.example"), without(&UNKNOWN_TO_LDNS));
    let mut types: Vec<_> = ours.keys().map(|(_, rtype, ..)| *rtype).collect();
    types.dedup();
    let as_octets = types.iter().flat_map(|rtype| ["-u".to_owned(), format!("TYPE{rtype}")]);
    let arguments: Vec<_> = as_octets.chain([path.to_str().unwrap().to_owned()]).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut theirs = Records::new();
    for line in run("ldns-read-zone", &arguments).lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let [owner, ttl, "IN", rtype, "\\#", len, hex @ ..] = words.as_slice() else { panic!("{line}") };
        let hex = hex.concat();
        let rdata: Vec<u8> =
            (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
        assert_eq!(rdata.len(), len.parse::<usize>().unwrap(), "{line}");
        let rtype =
            rtype.strip_prefix("TYPE").map_or_else(|| panic!("{line}"), |number| number.parse().unwrap());
        put(&mut theirs, name(owner).as_slice(), rtype, ttl.parse().unwrap(), &rdata);
    }
    let known_types: Vec<_> = theirs.keys().map(|(_, rtype, ..)| *rtype).collect();
    let ours: Records = ours.into_iter().filter(|((_, rtype, ..), _)| known_types.contains(rtype)).collect();
    assert_same(&ours, &theirs, "of ldns");
}

/// Types that Knot has no text form for. Of OPENPGPKEY it reads every word as base64 of its own.
const UNKNOWN_TO_KNOT: [&str; 20] = [
    "MB",
    "MG",
    "MR",
    "X25",
    "ISDN",
    "NSAP",
    "NSAP-PTR",
    "PX",
    "GPOS",
    "EID",
    "NIMLOC",
    "SINK",
    "HIP",
    "NINFO",
    "RKEY",
    "TALINK",
    "OPENPGPKEY",
    "AVC",
    "TA",
    "DLV",
];

#[test]
fn kzonecheck_finds_no_fault() {
    if is_here("kzonecheck", "knot-dnssecutils") {
        let (_dir, path) = without(&UNKNOWN_TO_KNOT);
        let said = run("kzonecheck", &["-v", "-o", "types.example", path.to_str().unwrap()]);
        assert!(said.starts_with("No semantic error found"), "{said}");
    }
}

/// BIND does not load a zone whose name servers have no address, and then says no more: it reads the zone again without them.
#[test]
fn named_checkzone_has_the_same_doubts() {
    if !is_here("named-checkzone", "bind9-utils") {
        return;
    }
    let zone = "doubtful.example";
    let path = folder().join(format!("{zone}.zone"));
    let read = file::read(&path, &name(zone), &mut |_| ()).unwrap();
    let whole = std::fs::read_to_string(path).unwrap();
    let is_bad_ns = |line: &&str| ["NS silent", "NS alias"].contains(&&*words(line, 2));
    let (bad, good): (Vec<_>, Vec<_>) = whole.lines().partition(is_bad_ns);
    assert_eq!(bad.len(), 2);
    let said = |text: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("zone");
        std::fs::write(&path, text).unwrap();
        let mut command = Command::new("named-checkzone");
        command.args(["-i", "local", "-M", "warn", "-S", "warn", zone]).arg(path);
        text_of(command.output().unwrap())
    };
    let theirs =
        said(&whole).lines().filter(|line| line.contains("NS '")).map(String::from).collect::<Vec<_>>();
    let theirs = theirs.join("\n") + "\n" + &said(&good.join("\n"));
    let theirs = |what: &str| theirs.lines().filter(|line| line.contains(what)).count();
    let ours = |what: &str| read.warnings.iter().filter(|doubt| doubt.to_string().contains(what)).count();
    // What it says, what we say, and how often; a name outside the zone it mentions once for all its records.
    for (what, count, of_ours, our_count) in [
        ("has no address records (A or AAAA)", 4, "no A or AAAA", 4),
        ("is a CNAME (illegal)", 3, "is a CNAME", 3),
        ("ignoring out-of-zone data", 1, "not in the zone", 2),
    ] {
        assert_eq!((theirs(what), ours(of_ours)), (count, our_count), "{what}");
    }
    assert_eq!(read.warnings.len(), 4 + 3 + 2 + 1, "and one RRset with two TTLs");
}

/// The first words of a line that begins with white space.
fn words(line: &str, count: usize) -> String {
    line.split_whitespace().take(count).collect::<Vec<_>>().join(" ")
}

fn text_of(output: Output) -> String {
    text(output.stdout) + &text(output.stderr)
}
