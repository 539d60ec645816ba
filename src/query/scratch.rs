//! What a worker reuses from question to question.

use super::met::Met;
use crate::policy::Chooser;
use crate::wire::NameKey;

/// Aliases followed in one answer. A longer chain is answered as far as it got, and whoever asks may ask on.
pub(super) const ALIASES_MAX: usize = 16;
/// Names that an answer remembers: the question's, the aliases', and as many owners of DNAMEs.
pub(super) const SEEN_MAX: usize = 1 + 2 * ALIASES_MAX;
/// Names that one answer looks up for Additional. It is complete without their addresses, and few clients want those of more.
pub(super) const TARGETS_MAX: usize = 64;
/// Records that a reply of 64 KB can have at most: none is under 16 octets.
const PLACES_MAX: usize = 4096;

/// A worker's own memory for answering. Made once; answering allocates nothing.
pub struct Scratch {
    /// The policies' state.
    pub(super) chooser: Chooser,
    /// The name that an alias led to.
    pub(super) alias: NameKey,
    /// What the answer has had of names and of DNAMEs.
    pub(super) seen: Vec<u64>,
    /// The name whose addresses are being looked up; not here while they are.
    pub(super) target: Option<Box<NameKey>>,
    /// The hashes of the names whose addresses were looked up.
    pub(super) targets: Vec<u64>,
    /// Which of a pool's records stand in the answer, in order: their members' addresses follow in Additional.
    pub(super) places: Vec<u32>,
    /// Which of a pool's records stand in the answer, where members share some.
    pub(super) met: Met,
    /// What is being said of a member.
    pub(super) text: Vec<u8>,
}

impl Scratch {
    /// For worker number `worker`; `seed` for its random choices.
    pub fn new(worker: u32, seed: u64) -> Self {
        Scratch {
            chooser: Chooser::new(worker, seed),
            alias: NameKey::default(),
            seen: Vec::with_capacity(SEEN_MAX),
            target: Some(Box::default()),
            targets: Vec::with_capacity(TARGETS_MAX),
            places: Vec::with_capacity(PLACES_MAX),
            met: Met::new(),
            text: Vec::new(),
        }
    }
}
