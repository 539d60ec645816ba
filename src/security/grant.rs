//! What a key, or a sender without one, may register in a zone.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;

use super::{Special, covers};
use crate::wire::{Name, lower, name_text, tsig};

/// Who sent an UPDATE. The source address travels beside it.
#[derive(Clone)]
pub enum Sender {
    /// Whoever holds this key: the TSIG was good.
    Key(Arc<tsig::Key>),
    /// Somebody at the source address: there was no TSIG.
    Unsigned,
}

impl Sender {
    fn holder(&self) -> Holder {
        match self {
            Sender::Key(key) => Holder::Key(key.name().clone()),
            Sender::Unsigned => Holder::Unsigned,
        }
    }
}

/// To whom a grant is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// To holders of the key of this name.
    Key(Name),
    /// To senders of unsigned updates.
    Unsigned,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Key(name) => write!(f, "key {}", name_text(&lower(name.as_slice()))),
            Holder::Unsigned => f.write_str("unsigned updates"),
        }
    }
}

/// One grant of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The key's name; `None` for unsigned updates.
    pub key: Option<Name>,
    /// Networks that it may be used from. Empty: from everywhere with a key, from loopback without one.
    pub sources: Vec<IpNetwork>,
    /// Pools that it covers.
    pub pools: Vec<PoolPattern>,
    /// Prefixes of the addresses that members may have, see [`covers`]. Empty: all but the special ones.
    pub addresses: Vec<IpNetwork>,
    /// The identity that owns what is registered; see [`Grant::owner`].
    pub owner: Option<Box<str>>,
    /// Whether it may also change what others own.
    pub admin: bool,
    /// The lease when the client asks for none, seconds; `None` for the pool's default.
    pub lease_s: Option<u32>,
}

impl Grant {
    /// To whom it is given.
    pub fn holder(&self) -> Holder {
        self.key.clone().map_or(Holder::Unsigned, Holder::Key)
    }

    /// Who owns what `sender` registers under this grant: the grant's `owner`, else the key's name in lower case, else
    /// the source address.
    pub fn owner(&self, sender: &Sender, source: IpAddr) -> Box<str> {
        match (&self.owner, sender) {
            (Some(owner), _) => owner.clone(),
            (None, Sender::Key(key)) => name_text(&lower(key.name().as_slice())).into(),
            (None, Sender::Unsigned) => source.to_canonical().to_string().into(),
        }
    }

    fn is_for(&self, sender: &Sender) -> bool {
        match (&self.key, sender) {
            (Some(name), Sender::Key(key)) => name == key.name(),
            (None, Sender::Unsigned) => true,
            _ => false,
        }
    }

    fn covers_source(&self, source: IpAddr) -> bool {
        if self.sources.is_empty() {
            return self.key.is_some() || source.is_loopback();
        }
        self.sources.iter().any(|network| network.contains(source))
    }

    fn judge_source(&self, source: IpAddr) -> Result<(), (u8, Refusal)> {
        if self.covers_source(source) {
            return Ok(());
        }
        let refusal = match self.holder() {
            Holder::Unsigned => Refusal::Unsigned { from: source },
            holder => Refusal::Source { from: source, add: host(source), holder },
        };
        Err((1, refusal))
    }

    /// Checks the rules in order, for a sender that the grant is for; how many held, with the first that did not.
    fn judge(&self, source: IpAddr, pool: &str, addresses: &[IpAddr]) -> Result<(), (u8, Refusal)> {
        self.judge_source(source)?;
        if !self.pools.iter().any(|pattern| pattern.matches(pool)) {
            return Err((2, Refusal::Pool { pool: pool.into(), holder: self.holder() }));
        }
        let Some(&address) = addresses.iter().find(|&&address| !covers(&self.addresses, address)) else {
            return Ok(());
        };
        let (address, holder) = (address.to_canonical(), self.holder());
        Err((
            3,
            match Special::of(address) {
                Some((Special::Loopback, add)) => {
                    Refusal::Special { kind: Special::Loopback, address, add, holder }
                }
                Some((kind, _)) => Refusal::Special { kind, address, add: host(address), holder },
                None => Refusal::Address { address, add: neighbourhood(address), holder },
            },
        ))
    }
}

/// The prefix that holds `address` alone.
fn host(address: IpAddr) -> IpNetwork {
    IpNetwork::from(address)
}

/// The prefix that an operator most likely means by naming `address`: the subnet of ordinary size.
fn neighbourhood(address: IpAddr) -> IpNetwork {
    let prefix = if address.is_ipv4() { 24 } else { 64 };
    IpNetwork::new(address, prefix)
        .and_then(|network| IpNetwork::new(network.network(), prefix))
        .unwrap_or_else(|_| host(address))
}

/// The grants of one zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants(Vec<Grant>);

impl Grants {
    /// Grants in the order in which they are tried: the file's.
    pub fn new(grants: Vec<Grant>) -> Self {
        Grants(grants)
    }

