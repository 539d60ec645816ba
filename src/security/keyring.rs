//! The server's TSIG keys, by name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;

use crate::wire::{Name, name_text, tsig};

/// TSIG keys by name, compared without regard to case (RFC 8945 section 4.2).
#[derive(Clone, Default)]
pub struct Keyring(HashMap<Name, Arc<tsig::Key>>);

/// Two keys with one name: a server could not tell which of them signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is a key {} already", name_text(.name.as_slice()))]
pub struct DuplicateKey {
    /// The name.
    pub name: Name,
}

impl Keyring {
    /// Adds a key.
    pub fn insert(&mut self, key: tsig::Key) -> Result<(), DuplicateKey> {
        match self.0.entry(key.name().clone()) {
            Entry::Occupied(held) => Err(DuplicateKey { name: held.key().clone() }),
            Entry::Vacant(place) => {
                place.insert(Arc::new(key));
                Ok(())
            }
        }
    }

    /// The key of this name.
    pub fn get(&self, name: &Name) -> Option<&Arc<tsig::Key>> {
        self.0.get(name)
    }

    /// The keys' names, sorted.
    pub fn names(&self) -> Vec<&Name> {
        let mut names: Vec<_> = self.0.keys().collect();
        names.sort();
        names
    }
}

/// Names only: a keyring may end up in a log, a secret may not.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring").field(&self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> tsig::Key {
        let name = Name::bytes_from_str(name).unwrap();
        tsig::Key::new(&name, tsig::Algorithm::HmacSha256, &[7; 32]).unwrap()
    }

    #[test]
    fn names_are_compared_without_case_and_duplicates_refused() {
        let mut keyring = Keyring::default();
        keyring.insert(key("Web.")).unwrap();
        assert!(keyring.get(&Name::bytes_from_str("wEB.").unwrap()).is_some());
        assert!(keyring.get(&Name::bytes_from_str("other.").unwrap()).is_none());
        assert_eq!(keyring.insert(key("web.")).unwrap_err().to_string(), "there is a key web. already");
        keyring.insert(key("api.")).unwrap();
        let names: Vec<_> = keyring.names().iter().map(|name| name_text(name.as_slice())).collect();
        assert_eq!(names, ["api.", "web."]);
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut keyring = Keyring::default();
        keyring.insert(key("web.")).unwrap();
        assert!(!format!("{keyring:?}").contains('7'));
    }
}
