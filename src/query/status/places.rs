//! Who stands where: in the policy's line, and for a client that has all SRV records.

use super::line::{Families, Millionths, Srv};
use crate::policy::InLine;
use crate::zone::{PoolView, RecordList};

/// Who stands where, by the numbers of members.
pub(super) struct Places(Families<Vec<Option<InLine>>>);

impl Places {
    pub fn of(view: &PoolView, service: Option<&[u8]>) -> Self {
        let in_list = |list: &RecordList| {
            let mut places = vec![None; view.members_len()];
            for (in_line, place) in list.ranking.line().into_iter().zip(0..) {
                let number = list.hold(list.of_member(place).start).map(|hold| hold.member as usize);
                if let Some(held) = number.and_then(|number| places.get_mut(number)) {
                    *held = in_line;
                }
            }
            places
        };
        let nowhere = || Places(Families { v4: None, v6: None });
        let lists = match service {
            Some(service) => match view.service(service) {
                Some(list) => [list, list],
                None => return nowhere(),
            },
            None if view.v6.is_empty() => [&view.v4, &view.v4],
            None if view.v4.is_empty() => [&view.v6, &view.v6],
            None => [&view.v4, &view.v6],
        };
        let [v4, v6] = lists.map(in_list);
        Places(Families { v4: Some(v4), v6: Some(v6) })
    }

    pub fn of_member(&self, number: usize) -> (Families<u32>, Families<Millionths>) {
        let of = |places: &Option<Vec<Option<InLine>>>| places.as_ref()?.get(number).copied().flatten();
        let (v4, v6) = (of(&self.0.v4), of(&self.0.v6));
        let share = |place: InLine| Millionths::of(place.share).short();
        (
            Families { v4: v4.map(|place| place.rank), v6: v6.map(|place| place.rank) },
            Families { v4: v4.map(share), v6: v6.map(share) },
        )
    }
}

/// What a client chooses among that has all SRV records of a service (RFC 2782).
pub(super) struct Choice {
    /// The least priority: who has another is asked when nobody of these answers.
    priority: u16,
    /// How many have it, and their weights together.
    count: u32,
    weights: u64,
}

impl Choice {
    pub fn of(records: impl Iterator<Item = Srv> + Clone) -> Self {
        let priority = records.clone().map(|srv| srv.priority).min().unwrap_or(0);
        let best = records.filter(|srv| srv.priority == priority);
        let count = best.clone().count() as u32;
        Choice { priority, count, weights: best.map(|srv| u64::from(srv.weight)).sum() }
    }

    /// How likely a record is to be the first choice.
    pub fn share(&self, srv: Srv) -> Millionths {
        let share = match (srv.priority == self.priority, self.weights) {
            (false, _) => 0.0,
            (true, 0) => 1.0 / f64::from(self.count.max(1)),
            (true, weights) => f64::from(srv.weight) / weights as f64,
        };
        Millionths::of(share).short()
    }
}
