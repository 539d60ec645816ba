//! Class CH: what the server says of itself (RFC 4892). Nothing, unless somebody configured it.

use crate::wire::{Class, HEADER_LEN, Question, Reply, Rtype};
use crate::zone::Identity;

/// A name in lower case, and what it stands for.
type Named = (&'static [u8], fn(&Identity) -> Option<&str>);

/// Names that have an answer.
const NAMES: [Named; 4] = [
    (b"\x07version\x04bind\x00", |identity| identity.version.as_deref()),
    (b"\x07version\x06server\x00", |identity| identity.version.as_deref()),
    (b"\x08hostname\x04bind\x00", |identity| identity.hostname.as_deref()),
    (b"\x02id\x06server\x00", |identity| identity.hostname.as_deref()),
];

/// Appends the answer to a question of class CH. `false` if there is none.
pub(super) fn put_answer(identity: &Identity, question: &Question, reply: &mut Reply<'_>) -> bool {
    let is_text = matches!(question.qtype, Rtype::TXT | Rtype::ANY);
    let (_, field) = match NAMES.iter().find(|(name, _)| *name == question.name.as_wire()) {
        Some(found) if is_text => found,
        _ => return false,
    };
    let Some(text) = field(identity).filter(|text| text.len() <= Identity::TEXT_MAX) else { return false };
    let start = reply.len();
    let [owner, more_owner] = (0xC000 | HEADER_LEN as u16).to_be_bytes();
    let ([_, txt], [_, ch]) = (Rtype::TXT.to_int().to_be_bytes(), Class::CH.to_int().to_be_bytes());
    let [rdlength, more_rdlength] = (1 + text.len() as u16).to_be_bytes();
    // What it says may change with the next start: nobody is to remember it.
    let fixed = [owner, more_owner, 0, txt, 0, ch, 0, 0, 0, 0, rdlength, more_rdlength];
    let fits = reply.put(&fixed) && reply.put_pair(&[text.len() as u8], text.as_bytes());
    if !fits {
        reply.truncate(start);
    }
    fits
}
