//! A short list that those who have the same can share.

use std::ops::Deref;
use std::slice;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Some entries, in the order that their owner gives them. A clone is a reference count, and whoever edits a list that others
/// hold too gets one of his own. Members of a fleet mostly offer the same services and say the same of themselves: a million
/// of them then hold one list. Stored as a vector is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct List<T>(Arc<[T]>);

impl<T> Default for List<T> {
    fn default() -> Self {
        // Nothing is shared by all: it takes no memory.
        List(Arc::default())
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(entries: Vec<T>) -> Self {
        if entries.is_empty() { List::default() } else { List(entries.into()) }
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        entries.into_iter().collect::<Vec<T>>().into()
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'l, T> IntoIterator for &'l List<T> {
    type Item = &'l T;
    type IntoIter = slice::Iter<'l, T>;

    fn into_iter(self) -> slice::Iter<'l, T> {
        self.0.iter()
    }
}

impl<T: Clone> List<T> {
    /// The entries, to be changed each in its place.
    pub fn entries_mut(&mut self) -> &mut [T] {
        Arc::make_mut(&mut self.0)
    }

    /// Edits the list as a vector.
    pub fn edit<R>(&mut self, edit: impl FnOnce(&mut Vec<T>) -> R) -> R {
        let mut entries = self.0.to_vec();
        let result = edit(&mut entries);
        *self = entries.into();
        result
    }

    /// Keeps the entries that pass, in their order. A list of which all pass stays shared.
    pub fn retain(&mut self, pass: impl Fn(&T) -> bool) {
        if !self.0.iter().all(&pass) {
            *self = self.0.iter().filter(|entry| pass(entry)).cloned().collect();
        }
    }

    /// Takes all of them out.
    pub fn clear(&mut self) {
        *self = List::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_leaves_the_others_as_they_were() {
        let shared: List<u8> = vec![1, 2, 3].into();
        let (mut kept, mut edited, mut changed) = (shared.clone(), shared.clone(), shared.clone());
        kept.retain(|entry| *entry > 0);
        edited.edit(|entries| entries.push(4));
        changed.entries_mut().reverse();
        assert!(std::ptr::eq(&*kept, &*shared), "nothing went");
        kept.retain(|entry| *entry != 2);
        assert_eq!((&*kept, &*edited, &*changed), (&[1, 3][..], &[1, 2, 3, 4][..], &[3, 2, 1][..]));
        edited.clear();
        assert_eq!((&*shared, edited.len()), (&[1, 2, 3][..], 0));
    }

    #[test]
    fn it_is_stored_as_a_vector_is() {
        for entries in [vec![], vec![7_u32], vec![1, 300, 70_000]] {
            let list: List<u32> = entries.clone().into();
            let stored = postcard::to_stdvec(&list).unwrap();
            assert_eq!(stored, postcard::to_stdvec(&entries).unwrap());
            assert_eq!(postcard::from_bytes::<List<u32>>(&stored).unwrap(), list);
        }
    }
}
