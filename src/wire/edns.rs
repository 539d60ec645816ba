//! EDNS(0): the OPT record (RFC 6891), the lease option (RFC 9664), for whom a client asks (RFC 7871), cookies (RFC 7873), the
//! idle timeout of a TCP connection (RFC 7828) and extended errors (RFC 8914).

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Range;

use super::{RawRecord, Rcode, Reply, WireError, u16_at, u32_at};

/// The most that a UDP reply may have, and what we say we take: it passes every path without fragments.
pub const UDP_PAYLOAD_MAX: u16 = 1232;

/// Option code of Update Lease (RFC 9664 section 4).
const OPTION_LEASE: u16 = 2;
/// Option code of NSID (RFC 5001 section 4).
const OPTION_NSID: u16 = 3;
/// Option code of edns-client-subnet (RFC 7871 section 6).
const OPTION_CLIENT_SUBNET: u16 = 8;
/// Option code of COOKIE (RFC 7873 section 4).
const OPTION_COOKIE: u16 = 10;
/// Option code of edns-tcp-keepalive (RFC 7828 section 3.1).
const OPTION_KEEPALIVE: u16 = 11;
/// Option code of Extended DNS Errors (RFC 8914 section 2).
const OPTION_EXTENDED_ERROR: u16 = 15;

/// Octets of a client cookie (RFC 7873 section 4).
pub const CLIENT_COOKIE_LEN: usize = 8;
/// Octets of the cookie that a response of ours carries: the client's and a server cookie of 16 (RFC 9018 section 4).
pub const COOKIE_LEN: usize = CLIENT_COOKIE_LEN + 16;

/// An OPT record, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edns {
    /// Octets that the client takes over UDP, never below 512 (RFC 6891 section 6.2.3).
    pub udp_size: u16,
    /// EDNS version; anything but 0 is answered BADVERS.
    pub version: u8,
    /// The DO bit.
    pub dnssec_ok: bool,
    /// Where the options lie in the message. They are checked to be whole; those of another version are not ours to read.
    options: Range<usize>,
    /// Whether the client asks which server this is (RFC 5001).
    pub wants_nsid: bool,
    /// Where the data of the first COOKIE option lie, if there is one. Of several the first counts.
    cookie: Option<Range<usize>>,
    /// Whether the client asks how long its connection may be idle (RFC 7828). The option has no data in a request; any that
    /// it has say nothing, so they are not looked at.
    pub wants_keepalive: bool,
}

impl Edns {
    /// Reads an OPT record, whose owner must be the root and whose options must fill its rdata.
    pub fn read(message: &[u8], record: &RawRecord) -> Result<Self, WireError> {
        if message.get(record.start) != Some(&0) {
            return Err(WireError::BadOpt);
        }
        let [_, version, flags, _] = record.ttl.to_be_bytes();
        let mut edns = Edns {
            udp_size: record.class.to_int().max(512),
            version,
            dnssec_ok: flags & 0x80 != 0,
            options: record.rdata.clone(),
            wants_nsid: false,
            cookie: None,
            wants_keepalive: false,
        };
        if version != 0 {
            // What its rdata means nobody has said; whoever sends it is to hear of the version (RFC 6891 section 6.1.3).
            edns.options.end = edns.options.start;
            return Ok(edns);
        }
        let mut at = edns.options.start;
        while at < edns.options.end {
            let len = u16_at(message, at + 2).ok_or(WireError::BadOpt)?;
            let data = at + 4..at + 4 + usize::from(len);
            at = data.end;
            match u16_at(message, data.start - 4) {
                Some(OPTION_COOKIE) if edns.cookie.is_none() => edns.cookie = Some(data),
                Some(OPTION_KEEPALIVE) => edns.wants_keepalive = true,
                Some(OPTION_NSID) => edns.wants_nsid = true,
                _ => {}
            }
        }
        if at != edns.options.end {
            return Err(WireError::BadOpt);
        }
        Ok(edns)
    }

