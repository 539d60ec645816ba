//! The program under test beside Knot and NSD: the same zone files, the same questions.

use std::collections::BTreeMap;
use std::fs;

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::differences;
use super::reference::{Reference, Zone};
use super::servers::{self, Kind, Server, zone_file};
use super::zones::{APEX, Allowed, Data, Labels, Rr, questions, text, zone, zone_text};

/// Zones that the servers have at a time.
const ZONES: usize = 120;
/// Questions about each.
const QUESTIONS: usize = 60;
/// Of so many zones one has a zone below it.
const NESTED_EVERY: usize = 4;
/// Of so many questions one is asked over TCP.
const TCP_EVERY: usize = 16;

/// A zone, maybe one below it, and questions about them.
struct Drawn {
    reference: Reference,
    asked: Vec<(Labels, u16)>,
}

/// Gives a name in [`APEX`] another apex.
fn moved(name: &Labels, apex: &'static str) -> Labels {
    match name.strip_prefix(&APEX[..]) {
        Some(rest) => [&[APEX[0], apex], rest].concat(),
        None => name.clone(),
    }
}

/// Draws zones and questions: the same for the same seed.
fn draw(seed: u8) -> Vec<Drawn> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = (zone(Allowed::NothingBelowDnames), proptest::collection::vec(questions(1), QUESTIONS));
    let mut drawn = Vec::new();
    for number in 0..ZONES {
        let (records, asked) = strategy.new_tree(&mut runner).unwrap().current();
        // A test's few names may stay until it ends.
        let label: &'static str = format!("z{number}").leak();
        let records: Vec<Rr> = records
            .into_iter()
            .map(|rr| Rr {
                owner: moved(&rr.owner, label),
                data: rr.data.map(|name| moved(name, label)),
                ..rr
            })
            .collect();
        let asked = asked.into_iter().flatten().map(|(name, rtype)| (moved(&name, label), rtype)).collect();
        let apex = vec![APEX[0], label];
        let zones =
            if number % NESTED_EVERY == 0 { nested(apex, records) } else { vec![Zone { apex, records }] };
        drawn.push(Drawn { reference: Reference { zones }, asked });
    }
    drawn
}

/// A zone and one at `a` below it. What the inner one has to say is not in the file of the outer one, but for its delegation.
fn nested(apex: Labels, records: Vec<Rr>) -> Vec<Zone> {
    let below = [&apex[..], &["a"]].concat();
    let inner = super::inner(&records, &below);
    let is_delegated = records.iter().any(|rr| rr.owner == below && matches!(rr.data, Data::Ns(_)));
    let stays = |rr: &Rr| match rr.data {
        _ if !rr.owner.starts_with(&below) => true,
        Data::Ns(_) => rr.owner == below,
        Data::A(_) | Data::Aaaa(_) => is_delegated,
        _ => false,
    };
    vec![Zone { apex, records: records.into_iter().filter(stays).collect() }, inner]
}

/// Asks all three. Returns the differences that no rule explains, and counts the others.
fn compare(
    servers: &[Server; 3],
    drawn: &[Drawn],
    explained: &mut BTreeMap<(Kind, &'static str), usize>,
) -> Vec<String> {
    let [ours, theirs @ ..] = servers;
    let mut unexplained = Vec::new();
    let asked =
        drawn.iter().flat_map(|Drawn { reference, asked }| asked.iter().map(move |asked| (reference, asked)));
    for (number, (reference, (name, rtype))) in asked.enumerate() {
        let tcp = number % TCP_EVERY == 0;
        let ours = ours.ask(&text(name), *rtype, tcp);
        for server in theirs {
            let theirs = server.ask(&text(name), *rtype, tcp);
            match differences::explain(server.kind, reference, (name, *rtype), &ours, &theirs) {
                Ok(None) => {}
                Ok(Some(rule)) => *explained.entry((server.kind, rule)).or_default() += 1,
                Err(difference) => {
                    let zones: String = reference.zones.iter().map(|zone| zone_text(&zone.records)).collect();
                    unexplained.push(format!(
                        "{} TYPE{rtype}: {difference}\nrollcall {ours:#?}\n{:?} {theirs:#?}\n{zones}",
                        text(name),
                        server.kind
                    ));
                }
            }
        }
    }
    unexplained
}

#[test]
fn random_zones_are_answered_as_knot_and_nsd_answer_them() {
    if !servers::are_here() {
        return;
    }
    let rounds = if std::env::var_os("ANSWERING_LONG").is_some() { 40 } else { 1 };
    let (mut explained, mut unexplained) = (BTreeMap::new(), Vec::new());
    for seed in 0..rounds {
        let drawn = draw(seed);
        let dir = tempfile::tempdir().unwrap();
        let zones = dir.path().join("zones");
        fs::create_dir(&zones).unwrap();
        let mut apexes = Vec::new();
        for zone in drawn.iter().flat_map(|drawn| &drawn.reference.zones) {
            fs::write(zone_file(&zones, &text(&zone.apex)), zone_text(&zone.records)).unwrap();
            apexes.push(text(&zone.apex));
        }
        unexplained.extend(compare(&servers::start(dir.path(), &apexes), &drawn, &mut explained));
    }
    for ((kind, rule), count) in &explained {
        println!("{kind:?}: {rule}: {count} times");
    }
    let (count, first) = (unexplained.len(), unexplained.iter().take(3).cloned().collect::<Vec<_>>());
    assert!(
        unexplained.is_empty(),
        "{count} differences that no rule explains, of them:\n{}",
        first.join("\n\n")
    );
    // A rule that explains nothing is not known to be true.
    assert!(rounds == 1 || explained.len() == differences::rules(), "{explained:#?}");
}
