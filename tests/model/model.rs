//! The model: RFC 2136 section 3 and what registrations mean, in the plainest form, without any of the server's code.

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::op::ResponseCode;

use super::message::{Change, Difference, Key, Prerequisite, Update, rrsets};
use super::pool::{Draft, Pool, Terms, is_membership};
use super::records::{NEVER, Records};

/// A lease of the pool that nobody asked for, milliseconds.
const DEFAULT_LEASE_MS: u64 = 30_000;

/// Names that the zone file has besides those that messages touch.
const OTHER_NAMES: [&str; 3] = ["ns", "note._tcp.web", "web"];

pub struct Model {
    pub now_ms: u64,
    pub records: Records,
    pub pool: Pool,
}

impl Model {
    pub fn new(now_ms: u64) -> Self {
        Model { now_ms, records: Records::of_the_zone_file(), pool: Pool::default() }
    }

    pub fn advance(&mut self, ms: u64) {
        self.now_ms += ms;
        self.records.bury(self.now_ms);
        self.pool.bury(self.now_ms);
    }

    /// The records of an RRset, as a script writes them.
    pub fn values(&self, key: Key) -> BTreeSet<String> {
        if is_membership(key) {
            return self.pool.values(key);
        }
        let rrset = self.records.0.get(&key);
        rrset.into_iter().flat_map(|rrset| rrset.ends_ms.keys()).map(|value| (*value).to_owned()).collect()
    }

    /// The TTL that an ordinary RRset is answered with: its own, but never past the end of a record in it.
    pub fn ttl_s(&self, key: Key) -> Option<u32> {
        let rrset = self.records.0.get(&key)?;
        let first_ms = rrset.ends_ms.values().min().copied().unwrap_or(NEVER);
        Some(rrset.ttl_s.min(u32::try_from((first_ms - self.now_ms) / 1000).unwrap_or(u32::MAX)))
    }

    /// Everything that clients see, but for how long it will last.
    pub fn shown(&self) -> BTreeMap<Key, (BTreeSet<String>, Option<u32>)> {
        let ttl_s = |key| self.records.0.get(&key).map(|rrset| rrset.ttl_s);
        // The zone file has some that no message adds.
        let others = self.records.0.keys().copied();
        rrsets().map(|(key, _)| key).chain(others).map(|key| (key, (self.values(key), ttl_s(key)))).collect()
    }

    /// Whether a name is in use (RFC 2136 section 2.4.4): it owns a record.
    fn is_in_use(&self, name: &'static str) -> bool {
        let of_members = rrsets().filter(|(key, _)| key.0 == name && is_membership(*key));
        self.records.has(name) || of_members.into_iter().any(|(key, _)| !self.pool.values(key).is_empty())
    }

    /// Whether a name exists: something is at it, or below it.
    pub fn exists(&self, name: &str) -> bool {
        let below = format!(".{name}");
        let records = self.records.0.keys().map(|(owner, _)| (*owner).to_owned());
        let services = self.pool.has_services().then(|| "_s._tcp.web".to_owned());
        let others = OTHER_NAMES.map(str::to_owned).into_iter().chain(self.pool.names()).chain(services);
        name == "@" || records.chain(others).any(|owner| owner == name || owner.ends_with(&below))
    }

    /// The records that a prerequisite on the value of an RRset names.
    pub fn wanted(&self, key: Key, difference: Difference) -> BTreeSet<String> {
        let mut values = self.values(key);
        match difference {
            Difference::None => {}
            Difference::Lacks => _ = values.pop_first(),
            Difference::Has(value) => _ = values.insert(value.to_owned()),
        }
        values
    }

    /// Carries an UPDATE out, and says its RCODE.
    pub fn update(&mut self, update: &Update) -> ResponseCode {
        match self.try_update(update) {
            Ok((records, pool)) => {
                (self.records, self.pool) = (records, pool);
                ResponseCode::NoError
            }
            Err(rcode) => rcode,
        }
    }

