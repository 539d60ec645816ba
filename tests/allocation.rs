//! A warm worker answers without a single allocation: not one taken, not one given back.
//!
//! The counter is the global allocator of this test program and counts by thread, so tests may run side by side. Each
//! question is asked several times before it is counted: the first makes what a worker keeps (rotors, draws, arc-swap's
//! place for the thread), and it is the hundred-thousandth that must cost nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "scenarios/world.rs"]
mod world;

use allocation_counter::{AllocationInfo, measure};
use rollcall::policy::Policy;
use rollcall::query::{self, Answered, Context, Outcome, Scratch, Transport};
use rollcall::wire::Question;
use rollcall::zone::{Identity, free_retired};
use world::{Setup, World, pool_settings, question_message, question_with_cookie};

/// What one question must come to: a name in the pool's zone, a type, and the kind of answer.
type Case = (&'static str, &'static str, Answered);

const CASES: [Case; 32] = {
    use Answered::{NoData, NxDomain, Positive, Refused};
    [
        ("web", "A", Positive),
        ("web", "AAAA", Positive),
        ("WeB", "ANY", Positive),
        ("_http._tcp.web", "SRV", Positive),
        ("all.web", "A", Positive),
        ("all.web", "AAAA", Positive),
        ("_http._tcp.all.web", "SRV", Positive),
        ("m1.web", "A", Positive),
        ("m1.web", "AAAA", Positive),
        ("m1.web", "TXT", Positive),
        ("game", "A", Positive),
        ("game", "AAAA", Positive),
        ("_g._udp.game", "SRV", Positive),
        ("all.game", "A", Positive),
        ("m1.game", "TXT", Positive),
        ("@", "SOA", Positive),
        ("@", "NS", Positive),
        ("ns", "A", Positive),
        ("info", "TXT", Positive),
        ("www", "A", Positive),
        ("www", "CNAME", Positive),
        ("to-web", "A", Positive),
        ("loop", "A", Positive),
        ("web", "MX", NoData),
        ("_tcp.web", "A", NoData),
        ("m1.web", "SRV", NoData),
        ("c", "A", NoData),
        ("ns", "MX", NoData),
        ("m99.web", "A", NxDomain),
        ("nowhere", "A", NxDomain),
        ("gone", "A", NxDomain),
        ("www.example.org.", "A", Refused),
    ]
};

/// Two pools of eight, each member with both families, a service and attributes, and `web`'s members on two ports.
fn crowded() -> World {
    let mut world = World::new();
    for (pool, service) in [("web", "_http._tcp"), ("game", "_g._udp")] {
        for n in 1..=8 {
            world.accept(&format!(
                "add m{n}.{pool} 30 A 10.0.0.{n}; add m{n}.{pool} 30 AAAA 2001:db8::{n}; \
                 add m{n}.{pool} 30 TXT weight={n}0 site=fra; \
                 add {service}.{pool} 30 SRV 0 10 8080 m{n}.{pool}; add {service}.{pool} 30 SRV 0 10 8081 m{n}.{pool}"
            ));
        }
    }
    world
}

/// A worker's own memory, made once.
struct Worker {
    question: Question,
    scratch: Scratch,
    out: Vec<u8>,
}

impl Worker {
    fn new() -> Self {
        Worker { question: Question::default(), scratch: Scratch::new(0, 7), out: vec![0; 65_535] }
    }

    fn ask(&mut self, world: &World, transport: Transport, message: &[u8]) -> Outcome {
        let zones = world.registrar.published();
        let cookie = Some(world.cookie_terms());
        let context = Context {
            zones,
            transport,
            now_ms: world.now_ms,
            reserved: 0,
            client: None,
            cookie,
            keepalive: None,
        };
        let reading = query::read(zones, message, &mut self.question);
        query::answer(&context, &self.question, reading, message, &mut self.scratch, &mut self.out)
    }

