//! DNS cookies (RFC 7873), made as RFC 9018 has them: a client that shows ours again receives at the address it sends from.
//!
//! ```text
//!  server cookie = version | reserved | time made | SipHash-2-4(client cookie | version | reserved | time made | address)
//!                     1          3          4                                   8 octets
//! ```
//!
//! Nothing is remembered of any client: the secret and what the request brings are enough. The secret is fresh random octets
//! at every start and is rolled over while the server runs; a cookie lives for an hour, so the secret before the present
//! one is kept to know the last cookies that it made.
//!
//! A question is answered alike with any cookie or none; what a cookie proves is for UPDATE.

use std::fmt;
use std::hash::Hasher as _;
use std::net::IpAddr;

use arc_swap::ArcSwap;
use siphasher::sip::SipHasher24;

use crate::wire::{CLIENT_COOKIE_LEN, COOKIE_LEN, CookieOption};

/// The one way to make a server cookie that there is so far (RFC 9018 section 4.1).
const VERSION: u8 = 1;
/// Octets of a secret (RFC 9018 section 4.4).
pub const SECRET_LEN: usize = 16;
/// How long a cookie is good for, seconds (RFC 9018 section 4.3).
const AGE_MAX_S: i32 = 3600;
/// How far ahead of our clock a cookie may be, seconds, as after the clock was set back (RFC 9018 section 4.3).
const AHEAD_MAX_S: i32 = 300;
/// The age from which a client is given a new one, seconds, long before the old one ends (RFC 9018 section 4.3).
const RENEW_AGE_S: i32 = 1800;

/// Makes and checks server cookies. Any number of threads may share it: they read, and only [`Cookies::roll_over`] writes.
pub struct Cookies(ArcSwap<Secrets>);

/// Hashers that have taken in their secret and nothing else.
struct Secrets {
    present: SipHasher24,
    past: Option<SipHasher24>,
}

/// A server cookie that is ours and not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Valid {
    /// It can be kept.
    Fresh,
    /// It is half spent, or not as we would make it now: the client is to have a new one.
    Stale,
}

impl Cookies {
    /// Cookies of this secret, which nobody else may guess.
    pub fn new(secret: [u8; SECRET_LEN]) -> Self {
        let present = SipHasher24::new_with_key(&secret);
        Cookies(ArcSwap::from_pointee(Secrets { present, past: None }))
    }

    /// From now on makes cookies of a new secret. Those of the present one stay good, those of an earlier one do not.
    pub fn roll_over(&self, secret: [u8; SECRET_LEN]) {
        let past = Some(self.0.load().present);
        let present = SipHasher24::new_with_key(&secret);
        self.0.store(Secrets { present, past }.into());
    }

    /// A new cookie for this client: what the client sent, and ours. `now_s` is seconds since 1970, modulo 2^32.
    pub fn make(
        &self,
        client_cookie: [u8; CLIENT_COOKIE_LEN],
        client: IpAddr,
        now_s: u32,
    ) -> [u8; COOKIE_LEN] {
        let [a, b, c, d] = now_s.to_be_bytes();
        let head = [VERSION, 0, 0, 0, a, b, c, d];
        let hash = hash(self.0.load().present, &client_cookie, &head, client).to_le_bytes();
        let mut cookie = [0; COOKIE_LEN];
        let octets = client_cookie.iter().chain(&head).chain(&hash);
        cookie.iter_mut().zip(octets).for_each(|(place, octet)| *place = *octet);
        cookie
    }

    /// Whether the request's server cookie is one that we gave this client, not too long ago.
    pub fn check(&self, cookie: &CookieOption<'_>, client: IpAddr, now_s: u32) -> bool {
        self.judge(cookie, client, now_s).is_some()
    }

    /// The cookie that goes back: the one that came while it is fresh, else a new one.
    pub fn answer(&self, cookie: &CookieOption<'_>, client: IpAddr, now_s: u32) -> [u8; COOKIE_LEN] {
        if self.judge(cookie, client, now_s) == Some(Valid::Fresh) {
            let mut same = [0; COOKIE_LEN];
            let octets = cookie.client.iter().chain(cookie.server.unwrap_or_default());
            same.iter_mut().zip(octets).for_each(|(place, octet)| *place = *octet);
            return same;
        }
        self.make(cookie.client, client, now_s)
    }

