//! Of whom there is something to say, and in which state each is.

use super::line::State;
use crate::membership::LeaseTable;
use crate::zone::{DrainView, Hold, MemberRef, Offered, PoolView};

/// What a string is said of.
pub(super) struct Row<'v> {
    /// The view that it stands in: the pool's, or that of who was good last.
    pub view: &'v PoolView,
    pub member: MemberRef<'v>,
    pub hold: Hold,
    pub weight: u32,
    /// Its record, in a service's status.
    pub record: Option<&'v [u8]>,
    pub state: State,
}

/// What rows are made by.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub leases: &'a LeaseTable,
    pub now_ms: u64,
    /// Whether answers have who was good last.
    pub is_last_good: bool,
}

impl Terms<'_> {
    /// A row a member; of a service, a row a record. In name order.
    pub fn rows<'v>(self, view: &'v PoolView, service: Option<&'v [u8]>) -> Vec<Row<'v>> {
        let mut rows = self.rows_of(view, service);
        let good = view.last_good(self.now_ms).filter(|_| self.is_last_good);
        if let Some(good) = good {
            let lost = self.rows_of(good, service).into_iter();
            rows.extend(lost.filter(|row| row.state == State::Lost));
        }
        // Most are in order already: records of members that drain stand apart, and so do those that are lost.
        rows.sort_by(|one, other| one.member.label().cmp(other.member.label()));
        rows
    }

    fn rows_of<'v>(self, view: &'v PoolView, service: Option<&'v [u8]>) -> Vec<Row<'v>> {
        let row = |offered| self.row(view, offered, service.is_some());
        match service {
            Some(service) => view.offers(service).map(row).collect(),
            None => {
                let members = view.members().map(|member| Offered {
                    hold: member.hold(),
                    weight: member.weight,
                    member,
                    record: &[],
                });
                members.map(row).collect()
            }
        }
    }

    fn row<'v>(self, view: &'v PoolView, offered: Offered<'v>, of_service: bool) -> Row<'v> {
        let Offered { member, hold, weight, record } = offered;
        let record = of_service.then_some(record);
        let is_over = hold.ends_ms(self.leases) <= self.now_ms;
        let state = match member.drain.as_deref() {
            None if is_over && self.is_last_good && weight > 0 => State::Lost,
            _ if is_over => State::Gone,
            Some(DrainView::Own(_)) => State::Leaving,
            Some(DrainView::Operators(_)) => State::Drained,
            None if weight == 0 => State::Out,
            None => State::Up,
        };
        Row { view, member, hold, weight, record, state }
    }
}

impl Row<'_> {
    /// Whether it is shown when nobody is fit, and all are that live and do not drain.
    pub fn is_shown_at_last(&self) -> bool {
        self.state == State::Out && (self.record.is_some() || self.member.has_addresses())
    }

    /// Whether a policy picks it.
    pub fn takes_part(&self) -> bool {
        matches!(self.state, State::Up | State::Lost)
    }
}