    /// Asks until everything is warm, then counts.
    fn count(&mut self, world: &World, transport: Transport, message: &[u8]) -> (Outcome, AllocationInfo) {
        // Here one thread is registrar and worker, and it is the registrar who frees what he has replaced.
        free_retired();
        for _ in 0..4 {
            self.ask(world, transport, message);
        }
        let mut outcome = Outcome::Silence;
        // More than once: a policy may take another way the next time.
        let info = measure(|| (0..16).for_each(|_| outcome = self.ask(world, transport, message)));
        (outcome, info)
    }
}

/// Asks everything over UDP, without EDNS, with it, and with a cookie to be made; and over TCP.
fn check(world: &World, cases: &[Case]) {
    let mut worker = Worker::new();
    for &(name, rtype, wanted) in cases {
        let cookie = question_with_cookie(name, rtype, 1232, &[7; 8]);
        let messages =
            [question_message(name, rtype, None), question_message(name, rtype, Some(1232)), cookie];
        for (kind, message) in ["plain", "EDNS", "cookie"].into_iter().zip(messages) {
            for transport in [Transport::Udp, Transport::Tcp] {
                let (outcome, info) = worker.count(world, transport, &message);
                let Outcome::Reply(_, answered) = outcome else { panic!("{name} {rtype}: {outcome:?}") };
                let kinds = (transport == Transport::Udp).then_some(Answered::Truncated);
                assert!(answered == wanted || kinds == Some(answered), "{name} {rtype}: {answered:?}");
                assert_eq!(info, AllocationInfo::default(), "{name} {rtype} {transport:?} {kind}");
            }
        }
    }
}

#[test]
fn an_allocation_is_seen() {
    let info = measure(|| drop(std::hint::black_box(vec![1_u8; 100])));
    assert_eq!((info.count_total, info.bytes_total, info.count_current), (1, 100, 0));
    let given_back = std::hint::black_box(vec![1_u8; 100]);
    assert_ne!(measure(|| drop(given_back)), AllocationInfo::default(), "nor is one given back unseen");
    let mut grown = vec![0_u8; 8];
    assert_eq!(measure(|| grown.reserve_exact(1_000)).count_total, 1, "a larger place is an allocation");
    let world = crowded();
    let message = question_message("web", "A", None);
    let mut worker = Worker::new();
    let first = measure(|| _ = worker.ask(&world, Transport::Udp, &message));
    assert!(
        first.count_total > 0,
        "a worker's first answer makes its rotors, and the counter sees it in there"
    );
}

#[test]
fn a_fresh_view_is_answered_without_allocating() {
    let world = crowded();
    check(&world, &CASES);
}

/// Every lease is under the pool's TTL: records are judged and copied one by one.
#[test]
fn a_view_whose_leases_are_near_their_end_is_answered_without_allocating() {
    let mut world = crowded();
    world.advance(27_500);
    assert_eq!(world.ask("web", "A").ttl_s(), 2, "the careful path");
    check(&world, &CASES);
}

/// Half of each pool has ended and nobody has swept it: the dead are passed over, among them the weighted draw's.
#[test]
fn a_view_with_the_dead_still_in_it_is_answered_without_allocating() {
    let mut world = crowded();
    world.advance(20_000);
    for n in 1..=4 {
        world.accept(&format!("add m{n}.web 30 A 10.0.0.{n}; add _http._tcp.web 30 SRV 0 10 8080 m{n}.web"));
        world.accept(&format!("add m{n}.game 30 A 10.0.0.{n}; add _g._udp.game 30 SRV 0 10 8080 m{n}.game"));
    }
    world.advance_unswept(10_000);
    assert_eq!(world.ask("all.web", "A").data().len(), 4, "eight are in the view");
    // The addresses and ports that no heartbeat named have lapsed.
    let still_there = |case: &&Case| !(case.1 == "AAAA" && case.2 == Answered::Positive);
    check(&world, &CASES.iter().filter(still_there).copied().collect::<Vec<_>>());
    check(&world, &[("m8.web", "A", Answered::NxDomain), ("web", "AAAA", Answered::NoData)]);
}