    fn judge(&self, cookie: &CookieOption<'_>, client: IpAddr, now_s: u32) -> Option<Valid> {
        let server: &[u8; COOKIE_LEN - CLIENT_COOKIE_LEN] = cookie.server?.try_into().ok()?;
        let (head, hashed) = server.split_first_chunk::<8>()?;
        let hashed = u64::from_le_bytes(hashed.try_into().ok()?);
        let [version, reserved @ .., a, b, c, d] = head;
        // Serial arithmetic (RFC 1982): the difference is right also when the time has passed 2^32.
        let age_s = now_s.wrapping_sub(u32::from_be_bytes([*a, *b, *c, *d])) as i32;
        if *version != VERSION || !(-AHEAD_MAX_S..=AGE_MAX_S).contains(&age_s) {
            return None;
        }
        let secrets = self.0.load();
        // Hashes are compared as numbers, in one instruction that takes as long wherever they differ.
        let is_by = |secret| hash(secret, &cookie.client, head, client) == hashed;
        if is_by(secrets.present) {
            // The reserved octets are hashed as they came, and are 0 in what we make (RFC 9018 section 4.2).
            let is_fresh = age_s <= RENEW_AGE_S && *reserved == [0; 3];
            return Some(if is_fresh { Valid::Fresh } else { Valid::Stale });
        }
        secrets.past.is_some_and(is_by).then_some(Valid::Stale)
    }
}

/// RFC 9018 section 4.4.
fn hash(
    mut secret: SipHasher24,
    client_cookie: &[u8; CLIENT_COOKIE_LEN],
    head: &[u8; 8],
    client: IpAddr,
) -> u64 {
    secret.write(client_cookie);
    secret.write(head);
    match client {
        IpAddr::V4(client) => secret.write(&client.octets()),
        IpAddr::V6(client) => secret.write(&client.octets()),
    }
    secret.finish()
}

