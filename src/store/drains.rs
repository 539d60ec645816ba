//! Operators' drains, after a restart: those that are not over by the wall clock go on.

use std::sync::Arc;

use redb::{ReadTransaction, ReadableTable as _, WriteTransaction};

use super::Drained;
use super::format::{self, DRAINS, StoredDrain};
use super::grace::{bad_entry, share};
use crate::membership::{MemberName, PoolHandle};

/// What there is of drains after a restart, and what the table is to hold of it.
#[derive(Default)]
pub(super) struct Drains {
    /// Those that go on.
    pub on: Vec<Drained>,
    /// Those that are over, and those that a clock which was set back since had written.
    rewritten: Vec<((PoolHandle, MemberName), Option<StoredDrain>)>,
}

/// Reads the table at `wall_ms`.
pub(super) fn read(stored: &ReadTransaction, wall_ms: u64) -> Result<Drains, redb::Error> {
    let mut drains = Drains::default();
    let mut pool: PoolHandle = Arc::default();
    for entry in stored.open_table(DRAINS)?.iter()? {
        let (key, value) = entry?;
        let (pool_octets, name) = key.value();
        let bad = |why| bad_entry("drain of", pool_octets, name, why);
        let StoredDrain { by, why, end } = format::decode(value.value()).map_err(bad)?;
        share(&mut pool, pool_octets);
        let key = (Arc::clone(&pool), MemberName::from(name));
        let left_ms = end.left_ms(wall_ms);
        if left_ms == 0 {
            drains.rewritten.push((key, None));
            continue;
        }
        if let Some(end) = end.set_back(wall_ms) {
            let drain = StoredDrain { by: by.clone(), why: why.clone(), end };
            drains.rewritten.push((key.clone(), Some(drain)));
        }
        let (pool, name) = key;
        drains.on.push(Drained { pool, name, by, why, left_ms });
    }
    Ok(drains)
}

impl Drains {
    /// Has the table hold what is left, and makes it if it is not there.
    pub fn record(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut table = transaction.open_table(DRAINS)?;
        for ((pool, name), drain) in &self.rewritten {
            let key = (pool.as_ref(), name.as_ref());
            match drain {
                Some(drain) => table.insert(key, format::encode(drain)?.as_slice())?,
                None => table.remove(key)?,
            };
        }
        Ok(())
    }
}
