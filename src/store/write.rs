//! A commit: changes become entries.

use redb::Database;

use super::Moment;
use super::format::{self, StoredAbsence, StoredDrain, StoredEnd};
use crate::change::{Change, NameFloor};
use crate::membership::{Absence, Change as MemberChange, Drain, DrainChange, FOREVER_MS, Member};
use crate::zone::NameChange;

impl Moment {
    /// A monotonic moment by the wall clock.
    fn end(self, ends_ms: u64) -> StoredEnd {
        StoredEnd { ends_ms: self.wall_ms_of(ends_ms), written_ms: self.wall_ms }
    }

    /// The same, [`u64::MAX`] for one that never comes.
    fn wall_ms_of(self, ends_ms: u64) -> u64 {
        if ends_ms >= FOREVER_MS {
            return u64::MAX;
        }
        self.wall_ms.saturating_add(ends_ms.saturating_sub(self.now_ms))
    }

    fn absence(self, absence: &Absence) -> StoredAbsence {
        StoredAbsence {
            owner: absence.owner.clone(),
            name_ends_ms: self.wall_ms_of(absence.name_ends_ms),
            floor: absence.floor,
            floor_ends_ms: self.wall_ms_of(absence.floor_ends_ms),
            written_ms: self.wall_ms,
        }
    }

    fn drain(self, drain: &Drain) -> StoredDrain {
        StoredDrain { by: drain.by.clone(), why: drain.why.clone(), end: self.end(drain.ends_ms) }
    }

    fn own_drain(self, member: &Member) -> Option<StoredEnd> {
        member.drains().then(|| self.end(member.drain_ends_ms))
    }
}

/// One transaction. redb's two-phase commit, with a second fsync, would tell a commit that a crash cut short from one that
/// the disk damaged later; it halves the commits a second (350 to 181 of one change, on the disk where this was written).
pub(super) fn write<'a>(
    db: &Database,
    changes: impl Iterator<Item = &'a Change>,
    serials: &[(Box<[u8]>, u32)],
    at: Moment,
) -> Result<(), redb::Error> {
    let transaction = db.begin_write()?;
    {
        let mut members = transaction.open_table(format::MEMBERS)?;
        let mut drains = transaction.open_table(format::DRAINS)?;
        let mut absences = transaction.open_table(format::ABSENCES)?;
        let mut names = transaction.open_table(format::NAMES)?;
        let mut floors = transaction.open_table(format::FLOORS)?;
        for change in changes {
            match change {
                Change::Member(MemberChange { pool, name, after, floor, absence, .. }) => {
                    let key = (pool.as_ref(), name.as_ref());
                    match after {
                        Some(member) => {
                            let entry = (&**member, floor.1, at.own_drain(member));
                            members.insert(key, format::encode(&entry)?.as_slice())?
                        }
                        None => members.remove(key)?,
                    };
                    match &absence.1 {
                        Some(absence) => {
                            absences.insert(key, format::encode(&at.absence(absence))?.as_slice())?
                        }
                        None => absences.remove(key)?,
                    };
                }
                Change::Name(NameChange { name, after, .. }) => {
                    match after {
                        Some(dynamic) => {
                            names.insert(name.as_ref(), format::encode(&**dynamic)?.as_slice())?
                        }
                        None => names.remove(name.as_ref())?,
                    };
                }
                Change::Drain(DrainChange { pool, name, after, .. }) => {
                    let key = (pool.as_ref(), name.as_ref());
                    match after {
                        Some(drain) => drains.insert(key, format::encode(&at.drain(drain))?.as_slice())?,
                        None => drains.remove(key)?,
                    };
                }
                Change::Floor(NameFloor { key, name, floor, .. }) => {
                    let place = (key.as_slice(), name.as_ref());
                    match floor {
                        Some(floor) => floors.insert(place, format::encode(floor)?.as_slice())?,
                        None => floors.remove(place)?,
                    };
                }
            }
        }
        let mut table = transaction.open_table(format::SERIALS)?;
        for (apex, serial) in serials {
            table.insert(apex.as_ref(), serial)?;
        }
    }
    Ok(transaction.commit()?)
}
