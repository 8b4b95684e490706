//! Rates and amounts of data, as tc(8) writes them.

use serde::{Deserialize, Serialize};

/// A rate in bits per second, at least 1000: `500kbit`, `10mbit`, `1gbit`, in powers of 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate(u64);

/// An amount of data in bytes, at least 1: `1500b`, `64kb`, `1mb`, in powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(u64);

/// A text that is no rate or no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Not a number with a unit of rates.
    #[error("`{0}` is no rate: write a whole number with its unit, as in 500kbit, 10mbit or 1gbit")]
    Rate(String),
    /// Too slow for any frame.
    #[error("`{0}` is less than 1kbit: choose a rate at which a frame gets through")]
    Slow(String),
    /// Not a number with a unit of amounts.
    #[error("`{0}` is no amount of data: write a whole number with its unit, as in 1500b, 64kb or 1mb")]
    Size(String),
}

/// The units, from the biggest: each is a multiple of the next.
const RATE_UNITS: [(&str, u64); 4] = [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1000), ("bit", 1)];
const SIZE_UNITS: [(&str, u64); 4] = [("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10), ("b", 1)];

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let (number, factor) = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let number = number.trim_end();
    let is_whole = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| is_whole)?.checked_mul(*factor)
}

fn write(f: &mut std::fmt::Formatter<'_>, number: u64, units: &[(&str, u64)]) -> std::fmt::Result {
    let fitting = units.iter().find(|(_, factor)| number.is_multiple_of(*factor));
    fitting.map_or(Ok(()), |(unit, factor)| write!(f, "{}{unit}", number / factor))
}

impl Rate {
    /// The slowest, in bits per second.
    const LEAST: u64 = 1000;

    /// A rate of so many bits per second; `None` where that is too slow or too much.
    pub fn from_bits_per_second(bits: u64) -> Option<Self> {
        (bits >= Self::LEAST && i64::try_from(bits).is_ok()).then_some(Self(bits))
    }

    /// The rate in bits per second.
    pub fn bits_per_second(self) -> u64 {
        self.0
    }
}

impl TryFrom<String> for Rate {
    type Error = RateError;
    fn try_from(text: String) -> Result<Self, RateError> {
        match parse(&text, &RATE_UNITS) {
            // What OVSDB and the kernel's netlink hold is a signed 64-bit number.
            Some(bits) if i64::try_from(bits).is_err() => Err(RateError::Rate(text)),
            Some(bits) if bits < Self::LEAST => Err(RateError::Slow(text)),
            Some(bits) => Ok(Self(bits)),
            None => Err(RateError::Rate(text)),
        }
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> String {
        rate.to_string()
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write(f, self.0, &RATE_UNITS)
    }
}

impl ByteSize {
    /// The amount in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// The amount in bits.
    pub fn bits(self) -> u64 {
        self.0 * 8
    }
}

impl TryFrom<String> for ByteSize {
    type Error = RateError;
    fn try_from(text: String) -> Result<Self, RateError> {
        // So that the bits fit a signed 64-bit number, too.
        let fits = |bytes: &u64| *bytes > 0 && *bytes <= i64::MAX.unsigned_abs() / 8;
        parse(&text, &SIZE_UNITS).filter(fits).map(Self).ok_or(RateError::Size(text))
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> String {
        size.to_string()
    }
}

impl std::fmt::Display for ByteSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write(f, self.0, &SIZE_UNITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Result<Rate, RateError> {
        Rate::try_from(text.to_owned())
    }

    fn size(text: &str) -> Result<ByteSize, RateError> {
        ByteSize::try_from(text.to_owned())
    }

    #[test]
    fn rates_and_sizes_are_read_as_tc_writes_them() {
        assert_eq!(rate("10mbit").unwrap().bits_per_second(), 10_000_000);
        assert_eq!(rate("1500 Kbit").unwrap().bits_per_second(), 1_500_000);
        assert_eq!(rate("1000bit").unwrap().to_string(), "1kbit");
        assert_eq!(rate("1500000bit").unwrap().to_string(), "1500kbit");
        assert_eq!(size("64kb").unwrap().bytes(), 65536);
        assert_eq!(size("1500b").unwrap().bits(), 12000);
        assert_eq!(size("1048576b").unwrap().to_string(), "1mb");
        for bad in ["", "10", "mbit", "-1mbit", "1.5mbit", "10 mbps", "99999999999gbit", "1e3kbit"] {
            assert_eq!(rate(bad), Err(RateError::Rate(bad.into())), "{bad}");
        }
        assert_eq!(rate("0kbit"), Err(RateError::Slow("0kbit".into())));
        for bad in ["", "10", "0kb", "10kbit", "9999999999gb"] {
            assert_eq!(size(bad), Err(RateError::Size(bad.into())), "{bad}");
        }
    }
}
