//! The model's ordinary records: RFC 2136 section 3.4.2 by the letter.

use std::collections::BTreeMap;

use super::message::Key;

/// When a permanent record ends.
pub const NEVER: u64 = u64::MAX;

/// An RRset: its TTL, and when each record ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rrset {
    pub ttl_s: u32,
    pub ends_ms: BTreeMap<&'static str, u64>,
}

/// RRsets by name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records(pub BTreeMap<Key, Rrset>);

impl Records {
    /// The zone file's, as far as messages may touch them or lie below them.
    pub fn of_the_zone_file() -> Self {
        let each = [
            (("@", "NS"), "ns"),
            (("info", "A"), "192.0.2.80"),
            (("info", "TXT"), "hello world"),
            (("www", "CNAME"), "info"),
            (("a.b.c", "A"), "192.0.2.81"),
        ];
        let rrset = |value| Rrset { ttl_s: 300, ends_ms: BTreeMap::from([(value, NEVER)]) };
        Records(each.into_iter().map(|(key, value)| (key, rrset(value))).collect())
    }

    /// Whether a record is among them.
    pub fn holds(&self, key: Key, value: &str) -> bool {
        self.0.get(&key).is_some_and(|rrset| rrset.ends_ms.contains_key(value))
    }

    /// Takes away what has ended.
    pub fn bury(&mut self, now_ms: u64) {
        self.0.values_mut().for_each(|rrset| rrset.ends_ms.retain(|_, ends_ms| *ends_ms > now_ms));
        self.0.retain(|_, rrset| !rrset.ends_ms.is_empty());
    }

    /// Whether a name owns anything.
    pub fn has(&self, name: &str) -> bool {
        name == "@" || self.0.keys().any(|(owner, _)| *owner == name)
    }

    /// Section 3.4.2.2.
    pub fn add(&mut self, key: Key, value: &'static str, ttl_s: u32, ends_ms: u64) {
        let (name, rtype) = key;
        // Earlier than the zone's, or not at the apex.
        if rtype == "SOA" {
            return;
        }
        let has_alias = self.0.contains_key(&(name, "CNAME"));
        if (rtype == "CNAME" && self.has(name) && !has_alias) || (rtype != "CNAME" && has_alias) {
            return;
        }
        let rrset = self.0.entry(key).or_insert_with(|| Rrset { ttl_s, ends_ms: BTreeMap::new() });
        if rtype == "CNAME" {
            rrset.ends_ms.clear();
        }
        rrset.ttl_s = ttl_s;
        rrset.ends_ms.insert(value, ends_ms);
    }

    /// Section 3.4.2.3.
    pub fn delete_rrset(&mut self, key: Key) {
        if key != ("@", "NS") {
            self.0.remove(&key);
        }
    }

    /// Section 3.4.2.3.
    pub fn delete_name(&mut self, name: &str) {
        self.0.retain(|key, _| key.0 != name || *key == ("@", "NS"));
    }

    /// Section 3.4.2.4.
    pub fn delete_record(&mut self, key: Key, value: &str) {
        let Some(rrset) = self.0.get_mut(&key) else { return };
        if key == ("@", "NS") && rrset.ends_ms.len() == 1 {
            return;
        }
        rrset.ends_ms.remove(value);
        if rrset.ends_ms.is_empty() {
            self.0.remove(&key);
        }
    }
}