    /// In that order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Grant> {
        self.0.iter()
    }

    /// The first grant that covers the sender, the source, the pool and every address. `pool` is the pool's name relative
    /// to the zone, in lower-case presentation form without a closing dot. If there is none, the refusal is that of the
    /// grant that came closest: most often it is the one that the sender meant.
    pub fn find(
        &self,
        sender: &Sender,
        source: IpAddr,
        pool: &str,
        addresses: &[IpAddr],
    ) -> Result<&Grant, Refusal> {
        self.first(sender, source, |grant, source| grant.judge(source, pool, addresses))
    }

    /// Whether the sender has any grant that may be used from this source: the question before all others (RFC 2136 section
    /// 3.3), so that strangers are told nothing of what is in the zone and cost nothing.
    pub fn admit(&self, sender: &Sender, source: IpAddr) -> Result<(), Refusal> {
        self.first(sender, source, |grant, source| grant.judge_source(source)).map(|_| ())
    }

    fn first(
        &self,
        sender: &Sender,
        source: IpAddr,
        judge: impl Fn(&Grant, IpAddr) -> Result<(), (u8, Refusal)>,
    ) -> Result<&Grant, Refusal> {
        let source = source.to_canonical();
        let nothing = match sender.holder() {
            Holder::Key(key) => Refusal::Key { holder: Holder::Key(key) },
            Holder::Unsigned => Refusal::Unsigned { from: source },
        };
        let mut closest = (0, nothing);
        for grant in self.0.iter().filter(|grant| grant.is_for(sender)) {
            match judge(grant, source) {
                Ok(()) => return Ok(grant),
                Err(refusal) if refusal.0 > closest.0 => closest = refusal,
                Err(_) => {}
            }
        }
        Err(closest.1)
    }
}

/// Names of pools, relative to the zone: `*` stands for any run of characters, dots included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolPattern(Box<str>);

impl PoolPattern {
    /// A pattern; its case does not matter.
    pub fn new(pattern: &str) -> Self {
        PoolPattern(pattern.to_ascii_lowercase().into())
    }

    /// As given, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it covers a pool, named in lower case.
    pub fn matches(&self, pool: &str) -> bool {
        let Some((head, tail)) = self.0.split_once('*') else { return *self.0 == *pool };
        let Some(mut rest) = pool.strip_prefix(head) else { return false };
        let mut pieces: Vec<&str> = tail.split('*').collect();
        let last = pieces.pop().unwrap_or_default();
        for piece in pieces {
            // The leftmost place for each piece leaves the most room for those after it.
            let Some((_, after)) = rest.split_once(piece) else { return false };
            rest = after;
        }
        rest.ends_with(last)
    }
}

