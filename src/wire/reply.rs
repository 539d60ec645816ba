//! Writing a response in place: a cursor over the caller's buffer that never writes past the agreed size.

use super::{HEADER_LEN, Header, Rcode};

/// A response being written. Every write either fits whole or changes nothing and says `false`.
pub struct Reply<'b> {
    buffer: &'b mut [u8],
    len: usize,
    limit: usize,
}

impl<'b> Reply<'b> {
    /// A reply into `buffer`, at most `limit` octets; the header's place is kept free. `None` if not even a header fits.
    pub fn new(buffer: &'b mut [u8], limit: usize) -> Option<Self> {
        let limit = limit.min(buffer.len());
        (limit >= HEADER_LEN).then_some(Reply { buffer, len: HEADER_LEN, limit })
    }

    /// Octets written, the header included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing but the header's place is taken.
    pub fn is_empty(&self) -> bool {
        self.len == HEADER_LEN
    }

    /// Octets that still fit.
    pub fn room(&self) -> usize {
        self.limit - self.len
    }

    /// Changes how many octets the whole reply may have; never less than what is written, nor more than the buffer.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.clamp(self.len, self.buffer.len());
    }

    /// Appends `octets` if they fit.
    #[must_use]
    pub fn put(&mut self, octets: &[u8]) -> bool {
        self.put_pair(octets, &[])
    }

    /// Appends both slices, or neither.
    #[must_use]
    pub fn put_pair(&mut self, first: &[u8], second: &[u8]) -> bool {
        let total = first.len() + second.len();
        if total > self.room() {
            return false;
        }
        let Some(place) = self.buffer.get_mut(self.len..self.len + total) else { return false };
        let (left, right) = place.split_at_mut(first.len());
        left.copy_from_slice(first);
        right.copy_from_slice(second);
        self.len += total;
        true
    }

    /// Everything written, the header's place included.
    pub fn written(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    /// Everything written from `at` on, for patching what was just put there.
    pub fn written_from(&mut self, at: usize) -> &mut [u8] {
        self.buffer.get_mut(at..self.len).unwrap_or_default()
    }

    /// Forgets everything written at and after `len`.
    pub fn truncate(&mut self, len: usize) {
        self.len = len.clamp(HEADER_LEN, self.len);
    }

    /// Writes the header and returns the length of the reply. The id and the copied flags come from `request`.
    pub fn finish(self, request: &Header, flags: u16, rcode: Rcode, counts: [u16; 4]) -> usize {
        let flags = request.response_flags() | flags | u16::from(rcode.to_int());
        let header = Header { id: request.id, flags, counts };
        if let Some(place) = self.buffer.get_mut(..HEADER_LEN) {
            place.copy_from_slice(&header.octets());
        }
        self.len
    }
}
