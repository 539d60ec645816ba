//! A view that shares parts with the one before is the view that nothing was there for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::membership::{
    Address, Attributes, Binding, Crowd, Drain, DrainChange, FOLLOWS_LEASE, LEASE_FOREVER_MS, LeaseRules,
    Leaving, Member, MemberName, NO_DRAIN, PoolHandle, Registered, Roll, Said, Service,
};
use crate::policy::{Policy, RotorId, Shown};
use crate::zone::OnAllDown;

const POOL: &[u8] = b"\x03web\x00";
const NOW_MS: u64 = 1_000_000;
/// Words from here on are said by few.
const RARE: u16 = 1_000;

/// What becomes of a member.
#[derive(Debug, Clone, Copy)]
enum Act {
    Says(u16),
    Leaves,
    IsDrained(bool),
}

struct Pool {
    handle: PoolHandle,
    roll: Roll,
    settings: Arc<PoolSettings>,
    rotors: PoolRotors,
    view: Option<PoolView>,
    counts: Option<Box<Counts>>,
}

fn settings(policy: Policy) -> PoolSettings {
    PoolSettings {
        policy,
        ttl_s: 5,
        addresses: Shown::All,
        services: Shown::All,
        load_half_life_ms: 0,
        warm_up_ms: 0,
        on_all_down: OnAllDown::All,
        leases: LeaseRules { default_ms: 60_000, min_ms: 2_000, max_ms: 60_000 },
        debug_from: [].into(),
    }
}

fn name_of(number: u16) -> MemberName {
    match number % 50 {
        // One that lives elsewhere.
        7 => [&[ELSEWHERE][..], format!("\x06n{number:05}\x00").as_bytes()].concat().into(),
        _ => format!("m{number}").into_bytes().into(),
    }
}

/// What a member says: addresses that others have too, a weight that is 0 now and then, a service or two.
fn registered(number: u16, word: u16) -> Registered {
    let address =
        Address { ip: Ipv4Addr::new(10, 0, (number % 3) as u8, word as u8).into(), lapses_ms: FOLLOWS_LEASE };
    let service = |service: &[u8], port, weight| Service {
        service: service.into(),
        port,
        priority: word % 3,
        weight,
        lapses_ms: if word.is_multiple_of(11) { NOW_MS + 5_000 } else { FOLLOWS_LEASE },
    };
    let mut services = vec![service(b"\x05_http\x04_tcp", 80, word % 5)];
    services.extend(word.is_multiple_of(2).then(|| service(b"\x05_http\x04_tcp", 81, 7)));
    services.extend(number.is_multiple_of(4).then(|| service(b"\x03_ns\x04_udp", 53, 1)));
    let binding =
        Binding { rtype: 65, rdata: vec![0, 1, (word % 4) as u8, 0].into(), lapses_ms: FOLLOWS_LEASE };
    let mut attributes = Attributes::default();
    // Some are above all others: what is written of everybody moves when they come and go.
    let above = if word >= RARE { word } else { 0 };
    attributes.set("weight", (word % 9 + above).to_string().as_bytes());
    attributes.set("priority", (word % 4 + above).to_string().as_bytes());
    let member = Member {
        owner: "o".into(),
        lease_ms: 60_000,
        key_lease_ms: 0,
        own_ttl_s: if word.is_multiple_of(13) { 2 } else { 30 },
        heard_run: 1,
        addresses: if number % 50 == 7 { Vec::new() } else { vec![address] },
        services: services.into(),
        bindings: if word.is_multiple_of(3) { vec![binding].into() } else { Vec::new().into() },
        attributes,
        drain_ends_ms: if word.is_multiple_of(29) { NOW_MS + 9_000 } else { NO_DRAIN },
    };
    Registered {
        member,
        ends_ms: NOW_MS + 60_000,
        name_ends_ms: 0,
        signed: None,
        said: Said::Load(Load::of(f64::from(word % 10) / 10.0)),
        renews: true,
        crowd: Crowd::default(),
        restored: false,
    }
}

