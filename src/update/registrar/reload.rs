//! Zones come, change and go while the server runs.
//!
//! A reload is whole: every zone that it brings is opened beside the one that it replaces, and then all of them are
//! published at once. What UPDATE has made of names, members, leases and floors stay. Of what a reload leaves without a
//! zone, ordinary records are kept aside and members stay on the roll, unseen, until their leases are over: the next reload
//! may bring their zone back.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::Registrar;
use crate::change::Change;
use crate::membership::PoolHandle;
use crate::security::{Grants, Keyring};
use crate::update::zones::closest;
use crate::wire::WireError;
use crate::zone::{Draft, Dynamics, Past, Publisher, ZoneSet, later, next_serial, parent};

/// What a reload brings.
#[derive(Default)]
pub struct Reload {
    /// Zones that are new or other than before; each zone that lies around one which comes or goes is among them.
    pub zones: Vec<(Draft, Grants)>,
    /// The apexes of zones that are served no more, lower case.
    pub unloaded: Vec<Box<[u8]>>,
    /// The server's keys, if they may differ.
    pub keyring: Option<Keyring>,
}

/// What came of a reload.
pub struct Reloaded {
    /// The zones, for those who answer.
    pub zones: Arc<ZoneSet>,
    /// Where files have overtaken what UPDATE changed: to be stored.
    pub changes: Vec<Change>,
    /// Zones that show something else than before, or are new, and their serials.
    pub serials: Vec<(Box<[u8]>, u32)>,
    /// Pools that are in no zone any more, and their members that wait there.
    pub stranded: Vec<(PoolHandle, usize)>,
    /// What nobody publishes any more. To let go of it takes a while, so the caller does that where nobody waits.
    pub retired: Vec<Publisher>,
}

impl Registrar {
    /// Puts a reload's zones and keys in the place of what there was. Between groups of messages: nothing may be judged and
    /// not yet published. If a zone cannot be published, nothing has changed.
    pub fn reload(&mut self, reload: Reload, now_ms: u64) -> Result<Reloaded, WireError> {
        let Reload { zones, unloaded, keyring } = reload;
        // When zones come or go, names change hands between them and those that lie around them.
        let new = zones.iter().map(|(draft, _)| draft.apex()).filter(|apex| self.zones.at(apex).is_none());
        let moving = unloaded.iter().map(|apex| &**apex).chain(new);
        let around: HashSet<Box<[u8]>> = moving.flat_map(above).map(Box::from).collect();
        let is_late = |apex: &[u8]| around.contains(apex) || self.late.contains(apex);
        let (zones, same): (Vec<_>, Vec<_>) =
            zones.into_iter().partition(|(draft, _)| is_late(draft.apex()) || self.differs(draft));
        let (mut pasts, lost) = self.pasts(&zones, &unloaded, &around);
        let (mut opened, mut changes) = (Vec::new(), Vec::new());
        let mut serials: Vec<(Box<[u8]>, u32)> = Vec::new();
        for (draft, grants) in zones {
            let publisher = self.zones.of_apex(draft.apex()).map(|(publisher, _)| publisher);
            let was = publisher.map(|publisher| publisher.zone().serial());
            let was = was.map(|serial| self.reserve.next(draft.apex(), serial).unwrap_or(serial));
            let was = was.or_else(|| self.serials_elsewhere.get(draft.apex()).copied());
            let serial = was.map_or(draft.serial(), |was| later(was, draft.serial()));
            let (dynamics, pools) = pasts.remove(draft.apex()).unwrap_or_default();
            let past = Past { dynamics, pools, serial, publisher };
            let (publisher, overtaken) = draft.open(past, &self.roll, &mut self.rotors, now_ms)?;
            serials.push((publisher.zone().apex().into(), publisher.zone().serial()));
            changes.extend(overtaken.into_iter().map(Change::Name));
            opened.push((publisher, grants));
        }
        // From here on nothing fails.
        self.elsewhere = pasts.remove(NOWHERE).unwrap_or_default().0;
        for (draft, grants) in same {
            if let Some((_, held)) = self.zones.at(draft.apex()).and_then(|at| self.zones.get_mut(at)) {
                *held = grants;
            }
        }
        self.late.extend(around.into_iter().filter(|apex| self.zones.at(apex).is_some()));
        for (apex, name) in lost {
            if let Some((publisher, _)) = self.zones.at(&apex).and_then(|at| self.zones.get_mut(at)) {
                publisher.leave(&name);
            }
        }
        let retired = self.replace(opened, &unloaded);
        self.watch_zones();
        if let Some(keyring) = keyring {
            self.heartbeats.set_keyring(keyring);
        }
        // Grants, pools' settings and keys may be others: each member's next heartbeat is judged by them.
        self.heartbeats.forget_all();
        self.moved.extend(serials.iter().map(|(apex, _)| apex.clone()));
        self.records = self.zones.iter().map(|(publisher, _)| publisher.difference()).sum();
        self.publish_zones();
        let zones = Arc::clone(&self.published);
        Ok(Reloaded { zones, changes, serials, stranded: self.stranded(&retired), retired })
    }

    /// Whether a zone shows something else than the one with its apex, or there is none.
    fn differs(&self, draft: &Draft) -> bool {
        self.zones.of_apex(draft.apex()).is_none_or(|(publisher, _)| !draft.is_as(publisher))
    }

