//! How fast disks may be read and written.

use super::limits::MemorySize;
use serde::{Deserialize, Serialize};

/// Bytes in a second: `10MB/s`, and in short `10M`, are 10 times 1024 times 1024, as [`MemorySize`] counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IoRate(u64);

/// A text that is no such rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no rate at which a disk is read or written: write a whole number of bytes in a second with its unit, from 1KB/s on, \
     as in 512KB/s or 10MB/s"
)]
pub struct IoRateError(String);

impl IoRate {
    /// The least: none at all is no rate to the kernel (io.max; in version 1, 0 lifts the limit), and one page would take seconds.
    const LEAST: u64 = 1024;

    /// So many bytes in a second; `None` where the kernel could not hold anybody to it.
    pub fn from_bytes(bytes: u64) -> Option<Self> {
        MemorySize::from_bytes(bytes).filter(|_| bytes >= Self::LEAST).map(|_| Self(bytes))
    }

    /// The nearest to so many bytes in a second, which somebody else may have said to the kernel; `None` for none at all.
    pub fn nearest(bytes: u64) -> Option<Self> {
        Self::from_bytes(if bytes == 0 { 0 } else { bytes.max(Self::LEAST) })
    }

    /// The bytes in a second.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl std::str::FromStr for IoRate {
    type Err = IoRateError;
    fn from_str(text: &str) -> Result<Self, IoRateError> {
        let amount = text.trim();
        let amount = amount.strip_suffix("/s").unwrap_or(amount);
        let bytes = amount.parse::<MemorySize>().ok().map(MemorySize::bytes);
        bytes.and_then(Self::from_bytes).ok_or_else(|| IoRateError(text.to_owned()))
    }
}

impl TryFrom<String> for IoRate {
    type Error = IoRateError;
    fn try_from(text: String) -> Result<Self, IoRateError> {
        text.parse()
    }
}

impl From<IoRate> for String {
    fn from(rate: IoRate) -> String {
        rate.to_string()
    }
}

impl std::fmt::Display for IoRate {
    /// As people say it, exact: `10 MB/s`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match MemorySize::from_bytes(self.0) {
            Some(amount) => write!(f, "{amount}/s"),
            None => write!(f, "{} B/s", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_counted_as_memory_is() {
        for (text, bytes) in [
            ("10MB/s", 10 << 20),
            ("10M", 10 << 20),
            ("10 MiB/s", 10 << 20),
            ("512kb/s", 512 << 10),
            ("1g/s", 1 << 30),
            ("1024", 1024),
            ("1500B/s", 1500),
        ] {
            let rate = text.parse::<IoRate>().unwrap();
            assert_eq!(rate.bytes(), bytes, "{text}");
            assert_eq!(rate.to_string().parse::<IoRate>(), Ok(rate), "{rate}");
        }
        for text in
            ["", "0", "0MB/s", "1B/s", "1023", "/s", "10MB/m", "10Mbit/s", "-1", "1.5MB/s", "99999999T", "10MB/s/s"]
        {
            assert!(text.parse::<IoRate>().is_err(), "{text}");
        }
        assert_eq!(
            [0, 7, 4096].map(IoRate::nearest).map(|rate| rate.map(IoRate::bytes)),
            [None, Some(1024), Some(4096)]
        );
        assert_eq!("10485760".parse::<IoRate>().unwrap().to_string(), "10 MB/s");
    }
}
