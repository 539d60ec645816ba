//! Where Knot and NSD answer otherwise than rollcall, and why. A rule says what one of them does instead, as a habit of the
//! reference: it explains a difference only if the reference with that habit gives their answer to the letter.

use std::collections::BTreeSet;

use super::reference::{Habits, Reference};
use super::seen::{Seen, line};
use super::servers::Kind;
use super::zones::{ANY, DS, Data, Labels, text};

/// What was asked and answered.
struct Case<'c> {
    kind: Kind,
    reference: &'c Reference,
    name: &'c Labels,
    rtype: u16,
    theirs: &'c Seen,
}

/// Whose rule, why they answer otherwise, and what they answer.
type Rule = (&'static [Kind], &'static str, fn(&Case<'_>) -> Option<Seen>);

const KNOT: &[Kind] = &[Kind::Knot];
const NSD: &[Kind] = &[Kind::Nsd];
const BOTH: &[Kind] = &[Kind::Knot, Kind::Nsd];

const RULES: [Rule; 9] = [
    (NSD, "ANY gets another RRset than ours: any one will do (RFC 8482 section 4.1)", another_for_any),
    (KNOT, "an alias is not followed into another zone of the server", within_the_zone),
    (KNOT, "five links of a chain are followed, ours are 16", five_links),
    (BOTH, "a record that a chain comes by twice is there twice", twice),
    (KNOT, "where a DNAME makes too long a name, its target is answered for instead", on_with_the_target),
    (KNOT, "DS at an apex is asked of the zone above, though that delegates nothing there", ds_from_above),
    (NSD, "the same; but zones share one tree of names, so that the name exists", ds_from_above_in_one_tree),
    (NSD, "a DNAME that leads below itself is followed once", once_into_itself),
    (NSD, "chains are followed until names are too long, ours for 16 links", longer_chains),
];

/// How many rules there are, counting one about both servers twice.
pub fn rules() -> usize {
    RULES.iter().map(|rule| rule.0.len()).sum()
}

/// Explains how their answer differs from ours: by nothing, by a rule, or not at all. Ours has to be the reference's.
pub fn explain(
    kind: Kind,
    reference: &Reference,
    (name, rtype): (&Labels, u16),
    ours: &Seen,
    theirs: &Seen,
) -> Result<Option<&'static str>, &'static str> {
    same(ours, &reference.answer(name, rtype)).map_err(|_| "ours is not the reference's")?;
    let Err(difference) = same(ours, theirs) else { return Ok(None) };
    let case = Case { kind, reference, name, rtype, theirs };
    let holds = |rule: &&Rule| {
        rule.0.contains(&kind) && (rule.2)(&case).is_some_and(|told| same(&told, theirs).is_ok())
    };
    RULES.iter().find(holds).map(|rule| Some(rule.1)).ok_or(difference)
}

/// Whether two answers are the same, as far as the RFCs say what an answer is.
fn same(one: &Seen, other: &Seen) -> Result<(), &'static str> {
    let glue =
        |seen: &Seen| seen.additional.iter().filter(|line| seen.is_glue(line)).cloned().collect::<Vec<_>>();
    for (is_same, what) in [
        (one.rcode == other.rcode, "RCODE"),
        (one.is_authoritative == other.is_authoritative, "AA"),
        (one.is_truncated == other.is_truncated, "TC"),
        (one.answer == other.answer, "answer"),
        (one.authority == other.authority, "authority"),
        (glue(one) == glue(other), "glue"),
    ] {
        if !is_same {
            return Err(what);
        }
    }
    Ok(())
}

impl Case<'_> {
    /// How they follow chains.
    fn habits(&self) -> Habits {
        match self.kind {
            Kind::Knot => Habits { leaves_zone: false, links_max: KNOT_LINKS, ..Habits::OURS },
            _ => Habits::OURS,
        }
    }

    fn answered_with(&self, habits: Habits) -> Seen {
        self.reference.answer_with(habits, self.name, self.rtype)
    }

    /// CNAMEs in their answer.
    fn links(&self) -> usize {
        self.theirs.answer.iter().filter(|line| line.contains(" CNAME ")).count()
    }
}

