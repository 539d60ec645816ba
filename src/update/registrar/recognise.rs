//! Which messages are heartbeats that workers may take from now on.

use std::sync::Arc;

use super::{Registrar, Request};
use crate::membership::{ELSEWHERE, Said, Terms};
use crate::update::draft::Verdict;
use crate::update::heartbeat::Heartbeat;
use crate::update::plan::Plan;
use crate::zone::parent;

impl Registrar {
    /// What a message's repetition would be known by, if that came to a renewal and nothing else: it is about one member, by its
    /// owner, names all that the member has, and nothing of that ends before the lease. What it has done once is done then:
    /// each record that it adds is there, each that it deletes is not. It is not yet carried out.
    pub(super) fn heartbeat_of(&self, request: &Request<'_>, plan: &Plan) -> Option<Heartbeat> {
        let [verdict] = plan.verdicts.as_slice() else { return None };
        let Verdict { pool, name, keep: Some((member, _)), is_by_admin, said, renews, renews_whole, .. } =
            verdict
        else {
            return None;
        };
        let is_owners = *renews && *renews_whole && !is_by_admin;
        let is_alone = plan.names.is_empty() && plan.drains.is_empty() && plan.unchanged.is_empty();
        // A wrong attribute is logged each time. One that lives elsewhere has its name in nobody's pool.
        if !is_owners
            || !is_alone
            || member.drains()
            || !plan.ignored.is_empty()
            || name.first() == Some(&ELSEWHERE)
        {
            return None;
        }
        let (digest, will_say) = self.heartbeats.of(request)?;
        // To unsay a load is a change, the first time.
        let says_that = *said == will_say && *said != Said::Unsaid;
        says_that.then(|| Heartbeat { pool: Arc::clone(pool), name: name.clone(), digest })
    }

    /// Lets workers take a heartbeat by themselves. Its message is published, and the store right about its member.
    pub fn recognise(&self, heartbeat: &Heartbeat) {
        let Heartbeat { pool, name, digest } = heartbeat;
        let publisher = self.zone_of(pool).and_then(|at| self.zones.get(at)).map(|(publisher, _)| publisher);
        let Some(settings) = publisher.and_then(|publisher| publisher.pool(pool)) else { return };
        let terms = Terms { load_half_life_ms: settings.load_half_life_ms, ranks: settings.ranks_anew() };
        self.roll.remember(pool, name, *digest, terms);
    }

    /// Has the next heartbeat of a member held against a floor of its name that has just risen.
    pub(super) fn forget_heartbeat_of(&self, name: &[u8]) {
        let label = name.split_first().and_then(|(&len, rest)| rest.get(..usize::from(len)));
        if let Some(label) = label {
            self.roll.forget_heartbeat(parent(name), label);
        }
    }
}
