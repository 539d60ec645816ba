//! Names: owned ones for the control plane, lookup keys for the question path.

use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;
use domain::base::ParsedName;
use domain::base::name::ToName;
use domain::dep::octseq::Parser;

use super::WireError;

/// An absolute name, uncompressed, its case kept; compared without regard to case (RFC 4343).
pub type Name = domain::base::Name<Bytes>;

/// Most octets in a name (RFC 1035 section 2.3.4).
pub const NAME_MAX: usize = 255;
/// Most labels in a name, the root included.
const LABELS_MAX: usize = 128;

/// The possibly compressed name at `at` in `message`, and where the octets after it start.
pub fn name_in_message(message: &[u8], at: usize) -> Result<(Name, usize), WireError> {
    let bad = |_| WireError::BadName { at };
    let mut parser = Parser::from_ref(message);
    parser.advance(at).map_err(|_| WireError::Short { at })?;
    let name = ParsedName::parse(&mut parser).map_err(|_| WireError::BadName { at })?;
    let owned: Name = name.try_to_name().map_err(bad)?;
    Ok((owned, parser.pos()))
}

/// Uncompressed wire octets of a name in lower case: the form that indexes and handles use.
pub fn lower(wire: &[u8]) -> Box<[u8]> {
    // Length octets are at most 63, below 'A', so folding the whole slice folds only letters.
    wire.to_ascii_lowercase().into_boxed_slice()
}

/// Presentation form of uncompressed wire octets, with the closing dot when the root label is there (RFC 1035 section 5.1
/// escapes). Never fails: a slice that is not a name shows as far as it goes.
pub fn name_text(mut wire: &[u8]) -> String {
    let mut text = String::with_capacity(wire.len());
    while let Some((&len, rest)) = wire.split_first() {
        if len == 0 {
            if text.is_empty() {
                text.push('.');
            }
            return text;
        }
        let Some((label, after)) = rest.split_at_checked(usize::from(len)) else { return text };
        text.push_str(&label_text(label));
        text.push('.');
        wire = after;
    }
    text.pop();
    text
}

/// Presentation form of one label's octets (RFC 1035 section 5.1 escapes).
pub fn label_text(label: &[u8]) -> String {
    let mut text = String::with_capacity(label.len());
    for &octet in label {
        match octet {
            b'.' | b'\\' | b'"' | b';' | b'@' | b'$' | b'(' | b')' => {
                text.push('\\');
                text.push(char::from(octet));
            }
            0x21..=0x7E => text.push(char::from(octet)),
            // Writing to a String cannot fail.
            _ => _ = write!(text, "\\{octet:03}"),
        }
    }
    text
}

/// The keyed hash of names. One for a running server: every index and every question use the same.
#[derive(Clone, Default)]
pub struct NameHasher(foldhash::fast::RandomState);

impl NameHasher {
    /// Chains one label (length octet included, lower case) onto the hash of everything to its right.
    pub fn chain(&self, right: u64, label: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write_u64(right);
        hasher.write(label);
        hasher.finish()
    }
}

/// A name as a lookup key: lower case, with the hash of every suffix, so that the zone, the name, its parent and its
/// closest encloser are all probed without hashing again.
///
/// About 1.5 KB and meant to be reused: a worker keeps one a batch place and reads each question into it.
pub struct NameKey {
    lower: [u8; NAME_MAX],
    len: u8,
    labels: u8,
    /// Where label `i` starts in `lower`, counted from the left; the root label is the last.
    starts: [u8; LABELS_MAX],
    /// The hash of the suffix that starts at label `i`.
    hashes: [u64; LABELS_MAX],
}

impl Default for NameKey {
    fn default() -> Self {
        NameKey { lower: [0; NAME_MAX], len: 0, labels: 0, starts: [0; LABELS_MAX], hashes: [0; LABELS_MAX] }
    }
}

impl NameKey {
    /// Reads the uncompressed name that `wire` starts with, replacing what the key held; returns its length in octets.
    ///
    /// A compression pointer is refused: the only names read this way are QNAMEs, which have nothing earlier to point to,
    /// and names out of our own templates. `at` is for the error alone.
    pub fn read(&mut self, wire: &[u8], at: usize, hasher: &NameHasher) -> Result<usize, WireError> {
        self.len = 0;
        self.labels = 0;
        let mut pos = 0_usize;
        let mut labels = 0_usize;
        loop {
            let len = *wire.get(pos).ok_or(WireError::Short { at })?;
            if len > 63 {
                return Err(WireError::BadName { at });
            }
            // The name so far plus this label must leave it within 255; this also bounds `labels` by 128.
            let next = pos + 1 + usize::from(len);
            if next > NAME_MAX {
                return Err(WireError::BadName { at });
            }
            *self.starts.get_mut(labels).ok_or(WireError::BadName { at })? = pos as u8;
            labels += 1;
            pos = next;
            if len == 0 {
                break;
            }
        }
        let from = wire.get(..pos).ok_or(WireError::Short { at })?;
        let to = self.lower.get_mut(..pos).ok_or(WireError::BadName { at })?;
        to.copy_from_slice(from);
        to.make_ascii_lowercase();
        self.len = pos as u8;
        self.labels = labels as u8;
        self.hash_suffixes(hasher);
        Ok(pos)
    }