    /// The data of the first option with this code.
    fn option<'m>(&self, message: &'m [u8], wanted: u16) -> Option<&'m [u8]> {
        let mut at = self.options.start;
        while at < self.options.end {
            let code = u16_at(message, at)?;
            let data = at + 4..at + 4 + usize::from(u16_at(message, at + 2)?);
            if code == wanted {
                return message.get(data);
            }
            at = data.end;
        }
        None
    }

    /// The Update Lease option, if the client sent one. Any length but 4 and 8 is an error (RFC 9664 section 4).
    pub fn lease(&self, message: &[u8]) -> Result<Option<LeaseOption>, WireError> {
        let Some(data) = self.option(message, OPTION_LEASE) else { return Ok(None) };
        let lease_s = u32_at(data, 0).ok_or(WireError::BadOpt)?;
        match data.len() {
            4 => Ok(Some(LeaseOption { lease_s, key_lease_s: None })),
            8 => Ok(Some(LeaseOption { lease_s, key_lease_s: u32_at(data, 4) })),
            _ => Err(WireError::BadOpt),
        }
    }

    /// For whom the client asks, if it gives a whole address and not a network (RFC 7871 section 6). Whoever asks may say
    /// anything here: it is no reason to tell anybody more.
    pub fn client_subnet(&self, message: &[u8]) -> Option<IpAddr> {
        let (&[family, more_family, source_len, scope_len], address) =
            self.option(message, OPTION_CLIENT_SUBNET)?.split_first_chunk()?;
        match ([family, more_family], source_len, scope_len) {
            ([0, 1], 32, 0) => <[u8; 4]>::try_from(address).ok().map(IpAddr::from),
            ([0, 2], 128, 0) => <[u8; 16]>::try_from(address).ok().map(IpAddr::from),
            _ => None,
        }
    }

    /// Whether there is a COOKIE option, which may be malformed.
    pub fn has_cookie(&self) -> bool {
        self.cookie.is_some()
    }

    /// The COOKIE option, if the client sent one. A client cookie of any length but 8 octets, or a server cookie of any but
    /// 8 to 32, is an error (RFC 7873 section 5.2.2).
    pub fn cookie<'m>(&self, message: &'m [u8]) -> Result<Option<CookieOption<'m>>, WireError> {
        let Some(place) = self.cookie.clone() else { return Ok(None) };
        let data = message.get(place).ok_or(WireError::BadOpt)?;
        let (client, server) = data.split_first_chunk().ok_or(WireError::BadOpt)?;
        match server.len() {
            0 => Ok(Some(CookieOption { client: *client, server: None })),
            8..=32 => Ok(Some(CookieOption { client: *client, server: Some(server) })),
            _ => Err(WireError::BadOpt),
        }
    }
}

/// A request's cookies (RFC 7873 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CookieOption<'m> {
    /// What the client wants to see again in the response.
    pub client: [u8; CLIENT_COOKIE_LEN],
    /// What the client takes for our cookie, 8 to 32 octets; `None` if it has none yet.
    pub server: Option<&'m [u8]>,
}

/// Update Lease (RFC 9664 section 4): asked for in a request, granted in a response of the same size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseOption {
    /// LEASE, seconds. 0 leaves.
    pub lease_s: u32,
    /// KEY-LEASE, seconds, in the eight-octet form.
    pub key_lease_s: Option<u32>,
}

/// An Extended DNS Error (RFC 8914): an info code and a text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedError {
    /// The info code, RFC 8914 section 4.
    pub code: u16,
    /// Why, in a sentence. Cut to 200 octets on the wire.
    pub text: Cow<'static, str>,
}

impl ExtendedError {
    /// "Prohibited": the client may not do this (RFC 8914 section 4.19).
    pub const PROHIBITED: u16 = 18;
    /// "Not Authoritative": the question is about no zone of this server (RFC 8914 section 4.21).
    pub const NOT_AUTHORITATIVE: u16 = 20;
    /// "Not Supported": nothing here can do this (RFC 8914 section 4.22).
    pub const NOT_SUPPORTED: u16 = 21;
    /// "Stale Answer": what it says may be over (RFC 8914 section 4.4).
    pub const STALE: u16 = 3;
    /// "Other" (RFC 8914 section 4.1).
    pub const OTHER: u16 = 0;

    /// An error with a text that is known beforehand. No allocation.
    pub fn of(code: u16, text: &'static str) -> Self {
        ExtendedError { code, text: Cow::Borrowed(text) }
    }
}

