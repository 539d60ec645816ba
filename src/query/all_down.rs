//! What is answered when no member is left that is fit to serve: the pool's `on_all_down`.
//!
//! Fit is a member whose lease runs, that does not drain and that weighs something. A pool has none if neither family has
//! one, nor any service; a service, if none that offers it is. What an operator chose is answered under the question's
//! name, said in an extended error (RFC 8914), and counted.

use super::last_resort::AllDown;
use super::writer::{Found, Writer};
use crate::wire::Rtype;
use crate::zone::{Freshness, OnAllDown, PoolView, Role};

/// What was asked of a pool.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    /// Its addresses, or any of them.
    Addresses(Rtype),
    /// A service's SRV records; the service's name in wire form without a root label.
    Service(&'a [u8]),
}

impl Writer<'_, '_> {
    /// The answer of a pool that had nothing to show by its policy.
    pub(super) fn put_all_down(&mut self, view: &PoolView, asked: Asked<'_>) -> Found {
        // What stands beside an answer is no question of its own.
        if !self.is_in_answer() || self.is_anyone_fit(view, asked) {
            return Found::NoData;
        }
        let (how, found) = match &view.settings.on_all_down {
            OnAllDown::All => {
                let freshness = view.freshness(self.leases, self.now_ms);
                (AllDown::All, self.put_asked(view, asked, true, freshness))
            }
            OnAllDown::LastGood => (AllDown::LastGood, self.put_last_good(view, asked)),
            OnAllDown::Fallback(pool) => (AllDown::Fallback, self.put_fallback(pool, asked)),
            OnAllDown::NoData => (AllDown::NoData, Found::NoData),
            OnAllDown::ServFail => (AllDown::ServFail, Found::Failed),
        };
        // Where there is nothing to fall back on, the answer is what it would have been.
        if found != Found::NoData || how == AllDown::NoData {
            self.all_down = Some(how);
        }
        found
    }

    pub(super) fn is_anyone_fit(&self, view: &PoolView, asked: Asked<'_>) -> bool {
        let is_fit = |list| view.is_anyone_fit(list, self.leases, self.now_ms);
        match asked {
            // Members that live elsewhere have services and no addresses here.
            Asked::Addresses(_) => {
                is_fit(&view.v4) || is_fit(&view.v6) || view.services().any(|(_, list)| is_fit(list))
            }
            Asked::Service(service) => view.service(service).is_some_and(is_fit),
        }
    }

    /// Who was good last. Those whose leases have just ended are in the view itself until they are swept.
    fn put_last_good(&mut self, view: &PoolView, asked: Asked<'_>) -> Found {
        let has_just_lost = view.has_just_lost(self.leases, self.now_ms);
        let just_lost = has_just_lost.then(|| self.put_asked(view, asked, false, Freshness::Frozen));
        match just_lost.unwrap_or(Found::NoData) {
            Found::NoData => match view.last_good(self.now_ms) {
                Some(good) => self.put_asked(good, asked, false, Freshness::Frozen),
                None => Found::NoData,
            },
            found => found,
        }
    }

    /// What another pool answers, by its own policy. What it would do if it had nobody is not asked.
    fn put_fallback(&mut self, pool: &[u8], asked: Asked<'_>) -> Found {
        // Taken out, so that it can be read while the reply is written.
        let Some(mut name) = self.scratch.target.take() else { return Found::NoData };
        let zone = match name.read(pool, 0, self.zones.hasher()) {
            Ok(_) => self.zones.find(&name),
            Err(_) => None,
        };
        let located = zone.and_then(|zone| zone.locate(&name, self.guard));
        self.scratch.target = Some(name);
        match located {
            Some((node, 0)) => match &node.role {
                Role::Pool(view) => {
                    let freshness = view.freshness(self.leases, self.now_ms);
                    self.put_asked(view, asked, false, freshness)
                }
                _ => Found::NoData,
            },
            _ => Found::NoData,
        }
    }

    /// What a view has of what was asked: by its policy, or all of it.
    pub(super) fn put_asked(
        &mut self,
        view: &PoolView,
        asked: Asked<'_>,
        of_all: bool,
        freshness: Freshness,
    ) -> Found {
        match asked {
            Asked::Addresses(Rtype::A) => self.put_list(view, &view.v4, of_all, freshness),
            Asked::Addresses(Rtype::AAAA) => self.put_list(view, &view.v6, of_all, freshness),
            // One RRset is enough of an answer to ANY (RFC 8482 section 4.1).
            Asked::Addresses(_) => match self.put_list(view, &view.v4, of_all, freshness) {
                Found::NoData => self.put_list(view, &view.v6, of_all, freshness),
                found => found,
            },
            Asked::Service(service) => match view.service(service) {
                Some(list) => self.put_with_addresses(view, list, of_all, freshness),
                None => Found::NoData,
            },
        }
    }
}
