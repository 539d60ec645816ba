//! A batch is read whole before any of it is answered: that is the same as one question after the other, whatever stands beside
//! it in the batch.

use proptest::prelude::*;
use rollcall::query::{self, Answered, Context, Outcome, Scratch, Transport};
use rollcall::wire::{Question, Reading};

use super::drawn::{Ask, ask, both, pool};
use super::world::World;
use super::{config, message};

/// A datagram: a question, or what is none.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let broken = (ask(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(ask, at, octet)| {
        let mut octets = message(&ask);
        let at = at.index(octets.len());
        octets[at] = octet;
        octets
    });
    let short = (ask(), any::<prop::sample::Index>()).prop_map(|(ask, len)| {
        let mut octets = message(&ask);
        octets.truncate(len.index(octets.len()));
        octets
    });
    prop_oneof![
        6 => ask().prop_map(|ask: Ask| message(&ask)),
        2 => broken,
        1 => short,
        1 => prop::collection::vec(any::<u8>(), 0..64),
    ]
}

/// What became of one.
#[derive(Debug, PartialEq, Eq)]
enum Became {
    Reply(Vec<u8>, Answered),
    Registrar,
    Silence,
}

/// What a worker has.
struct Worker {
    questions: Vec<Question>,
    scratch: Scratch,
}

impl Worker {
    fn new(width: usize) -> Self {
        let questions = std::iter::repeat_with(Question::default).take(width).collect();
        Worker { questions, scratch: Scratch::new(0, 1) }
    }

    /// Reads all, then answers all.
    fn serve(&mut self, world: &World, datagrams: &[Vec<u8>]) -> Vec<Became> {
        let zones = world.registrar.published();
        let read = self.questions.iter_mut().zip(datagrams);
        let readings: Vec<Reading> =
            read.map(|(question, datagram)| query::read(zones, datagram, question)).collect();
        let context = Context {
            zones,
            transport: Transport::Udp,
            now_ms: world.now_ms,
            reserved: 0,
            client: Some(world.source),
            cookie: None,
            keepalive: None,
        };
        let each = self.questions.iter().zip(readings).zip(datagrams);
        let answer = |((question, reading), datagram): ((&Question, Reading), &Vec<u8>)| {
            let mut out = vec![0; 4_096];
            match query::answer(&context, question, reading, datagram, &mut self.scratch, &mut out) {
                Outcome::Reply(len, answered) => Became::Reply(out[..len].to_vec(), answered),
                Outcome::Registrar => Became::Registrar,
                Outcome::Silence => Became::Silence,
            }
        };
        each.map(answer).collect()
    }
}

proptest! {
    #![proptest_config(config(150, 5_000))]

    #[test]
    fn a_batch_is_answered_as_its_questions_one_by_one(
        (web, spare) in (pool(), pool()),
        passed_ms in 0_u64..40_000,
        batches in prop::collection::vec(prop::collection::vec(datagram(), 1..=64), 1..6),
    ) {
        // Two servers that were told the same: degradation counts picks in what all workers share.
        let [mut one, mut other] = [(); 2].map(|()| both(&web, &spare).0);
        one.advance_unswept(passed_ms);
        other.advance_unswept(passed_ms);
        let (mut whole, mut alone) = (Worker::new(64), Worker::new(1));
        for batch in &batches {
            let wanted: Vec<Became> = batch.iter().flat_map(|datagram| {
                // Nothing is left here of the datagram before.
                alone.questions = vec![Question::default()];
                alone.serve(&other, std::slice::from_ref(datagram))
            }).collect();
            prop_assert_eq!(whole.serve(&one, batch), wanted);
        }
    }
}
