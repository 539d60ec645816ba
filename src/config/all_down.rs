//! What is answered when nobody fit is left: `on_all_down`, and the pool that `fallback` names.
//!
//! Both are the zone's, or one pool's own. What the pool that is fallen back on does when it has nobody left either is not
//! asked: so two that name each other are no circle. A `fallback` that nothing makes use of is refused, as other options are;
//! and so is one that is no pool, for a pool's last resort must not turn out to be a slip of the pen.

use toml::Spanned;

use super::nested::Served;
use super::pool_name::pool_name;
use super::source::{Source, Text};
use super::{ConfigError, Fault};
use crate::wire::{Name, lower, name_text};
use crate::zone::{OnAllDown, PoolSettings};

/// What `on_all_down` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    All,
    LastGood,
    Fallback,
    NoData,
    ServFail,
}

impl Word {
    const FALLBACK: &str = "fallback";
    const NAMES: [(&str, Word); 5] = [
        ("all", Word::All),
        ("last-good", Word::LastGood),
        (Word::FALLBACK, Word::Fallback),
        ("nodata", Word::NoData),
        ("servfail", Word::ServFail),
    ];
}

/// The words, as an error lists them.
pub(super) fn words() -> String {
    Word::NAMES.map(|(name, _)| name).join(", ")
}

/// The two keys of a table.
#[derive(Clone, Copy)]
pub(super) struct Given<'f> {
    pub on_all_down: &'f Option<Text>,
    pub fallback: &'f Option<Text>,
}

/// The two, with what was left out taken from further up.
#[derive(Clone)]
pub(super) struct AllDown {
    word: Word,
    fallback: Option<Name>,
}

impl AllDown {
    /// What holds if nobody says anything.
    pub const BUILT_IN: AllDown = AllDown { word: Word::All, fallback: None };

    /// Reads the zone's, or a pool's on top of the zone's. A word that needs a pool has one then.
    pub fn resolve(
        source: &Source,
        given: Given<'_>,
        apex: &Name,
        base: &AllDown,
    ) -> Result<Self, ConfigError> {
        let word = match given.on_all_down {
            None => base.word,
            Some(text) => {
                let named = Word::NAMES.iter().find(|(name, _)| name == text.get_ref());
                let fault = || Fault::OnAllDown { text: text.get_ref().clone() };
                named.map(|&(_, word)| word).ok_or_else(|| source.fault(text.span(), fault()))?
            }
        };
        let fallback = match given.fallback {
            None => base.fallback.clone(),
            Some(text) => Some(pool_name(text.get_ref(), apex).map_err(|reason| bad(source, text, reason))?),
        };
        match given.on_all_down {
            // What came from further up was in order there.
            Some(text) if word == Word::Fallback && fallback.is_none() => {
                Err(source.fault(text.span(), Fault::NoFallback))
            }
            _ => Ok(AllDown { word, fallback }),
        }
    }

    /// The setting, for all pools that have no other; which may be the fallback itself.
    pub fn setting(&self) -> OnAllDown {
        match (self.word, &self.fallback) {
            (Word::All, _) => OnAllDown::All,
            (Word::LastGood, _) => OnAllDown::LastGood,
            (Word::Fallback, Some(pool)) => OnAllDown::Fallback(lower(pool.as_slice()).into()),
            (Word::Fallback, None) | (Word::NoData, _) => OnAllDown::NoData,
            (Word::ServFail, _) => OnAllDown::ServFail,
        }
    }

    /// The setting of the pool `name`. Where the zone's fallback for everybody is this pool, there is nobody left to ask, and
    /// it answers nothing; where the pool itself says so, that is refused.
    pub fn setting_of(
        &self,
        source: &Source,
        given: Given<'_>,
        name: &Name,
    ) -> Result<OnAllDown, ConfigError> {
        if let Some(text) = given.fallback
            && self.word != Word::Fallback
        {
            return Err(source.fault(text.span(), Fault::IdleFallback));
        }
        if self.word != Word::Fallback || self.fallback.as_ref() != Some(name) {
            return Ok(self.setting());
        }
        match given.fallback.as_ref().or(given.on_all_down.as_ref()) {
            Some(text) => {
                let pool = name_text(name.as_slice());
                Err(source.fault(text.span(), Fault::OwnFallback { pool }))
            }
            None => Ok(OnAllDown::NoData),
        }
    }
}

/// The pools of a zone, for what is said of one to be held against the others.
pub(super) struct Pools<'p> {
    pub apex: &'p Name,
    pub create_pools: bool,
    /// The declared ones.
    pub declared: &'p [(Name, PoolSettings)],
    pub served: &'p Served,
}

impl Pools<'_> {
    /// Refuses a `fallback` that is no pool and cannot become one.
    pub fn check(&self, source: &Source, given: &Option<Text>) -> Result<(), ConfigError> {
        let Some(text) = given else { return Ok(()) };
        let name = pool_name(text.get_ref(), self.apex).map_err(|reason| bad(source, text, reason))?;
        if self.declared.iter().any(|(pool, _)| *pool == name) {
            return Ok(());
        }
        let no_pool = |reason: String| Err(bad(source, text, reason));
        if let Some((inner, _)) = self.served.below(self.apex, &name) {
            let inner = name_text(inner.as_slice());
            return no_pool(format!(
                "it lies in the zone {inner}, which is served too; give a pool of this zone"
            ));
        }
        if !self.create_pools {
            let known: Vec<String> =
                self.declared.iter().map(|(pool, _)| name_text(pool.as_slice())).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return no_pool(format!(
                "no [[pool]] of this zone is called so; declare it, or give one of those that are: {known}"
            ));
        }
        if name.label_count() != self.apex.label_count() + 1 {
            return no_pool(
                "registrations make pools one label below the zone alone; declare it with [[pool]]"
                    .to_owned(),
            );
        }
        if let Some((below, _)) = self.declared.iter().find(|(pool, _)| pool.ends_with(&name)) {
            let below = name_text(below.as_slice());
            return no_pool(format!("it can be no pool, for the pool {below} lies below it; give another"));
        }
        Ok(())
    }
}

/// Refuses a zone's `fallback` that neither the zone's own `on_all_down` makes use of, nor that of a pool without another.
pub(super) fn check_use<'f>(
    source: &Source,
    given: Given<'_>,
    zone: &AllDown,
    mut pools: impl Iterator<Item = Given<'f>>,
) -> Result<(), ConfigError> {
    let makes_use = |pool: Given<'_>| {
        let word = pool.on_all_down.as_ref().map(|text| text.get_ref().as_str());
        pool.fallback.is_none() && word == Some(Word::FALLBACK)
    };
    match given.fallback {
        Some(text) if zone.word != Word::Fallback && !pools.any(makes_use) => {
            Err(source.fault(text.span(), Fault::IdleFallback))
        }
        _ => Ok(()),
    }
}

fn bad(source: &Source, text: &Spanned<String>, reason: String) -> ConfigError {
    source.fault(text.span(), Fault::Fallback { text: text.get_ref().clone(), reason })
}
