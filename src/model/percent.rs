//! Shares of a whole.

use serde::{Deserialize, Serialize};

/// A share from 0% to 100% in ten-thousandths of a percent: `1%`, `0.1%`, `12.5%`.
///
/// The kernel counts a probability in 2^32 - 1 parts (tc-netem(8)); each of these shares has a number of its own there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(u32);

/// A text that is no share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no percentage: write a number from 0 to 100 with at most four decimals, as in 1% or 0.1%")]
pub struct PercentError(String);

/// Ten-thousandths in a percent.
const PARTS: u32 = 10_000;

/// Everything.
const WHOLE: u32 = 100 * PARTS;

impl Percent {
    /// Never.
    pub const ZERO: Self = Self(0);

    /// Always.
    pub const HUNDRED: Self = Self(WHOLE);

    /// So many ten-thousandths of a percent, at most the whole.
    pub const fn from_parts(parts: u32) -> Self {
        Self(if parts < WHOLE { parts } else { WHOLE })
    }

    /// As the kernel counts it: 0 is never, `u32::MAX` always.
    pub fn of_u32_max(self) -> u32 {
        let scaled = (u64::from(self.0) * u64::from(u32::MAX) + u64::from(WHOLE / 2)) / u64::from(WHOLE);
        u32::try_from(scaled).unwrap_or(u32::MAX)
    }

    /// The nearest to what the kernel counts.
    pub fn from_u32_max(part: u32) -> Self {
        let scaled = (u64::from(part) * u64::from(WHOLE) + u64::from(u32::MAX / 2)) / u64::from(u32::MAX);
        Self(u32::try_from(scaled).unwrap_or(WHOLE))
    }

    /// What is missing to the whole.
    #[must_use]
    pub fn rest(self) -> Self {
        Self(WHOLE - self.0)
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl TryFrom<String> for Percent {
    type Error = PercentError;
    fn try_from(text: String) -> Result<Self, PercentError> {
        parse(&text).map(Self).ok_or(PercentError(text))
    }
}

fn parse(text: &str) -> Option<u32> {
    let number = text.strip_suffix('%')?.trim_end();
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(decimals) || decimals.len() > 4 {
        return None;
    }
    let decimals: u32 = format!("{decimals:0<4}").parse().ok()?;
    let parts = whole.parse::<u32>().ok()?.checked_mul(PARTS)?.checked_add(decimals)?;
    (parts <= WHOLE).then_some(parts)
}

impl From<Percent> for String {
    fn from(percent: Percent) -> String {
        percent.to_string()
    }
}

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, decimals) = (self.0 / PARTS, self.0 % PARTS);
        match format!("{decimals:04}").trim_end_matches('0') {
            "" => write!(f, "{whole}%"),
            decimals => write!(f, "{whole}.{decimals}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn percent(text: &str) -> Result<Percent, PercentError> {
        Percent::try_from(text.to_owned())
    }

    #[test]
    fn shares_are_read_and_written() {
        for (text, written) in [
            ("1%", "1%"),
            ("0.1%", "0.1%"),
            ("12.50 %", "12.5%"),
            ("100%", "100%"),
            ("0%", "0%"),
            ("0.0001%", "0.0001%"),
        ] {
            assert_eq!(percent(text).unwrap().to_string(), written);
        }
        for bad in ["", "%", "1", "-1%", "101%", "100.0001%", "1.%", ".1%", "0.00001%", "1e1%", "99999999999%"] {
            assert!(percent(bad).is_err(), "{bad}");
        }
        assert_eq!((Percent::ZERO.of_u32_max(), Percent::HUNDRED.of_u32_max()), (0, u32::MAX));
    }

    proptest! {
        #[test]
        fn the_kernel_gives_back_what_it_was_given(parts in 0..=WHOLE) {
            prop_assert_eq!(Percent::from_u32_max(Percent(parts).of_u32_max()), Percent(parts));
            prop_assert_eq!(percent(&Percent(parts).to_string()), Ok(Percent(parts)));
        }
    }
}
