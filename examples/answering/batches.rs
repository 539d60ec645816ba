//! What a UDP worker does with a batch between the system calls that receive and send it, over questions made ahead.

use fastrand::Rng;
use rollcall::query::{self, Answered, Context, Outcome, Scratch, Transport};
use rollcall::wire::{Question, Reading, Rtype};
use rollcall::zone::ZoneSet;
use sdd::Guard;

use super::pools::{NOW_MS, SERVICE, Size, ZONE, label};

/// Questions that a worker reads before it answers any, as the server's default has it.
pub const BATCH: usize = 16;
/// Questions of a list at least: names that do not exist, and a mix, want more than there are pools.
const QUESTIONS_MIN: usize = 4096;
/// The place of a reply in a batch.
const REPLY_LEN: usize = 1232;

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    A,
    Srv,
    NxDomain,
    NoData,
    /// Half of it A, a quarter SRV, 15 % names that do not exist, 10 % AAAA that no member has.
    Mix,
}

impl Kind {
    pub const ALL: [(&'static str, Kind); 5] = [
        ("A", Kind::A),
        ("SRV", Kind::Srv),
        ("NXDOMAIN", Kind::NxDomain),
        ("NODATA", Kind::NoData),
        ("mix", Kind::Mix),
    ];

    fn drawn(self, rng: &mut Rng) -> Kind {
        match (self, rng.u8(..100)) {
            (Kind::Mix, ..50) => Kind::A,
            (Kind::Mix, 50..75) => Kind::Srv,
            (Kind::Mix, 75..90) => Kind::NxDomain,
            (Kind::Mix, _) => Kind::NoData,
            (kind, _) => kind,
        }
    }
}

/// The message of one question.
fn message(kind: Kind, pool: usize, id: u16, has_edns: bool, rng: &mut Rng) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    // RD, as dnsperf and resolvers' clients have it; one question, and one OPT.
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(has_edns)]);
    let rtype = match kind {
        Kind::Srv => Rtype::SRV,
        Kind::NoData => Rtype::AAAA,
        Kind::A | Kind::NxDomain | Kind::Mix => Rtype::A,
    };
    match kind {
        Kind::Srv => message.extend([SERVICE, &label(pool)].concat()),
        Kind::NxDomain => {
            message.push(12);
            message.extend((0..12).map(|_| rng.lowercase() as u8));
        }
        Kind::A | Kind::NoData | Kind::Mix => message.extend(label(pool)),
    }
    message.extend(ZONE);
    message.extend(rtype.to_int().to_be_bytes());
    message.extend([0, 1]);
    if has_edns {
        message.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
    }
    message
}

/// Questions for all pools, in no order.
pub struct Questions {
    octets: Vec<u8>,
    ends: Vec<usize>,
}

impl Questions {
    pub fn new(kind: Kind, size: Size, has_edns: bool) -> Self {
        let mut rng = Rng::with_seed(42);
        let mut pools: Vec<usize> = Vec::new();
        while pools.len() < QUESTIONS_MIN.max(size.pools) {
            let start = pools.len();
            pools.extend(0..size.pools);
            rng.shuffle(pools.get_mut(start..).unwrap_or_default());
        }
        // Whole batches.
        pools.truncate(pools.len() / BATCH * BATCH);
        let mut questions = Questions { octets: Vec::new(), ends: vec![0] };
        for pool in pools {
            let (kind, id) = (kind.drawn(&mut rng), rng.u16(..));
            questions.octets.extend(message(kind, pool, id, has_edns, &mut rng));
            questions.ends.push(questions.octets.len());
        }
        questions
    }

    pub fn len(&self) -> usize {
        self.ends.len() - 1
    }

    /// The octets of question `i`.
    pub fn get(&self, i: usize) -> &[u8] {
        let place = self.ends.get(i).zip(self.ends.get(i + 1));
        place.and_then(|(&start, &end)| self.octets.get(start..end)).unwrap_or_default()
    }
}

/// What the answers of some batches came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub positive: usize,
    pub no_data: usize,
    pub nx_domain: usize,
    /// Nothing of the above, which no question asks for.
    pub other: usize,
    pub octets: usize,
}

impl Tally {
    fn count(&mut self, outcome: Outcome) {
        let Outcome::Reply(len, answered) = outcome else {
            self.other += 1;
            return;
        };
        self.octets += len;
        match answered {
            Answered::Positive => self.positive += 1,
            Answered::NoData => self.no_data += 1,
            Answered::NxDomain => self.nx_domain += 1,
            _ => self.other += 1,
        }
    }

    /// Whether these are answers to questions of this kind and to nothing else.
    pub fn is_of(&self, kind: Kind, answers: usize) -> bool {
        let counts = (self.positive, self.no_data, self.nx_domain);
        match kind {
            Kind::A | Kind::Srv => counts == (answers, 0, 0),
            Kind::NoData => counts == (0, answers, 0),
            Kind::NxDomain => counts == (0, 0, answers),
            Kind::Mix => self.other == 0 && counts.0 + counts.1 + counts.2 == answers,
        }
    }
}

/// A worker's own memory, made once.
pub struct Worker {
    questions: Box<[Question]>,
    readings: Vec<Reading>,
    scratch: Scratch,
    replies: Box<[u8]>,
    /// The first question of the batch that was read last, and of the one that is read next.
    first: usize,
    next: usize,
}

impl Worker {
    pub fn new() -> Self {
        Worker {
            questions: (0..BATCH).map(|_| Question::default()).collect(),
            readings: Vec::with_capacity(BATCH),
            scratch: Scratch::new(0, 7),
            replies: vec![0; BATCH * REPLY_LEN].into(),
            first: 0,
            next: 0,
        }
    }

    /// One for which nothing has to be made any more: it has answered the whole list once.
    pub fn warm(zones: &ZoneSet, list: &Questions) -> Self {
        let (mut worker, mut tally) = (Worker::new(), Tally::default());
        for _ in 0..list.len() / BATCH {
            worker.serve(zones, list, &mut tally);
        }
        worker
    }

    /// Reads the next batch of the list whole, then answers it whole: the two stages of `server::udp`.
    pub fn serve(&mut self, zones: &ZoneSet, list: &Questions, tally: &mut Tally) {
        self.read(zones, list);
        self.answer(zones, list, tally);
    }

    /// The first stage. After the last batch comes the first.
    pub fn read(&mut self, zones: &ZoneSet, list: &Questions) {
        self.first = self.next;
        self.next = if self.first + BATCH < list.len() { self.first + BATCH } else { 0 };
        self.readings.clear();
        for (i, question) in self.questions.iter_mut().enumerate() {
            self.readings.push(query::read(zones, list.get(self.first + i), question));
        }
    }

    /// The stages after it, of the batch that was read last: what the answers will read is fetched, then all are answered.
    pub fn answer(&mut self, zones: &ZoneSet, list: &Questions, tally: &mut Tally) {
        let context = Context {
            zones,
            transport: Transport::Udp,
            now_ms: NOW_MS,
            reserved: 0,
            client: None,
            cookie: None,
            keepalive: None,
        };
        let _guard = Guard::new();
        query::look_ahead(zones, &self.questions, &self.readings, &self.scratch);
        let replies = self.replies.chunks_exact_mut(REPLY_LEN);
        let batch = self.questions.iter().zip(&self.readings).zip(replies);
        for (i, ((question, reading), out)) in batch.enumerate() {
            let message = list.get(self.first + i);
            tally.count(query::answer(&context, question, *reading, message, &mut self.scratch, out));
        }
    }
}