    fn hash_suffixes(&mut self, hasher: &NameHasher) {
        let labels = usize::from(self.labels);
        let (Some(starts), Some(hashes)) = (self.starts.get(..labels), self.hashes.get_mut(..labels)) else {
            return;
        };
        let mut hash = 0;
        let mut end = usize::from(self.len);
        for (&start, place) in starts.iter().zip(hashes).rev() {
            let start = usize::from(start);
            hash = hasher.chain(hash, self.lower.get(start..end).unwrap_or_default());
            *place = hash;
            end = start;
        }
    }

    /// The whole name, lower case.
    pub fn as_wire(&self) -> &[u8] {
        self.lower.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Labels in the name, the root included.
    pub fn labels(&self) -> usize {
        usize::from(self.labels)
    }

    /// The suffix that begins at label `skip` (0 is the whole name) and its hash; `None` past the root.
    pub fn suffix(&self, skip: usize) -> Option<(&[u8], u64)> {
        if skip >= self.labels() {
            return None;
        }
        let start = usize::from(*self.starts.get(skip)?);
        Some((self.as_wire().get(start..)?, *self.hashes.get(skip)?))
    }

    /// The labels left of the suffix at `skip`, in wire form without a root label.
    pub fn prefix(&self, skip: usize) -> &[u8] {
        let end = self.starts.get(skip).map_or(0, |&start| usize::from(start));
        self.as_wire().get(..end).unwrap_or_default()
    }

    /// The key of a wire name, for building indexes.
    pub fn of(wire: &[u8], hasher: &NameHasher) -> Result<Self, WireError> {
        let mut key = NameKey::default();
        key.read(wire, 0, hasher)?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> Vec<u8> {
        Name::bytes_from_str(text).unwrap().as_slice().to_vec()
    }

    #[test]
    fn suffixes_of_different_names_hash_alike() {
        let hasher = NameHasher::default();
        let long = NameKey::of(&wire("_http._TCP.Web.pool.example."), &hasher).unwrap();
        let short = NameKey::of(&wire("web.POOL.example."), &hasher).unwrap();
        assert_eq!(long.labels(), 6);
        assert_eq!(long.suffix(2), short.suffix(0));
        assert_eq!(long.prefix(2), b"\x05_http\x04_tcp");
        assert_eq!(long.suffix(6), None);
        assert_ne!(long.suffix(1).unwrap().1, short.suffix(0).unwrap().1);
    }

    #[test]
    fn label_boundaries_matter_to_the_hash() {
        let hasher = NameHasher::default();
        let one = NameKey::of(&wire("ab.c."), &hasher).unwrap();
        let two = NameKey::of(&wire("a.bc."), &hasher).unwrap();
        assert_ne!(one.suffix(0).unwrap().1, two.suffix(0).unwrap().1);
    }

    #[test]
    fn the_longest_names_fit_and_longer_are_refused() {
        let hasher = NameHasher::default();
        let mut most_labels = [1_u8, b'x'].repeat(127);
        most_labels.push(0);
        assert_eq!(NameKey::of(&most_labels, &hasher).unwrap().labels(), 128);
        let mut too_long = [1_u8, b'x'].repeat(128);
        too_long.push(0);
        assert_eq!(NameKey::of(&too_long, &hasher).err(), Some(WireError::BadName { at: 0 }));
        assert_eq!(NameKey::of(b"\xc0\x0c", &hasher).err(), Some(WireError::BadName { at: 0 }));
        assert_eq!(NameKey::of(b"\x03ab", &hasher).err(), Some(WireError::Short { at: 0 }));
    }

    #[test]
    fn text_escapes_what_a_zone_file_would() {
        assert_eq!(name_text(b"\x03a.b\x01\x07\x00"), "a\\.b.\\007.");
        assert_eq!(name_text(b"\x00"), ".");
        assert_eq!(name_text(b"\x05_http\x04_tcp"), "_http._tcp");
    }
}
