//! Who sends updates, and to whom grants are given.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::wire::{Name, lower, name_text, tsig};

/// Who sent an UPDATE. The source address travels beside it, in [`Sent`].
#[derive(Clone)]
pub enum Sender {
    /// Whoever holds this key: the TSIG was good.
    Key(Arc<tsig::Key>),
    /// Somebody at the source address: there was no TSIG.
    Unsigned,
}

impl Sender {
    pub(super) fn holder(&self) -> Holder {
        match self {
            Sender::Key(key) => Holder::Key(key.name().clone()),
            Sender::Unsigned => Holder::Unsigned,
        }
    }
}

/// Who sent a message, and from where.
#[derive(Clone)]
pub struct Sent {
    /// The key that signed it, if one did.
    pub sender: Sender,
    /// The source address; an IPv4-mapped one is the IPv4 address that it stands for.
    pub source: IpAddr,
    /// Whether the source cannot be forged: it is loopback's, which no wire brings in, or somebody there answers to it, who
    /// has opened a TCP connection or sent back a DNS cookie (RFC 7873 section 5.2).
    pub is_proven: bool,
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
