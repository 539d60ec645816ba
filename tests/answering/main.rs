//! Random zones, and whatever can be asked about them: the question path against a plain reference, and the program beside Knot
//! and NSD.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

mod differences;
mod differential;
mod reference;
mod seen;
mod servers;
mod subject;
mod zones;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use reference::{Reference, Zone};
use rollcall::query::Transport;
use seen::Seen;
use subject::Subject;
use zones::{APEX, Allowed, Data, Labels, Rr, questions, text, zone, zone_text};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/answering/regressions.txt",
        ))),
        ..ProptestConfig::default()
    }
}

/// A zone below the zone, of the records there: what lies in it, with a SOA and NS of its own.
fn inner(records: &[Rr], apex: &Labels) -> Zone {
    let own = |rr: &&Rr| {
        rr.owner.starts_with(apex)
            && rr.data.rtype() != 2
            && !matches!(rr.data, Data::Cname(_) | Data::Dname(_))
    };
    let mut inner: Vec<Rr> = vec![
        Rr { owner: apex.clone(), ttl_s: 300, data: Data::Soa },
        Rr { owner: apex.clone(), ttl_s: 300, data: Data::Ns([&APEX[..], &["ns"]].concat()) },
    ];
    inner.extend(records.iter().filter(own).cloned());
    Zone { apex: apex.clone(), records: inner }
}

fn compare(reference: &Reference, asked: &[(Labels, u16)]) {
    let zones = reference.zones.iter().map(|zone| (text(&zone.apex), zone_text(&zone.records)));
    let zones: Vec<_> = zones.collect();
    let mut subject = Subject::new(&zones);
    for (name, rtype) in asked {
        let wanted = reference.answer(name, *rtype);
        let found = Seen::read(&subject.ask(Transport::Tcp, &text(name), *rtype));
        assert_eq!(found, wanted, "{} TYPE{rtype} of\n{zones:#?}", text(name));
        let cut = subject.ask(Transport::Udp, &text(name), *rtype);
        check_datagram(&Seen::read(&cut), &wanted, cut.len());
    }
}

/// Over UDP it is the same answer as far as it fits, and TC says when something that matters does not.
fn check_datagram(cut: &Seen, whole: &Seen, len: usize) {
    assert!(len <= 512);
    if cut.is_truncated {
        return;
    }
    let is_part = cut.additional.iter().all(|line| whole.additional.contains(line));
    assert!(is_part, "{cut:?} of {whole:?}");
    assert_eq!(*cut, Seen { additional: cut.additional.clone(), ..whole.clone() });
}

proptest! {
    #![proptest_config(config(if std::env::var_os("ANSWERING_LONG").is_some() { 50_000 } else { 1_500 }))]

    #[test]
    fn one_zone_is_answered_as_the_reference_says(records in zone(Allowed::All), asked in questions(40)) {
        compare(&Reference { zones: vec![Zone { apex: APEX.to_vec(), records }] }, &asked);
    }

    /// A zone at `a` below the zone, delegated or not: the deeper zone answers, but for its DS.
    #[test]
    fn a_zone_below_a_zone_is_answered_as_the_reference_says(records in zone(Allowed::All), asked in questions(40)) {
        let apex = [&APEX[..], &["a"]].concat();
        let inner = inner(&records, &apex);
        compare(&Reference { zones: vec![Zone { apex: APEX.to_vec(), records }, inner] }, &asked);
    }
}