/// A pool with more addresses than the policy shows, some of weight 0, some idle and some busy: ranks are drawn and picked, not
/// copied whole.
#[test]
fn picks_are_made_without_allocating() {
    let cases = [("web", "A", Answered::Positive), ("_s._tcp.web", "SRV", Answered::Positive)];
    for ((_, policy), picked) in Policy::NAMES.into_iter().flat_map(|named| [(named, 1), (named, 3)]) {
        let mut settings = pool_settings(policy);
        settings.addresses = rollcall::policy::Shown::AtMost(picked.try_into().unwrap());
        settings.services = settings.addresses;
        let mut world = World::with_pools(&[("web", settings)]);
        for n in 0..40 {
            world.accept(&format!(
                "add m{n}.web 30 A 10.0.0.{n}; add _s._tcp.web 30 SRV 0 1 1 m{n}.web; \
                 add m{n}.web 30 TXT weight={} priority={} load=0.{}",
                n % 5,
                n % 3,
                n % 7
            ));
        }
        for advance_ms in [0, 26_000, 3_990] {
            world.advance(advance_ms);
            for (name, rtype, _) in cases {
                assert_eq!(world.ask(name, rtype).data().len(), usize::from(picked), "{policy:?} {rtype}");
            }
            check(&world, &cases);
        }
    }
}

const ELSEWHERE: &str = "\
*.w      A      192.0.2.1
*.alias  CNAME  m1.web
sub      NS     ns.sub
sub      NS     ns
ns.sub   A      192.0.2.2
old      DNAME  web
deeper   DNAME  a.deeper
long     DNAME  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.long
mail     MX     10 ns
mail     MX     20 m1.web
mail     HTTPS  1 . alpn=h2
mail     A      192.0.2.3
";

/// Wildcards, referrals, DNAMEs and their chains, and addresses besides.
#[test]
fn what_leads_elsewhere_is_answered_without_allocating() {
    use Answered::{NoData, NxDomain, Positive, Referral, YxDomain};
    let zone_file = world::zone_file().replace("long TXT", "lengthy TXT") + ELSEWHERE;
    let mut world = World::with(Setup { zone_file, ..Setup::default() });
    world.accept("add m1.web 30 A 10.0.0.1");
    let cases = [
        ("a.w", "A", Positive),
        ("a.w", "MX", NoData),
        ("a.b.alias", "A", Positive),
        ("sub", "A", Referral),
        ("x.sub", "A", Referral),
        ("sub", "DS", NoData),
        ("m1.old", "A", Positive),
        ("m2.old", "A", NxDomain),
        ("x.deeper", "A", Positive),
        ("x.long", "A", YxDomain),
        ("mail", "MX", Positive),
        ("mail", "HTTPS", Positive),
        ("mail", "ANY", Positive),
    ];
    check(&world, &cases);
    world.registrar.identify(Identity {
        version: Some("rollcall".into()),
        hostname: Some("ns1".into()),
        nsid: Some("fra1".into()),
    });
    let mut version = question_message("version.bind.", "TXT", Some(1232));
    let class = version.len() - 12;
    version[class] = 3;
    // An empty NSID option.
    version.truncate(version.len() - 2);
    version.extend([0, 4, 0, 3, 0, 0]);
    let (outcome, info) = Worker::new().count(&world, Transport::Udp, &version);
    // The record behind a pointer, and the option's data.
    assert_eq!(outcome, Outcome::Reply(version.len() + 12 + 1 + 8 + 4, Positive));
    assert_eq!(info, AllocationInfo::default());
}

/// Listings and instances, while leases are fresh, near their end, and over but not swept.
#[test]
fn what_is_browsed_for_is_answered_without_allocating() {
    use Answered::{NoData, NxDomain, Positive};
    let mut world = crowded();
    for number in 0..40 {
        let pool = format!("p{number}");
        world.accept(&format!("add m.{pool} 30 A 10.0.0.1; add _http._tcp.{pool} 30 SRV 0 1 1 m.{pool}"));
    }
    for (advance_ms, listed, instance) in
        [(0, Positive, Positive), (27_500, Positive, Positive), (3_000, NoData, NoData)]
    {
        world.advance_unswept(advance_ms);
        check(
            &world,
            &[
                ("_http._tcp", "PTR", listed),
                ("_HTTP._tcp", "ANY", listed),
                ("_services._dns-sd._udp", "PTR", listed),
                ("web._http._tcp", "SRV", instance),
                ("p7._http._tcp", "SRV", instance),
                ("p7._http._tcp", "TXT", instance),
                ("_http._tcp", "A", NoData),
                ("x._http._tcp", "SRV", NxDomain),
            ],
        );
    }
}

