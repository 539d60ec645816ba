//! Of whom there is something to say, and in which state each is.

use super::line::State;
use crate::membership::LeaseTable;
use crate::zone::{DrainView, Hold, MemberView, PoolView, Records};

/// What a string is said of.
pub(super) struct Row<'v> {
    /// The view that it stands in: the pool's, or that of who was good last.
    pub view: &'v PoolView,
    pub member: &'v MemberView,
    /// Its place among the view's members.
    pub number: usize,
    pub hold: &'v Hold,
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
    pub fn rows<'v>(self, view: &'v PoolView, service: Option<&[u8]>) -> Vec<Row<'v>> {
        let mut rows = self.rows_of(view, service);
        let good = view.last_good(self.now_ms).filter(|_| self.is_last_good);
        if let Some(good) = good {
            let lost = self.rows_of(good, service).into_iter();
            rows.extend(lost.filter(|row| row.state == State::Lost));
        }
        // Most are in order already: records of members that drain stand apart, and so do those that are lost.
        rows.sort_by(|one, other| one.member.label.cmp(&other.member.label));
        rows
    }

    fn rows_of<'v>(self, view: &'v PoolView, service: Option<&[u8]>) -> Vec<Row<'v>> {
        let Some(service) = service else {
            let members = view.members().iter().enumerate();
            let row = |(number, member): (usize, &'v MemberView)| {
                self.row(view, (number, member), &member.hold, member.weight, None)
            };
            return members.map(row).collect();
        };
        let lists = view.service(service).map(|list| &**list).into_iter().chain(view.service_apart(service));
        lists.flat_map(|records| self.rows_of_records(view, records)).collect()
    }

    fn rows_of_records<'v>(self, view: &'v PoolView, records: &'v Records) -> impl Iterator<Item = Row<'v>> {
        records.holds.iter().enumerate().filter_map(move |(place, hold)| {
            let member = (hold.member as usize, view.member(hold)?);
            Some(self.row(view, member, hold, records.weight(place), Some(records.record(place))))
        })
    }

    fn row<'v>(
        self,
        view: &'v PoolView,
        (number, member): (usize, &'v MemberView),
        hold: &'v Hold,
        weight: u32,
        record: Option<&'v [u8]>,
    ) -> Row<'v> {
        let is_over = hold.ends_ms(self.leases) <= self.now_ms;
        let state = match &member.drain {
            None if is_over && self.is_last_good && weight > 0 => State::Lost,
            _ if is_over => State::Gone,
            Some(DrainView::Own(_)) => State::Leaving,
            Some(DrainView::Operators(_)) => State::Drained,
            None if weight == 0 => State::Out,
            None => State::Up,
        };
        Row { view, member, number, hold, weight, record, state }
    }
}

impl Row<'_> {
    /// Whether it is shown when nobody is fit, and all are that live and do not drain.
    pub fn is_shown_at_last(&self) -> bool {
        let has_addresses = !self.member.v4.is_empty() || !self.member.v6.is_empty();
        self.state == State::Out && (self.record.is_some() || has_addresses)
    }

    /// Whether a policy picks it.
    pub fn takes_part(&self) -> bool {
        matches!(self.state, State::Up | State::Lost)
    }
}
