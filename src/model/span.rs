//! Spans of time, as tc(8) writes them.

use serde::{Deserialize, Serialize};

/// A span of time in nanoseconds, at least 1 and at most an hour: `500us`, `20ms`, `1s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(u64);

/// A text that is no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Not a number with a unit of time.
    #[error("`{0}` is no time: write a whole number with its unit, as in 500us, 20ms or 1s")]
    Text(String),
    /// Longer than anything on a network takes.
    #[error("`{0}` is more than an hour: choose a shorter time")]
    Long(String),
}

/// The units, from the biggest: each is a multiple of the next.
const UNITS: [(&str, u64); 4] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000), ("ns", 1)];

/// The longest, in nanoseconds.
const MOST: u64 = 3600 * 1_000_000_000;

impl Span {
    /// The span in nanoseconds.
    pub fn nanoseconds(self) -> u64 {
        self.0
    }

    /// A span of so many nanoseconds; `None` for none, and for more than an hour.
    pub fn from_nanoseconds(nanoseconds: u64) -> Option<Self> {
        (1..=MOST).contains(&nanoseconds).then_some(Self(nanoseconds))
    }
}

impl TryFrom<String> for Span {
    type Error = SpanError;
    fn try_from(text: String) -> Result<Self, SpanError> {
        // The longest unit that the text ends with: `ms` ends with `s` too.
        let units = UNITS.iter().filter(|(unit, _)| text.ends_with(unit));
        let Some((unit, factor)) = units.max_by_key(|(unit, _)| unit.len()) else { return Err(SpanError::Text(text)) };
        let number = text[..text.len() - unit.len()].trim_end();
        let is_whole = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        match number.parse::<u64>().ok().filter(|_| is_whole) {
            None | Some(0) => Err(SpanError::Text(text)),
            Some(number) => number.checked_mul(*factor).and_then(Self::from_nanoseconds).ok_or(SpanError::Long(text)),
        }
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fitting = UNITS.iter().find(|(_, factor)| self.0.is_multiple_of(*factor));
        fitting.map_or(Ok(()), |(unit, factor)| write!(f, "{}{unit}", self.0 / factor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_tc_writes_them() {
        let span = |text: &str| Span::try_from(text.to_owned());
        for (text, nanoseconds, written) in [
            ("20ms", 20_000_000, "20ms"),
            ("1500 us", 1_500_000, "1500us"),
            ("2000ms", 2_000_000_000, "2s"),
            ("64ns", 64, "64ns"),
            ("3600s", MOST, "3600s"),
        ] {
            let span = span(text).unwrap();
            assert_eq!((span.nanoseconds(), span.to_string().as_str()), (nanoseconds, written));
        }
        for bad in ["", "s", "20", "-1ms", "1.5ms", "0ms", "1h", "99999999999999999999s"] {
            assert_eq!(span(bad), Err(SpanError::Text(bad.into())), "{bad}");
        }
        for long in ["3601s", "18446744073709551615s"] {
            assert_eq!(span(long), Err(SpanError::Long(long.into())));
        }
    }
}