/// Cookies that are kept, renewed, and made anew for one that is wrong or no cookie of ours.
#[test]
fn cookies_are_checked_and_made_without_allocating() {
    let mut world = crowded();
    let mut worker = Worker::new();
    let terms = world.cookie_terms();
    let made = terms.cookies.make([7; 8], terms.client, terms.now_s);
    world.registrar.cookies().roll_over([9; 16]);
    let terms = world.cookie_terms();
    let fresh = terms.cookies.make([7; 8], terms.client, terms.now_s);
    let plain_len = question_message("ns", "A", Some(1232)).len() + 16;
    for advance_ms in [0, 1_801_000, 1_801_000] {
        world.wall_ms += advance_ms;
        for cookie in [&made[..], &fresh, &[7; 24], &[7; 40]] {
            let message = question_with_cookie("ns", "A", 1232, cookie);
            let (outcome, info) = worker.count(&world, Transport::Udp, &message);
            assert_eq!(outcome, Outcome::Reply(plain_len + 28, Answered::Positive));
            assert_eq!(info, AllocationInfo::default());
        }
    }
}

#[test]
fn what_is_no_question_is_turned_away_without_allocating() {
    let world = crowded();
    let mut worker = Worker::new();
    let question = question_message("web", "A", Some(1232));
    let patched = |patch: &dyn Fn(&mut Vec<u8>)| {
        let mut message = question.clone();
        patch(&mut message);
        message
    };
    let mut cookie_alone = question_with_cookie("web", "A", 1232, &[7; 24]);
    cookie_alone.drain(12..question.len() - 11);
    cookie_alone[5] = 0;
    let cases: [(&str, Vec<u8>, Outcome); 11] = {
        use Answered::{BadVers, Cookie, FormErr, NotImp, Refused};
        let bare = |answered| Outcome::Reply(12, answered);
        let with_opt = |answered| Outcome::Reply(12 + 11, answered);
        let whole = |answered| Outcome::Reply(question.len(), answered);
        let with_error = |answered| Outcome::Reply(question.len() + 6, answered);
        // The question's class is the two octets before the OPT's eleven; the OPT's version is its seventh.
        let len = question.len();
        [
            ("no question", patched(&|m| m[5] = 0), bare(FormErr)),
            ("octets at the end", patched(&|m| m.push(0)), with_opt(FormErr)),
            ("a name cut short", patched(&|m| m.truncate(15)), bare(FormErr)),
            ("a cookie alone", cookie_alone, Outcome::Reply(12 + 39, Cookie)),
            ("half a cookie", question_with_cookie("web", "A", 1232, &[7; 7]), with_opt(FormErr)),
            ("STATUS", patched(&|m| m[2] |= 2 << 3), with_opt(NotImp)),
            ("class CH", patched(&|m| m[len - 12] = 3), with_error(Refused)),
            ("EDNS 1", patched(&|m| m[len - 5] = 1), whole(BadVers)),
            ("an UPDATE", patched(&|m| m[2] |= 5 << 3), Outcome::Registrar),
            ("a response", patched(&|m| m[2] |= 0x80), Outcome::Silence),
            ("half a header", patched(&|m| m.truncate(6)), Outcome::Silence),
        ]
    };
    for (what, message, wanted) in cases {
        for transport in [Transport::Udp, Transport::Tcp] {
            let (outcome, info) = worker.count(&world, transport, &message);
            assert_eq!((outcome, info), (wanted, AllocationInfo::default()), "{what}");
        }
    }
}
