//! Any octets as an OPT record and its lease option, and what is written for them.

use rollcall::wire::{Edns, ExtendedError, LeaseOption, OptRecord, Reply, read_record};

/// The target.
pub fn run(octets: &[u8]) {
    let Ok(record) = read_record(octets, 0) else { return };
    assert!(record.end() <= octets.len());
    let Ok(edns) = Edns::read(octets, &record) else { return };
    assert!(edns.udp_size >= 512, "a smaller size means 512");
    if let Ok(Some(lease)) = edns.lease(octets) {
        check_granted(lease, octets);
    }
}

/// A granted lease reads back as it was written, beside an error's text of any octets and length.
fn check_granted(lease: LeaseOption, octets: &[u8]) {
    let text = String::from_utf8_lossy(octets).into_owned();
    let error = Some(ExtendedError { code: ExtendedError::OTHER, text });
    let opt = OptRecord { lease: Some(lease), error, ..OptRecord::default() };
    let mut buffer = [0; 512];
    let mut reply = Reply::new(&mut buffer, 512).unwrap();
    assert!(opt.put(&mut reply), "an OPT is under 300 octets");
    let written = reply.written_from(12).to_vec();
    let record = read_record(&written, 0).expect("a record");
    assert_eq!(record.end(), written.len());
    let edns = Edns::read(&written, &record).expect("an OPT");
    assert_eq!(edns.lease(&written), Ok(Some(lease)));
}
