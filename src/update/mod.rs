//! The roll call: DNS UPDATE messages in (RFC 2136), changes of membership and replies out.
//!
//! ```text
//!  message -> TSIG -> outline -> commands -> drafts (net result) -> plan --> Roll --> Change ... --> publish
//!               |                   |           |                    |                    |
//!            refusal             refusal     refusal              refusal          committed? -> reply
//! ```
//!
//! [`Registrar`] is the whole of it as a state machine without I/O: a message, its source and the time go in; changes and
//! the plan of a reply come out. Whoever drives it stores the changes, then has them published, then sends the reply:
//! committed and visible before it is acknowledged (RFC 2136 section 3.5). A refusal anywhere means that nothing happened.

mod attributes;
mod draft;
mod explain;
mod floors;
mod message;
mod names;
mod ordinary;
mod pending;
mod plan;
mod prerequisites;
mod refusal;
mod registrar;
mod reply;
mod svcb;

pub use attributes::BadAttribute;
pub use draft::Ignored;
pub use explain::{Explainer, Explanation, Judgement, Reason, Stay, Told};
pub use names::member_text;
pub use refusal::{Refusal, RefusalKind};
pub use registrar::{Clock, Handled, Limits, Registrar, Request, Setup, ZoneInput};
pub use reply::ReplyPlan;
