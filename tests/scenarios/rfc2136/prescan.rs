//! Section 3.4.1: what an update section may say. One wrong record, and nothing of the message is done.

use hickory_proto::op::ResponseCode::{self, FormErr, NotZone};

use crate::table::Serial::Stays;
use crate::table::{Row, judge_all, row};
use crate::world::World;

const BEFORE: &str = "add host 60 A 10.0.0.1; add host 60 TXT v=1";

/// The rule, the wrong record, and the RCODE. Before it, each message adds and deletes what is right.
type Case = (&'static str, &'static str, ResponseCode);

#[rustfmt::skip]
pub const CASES: [Case; 36] = [
    ("3.4.1.1 not in the zone: add", "add new.example.org. 60 TXT yes", NotZone),
    ("3.4.1.1 not in the zone: delete an RRset", "delete example. TXT", NotZone),
    ("3.4.1.1 not in the zone: delete a name", "delete new.example.org.", NotZone),
    ("3.4.1.1 not in the zone: delete a record", "delete new.example.org. TXT yes", NotZone),
    ("3.4.1.1 not in the zone: its name is the end of another", "add xpool.example. 60 TXT yes", NotZone),
    ("3.4.1.2 class CH", "record new 60 CH TXT yes", FormErr),
    ("3.4.1.2 class HS", "record new 0 HS TXT", FormErr),
    ("3.4.1.2 class 0", "record new 0 CLASS0 TXT", FormErr),
    ("3.4.1.2 a class that nobody knows", "record new 60 CLASS65280 TXT yes", FormErr),
    ("3.4.1.2 add: type ANY", "record new 60 IN ANY \\# 1 00", FormErr),
    ("3.4.1.2 add: type ANY without rdata", "record new 60 IN ANY", FormErr),
    ("3.4.1.2 add: type AXFR", "record new 60 IN AXFR \\# 1 00", FormErr),
    ("3.4.1.2 add: type IXFR", "record new 60 IN TYPE251 \\# 1 00", FormErr),
    ("3.4.1.2 add: type MAILA", "record new 60 IN TYPE254 \\# 1 00", FormErr),
    ("3.4.1.2 add: type MAILB", "record new 60 IN TYPE253 \\# 1 00", FormErr),
    ("3.4.1.2 add: type TKEY", "record new 60 IN TYPE249 \\# 1 00", FormErr),
    ("3.4.1.2 add: rdata is short", "record new 60 IN A \\# 3 0A0000", FormErr),
    ("3.4.1.2 add: rdata is long", "record new 60 IN A \\# 5 0A00000100", FormErr),
    ("3.4.1.2 add: no rdata", "record new 60 IN A", FormErr),
    ("3.4.1.2 add: a name in rdata does not end", "record new 60 IN CNAME \\# 4 03777777", FormErr),
    ("3.4.1.2 delete an RRset: TTL", "record host 60 ANY A", FormErr),
    ("3.4.1.2 delete an RRset: rdata", "record host 0 ANY A 10.0.0.1", FormErr),
    ("3.4.1.2 delete an RRset: type AXFR", "record host 0 ANY AXFR", FormErr),
    ("3.4.1.2 delete an RRset: type IXFR", "record host 0 ANY TYPE251", FormErr),
    ("3.4.1.2 delete an RRset: type MAILA", "record host 0 ANY TYPE254", FormErr),
    ("3.4.1.2 delete an RRset: type MAILB", "record host 0 ANY TYPE253", FormErr),
    ("3.4.1.2 delete a name: TTL", "record host 60 ANY ANY", FormErr),
    ("3.4.1.2 delete a name: rdata", "record host 0 ANY ANY \\# 1 00", FormErr),
    ("3.4.1.2 delete a record: TTL", "record host 60 NONE A 10.0.0.1", FormErr),
    ("3.4.1.2 delete a record: type ANY", "record host 0 NONE ANY \\# 1 00", FormErr),
    ("3.4.1.2 delete a record: type AXFR", "record host 0 NONE AXFR \\# 1 00", FormErr),
    ("3.4.1.2 delete a record: type MAILA", "record host 0 NONE TYPE254 \\# 1 00", FormErr),
    ("3.4.1.2 delete a record: type MAILB", "record host 0 NONE TYPE253 \\# 1 00", FormErr),
    ("3.4.1.2 delete a record: rdata is short", "record host 0 NONE A \\# 3 0A0000", FormErr),
    ("3.4.1.3 the first wrong record says why: NOTZONE",
        "add new.example.org. 60 TXT yes; record new 60 CH TXT yes", NotZone),
    ("3.4.1.3 the first wrong record says why: FORMERR",
        "record new 60 CH TXT yes; add new.example.org. 60 TXT yes", FormErr),
];

pub fn rows() -> Vec<Row> {
    let each = CASES.iter().flat_map(|&(rule, wrong, rcode)| {
        let last = format!("add new 60 TXT yes; delete host TXT; {wrong}");
        let first = format!("{wrong}; add new 60 TXT yes; delete host TXT");
        [last, first].map(|message| {
            row(rule, BEFORE, message.leak(), rcode, "new TXT NXDOMAIN; host A 10.0.0.1; host TXT v=1", Stays)
        })
    });
    each.collect()
}

#[test]
fn section_3_4_1() {
    judge_all(&rows(), World::for_records);
}
