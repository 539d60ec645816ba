//! What a zone's file may call a pool.

use std::str::FromStr;

use bytes::Bytes;
use domain::base::ToName;
use domain::base::name::UncertainName;

use super::absolute_name;
use crate::wire::{Name, label_text, name_text};

/// A pool's absolute name; else why it cannot be one.
pub(crate) fn pool_name(text: &str, apex: &Name) -> Result<Name, String> {
    let zone = name_text(apex.as_slice());
    let bad = || format!("this is not a domain name; give one relative to {zone}, such as \"web\"");
    let absolute = absolute_name(text).ok_or_else(bad)?;
    let name: Name = match UncertainName::<Bytes>::from_str(text).map_err(|_| bad())? {
        UncertainName::Absolute(_) => absolute,
        UncertainName::Relative(relative) => {
            // The slip of everybody's first zone file, where "web.pool.example" means web.pool.example.pool.example.
            if !apex.is_root() && absolute.ends_with(apex) {
                return Err(format!(
                    "this would be {text}.{zone}; end it with a dot, or leave the zone's name out"
                ));
            }
            relative.chain(apex).map_err(|_| bad())?.to_name()
        }
    };
    if !name.ends_with(apex) || name == *apex {
        return Err(format!("a pool lies below the zone; give a name relative to {zone}, such as \"web\""));
    }
    let depth = name.label_count() - apex.label_count();
    for label in name.iter().take(depth).map(|label| label.as_slice()) {
        if label.starts_with(b"_") || label.eq_ignore_ascii_case(b"all") || label == b"*" {
            let label = label_text(label);
            return Err(format!(
                "the label \"{label}\" has a meaning of its own; `_`, `all` and `*` cannot be in it"
            ));
        }
    }
    Ok(name)
}
