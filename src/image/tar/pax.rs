//! What pax archives say of an entry before it comes (POSIX.1-2017, pax, "pax Extended Header").

use super::super::entry::{Attributes, Time};

/// What extended attributes' names begin with (star, and all who have come after).
const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";

/// As many parts as a sparse file may have: each is remembered.
pub(super) const MOST_PARTS: usize = 1 << 20;

/// What is said of an entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) modified: Option<Time>,
    pub(super) attributes: Attributes,
    pub(super) sparse: Option<SparseMap>,
}

/// What is said of a sparse file (GNU tar manual, "PAX Format, Versions 0.0, 0.1 and 1.0").
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SparseMap {
    /// The file's name, where the entry has another one.
    pub(super) name: Option<Vec<u8>>,
    /// The size with the holes.
    pub(super) size: Option<u64>,
    /// Offsets and lengths, in turn, of versions 0.0 and 0.1.
    pub(super) numbers: Vec<u64>,
    /// Whether offsets and lengths stand before the data: version 1.0.
    pub(super) is_in_data: bool,
}

impl Extensions {
    /// Reads records, each of which is `LENGTH KEY=VALUE` and a line's end; the length is that of the whole record. `None` where
    /// something else is there.
    pub(super) fn parse(mut text: &[u8]) -> Option<Self> {
        let mut all = Self::default();
        while !text.is_empty() {
            let blank = text.iter().position(|byte| *byte == b' ')?;
            let length: usize = number(&text[..blank])?;
            // Room for the number, the blank, the equals sign and the end.
            let record = text.get(blank + 1..length)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|byte| *byte == b'=')?;
            all.take(&record[..equals], &record[equals + 1..])?;
            text = &text[length..];
        }
        Some(all)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        // An empty value takes back what was said before.
        let text = (!value.is_empty()).then(|| value.to_vec());
        match key {
            // They could not be told from others.
            b"path" | b"linkpath" if value.contains(&0) => return None,
            b"path" => self.path = text,
            b"linkpath" => self.link = text,
            b"size" => self.size = Some(number(value)?),
            b"uid" => self.uid = Some(number(value)?),
            b"gid" => self.gid = Some(number(value)?),
            b"mtime" => self.modified = Some(time(value)?),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse().size = Some(number(value)?),
            b"GNU.sparse.name" => self.sparse().name = text,
            b"GNU.sparse.major" => self.sparse().is_in_data = number::<u64>(value)? > 0,
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                let number = number(value)?;
                self.sparse().numbers.push(number);
            }
            b"GNU.sparse.map" => {
                let numbers: Option<Vec<u64>> = value.split(|byte| *byte == b',').map(number).collect();
                self.sparse().numbers = numbers?;
            }
            _ => {
                if let Some(name) = key.strip_prefix(ATTRIBUTE) {
                    self.attributes.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Some(())
    }

    fn sparse(&mut self) -> &mut SparseMap {
        self.sparse.get_or_insert_default()
    }
}

/// A number of decimal digits alone.
pub(super) fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    let is_plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_plain.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// Seconds, and what there is of them behind a point.
fn time(text: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    // Both go in one direction in the text, and not in what the kernel is told.
    if text.starts_with('-') && nanoseconds > 0 {
        return Some(Time { seconds: seconds.checked_sub(1)?, nanoseconds: 1_000_000_000 - nanoseconds });
    }
    Some(Time { seconds, nanoseconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let rest = key.len() + value.len() + 3;
        let length = (rest..rest + 9).find(|length| length.to_string().len() + rest == *length).unwrap();
        [length.to_string().as_bytes(), b" ", key.as_bytes(), b"=", value, b"\n"].concat()
    }

    #[test]
    fn records_may_hold_anything() {
        let value = b"\x01\0\0\x02\n12 path=/etc/shadow\n";
        let text = [record("SCHILY.xattr.security.capability", value), record("size", b"8589934593")].concat();
        let all = Extensions::parse(&text).unwrap();
        assert_eq!(all.attributes, [(b"security.capability".to_vec(), value.to_vec())]);
        assert_eq!((all.size, all.path), (Some(8_589_934_593), None));
    }

    #[test]
    fn what_is_no_record_is_none() {
        for bad in ["x", "5", "3 a", "99 a=b\n", "0 a=b\n", "2 \n", "6 a=bc", "+6 a=b\n", "18446744073709551615 a=b\n"]
        {
            assert_eq!(Extensions::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Extensions::parse(&record("size", b"-1")), None);
        assert_eq!(Extensions::parse(&record("path", b"a\0b")), None);
    }

    #[test]
    fn times_are_read_to_the_nanosecond() {
        let of = |seconds, nanoseconds| Some(Time { seconds, nanoseconds });
        assert_eq!(time(b"12.5"), of(12, 500_000_000));
        assert_eq!(time(b"-1.25"), of(-2, 750_000_000));
        assert_eq!(time(b"7"), of(7, 0));
        assert_eq!(time(b"1.0000000019"), of(1, 1));
        assert_eq!(time(b"x"), None);
    }
}