fn another_for_any(case: &Case<'_>) -> Option<Seen> {
    let types: BTreeSet<u16> =
        case.reference.zones.iter().flat_map(|zone| &zone.records).map(|rr| rr.data.rtype()).collect();
    let mut told =
        types.into_iter().map(|rtype| case.answered_with(Habits { for_any: Some(rtype), ..Habits::OURS }));
    told.find(|told| case.rtype == ANY && same(told, case.theirs).is_ok())
}

fn within_the_zone(case: &Case<'_>) -> Option<Seen> {
    (case.links() < KNOT_LINKS).then(|| case.answered_with(case.habits()))
}

/// Links that Knot follows.
const KNOT_LINKS: usize = 5;

fn five_links(case: &Case<'_>) -> Option<Seen> {
    (case.links() == KNOT_LINKS).then(|| case.answered_with(case.habits()))
}

fn twice(case: &Case<'_>) -> Option<Seen> {
    let once: BTreeSet<_> = case.theirs.answer.iter().collect();
    let told = case.answered_with(case.habits());
    let is_so = once.len() < case.theirs.answer.len() && told.answer.iter().collect::<BTreeSet<_>>() == once;
    is_so.then(|| Seen { answer: case.theirs.answer.clone(), ..told })
}

fn on_with_the_target(case: &Case<'_>) -> Option<Seen> {
    let habits = case.habits();
    let told = case.answered_with(habits);
    let records = case.reference.zones.iter().flat_map(|zone| &zone.records);
    let targets = records.filter_map(|rr| match &rr.data {
        Data::Dname(target) if told.answer.contains(&line(&rr.owner, rr)) => Some(target),
        _ => None,
    });
    let mut tellings = targets.map(|target| {
        let rest = case.reference.answer_with(habits, target, case.rtype);
        let mut answer = [told.answer.clone(), rest.answer].concat();
        answer.sort();
        let rcode = if rest.rcode == 3 { 3 } else { 6 };
        Seen { rcode, answer, authority: rest.authority, ..told.clone() }
    });
    tellings.find(|all| told.rcode == 6 && same(all, case.theirs).is_ok())
}

fn ds_from_above(case: &Case<'_>) -> Option<Seen> {
    Some(case.answered_with(Habits { asks_above: true, ..case.habits() }))
}

fn ds_from_above_in_one_tree(case: &Case<'_>) -> Option<Seen> {
    let told = case.answered_with(Habits::OURS);
    let ends_at = |apex: &Labels| match told.answer.is_empty() {
        true => apex == case.name,
        false => told.answer.iter().any(|line| line.ends_with(&format!(" CNAME {}", text(apex)))),
    };
    let apexes = case.reference.zones.iter().map(|zone| &zone.apex);
    let told_of =
        |apex: &Labels| case.reference.negative_of(apex).filter(|soa| told.authority == [soa.as_str()]);
    let apex = apexes.filter(|apex| ends_at(apex)).find(|apex| told_of(apex).is_some())?;
    let above = case.reference.negative_of(&apex[..apex.len() - 1].to_vec())?;
    (case.rtype == DS).then(|| Seen { authority: vec![above], ..told.clone() })
}

fn once_into_itself(case: &Case<'_>) -> Option<Seen> {
    let told = case.answered_with(Habits { links_max: case.links(), ..Habits::OURS });
    let leads_into_itself = case.reference.zones.iter().flat_map(|zone| &zone.records).any(|rr| {
        let is_in_it = case.theirs.answer.contains(&line(&rr.owner, rr));
        is_in_it && matches!(&rr.data, Data::Dname(target) if target.starts_with(&rr.owner))
    });
    leads_into_itself.then_some(told)
}

fn longer_chains(case: &Case<'_>) -> Option<Seen> {
    let habits = Habits { links_max: case.links(), ..Habits::OURS };
    (case.links() > Habits::OURS.links_max).then(|| case.answered_with(habits))
}
