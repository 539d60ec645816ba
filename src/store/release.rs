//! Another process gets the store while this one is still there, and this one has it back if the other fails.
//!
//! A process that takes over begins a run of its own and answers nobody before it has been told that it may. If it is never
//! told, no member was heard in its run, and its start was none: the run that it interrupted goes on under its own number.
//! Had it counted, everybody's one grace would run from it, and a member with a long lease, which is heard seldom, would be
//! missing after the next crash.

use std::path::Path;

use super::{Store, StoreError, format, identity, lock, restart};

impl Store {
    /// Closes the store and unlocks its directory: another process may open it. All that was committed is on disk anyway.
    pub fn release(&mut self) -> Result<(), StoreError> {
        if let Some(db) = self.db.take() {
            db.close().map_err(|error| StoreError::from_redb(&self.path, error))?;
        }
        self.lock = None;
        Ok(())
    }

    /// Has a store back that was released to a process that has heard nobody. [`Store::commit`] tries the same.
    pub fn take_back(&mut self) -> Result<(), StoreError> {
        let lock = lock(self.path.parent().unwrap_or(Path::new(".")))?;
        let (identity, len) = identity(&self.path)?;
        if identity != self.identity {
            return Err(StoreError::Vanished { path: self.path.clone() });
        }
        let db = format::database(&self.path, self.cache_bytes)?;
        let from_redb = |error| StoreError::from_redb(&self.path, error);
        let found = format::version(&db).map_err(from_redb)?;
        if found != format::VERSION {
            let (oldest, known) = (format::VERSION, format::VERSION);
            return Err(StoreError::Version { path: self.path.clone(), found, oldest, known });
        }
        restart::resume_run(&db, self.run, self.began_ms).map_err(from_redb)?;
        (self.db, self.lock, self.len) = (Some(db), Some(lock), len);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::Cause;
    use crate::store::tests::{AT, LEASE_MS, WALL_MS, change, dir, member, open, refused};

    fn joins(store: &mut Store, name: &str, run: u32) {
        let joined = change(name, Cause::Joined, None, Some(member(run)));
        store.commit([&joined], &[], AT).unwrap();
    }

    #[test]
    fn a_released_store_is_another_s_until_that_one_ends() {
        let dir = dir();
        let (mut store, _) = open(dir.path(), WALL_MS);
        joins(&mut store, "m1", 1);
        assert!(matches!(refused(dir.path()), StoreError::InUse { .. }));
        store.release().unwrap();
        let (other, loaded) = open(dir.path(), WALL_MS + 1);
        assert_eq!((loaded.run, loaded.members.len()), (2, 1));
        assert!(matches!(store.take_back(), Err(StoreError::InUse { .. })));
        let joined = change("m2", Cause::Joined, None, Some(member(1)));
        assert!(matches!(store.commit([&joined], &[], AT), Err(StoreError::InUse { .. })));
        drop(other);
        store.commit([&joined], &[], AT).unwrap();
        assert!(matches!(refused(dir.path()), StoreError::InUse { .. }));
    }

    #[test]
    fn a_start_that_came_to_nothing_costs_nobody_a_grace() {
        let dir = dir();
        let (mut store, _) = open(dir.path(), WALL_MS);
        joins(&mut store, "m1", 1);
        store.release().unwrap();
        drop(open(dir.path(), WALL_MS + 1));
        store.take_back().unwrap();
        drop(store);
        // The other's start was longer ago than any grace lasts.
        let long_after = WALL_MS + u64::from(LEASE_MS) * 100;
        let (_, loaded) = open(dir.path(), long_after);
        let graces: Vec<_> = loaded.members.iter().map(|member| member.grace_ms).collect();
        assert_eq!((loaded.run, graces), (2, vec![LEASE_MS]));
    }

    #[test]
    fn a_run_keeps_its_number_although_the_other_start_forgot_it() {
        let dir = dir();
        drop(open(dir.path(), WALL_MS));
        let (mut store, loaded) = open(dir.path(), WALL_MS);
        assert_eq!(loaded.run, 2);
        store.release().unwrap();
        drop(open(dir.path(), WALL_MS + 1));
        // Heard in run 2: were that not recorded, the next start would be run 1 and call this damage.
        joins(&mut store, "m1", 2);
        drop(store);
        assert_eq!(open(dir.path(), WALL_MS + 2).1.run, 3);
    }

    #[test]
    fn a_file_that_was_replaced_meanwhile_is_not_taken_for_ours() {
        let dir = dir();
        let (mut store, _) = open(dir.path(), WALL_MS);
        store.release().unwrap();
        // Kept under another name, so that the new file cannot have its inode.
        std::fs::rename(&store.path, dir.path().join("before")).unwrap();
        drop(open(dir.path(), WALL_MS));
        assert!(matches!(store.take_back(), Err(StoreError::Vanished { .. })));
    }
}
