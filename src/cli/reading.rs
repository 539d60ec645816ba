//! How far the reading of zone files has come, for whoever waits for it.

use crate::zone::file::Progress;

/// How often it is said, and how long nobody minds the silence before, milliseconds.
const EVERY_MS: u64 = 1_000;

/// When it was said last.
#[derive(Default)]
pub(super) struct Reading {
    said_ms: Option<u64>,
}

impl Reading {
    /// What is to be said at `now_ms`, if it is time.
    pub fn line(&mut self, now_ms: u64, progress: Progress<'_>) -> Option<String> {
        let said_ms = *self.said_ms.get_or_insert(now_ms);
        if now_ms < said_ms.saturating_add(EVERY_MS) {
            return None;
        }
        self.said_ms = Some(now_ms);
        let Progress { path, octets_read, octets, records } = progress;
        let percent = octets_read.saturating_mul(100) / octets.max(1);
        Some(format!("reading {}: {percent} %, {records} records", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn it_is_said_once_a_second_and_not_of_what_is_quick() {
        let mut reading = Reading::default();
        let mut at = |now_ms, octets_read| {
            let path = Path::new("zones/a.zone");
            reading.line(now_ms, Progress { path, octets_read, octets: 200, records: 7 })
        };
        assert_eq!(at(5_000, 1), None);
        assert_eq!(at(5_999, 50), None);
        assert_eq!(at(6_000, 99).as_deref(), Some("reading zones/a.zone: 49 %, 7 records"));
        assert_eq!(at(6_999, 150), None);
        assert_eq!(at(7_000, 200).as_deref(), Some("reading zones/a.zone: 100 %, 7 records"));
    }
}