/// The OPT record of a response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OptRecord<'a> {
    /// The upper eight bits of the RCODE: 1 for BADVERS and BADCOOKIE.
    pub extended_rcode: u8,
    /// DO, copied from the request (RFC 6891 section 6.1.4, RFC 3225).
    pub dnssec_ok: bool,
    /// A granted lease.
    pub lease: Option<LeaseOption>,
    /// Why something was refused.
    pub error: Option<ExtendedError>,
    /// The client's cookie and ours, if the client sent one.
    pub cookie: Option<[u8; COOKIE_LEN]>,
    /// How long the connection may be idle, in units of 100 ms (RFC 7828 section 3.1). Never over UDP.
    pub keepalive: Option<u16>,
    /// Which server this is, if the client asks (RFC 5001).
    pub nsid: Option<&'a [u8]>,
}

impl OptRecord<'_> {
    /// Octets of an OPT without options: what a reply keeps free for it.
    pub const PLAIN_LEN: usize = 11;
    /// Octets that a cookie adds: the option's code and length, and the cookie.
    pub const COOKIE_OPTION_LEN: usize = 4 + COOKIE_LEN;
    /// Octets that the idle timeout adds.
    pub const KEEPALIVE_OPTION_LEN: usize = 4 + 2;
    /// Octets that an extended error without a text adds.
    pub const BARE_ERROR_LEN: usize = 4 + 2;
    /// Octets in front of an option's data: its code and length.
    pub const OPTION_FIXED_LEN: usize = 4;
    /// The upper eight bits of BADVERS, which is 16 (RFC 6891 section 9).
    pub const BADVERS: u8 = 1;
    /// The upper eight bits of BADCOOKIE, which is 23 (RFC 7873 section 8).
    pub const BADCOOKIE: u8 = 1;
    /// The lower four bits of BADCOOKIE, for the header. Without an OPT they would say YXRRSET.
    pub const BADCOOKIE_RCODE: Rcode = Rcode::YXRRSET;

    /// Appends an OPT without options: what most answers carry.
    #[must_use]
    pub fn put_plain(reply: &mut Reply<'_>, extended_rcode: u8, dnssec_ok: bool) -> bool {
        let size = UDP_PAYLOAD_MAX.to_be_bytes();
        let flags = if dnssec_ok { 0x80 } else { 0 };
        reply.put(&[0, 0, 41, size[0], size[1], extended_rcode, 0, flags, 0, 0, 0])
    }

    /// Appends the record with its options, or nothing. No allocation.
    #[must_use]
    pub fn put(&self, reply: &mut Reply<'_>) -> bool {
        let start = reply.len();
        if !Self::put_plain(reply, self.extended_rcode, self.dnssec_ok) || !self.put_options(reply) {
            reply.truncate(start);
            return false;
        }
        // RDLENGTH: the last two octets of the plain record. The options are under 500 octets.
        let options_len = (reply.len() - start - Self::PLAIN_LEN) as u16;
        if let Some(place) = reply.written_from(start).get_mut(Self::PLAIN_LEN - 2..Self::PLAIN_LEN) {
            place.copy_from_slice(&options_len.to_be_bytes());
        }
        true
    }

    fn put_options(&self, reply: &mut Reply<'_>) -> bool {
        let mut is_whole = true;
        if let Some(lease) = self.lease {
            let key_lease = lease.key_lease_s.map(u32::to_be_bytes);
            let key_lease = key_lease.as_ref().map_or(&[][..], |octets| &octets[..]);
            is_whole &= put_option(reply, OPTION_LEASE, &lease.lease_s.to_be_bytes(), key_lease);
        }
        if let Some(cookie) = &self.cookie {
            is_whole &= put_option(reply, OPTION_COOKIE, cookie, &[]);
        }
        if let Some(keepalive) = self.keepalive {
            is_whole &= put_option(reply, OPTION_KEEPALIVE, &keepalive.to_be_bytes(), &[]);
        }
        if let Some(nsid) = self.nsid {
            is_whole &= put_option(reply, OPTION_NSID, nsid, &[]);
        }
        if let Some(error) = &self.error {
            let text = error.text.get(..error.text.floor_char_boundary(200)).unwrap_or_default();
            is_whole &= put_option(reply, OPTION_EXTENDED_ERROR, &error.code.to_be_bytes(), text.as_bytes());
        }
        is_whole
    }
}

