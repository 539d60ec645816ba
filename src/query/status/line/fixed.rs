//! Shares and loads as people read them: short, and the same after they were read again.

use std::fmt;

/// A number in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millionths(pub u64);

/// Decimals of a number, and of one in percent.
const DECIMALS: u32 = 6;
const PERCENT_DECIMALS: u32 = 4;

impl Millionths {
    /// From a number that is not negative. What is more than nothing stays so.
    pub fn of(number: f64) -> Self {
        // A cast of floats saturates.
        Millionths(((number * 1e6).round() as u64).max(u64::from(number > 0.0)))
    }

    /// Rounded to three decimals, a tenth of a percent; as it is if nothing would be left of it.
    pub fn short(self) -> Self {
        let short = self.0.saturating_add(500) / 1_000 * 1_000;
        if short == 0 { self } else { Millionths(short) }
    }

    /// In percent.
    pub fn percent(self) -> String {
        text(self.0, PERCENT_DECIMALS) + "%"
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        parse(text, DECIMALS).map(Millionths)
    }

    /// Reads what [`Millionths::percent`] writes.
    pub fn parse_percent(text: &str) -> Option<Self> {
        parse(text.strip_suffix('%')?, PERCENT_DECIMALS).map(Millionths)
    }
}

impl fmt::Display for Millionths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(self.0, DECIMALS))
    }
}

/// A number with so many decimals, without zeros at its end.
fn text(number: u64, decimals: u32) -> String {
    let unit = 10_u64.pow(decimals);
    let (whole, fraction) = (number / unit, number % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let fraction = format!("{fraction:0width$}", width = decimals as usize);
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

fn parse(text: &str, decimals: u32) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let missing = decimals.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    let is_number = |part: &str| part.bytes().all(|octet| octet.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let fraction = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()? };
    let whole = whole.parse::<u64>().ok()?.checked_mul(10_u64.pow(decimals))?;
    whole.checked_add(fraction * 10_u64.pow(missing))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, plain, percent) in
            [(0, "0", "0%"), (250_000, "0.25", "25%"), (1_300_000, "1.3", "130%"), (7, "0.000007", "0.0007%")]
        {
            assert_eq!(
                (Millionths(number).to_string().as_str(), Millionths(number).percent().as_str()),
                (plain, percent)
            );
        }
        assert_eq!(Millionths::of(1.0 / 3.0).short().percent(), "33.3%");
        assert_eq!(Millionths::of(1e-9).short(), Millionths(1), "a little is not nothing");
        assert_eq!(Millionths::of(0.0).short(), Millionths(0));
        for text in ["", ".", ".5", "-1", "+1", "0.1234567", "99999999999999999999", "1e3"] {
            assert_eq!(Millionths::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number in any::<u64>()) {
            let number = Millionths(number);
            prop_assert_eq!(Millionths::parse(&number.to_string()), Some(number));
            prop_assert_eq!(Millionths::parse_percent(&number.percent()), Some(number));
        }
    }
}
