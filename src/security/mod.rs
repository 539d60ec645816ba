//! Who may register what: keys, grants and the address rule.
//!
//! ```text
//!  UPDATE --> Keyring (whose MAC is it?) --> Sender --> Grants::find --> Grant, or a Refusal that says what to add
//! ```
//!
//! No I/O and no clock. The keyring is the server's, the grants are a zone's. A [`Refusal`]'s text is both the log line's
//! reason and the text of the Extended DNS Error (RFC 8914), so it says what an operator would change.

mod address;
mod grant;
mod keyring;

pub use address::{Special, covers, within_loopback};
pub use grant::{Grant, Grants, Holder, PoolPattern, Refusal, Sender};
pub use keyring::{DuplicateKey, Keyring};