/// Appends an option whose data are `first` and `second`; together they are under 300 octets.
fn put_option(reply: &mut Reply<'_>, code: u16, first: &[u8], second: &[u8]) -> bool {
    let len = (first.len() + second.len()) as u16;
    reply.put_pair(&code.to_be_bytes(), &len.to_be_bytes()) && reply.put_pair(first, second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::read_record;

    fn opt(options: &[u8]) -> Vec<u8> {
        let mut record = vec![0, 0, 41, 4, 208, 0, 0, 0, 0, 0, options.len() as u8];
        record.extend_from_slice(options);
        record
    }

    fn edns(message: &[u8]) -> Result<Edns, WireError> {
        Edns::read(message, &read_record(message, 0).unwrap())
    }

    #[test]
    fn a_lease_has_four_or_eight_octets() {
        let four = opt(&[0, 2, 0, 4, 0, 0, 0, 30]);
        let eight = opt(&[0, 10, 0, 1, 9, 0, 2, 0, 8, 0, 0, 0, 30, 0, 0, 1, 0]);
        let six = opt(&[0, 2, 0, 6, 0, 0, 0, 30, 0, 0]);
        assert_eq!(
            edns(&four).unwrap().lease(&four),
            Ok(Some(LeaseOption { lease_s: 30, key_lease_s: None }))
        );
        assert_eq!(
            edns(&eight).unwrap().lease(&eight),
            Ok(Some(LeaseOption { lease_s: 30, key_lease_s: Some(256) }))
        );
        assert_eq!(edns(&six).unwrap().lease(&six), Err(WireError::BadOpt));
        assert_eq!(edns(&opt(&[])).unwrap().lease(&opt(&[])), Ok(None));
    }

    /// A COOKIE option with so many octets of data, counting up from 0.
    fn cookie_of(octets: u8) -> Vec<u8> {
        [0, 10, 0, octets].into_iter().chain(0..octets).collect()
    }

    #[test]
    fn a_cookie_has_eight_octets_and_then_none_or_eight_to_thirty_two() {
        let client = [0, 1, 2, 3, 4, 5, 6, 7];
        let all: Vec<u8> = (0..40).collect();
        for octets in 0..=50_u8 {
            let message = opt(&cookie_of(octets));
            let edns = edns(&message).unwrap();
            assert!(edns.has_cookie());
            let wanted = match octets {
                8 => Ok(Some(CookieOption { client, server: None })),
                16..=40 => Ok(Some(CookieOption { client, server: Some(&all[8..usize::from(octets)]) })),
                _ => Err(WireError::BadOpt),
            };
            assert_eq!(edns.cookie(&message), wanted, "{octets} octets");
        }
        let none = opt(&[0, 2, 0, 4, 0, 0, 0, 30]);
        assert!(!edns(&none).unwrap().has_cookie());
        assert_eq!(edns(&none).unwrap().cookie(&none), Ok(None));
    }

    #[test]
    fn of_several_cookies_the_first_counts() {
        for (first, second, is_good) in [(8, 7, true), (7, 8, false)] {
            let message =
                opt(&[&[0, 2, 0, 4, 0, 0, 0, 30], &cookie_of(first)[..], &cookie_of(second)].concat());
            assert_eq!(edns(&message).unwrap().cookie(&message).is_ok(), is_good);
        }
    }

    #[test]
    fn of_another_version_the_version_is_all_that_is_read() {
        for options in [&cookie_of(8)[..], &cookie_of(7), &[0, 3, 0, 0, 0, 11, 0, 0], &[0xFF]] {
            let mut message = opt(options);
            message[6] = 1;
            let edns = edns(&message).unwrap();
            assert_eq!((edns.version, edns.cookie(&message)), (1, Ok(None)));
            assert!(!edns.has_cookie() && !edns.wants_nsid && !edns.wants_keepalive);
        }
    }

    #[test]
    fn options_that_overrun_are_refused() {
        assert_eq!(edns(&opt(&[0, 2, 0, 9, 0, 0])), Err(WireError::BadOpt));
        assert_eq!(edns(&opt(&[0, 2, 0])), Err(WireError::BadOpt));
    }

    #[test]
    fn for_whom_a_client_asks_is_one_address_or_nobody() {
        let v4 = [0, 8, 0, 8, 0, 1, 32, 0, 192, 0, 2, 7];
        let v6 = [&[0, 8, 0, 20, 0, 2, 128, 0][..], &[0x20; 16]].concat();
        for (options, wanted) in [
            (&v4[..], Some("192.0.2.7")),
            (&v6, Some("2020:2020:2020:2020:2020:2020:2020:2020")),
            (&[0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2], None),
            (&[0, 8, 0, 4, 0, 1, 0, 0], None),
            (&[0, 8, 0, 8, 0, 2, 32, 0, 192, 0, 2, 7], None),
            (&[0, 8, 0, 9, 0, 1, 32, 0, 192, 0, 2, 7, 0], None),
            (&[0, 8, 0, 0], None),
            (&[], None),
        ] {
            let message = opt(options);
            let address = edns(&message).unwrap().client_subnet(&message);
            assert_eq!(address, wanted.map(|address| address.parse().unwrap()), "{options:?}");
        }
    }

    #[test]
    fn an_option_that_asks_for_the_idle_timeout_is_noticed() {
        for (options, wanted) in [
            (&[0, 11, 0, 0][..], true),
            (&[0, 11, 0, 2, 1, 2], true),
            (&[0, 100, 0, 4, 0, 11, 0, 0], false),
            (&[0, 100, 0, 0, 0, 11, 0, 0], true),
            (&[], false),
        ] {
            assert_eq!(edns(&opt(options)).unwrap().wants_keepalive, wanted, "{options:?}");
        }
    }

    #[test]
    fn an_option_that_asks_for_the_servers_name_is_noticed() {
        for (options, wanted) in [
            (&[0, 3, 0, 0][..], true),
            (&[0, 3, 0, 2, 1, 2], true),
            (&[0, 100, 0, 4, 0, 3, 0, 0], false),
            (&[0, 100, 0, 0, 0, 3, 0, 0], true),
            (&[], false),
        ] {
            assert_eq!(edns(&opt(options)).unwrap().wants_nsid, wanted, "{options:?}");
        }
    }

    #[test]
    fn a_record_that_does_not_fit_leaves_nothing_behind() {
        let record = OptRecord { cookie: Some([7; COOKIE_LEN]), ..OptRecord::default() };
        let whole = OptRecord::PLAIN_LEN + OptRecord::COOKIE_OPTION_LEN;
        for room in 0..=whole {
            let mut buffer = [0; 64];
            let mut reply = Reply::new(&mut buffer, 12 + room).unwrap();
            let fits = record.put(&mut reply);
            assert_eq!((fits, reply.len()), (room == whole, if fits { 12 + whole } else { 12 }));
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut buffer = [0; 512];
        let mut reply = Reply::new(&mut buffer, 512).unwrap();
        let lease = LeaseOption { lease_s: 7, key_lease_s: Some(9) };
        let error = ExtendedError { code: ExtendedError::PROHIBITED, text: "é".repeat(150).into() };
        let cookie: [u8; COOKIE_LEN] = std::array::from_fn(|i| i as u8);
        let (lease, error, keepalive) = (Some(lease), Some(error), Some(0x0102));
        let record = OptRecord { lease, error, cookie: Some(cookie), keepalive, ..OptRecord::default() };
        assert!(record.put(&mut reply));
        let written = reply.written_from(12).to_vec();
        let edns = edns(&written).unwrap();
        assert_eq!(edns.lease(&written), Ok(lease));
        let back = edns.cookie(&written).unwrap().unwrap();
        assert_eq!([&back.client[..], back.server.unwrap()].concat(), cookie);
        assert_eq!(edns.option(&written, OPTION_KEEPALIVE), Some(&[1, 2][..]));
        assert_eq!(edns.option(&written, OPTION_EXTENDED_ERROR).unwrap().len(), 2 + 200);
    }
}
