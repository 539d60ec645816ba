//! How it was answered that nobody is fit to serve: for the counters, and for clients that speak EDNS.

use super::Answered;
use crate::wire::ExtendedError;

/// How the last resort was come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AllDown {
    All,
    LastGood,
    Fallback,
    NoData,
    ServFail,
}

impl AllDown {
    /// What kind of answer that is.
    pub fn answered(self) -> Answered {
        match self {
            AllDown::All => Answered::AllDownAll,
            AllDown::LastGood => Answered::AllDownLastGood,
            AllDown::Fallback => Answered::AllDownFallback,
            AllDown::NoData => Answered::AllDownNoData,
            AllDown::ServFail => Answered::AllDownServFail,
        }
    }

    /// What a client that speaks EDNS is told.
    pub fn error(self) -> (u16, &'static str) {
        match self {
            AllDown::All => (ExtendedError::OTHER, "nobody is fit to serve: all whose lease runs are shown"),
            AllDown::LastGood => (ExtendedError::STALE, "nobody is fit to serve: who was good last is shown"),
            AllDown::Fallback => (ExtendedError::OTHER, "nobody is fit to serve: another pool answers"),
            AllDown::NoData | AllDown::ServFail => (ExtendedError::OTHER, "nobody is fit to serve"),
        }
    }
}
