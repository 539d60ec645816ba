//! Pools of four members, and what the policy of each makes of what they say.

use super::tally::{Bound, MEMBERS};

pub struct Pool {
    name: &'static str,
    pub policy: &'static str,
    /// What its members say of themselves, each a value of this.
    says: &'static str,
    values: [&'static str; MEMBERS],
    /// Who is to have what part of the answers that show one address, or one first.
    pub parts: [f64; MEMBERS],
    /// Who is to have what part of the choices among SRV records.
    pub service_parts: [f64; MEMBERS],
    /// How near its parts an address comes that is asked for each time.
    pub bound: Bound,
}

const EVEN: [f64; MEMBERS] = [1.0; MEMBERS];
const BY_WEIGHT: [f64; MEMBERS] = [1.0, 2.0, 3.0, 10.0];
const THE_LAST: [f64; MEMBERS] = [0.0, 0.0, 0.0, 1.0];
/// In the pool by priority, when the last does not answer or has left.
pub const THE_NEXT: [f64; MEMBERS] = [0.0, 0.0, 1.0, 0.0];
const WEIGHTS: [&str; MEMBERS] = ["1", "2", "3", "10"];
/// What they leave to spare is in proportion to the weights.
const LOADS: [&str; MEMBERS] = ["0.9", "0.8", "0.7", "0"];

/// UDP workers of a server here: each has turns of its own.
pub const WORKERS: u32 = 2;
/// Each worker's turns may begin and end anywhere in a round: of four members that is two halvings, each rounded by half a turn
/// at most, at both ends.
const IN_TURN: Bound = Bound::Within(2.0 * WORKERS as f64);
pub const EXACT: Bound = Bound::Within(0.0);

const ROUND_ROBIN: Pool = Pool {
    name: "round-robin",
    policy: "round-robin",
    says: "SRV weight",
    values: WEIGHTS,
    parts: EVEN,
    // It leaves weights as they are registered.
    service_parts: BY_WEIGHT,
    bound: IN_TURN,
};
/// The same with heavier weights.
pub const HUNDREDS: Pool = Pool {
    name: "hundreds",
    values: ["100", "200", "300", "1000"],
    service_parts: [100.0, 200.0, 300.0, 1_000.0],
    ..ROUND_ROBIN
};
const BY_LOAD: Pool = Pool { says: "load", values: LOADS, ..ROUND_ROBIN };

/// One of each policy.
pub const POOLS: [Pool; 9] = [
    ROUND_ROBIN,
    Pool {
        name: "weighted-round-robin",
        policy: "weighted-round-robin",
        says: "weight",
        parts: BY_WEIGHT,
        ..ROUND_ROBIN
    },
    Pool {
        name: "random",
        policy: "random",
        says: "weight",
        service_parts: EVEN,
        bound: Bound::Random,
        ..ROUND_ROBIN
    },
    Pool {
        name: "weighted-random",
        policy: "weighted-random",
        says: "weight",
        parts: BY_WEIGHT,
        bound: Bound::Random,
        ..ROUND_ROBIN
    },
    Pool {
        name: "priority",
        policy: "priority",
        says: "priority",
        parts: THE_LAST,
        service_parts: THE_LAST,
        bound: EXACT,
        ..ROUND_ROBIN
    },
    Pool { name: "least-used", policy: "least-used", parts: THE_LAST, bound: EXACT, ..BY_LOAD },
    Pool {
        name: "least-used-degradation",
        policy: "least-used-degradation",
        // A hundred picks from one heartbeat to the next, each a hundredth of load: all come to 0.5.
        values: ["0.1", "0.2", "0.3", "0.4"],
        parts: [4.0, 3.0, 2.0, 1.0],
        service_parts: [9.0, 8.0, 7.0, 6.0],
        ..BY_LOAD
    },
    Pool {
        name: "priority-least-used",
        policy: "priority-least-used",
        parts: THE_LAST,
        bound: EXACT,
        ..BY_LOAD
    },
    Pool {
        name: "randomized-least-used",
        policy: "randomized-least-used",
        parts: BY_WEIGHT,
        bound: Bound::Random,
        ..BY_LOAD
    },
];

/// Of each pool there are two: answers of the one are kept by nobody, those of the other for the 5 s that pools have if nobody
/// says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Not,
    For5s,
}

impl Pool {
    /// Both of it, as a zone's file declares them. No lease ends in a long run.
    pub fn declared(&self) -> String {
        let declared = |kept, ttl_s| {
            let (name, policy) = (self.name(kept), self.policy);
            format!("[[pool]]\nname = '{name}'\npolicy = '{policy}'\nttl = {ttl_s}\ndefault_lease = 3600\n")
        };
        declared(Kept::Not, 0) + &declared(Kept::For5s, 5)
    }

    /// The label of one of the two.
    pub fn name(&self, kept: Kept) -> String {
        let end = if kept == Kept::For5s { "-kept" } else { "" };
        format!("{}{end}", self.name)
    }

    /// The UPDATE by which the members of one of the two join or renew their leases. A `beat` unlike the last is a change, so
    /// that all of it is published before it is acknowledged; what is the same again is ranked up to 50 ms later.
    pub fn registration(&self, kept: Kept, beat: u64) -> String {
        let pool = format!("{}.pool.example.", self.name(kept));
        let member = |(value, member): (&&str, usize)| {
            let (weight, says) = match self.says {
                "SRV weight" => (*value, String::new()),
                // The attribute is what counts.
                says => ("7", format!("{says}={value}")),
            };
            format!(
                "update add m{member}.{pool} 3600 A 10.0.0.{member}
                 update add m{member}.{pool} 3600 TXT beat={beat} {says}
                 update add _http._tcp.{pool} 3600 SRV 0 {weight} 80 m{member}.{pool}\n"
            )
        };
        self.values.iter().zip(1..).map(member).collect()
    }

    /// Whether members are to register again now and then, so that what answers asked of them is forgotten.
    pub fn counts_picks(&self) -> bool {
        self.policy == "least-used-degradation"
    }

    /// Whether an address is shown alone and others come up in turn: what a resolver keeps is then a draw.
    pub fn is_drawn_one_by_one(&self) -> bool {
        matches!(
            self.policy,
            "weighted-round-robin" | "weighted-random" | "least-used-degradation" | "randomized-least-used"
        )
    }

    /// The first cells of a row of the table.
    pub fn row(&self, client: &str) -> String {
        format!("| {} | {} {} | {client}", self.policy, self.says, self.values.join(", "))
    }
}