/// Why no grant covers an UPDATE. REFUSED on the wire (RFC 2136 section 3.3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The signature is good, but the zone grants the key nothing.
    #[error("{holder} has no grant in this zone; add a [[grant]] for it")]
    Key {
        /// The key.
        holder: Holder,
    },
    /// No signature, and unsigned updates are not granted from there.
    #[error("unsigned updates are not granted from {from}; sign with a key that has a grant")]
    Unsigned {
        /// Where it came from.
        from: IpAddr,
    },
    /// The key may not be used from there.
    #[error("source {from} is not granted; add {add} to `sources` of the grant for {holder}")]
    Source {
        /// Where it came from.
        from: IpAddr,
        /// What to add.
        add: IpNetwork,
        /// Whose grant.
        holder: Holder,
    },
    /// The grant does not cover the pool.
    #[error("pool {pool} is not granted; add \"{pool}\" to `pools` of the grant for {holder}")]
    Pool {
        /// The pool, relative to the zone.
        pool: Box<str>,
        /// Whose grant.
        holder: Holder,
    },
    /// The grant's prefixes do not cover a member's address.
    #[error("address {address} is not granted; add {add} to `addresses` of the grant for {holder}")]
    Address {
        /// The address.
        address: IpAddr,
        /// What to add.
        add: IpNetwork,
        /// Whose grant.
        holder: Holder,
    },
    /// A member's address is of a kind that a grant must name.
    #[error("{kind} address {address} needs naming; add {add} to `addresses` of the grant for {holder}")]
    Special {
        /// What kind.
        kind: Special,
        /// The address.
        address: IpAddr,
        /// What to add.
        add: IpNetwork,
        /// Whose grant.
        holder: Holder,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::bytes_from_str(text).unwrap()
    }

    fn sender(key: &str) -> Sender {
        let key = tsig::Key::new(&name(key), tsig::Algorithm::HmacSha256, &[7; 32]).unwrap();
        Sender::Key(Arc::new(key))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn prefixes(list: &[&str]) -> Vec<IpNetwork> {
        list.iter().map(|prefix| prefix.parse().unwrap()).collect()
    }

    fn grant(key: Option<&str>, sources: &[&str], pools: &[&str], addresses: &[&str]) -> Grant {
        Grant {
            key: key.map(name),
            sources: prefixes(sources),
            pools: pools.iter().map(|pattern| PoolPattern::new(pattern)).collect(),
            addresses: prefixes(addresses),
            owner: None,
            admin: false,
            lease_s: None,
        }
    }

    fn refusal(grants: &Grants, key: &str, source: &str, pool: &str, address: &str) -> String {
        grants.find(&sender(key), ip(source), pool, &[ip("10.0.0.1"), ip(address)]).unwrap_err().to_string()
    }

    #[test]
    fn every_refusal_says_what_to_add() {
        let grants =
            Grants::new(vec![grant(Some("Web."), &["10.0.0.0/8"], &["web*"], &["10.0.0.0/8", "::/0"])]);
        let refused = |source, pool, address| refusal(&grants, "web.", source, pool, address);
        assert!(
            grants.find(&sender("WEB."), ip("::ffff:10.0.0.9"), "web.eu", &[ip("::ffff:10.0.0.1")]).is_ok()
        );
        assert_eq!(
            refusal(&grants, "Api.", "10.0.0.9", "web", "10.0.0.2"),
            "key api. has no grant in this zone; add a [[grant]] for it"
        );
        assert_eq!(
            refused("192.0.2.9", "web", "10.0.0.2"),
            "source 192.0.2.9 is not granted; add 192.0.2.9/32 to `sources` of the grant for key web."
        );
        assert_eq!(
            refused("10.0.0.9", "api", "10.0.0.2"),
            "pool api is not granted; add \"api\" to `pools` of the grant for key web."
        );
        assert_eq!(
            refused("10.0.0.9", "web", "192.0.2.7"),
            "address 192.0.2.7 is not granted; add 192.0.2.0/24 to `addresses` of the grant for key web."
        );
        assert_eq!(
            refused("10.0.0.9", "web", "127.0.0.1"),
            "loopback address 127.0.0.1 needs naming; add 127.0.0.0/8 to `addresses` of the grant for key web."
        );
        assert_eq!(
            refused("10.0.0.9", "web", "fe80::1"),
            "link-local address fe80::1 needs naming; add fe80::1/128 to `addresses` of the grant for key web."
        );
    }

    #[test]
    fn unsigned_updates_need_a_grant_and_loopback_unless_it_says_otherwise() {
        let none = Grants::new(vec![grant(Some("web."), &[], &["*"], &[])]);
        let wanted = Refusal::Unsigned { from: ip("127.0.0.1") };
        assert_eq!(none.find(&Sender::Unsigned, ip("127.0.0.1"), "web", &[]), Err(wanted));
        let grants = Grants::new(vec![grant(None, &[], &["*"], &[])]);
        assert!(grants.find(&Sender::Unsigned, ip("::ffff:127.0.0.1"), "web", &[]).is_ok());
        assert_eq!(
            grants.find(&Sender::Unsigned, ip("192.0.2.1"), "web", &[]).unwrap_err().to_string(),
            "unsigned updates are not granted from 192.0.2.1; sign with a key that has a grant"
        );
        assert!(grants.find(&sender("web."), ip("127.0.0.1"), "web", &[]).is_err(), "a key is not nobody");
    }

    #[test]
    fn the_first_grant_that_covers_all_of_it_wins_else_the_closest_refuses() {
        let mut second = grant(Some("web."), &[], &["web"], &["10.0.0.0/8"]);
        second.owner = Some("fleet".into());
        let third = grant(Some("web."), &[], &["*"], &["10.0.0.0/8", "192.0.2.0/24"]);
        let grants =
            Grants::new(vec![grant(Some("web."), &["192.0.2.0/24"], &["*"], &[]), second.clone(), third]);
        let from = ip("10.0.0.9");
        let find = |pool, addresses: &[IpAddr]| grants.find(&sender("web."), from, pool, addresses);
        assert_eq!(find("web", &[ip("10.0.0.1")]), Ok(&second));
        assert!(find("web", &[ip("10.0.0.1"), ip("192.0.2.1")]).unwrap().owner.is_none());
        assert!(matches!(find("web", &[ip("203.0.113.1")]), Err(Refusal::Address { .. })));
        assert!(matches!(find("api", &[ip("203.0.113.1")]), Err(Refusal::Address { .. })));
    }

    #[test]
    fn owners() {
        let mut given = grant(Some("web."), &[], &["*"], &[]);
        assert_eq!(&*given.owner(&sender("WEB."), ip("10.0.0.1")), "web.");
        given.owner = Some("fleet".into());
        assert_eq!(&*given.owner(&sender("WEB."), ip("10.0.0.1")), "fleet");
        let unsigned = grant(None, &[], &["*"], &[]);
        assert_eq!(&*unsigned.owner(&Sender::Unsigned, ip("::ffff:127.0.0.1")), "127.0.0.1");
    }

    #[test]
    fn patterns() {
        let cases = [
            ("*", "web.eu", true),
            ("web", "web", true),
            ("web", "web.eu", false),
            ("WEB*", "web.eu", true),
            ("*.eu", "web.eu", true),
            ("*.eu", "eu", false),
            ("w*b*u", "web.eu", true),
            ("a*a", "a", false),
            ("a*b*b", "ab", false),
            ("**", "web", true),
            ("*b*", "web", true),
            ("*x*", "web", false),
        ];
        for (pattern, pool, wanted) in cases {
            assert_eq!(PoolPattern::new(pattern).matches(pool), wanted, "{pattern} {pool}");
        }
    }
}