/// Says nothing: a server's state may end up in a log, a secret may not.
impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookies").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn octets<const N: usize>(hex: &str) -> [u8; N] {
        assert_eq!(hex.len(), 2 * N);
        std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
    }

    fn option(cookie: &[u8; COOKIE_LEN]) -> CookieOption<'_> {
        let (client, server) = cookie.split_first_chunk().unwrap();
        CookieOption { client: *client, server: Some(server) }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
    const MADE_S: u32 = 1_700_000_000;
    const CLIENT_COOKIE: [u8; CLIENT_COOKIE_LEN] = *b"a client";

    /// RFC 9018 appendix A.1 and A.2: a first cookie, and 40 minutes later a new one for it.
    #[test]
    fn vectors_of_one_client() {
        let cookies = Cookies::new(octets(SECRET));
        let client = ip("198.51.100.100");
        let first = cookies.make(octets("2464c4abcf10c957"), client, 1_559_731_985);
        assert_eq!(first, octets("2464c4abcf10c957010000005cf79f111f8130c3eee29480"));
        assert!(cookies.check(&option(&first), client, 1_559_734_385));
        let second = cookies.answer(&option(&first), client, 1_559_734_385);
        assert_eq!(second, octets("2464c4abcf10c957010000005cf7a871d4a564a1442aca77"));
    }

    /// RFC 9018 appendix A.3: what another server put in the reserved octets is hashed, and not given back. By the RFC's own
    /// section 4.3 that cookie was over when it came; it is checked here at the end of its hour.
    #[test]
    fn vectors_with_reserved_octets_set() {
        let cookies = Cookies::new(octets(SECRET));
        let client = ip("203.0.113.203");
        let theirs = octets("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5");
        assert!(cookies.check(&option(&theirs), client, 1_559_727_985 + 3600));
        assert!(!cookies.check(&option(&theirs), client, 1_559_734_700));
        let ours = octets("fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e");
        assert_eq!(cookies.answer(&option(&theirs), client, 1_559_734_700), ours);
        let at_once = cookies.answer(&option(&theirs), client, 1_559_727_985);
        assert_eq!((&at_once[9..12], &at_once[..9]), (&[0; 3][..], &theirs[..9]), "although it is fresh");
    }

    /// RFC 9018 appendix A.4: IPv6, and a secret rolled over since the cookie was made.
    #[test]
    fn vectors_of_a_secret_rolled_over() {
        let cookies = Cookies::new(octets("dd3bdf9344b678b185a6f5cb60fca715"));
        let client = ip("2001:db8:220:1:59de:d0f4:8769:82b8");
        let first = octets("22681ab97d52c298010000005cf7c57926556bd0934c72f8");
        assert_eq!(cookies.make(octets("22681ab97d52c298"), client, 1_559_741_817), first);
        cookies.roll_over(octets("445536bcd2513298075a5d379663c962"));
        assert!(cookies.check(&option(&first), client, 1_559_741_961));
        let second = cookies.answer(&option(&first), client, 1_559_741_961);
        assert_eq!(second, octets("22681ab97d52c298010000005cf7c609a6bb79d16625507a"));
        cookies.roll_over(octets(SECRET));
        assert!(!cookies.check(&option(&first), client, 1_559_741_961), "two secrets ago");
        assert!(cookies.check(&option(&second), client, 1_559_741_961));
    }

    #[test]
    fn a_cookie_is_good_for_an_hour_and_may_be_five_minutes_ahead() {
        let (cookies, client) = (Cookies::new([7; 16]), ip("192.0.2.1"));
        // Also round the end of the 32-bit clock.
        for made_s in [MADE_S, u32::MAX - 100, 5] {
            let cookie = cookies.make(CLIENT_COOKIE, client, made_s);
            let rows: [(i32, bool, bool); 7] = [
                (-301, false, false),
                (-300, true, true),
                (0, true, true),
                (1800, true, true),
                (1801, true, false),
                (3600, true, false),
                (3601, false, false),
            ];
            for (age_s, is_valid, is_kept) in rows {
                let now_s = made_s.wrapping_add_signed(age_s);
                assert_eq!(cookies.check(&option(&cookie), client, now_s), is_valid, "{age_s} s old");
                let back = cookies.answer(&option(&cookie), client, now_s);
                assert_eq!(back == cookie, is_kept, "{age_s} s old");
                assert!(cookies.check(&option(&back), client, now_s), "what goes back is always good");
            }
        }
    }

    #[test]
    fn what_is_not_ours_is_not_good() {
        let (cookies, client) = (Cookies::new([7; 16]), ip("192.0.2.1"));
        let none = CookieOption { client: CLIENT_COOKIE, server: None };
        assert!(!cookies.check(&none, client, MADE_S));
        let made = cookies.make(CLIENT_COOKIE, client, MADE_S);
        assert_eq!(cookies.answer(&none, client, MADE_S), made);
        for server in [&made[8..16], &[&made[8..], &[0]].concat(), &[0; 16], &[0; 32]] {
            let foreign = CookieOption { client: CLIENT_COOKIE, server: Some(server) };
            assert!(!cookies.check(&foreign, client, MADE_S), "{} octets", server.len());
            assert_eq!(cookies.answer(&foreign, client, MADE_S), made);
        }
        assert!(!Cookies::new([8; 16]).check(&option(&made), client, MADE_S), "another server's secret");
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(format!("{:?}", Cookies::new([7; 16])), "Cookies { .. }");
    }

    proptest! {
        /// A cookie is one client's at one address, and no octet of it may be another.
        #[test]
        fn a_cookie_for_one_is_no_cookie_for_another(
            secret: [u8; 16], client_cookie: [u8; 8], client: IpAddr, other: IpAddr, now_s: u32, at in 0..COOKIE_LEN,
            bits in 1..=255_u8
        ) {
            prop_assume!(client != other);
            let cookies = Cookies::new(secret);
            let made = cookies.make(client_cookie, client, now_s);
            prop_assert!(cookies.check(&option(&made), client, now_s));
            prop_assert!(!cookies.check(&option(&made), other, now_s));
            let mut changed = made;
            changed[at] ^= bits;
            prop_assert!(!cookies.check(&option(&changed), client, now_s), "octet {at}");
        }
    }
}