impl Pool {
    fn new(policy: Policy, members: u16) -> Self {
        let services = [&b"\x03_ns\x04_udp"[..], b"\x05_http\x04_tcp"];
        let mut pool = Pool {
            handle: POOL.into(),
            roll: Roll::new(LEASE_FOREVER_MS as usize, 0),
            settings: Arc::new(settings(policy)),
            rotors: PoolRotors {
                v4: RotorId(0),
                v6: RotorId(1),
                services: services
                    .iter()
                    .zip(2..)
                    .map(|(name, rotor)| ((*name).into(), RotorId(rotor)))
                    .collect(),
            },
            view: None,
            counts: None,
        };
        (0..members).for_each(|number| pool.act(number, Act::Says(number)));
        let mut counts = None;
        let (view, _) = pool.builder(None).build(None, None, &mut counts);
        (pool.view, pool.counts) = (Some(view), counts);
        pool
    }

    fn builder<'a>(&'a self, before: Option<&'a PoolView>) -> ViewBuilder<'a> {
        ViewBuilder {
            pool: POOL,
            labels: 2,
            settings: &self.settings,
            rotors: &self.rotors,
            roll: &self.roll,
            before,
            now_ms: NOW_MS,
        }
    }

    fn act(&mut self, number: u16, act: Act) {
        let name = name_of(number);
        match act {
            Act::Says(word) => {
                let change = self.roll.put(&self.handle, &name, registered(number, word), NOW_MS).unwrap();
                self.roll.move_lease(&change, NOW_MS, 0);
            }
            Act::Leaves => {
                let leaving = Leaving { name_ends_ms: 0, signed: None };
                if let Some(change) = self.roll.remove(&self.handle, &name, leaving, NOW_MS) {
                    self.roll.release(&change);
                }
            }
            Act::IsDrained(drains) => {
                let drain =
                    || Arc::new(Drain { by: "ops".into(), why: "".into(), ends_ms: NOW_MS + 100_000 });
                self.roll.set_drain(&DrainChange {
                    pool: Arc::clone(&self.handle),
                    name,
                    cause: crate::membership::Cause::Draining,
                    before: None,
                    after: drains.then(drain),
                });
            }
        }
    }

    /// Publishes what became of these, and says what the view has: patched, and made from nothing.
    fn publish(&mut self, touched: &BTreeSet<MemberName>) -> [Vec<String>; 2] {
        let (before, mut counts) = (self.view.take(), self.counts.take());
        let builder = self.builder(before.as_ref());
        let (patched, _) = builder.build(Some(touched), None, &mut counts);
        let (whole, _) = builder.build(None, None, &mut None);
        let described = [&patched, &whole].map(describe);
        (self.view, self.counts) = (Some(patched), counts);
        described
    }
}

