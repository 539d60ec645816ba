//! Any octets as an OPT record, its lease option and its cookie, and what is written for them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;

use rollcall::security::Cookies;
use rollcall::wire::{CookieOption, Edns, ExtendedError, LeaseOption, OptRecord, Reply, read_record};

use super::WALL_S;

/// The target.
pub fn run(octets: &[u8]) {
    let Ok(record) = read_record(octets, 0) else { return };
    assert!(record.end() <= octets.len());
    let Ok(edns) = Edns::read(octets, &record) else { return };
    assert!(edns.udp_size >= 512, "a smaller size means 512");
    if let Ok(Some(lease)) = edns.lease(octets) {
        check_granted(lease, octets);
    }
    if let Ok(Some(cookie)) = edns.cookie(octets) {
        assert!(edns.has_cookie());
        check_cookie(&cookie);
    }
}

/// Whatever cookie comes, what goes back reads as it was written and is good.
fn check_cookie(cookie: &CookieOption<'_>) {
    static COOKIES: OnceLock<Cookies> = OnceLock::new();
    let cookies = COOKIES.get_or_init(|| Cookies::new([7; 16]));
    let (client, now_s) = (IpAddr::V4(Ipv4Addr::LOCALHOST), WALL_S as u32);
    assert!(cookie.server.is_none_or(|server| (8..=32).contains(&server.len())));
    let back = cookies.answer(cookie, client, now_s);
    let written = written(&OptRecord { cookie: Some(back), ..OptRecord::default() });
    let edns = Edns::read(&written, &read_record(&written, 0).expect("a record")).expect("an OPT");
    let read = edns.cookie(&written).expect("a whole cookie").expect("a cookie");
    assert_eq!([&read.client[..], read.server.expect("ours")].concat(), back);
    assert_eq!(read.client, cookie.client);
    assert!(cookies.check(&read, client, now_s));
}

/// A granted lease reads back as it was written, beside an error's text of any octets and length.
fn check_granted(lease: LeaseOption, octets: &[u8]) {
    let text = String::from_utf8_lossy(octets).into_owned();
    let error = Some(ExtendedError { code: ExtendedError::OTHER, text: text.into() });
    let opt = OptRecord { lease: Some(lease), error, ..OptRecord::default() };
    let written = written(&opt);
    let record = read_record(&written, 0).expect("a record");
    assert_eq!(record.end(), written.len());
    let edns = Edns::read(&written, &record).expect("an OPT");
    assert_eq!(edns.lease(&written), Ok(Some(lease)));
}

fn written(opt: &OptRecord<'_>) -> Vec<u8> {
    let mut buffer = [0; 512];
    let mut reply = Reply::new(&mut buffer, 512).unwrap();
    assert!(opt.put(&mut reply), "an OPT is under 300 octets");
    reply.written_from(12).to_vec()
}