    /// What the zones that are opened go on from, by apex: what there is of names and pools in those that they replace, in
    /// those that are unloaded, and elsewhere. What belongs to none of them is under [`NOWHERE`]. Of the zones `around` those
    /// that come, one may stay because its file is not good: the names that it loses come with its apex.
    fn pasts(
        &self,
        zones: &[(Draft, Grants)],
        unloaded: &[Box<[u8]>],
        around: &HashSet<Box<[u8]>>,
    ) -> (Pasts, Lost) {
        let opened: BTreeSet<&[u8]> = zones.iter().map(|(draft, _)| draft.apex()).collect();
        let gone: BTreeSet<&[u8]> = unloaded.iter().map(|apex| &**apex).collect();
        // The apex of the zone that a name is to be in: one that is opened, or one that stays as it is.
        let home = |name: &[u8]| {
            let stays = |apex: &[u8]| self.zones.at(apex).is_some() && !gone.contains(apex);
            let is_apex = |apex: &[u8]| (opened.contains(apex) || stays(apex)).then(|| apex.to_vec());
            let home = closest(name, is_apex).filter(|home| opened.contains(home.as_slice()));
            home.map_or(Box::from(NOWHERE), Vec::into_boxed_slice)
        };
        let mut pasts = Pasts::new();
        let mut lost = Lost::new();
        let stay = around.iter().filter(|apex| !opened.contains(&***apex) && !gone.contains(&***apex));
        for (publisher, _) in stay.filter_map(|apex| self.zones.of_apex(apex)) {
            for (name, dynamic) in publisher.dynamics() {
                let home = home(&name);
                if *home != *NOWHERE {
                    lost.push((publisher.zone().apex().into(), Arc::clone(&name)));
                    pasts.entry(home).or_default().0.push((name, dynamic));
                }
            }
        }
        let left = opened.iter().copied().chain(unloaded.iter().map(|apex| &**apex));
        let left = left.filter_map(|apex| self.zones.of_apex(apex));
        let dynamics = left.flat_map(|(publisher, _)| publisher.dynamics());
        for (name, dynamic) in dynamics.chain(self.elsewhere.iter().cloned()) {
            pasts.entry(home(&name)).or_default().0.push((name, dynamic));
        }
        let known = opened.iter().filter_map(|apex| self.zones.of_apex(apex));
        let known = known.flat_map(|(publisher, _)| publisher.made_pools());
        for pool in self.roll.pools().chain(known) {
            pasts.entry(home(pool)).or_default().1.push(Arc::clone(pool));
        }
        (pasts, lost)
    }

    /// Takes zones out and puts others in. Those that were there come back.
    fn replace(&mut self, opened: Vec<(Publisher, Grants)>, unloaded: &[Box<[u8]>]) -> Vec<Publisher> {
        let mut retired = Vec::new();
        for apex in unloaded {
            let Some(publisher) = self.zones.remove(apex) else { continue };
            self.late.remove(apex);
            publisher.retire(None, &mut self.rotors);
            // Should it come back, it will be another: members and leases go meanwhile.
            self.serials_elsewhere.insert(apex.clone(), next_serial(publisher.zone().serial()));
            retired.push(publisher);
        }
        for (publisher, grants) in opened {
            let apex: Box<[u8]> = publisher.zone().apex().into();
            self.serials_elsewhere.remove(&apex);
            self.late.remove(&apex);
            let Some(before) = self.zones.put(publisher, grants) else { continue };
            let after = self.zones.of_apex(&apex).map(|(publisher, _)| publisher);
            before.retire(after, &mut self.rotors);
            retired.push(before);
        }
        retired
    }

    /// Pools of publishers that no zone knows any more although they have members.
    fn stranded(&self, retired: &[Publisher]) -> Vec<(PoolHandle, usize)> {
        let of_apex: HashMap<&[u8], &Publisher> =
            retired.iter().map(|publisher| (publisher.zone().apex(), publisher)).collect();
        let had = |pool: &PoolHandle| {
            let publisher = closest(pool, |apex| of_apex.get(apex).copied());
            publisher.is_some_and(|publisher| publisher.is_published(pool))
        };
        let has = |pool: &PoolHandle| {
            let home = self.zones.closest(pool).and_then(|at| self.zones.get(at));
            home.is_some_and(|(publisher, _)| publisher.pool(pool).is_some())
        };
        let stranded = self.roll.pools().filter(|pool| had(pool) && !has(pool));
        stranded.map(|pool| (Arc::clone(pool), self.roll.members(pool).count())).collect()
    }

    fn publish_zones(&mut self) {
        let hasher = self.published.hasher().clone();
        let zones = self.zones.iter().map(|(publisher, _)| Arc::clone(publisher.zone())).collect();
        let identity = self.published.identity().clone();
        let zones = ZoneSet::new(zones, hasher, Arc::clone(self.roll.leases()));
        self.published = Arc::new(zones.identified(identity));
    }
}

/// What the zones that are opened go on from, by apex.
type Pasts = HashMap<Box<[u8]>, (Dynamics, Vec<PoolHandle>)>;

/// Names that zones lose which stay as they are, each with its zone's apex.
type Lost = Vec<(Box<[u8]>, Arc<[u8]>)>;

/// The names above a name, the root too.
fn above(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(parent(name)).filter(|above| !above.is_empty()), |below| {
        Some(parent(below)).filter(|above| !above.is_empty())
    })
}

/// Where a name is that no zone has: no apex is empty.
const NOWHERE: &[u8] = b"";