/// All that answers can see of a view.
fn describe(view: &PoolView) -> Vec<String> {
    let mut lines = Vec::new();
    let lists = view.own_lists().map(|list| ("", list));
    let services = view.services().map(|(_, list)| ("SRV", list));
    for (kind, list) in lists.chain(services) {
        let (len, members) = (list.len(), list.members());
        lines.push(format!(
            "{kind} {:?} {len} {members} {} {} {}",
            list.rtype(),
            list.distinct(),
            list.has_repeats(),
            list.octets_len()
        ));
        lines.push(format!("{:?}", list.ranking.line()));
        lines.push(format!("{:?}", (0..=members).map(|group| list.of_member(group)).collect::<Vec<_>>()));
        let mut firsts = BTreeMap::new();
        for place in 0..len {
            let first = *firsts.entry(list.likeness(place)).or_insert(place);
            let (record, hold) = (list.record(place), list.hold(place));
            // What is at hand beside a record is what its member has: whether it is depends on the others of the part.
            if let (Some(along @ [_, ..]), Some(hold)) = (list.along(place), hold) {
                let member = view.member(hold).unwrap();
                let own = view.own_records(member).map(|(records, places)| records.records(places));
                assert_eq!(along, own.collect::<Vec<_>>().concat());
            }
            lines.push(format!("{first} {record:?} {hold:?} {}", list.weight(place)));
        }
        let distinct = (0..len).map(|place| list.record(place)).collect::<BTreeSet<_>>().len();
        assert_eq!(
            (list.distinct(), firsts.len()),
            (distinct, if list.has_repeats() { distinct } else { len })
        );
        let whole: Vec<u8> = (0..len).flat_map(|place| list.record(place).to_vec()).collect();
        for cut in [0, len / 3, len] {
            let slices = list.slices(cut..len).chain(list.slices(0..cut));
            let (tail, head) = whole.split_at(whole.len() - slices_len(list, cut..len));
            assert_eq!(slices.collect::<Vec<_>>().concat(), [head, tail].concat());
        }
        assert!(
            list.holds().map(|hold| hold.member).eq((0..len).filter_map(|at| Some(list.hold(at)?.member)))
        );
    }
    for (member, number) in view.members().zip(0..) {
        assert_eq!(member.number(), number);
        let Some(found) = view.members.find(member.label()) else { panic!("{:?}", member.label()) };
        let hold = found.hold();
        assert_eq!((found.number(), view.member(hold).map(|found| found.number())), (number, Some(number)));
        let own: Vec<_> = view.own_records(found).map(|(list, places)| list.records(places)).collect();
        let (label, txt, drain) = (member.label(), member.txt(), &member.drain);
        lines.push(format!("{label:?} {txt:?} {hold:?} {drain:?} {own:?} {} {}", found.weight, found.ttl_s));
    }
    for (service, _) in view.services() {
        lines.extend(view.offers(service).map(|offered| {
            let Offered { member, hold, weight, record } = offered;
            format!("{:?} {hold:?} {weight} {record:?}", member.label())
        }));
    }
    lines
}

fn slices_len(list: &RecordList, places: Range<usize>) -> usize {
    places.map(|place| list.record(place).len()).sum()
}

fn acts() -> impl Strategy<Value = Vec<(u16, Act)>> {
    let act = prop_oneof![
        5 => (0..RARE).prop_map(Act::Says),
        1 => (RARE..RARE + 5).prop_map(Act::Says),
        5 => Just(Act::Leaves),
        1 => any::<bool>().prop_map(Act::IsDrained),
    ];
    prop::collection::vec((0..900_u16, act), 0..40)
}

/// A run of neighbours in name order leaves or comes: parts shrink, vanish and grow.
fn runs() -> impl Strategy<Value = Vec<(u16, Act)>> {
    let run = (0..9_u16, 0..100_u16, prop_oneof![Just(Act::Leaves), (0..1_000_u16).prop_map(Act::Says)]);
    run.prop_map(|(hundred, count, act)| (0..=count).map(|m| (hundred * 100 + m, act)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_patched_view_is_as_one_made_from_nothing(
        policy in prop::sample::select(vec![
            Policy::RoundRobin, Policy::Random, Policy::Priority, Policy::WeightedRandom, Policy::LeastUsed,
        ]),
        members in prop_oneof![200..320_u16, 500..800_u16],
        rounds in prop::collection::vec(prop_oneof![acts(), runs()], 1..8),
    ) {
        let mut pool = Pool::new(policy, members);
        for acts in rounds {
            let mut touched = BTreeSet::new();
            for (number, act) in acts {
                pool.act(number, act);
                touched.insert(name_of(number));
            }
            let [patched, whole] = pool.publish(&touched);
            prop_assert!(patched == whole, "{:?}", patched.iter().zip(&whole).find(|(one, other)| one != other));
        }
    }
}
