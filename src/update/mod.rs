//! The roll call: DNS UPDATE messages in (RFC 2136), changes of membership and of ordinary records, and replies out.
//!
//! ```text
//!  message -> TSIG -> outline -> prerequisites -> commands -> drafts (net result) -> plan -> Roll, names -> Change ... -> publish
//!               |        |             |             |            |                    |                      |
//!            refusal  refusal       refusal       refusal      refusal       refusal, replay          committed? -> reply
//! ```
//!
//! What a command is about is decided by its name (`names`): a member, a service, a pool, or an ordinary name. Members are
//! drafted in `draft`, a name's ordinary records in `ordinary`; `plan` has both for one message.
//!
//! [`Registrar`] is the whole of it as a state machine without I/O: a message, its source and the time go in; changes and
//! the plan of a reply come out. Whoever drives it stores the changes, then has them published, then sends the reply:
//! committed and visible before it is acknowledged (RFC 2136 section 3.5). A refusal anywhere means that nothing happened.

mod attributes;
mod draft;
mod drain;
mod explain;
mod floors;
mod heartbeat;
mod left;
mod message;
mod names;
mod ordinary;
mod pending;
mod plan;
mod prerequisites;
mod refusal;
mod registrar;
mod reply;
mod seconds;
mod svcb;
mod zones;

pub use attributes::BadAttribute;
pub use draft::Ignored;
pub use drain::DRAIN_S_MAX;
pub use explain::{Explainer, Explanation, Judgement, Reason, Stay, Told};
pub use heartbeat::{Desk, Heartbeat, Heartbeats, Taken, first_name};
pub use names::member_text;
pub use refusal::{Refusal, RefusalKind};
pub use registrar::{
    Clock, Handled, Limits, Registrar, Reload, Reloaded, Request, Restored, Setup, Silenced, ZoneInput,
};
pub use reply::ReplyPlan;