    fn try_update(&self, update: &Update) -> Result<(Records, Pool), ResponseCode> {
        self.check(&update.prerequisites)?;
        let wrong = update.changes.iter().filter_map(|change| match change {
            Change::Wrong(_, rcode) => Some(*rcode),
            _ => None,
        });
        // Section 3.4.1 is about the message, and comes before what the sender may do.
        match wrong.clone().find(|rcode| *rcode != ResponseCode::Refused).or(wrong.clone().next()) {
            Some(rcode) => Err(rcode),
            None => self.carry_out(update),
        }
    }

    /// Section 3.2.
    fn check(&self, prerequisites: &[Prerequisite]) -> Result<(), ResponseCode> {
        let mut wanted = BTreeMap::<Key, BTreeSet<String>>::new();
        for prerequisite in prerequisites {
            let (holds, rcode) = match prerequisite {
                Prerequisite::InUse(name) => (self.is_in_use(name), ResponseCode::NXDomain),
                Prerequisite::NotInUse(name) => (!self.is_in_use(name), ResponseCode::YXDomain),
                Prerequisite::Exists(key) => (!self.values(*key).is_empty(), ResponseCode::NXRRSet),
                Prerequisite::DoesNotExist(key) => (self.values(*key).is_empty(), ResponseCode::YXRRSet),
                Prerequisite::Wrong(_, rcode) => (false, *rcode),
                Prerequisite::Is(key, difference) => {
                    wanted.entry(*key).or_default().extend(self.wanted(*key, *difference));
                    (true, ResponseCode::NoError)
                }
            };
            if !holds {
                return Err(rcode);
            }
        }
        // A prerequisite without records is not in the message.
        let differs =
            |(key, values): (Key, BTreeSet<String>)| !values.is_empty() && self.values(key) != values;
        if wanted.into_iter().any(differs) { Err(ResponseCode::NXRRSet) } else { Ok(()) }
    }

    /// Section 3.4.2, on copies: all of it, or nothing.
    fn carry_out(&self, update: &Update) -> Result<(Records, Pool), ResponseCode> {
        let granted_ms =
            |asked_s: u32| u64::from(if asked_s == 0 { 0 } else { asked_s.clamp(2, 3_600) }) * 1_000;
        let lease_ms = update.lease.map(|(lease_s, _)| granted_ms(lease_s));
        let key_lease_ms = update.lease.map(|(lease_s, key_lease_s)| match key_lease_s {
            Some(key_lease_s) => u64::from(key_lease_s) * 1_000,
            None => granted_ms(lease_s),
        });
        let terms = Terms {
            now_ms: self.now_ms,
            sender: update.source,
            lease_ms: lease_ms.unwrap_or(DEFAULT_LEASE_MS),
            key_lease_ms: key_lease_ms.unwrap_or(DEFAULT_LEASE_MS),
            is_asked: update.lease.is_some(),
        };
        let (mut records, mut draft) = (self.records.clone(), Draft::of(&self.pool, terms));
        for change in &update.changes {
            match change {
                Change::Add(key, value, _) if is_membership(*key) => draft.add(*key, value),
                Change::Add(key, value, ttl_s) => {
                    match if key.1 == "KEY" { key_lease_ms } else { lease_ms } {
                        Some(0) => records.delete_record(*key, value),
                        // What the file has stays as long as the file has it.
                        Some(_) if Records::of_the_zone_file().holds(*key, value) => {
                            records.add(*key, value, *ttl_s, NEVER)
                        }
                        Some(ms) => records.add(*key, value, *ttl_s, self.now_ms + ms),
                        None => records.add(*key, value, *ttl_s, NEVER),
                    }
                }
                Change::DeleteRrset(key) if is_membership(*key) => draft.delete_rrset(*key),
                Change::DeleteRrset(key) => records.delete_rrset(*key),
                Change::DeleteRecord(key, value) if is_membership(*key) => draft.delete_record(*key, value),
                Change::DeleteRecord(key, value) => records.delete_record(*key, value),
                Change::DeleteName(name) => {
                    draft.delete_name(name);
                    records.delete_name(name);
                }
                Change::Wrong(..) => {}
            }
        }
        let pool = draft.finish().map_err(|_| ResponseCode::Refused)?;
        Ok((records, pool))
    }
}
