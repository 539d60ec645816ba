//! How what is reported stands in JSON.

use std::fmt::Display;

use serde::Serializer;

use crate::policy::{Policy, Shown};
use crate::query::status::line::Millionths;

pub fn displayed<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub fn policy_name<S: Serializer>(policy: &Policy, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(policy.name())
}

pub fn shown_text<S: Serializer>(shown: &Shown, serializer: S) -> Result<S::Ok, S::Error> {
    match shown {
        Shown::All => serializer.serialize_str("all"),
        Shown::Best => serializer.serialize_str("best"),
        Shown::AtMost(most) => serializer.serialize_u16(most.get()),
    }
}

pub fn number<S: Serializer>(value: &Option<Millionths>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(Millionths(number)) => serializer.serialize_some(&(*number as f64 / 1e6)),
        None => serializer.serialize_none(),
    }
}
