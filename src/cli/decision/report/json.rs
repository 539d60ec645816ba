//! How what is reported stands in JSON.

use std::fmt::Display;

use serde::Serializer;

use crate::query::status::line::Millionths;

pub fn displayed<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub fn number<S: Serializer>(value: &Option<Millionths>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(Millionths(number)) => serializer.serialize_some(&(*number as f64 / 1e6)),
        None => serializer.serialize_none(),
    }
}
