//! Who may register what: keys, grants and the address rule; and the cookies that tell who receives at its address.
//!
//! ```text
//!  UPDATE --> Keyring (whose MAC is it?) --> Sent --> Grants::find --> Grant, or a Refusal that says what to add
//! ```
//!
//! No I/O and no clock. The keyring is the server's, the grants are a zone's. A [`Refusal`]'s text is both the log line's
//! reason and the text of the Extended DNS Error (RFC 8914), so it says what an operator would change.

mod address;
mod cookie;
mod grant;
mod keyring;

pub use address::{Special, covers, loopback, overlap, within_loopback};
pub use cookie::{Cookies, SECRET_LEN};
pub use grant::{
    Asked, Grant, GrantedLease, Grants, Holder, NamePattern, Place, Refusal, Sender, Sent, Types,
};

use address::is_in;
pub use keyring::{DuplicateKey, Keyring};
