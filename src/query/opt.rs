//! The OPT record of a reply (RFC 6891 section 6.1.1): there if the message had one.

use super::{Context, CookieTerms};
use crate::wire::{COOKIE_LEN, CookieOption, ExtendedError, OptRecord, Question, Reply};

/// What a reply's OPT record says whatever the answer is.
pub(super) struct ReplyOpt<'a> {
    dnssec_ok: bool,
    cookie: Option<[u8; COOKIE_LEN]>,
    keepalive: Option<u16>,
    nsid: Option<&'a [u8]>,
}

impl<'a> ReplyOpt<'a> {
    /// For the reply to a message; `None` if that has no OPT.
    pub fn of(context: &Context<'a>, question: &Question, message: &[u8]) -> Option<Self> {
        let edns = question.edns.as_ref()?;
        let cookie = cookie(context, question, message).map(|(terms, cookie)| terms.answer(&cookie));
        let nsid = edns.wants_nsid.then(|| context.zones.identity().nsid.as_deref());
        let (keepalive, nsid) = (context.keepalive, nsid.flatten().map(str::as_bytes));
        Some(ReplyOpt { dnssec_ok: edns.dnssec_ok, cookie, keepalive, nsid })
    }

    /// Octets that it takes.
    pub fn len(&self) -> usize {
        let cookie = if self.cookie.is_some() { OptRecord::COOKIE_OPTION_LEN } else { 0 };
        let nsid = self.nsid.map_or(0, |nsid| OptRecord::OPTION_FIXED_LEN + nsid.len());
        let keepalive = if self.keepalive.is_some() { OptRecord::KEEPALIVE_OPTION_LEN } else { 0 };
        OptRecord::PLAIN_LEN + cookie + keepalive + nsid
    }

    /// Appends it, with an extended error's info code and text if there is room for them. Whether it fits.
    pub fn put(&self, reply: &mut Reply<'_>, extended_rcode: u8, error: Option<(u16, &'static str)>) -> bool {
        let ReplyOpt { dnssec_ok, cookie, keepalive, nsid } = *self;
        if cookie.is_none() && keepalive.is_none() && nsid.is_none() && error.is_none() {
            return OptRecord::put_plain(reply, extended_rcode, dnssec_ok);
        }
        let room = reply.room();
        let fits = |text: &str| self.len() + OptRecord::BARE_ERROR_LEN + text.len() <= room;
        let error = error.map(|(code, text)| (code, if fits(text) { text } else { "" }));
        let error = error.filter(|(_, text)| fits(text)).map(|(code, text)| ExtendedError::of(code, text));
        OptRecord { extended_rcode, dnssec_ok, cookie, keepalive, nsid, error, lease: None }.put(reply)
    }
}

/// The message's cookies, and what to make the reply's from; `None` for the many messages that have none.
pub(super) fn cookie<'a, 'm>(
    context: &Context<'a>,
    question: &Question,
    message: &'m [u8],
) -> Option<(CookieTerms<'a>, CookieOption<'m>)> {
    let edns = question.edns.as_ref().filter(|edns| edns.has_cookie())?;
    Some((context.cookie?, edns.cookie(message).ok()??))
}
