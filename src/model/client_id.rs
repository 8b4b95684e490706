//! By what a DHCP server knows a client.

use serde::{Deserialize, Serialize};

/// A client's identifier (option 61, RFC 2132 section 9.14): a type, and its bytes. A server gives the address of a client
/// to nobody with another one. As text it is pairs of hexadecimal digits with colons between them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(Vec<u8>);

/// A text that is no client's identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no DHCP client's identifier: that is 2 to 255 pairs of hexadecimal digits, with colons between them")]
pub struct ParseClientIdError(String);

impl ClientId {
    /// The type of a text that is nobody's hardware address.
    const TEXT: u8 = 0;

    /// That of an IAID and a DUID (RFC 4361).
    const DUID: u8 = 255;

    /// From bytes, the type being the first; `None` where an option can't hold them.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (2..=255).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// Of a text that is no hardware address; `None` where an option can't hold it.
    pub fn of_text(text: &str) -> Option<Self> {
        Self::new(std::iter::once(Self::TEXT).chain(text.bytes()).collect())
    }

    /// The IAID and the DUID by which a server of DHCPv6 knows the same client: they are in an identifier of RFC 4361, section
    /// 6.1; `None` of any other.
    pub fn of_six(&self) -> Option<(u32, &[u8])> {
        let (iaid, duid) = self.0.strip_prefix(&[Self::DUID])?.split_first_chunk::<4>()?;
        // Its type alone is two bytes, and none is longer than 130 (RFC 8415 section 11.1).
        (3..=130).contains(&duid.len()).then(|| (u32::from_be_bytes(*iaid), duid))
    }

    /// The type, and the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Display for ClientId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pairs: Vec<String> = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        f.write_str(&pairs.join(":"))
    }
}

impl std::str::FromStr for ClientId {
    type Err = ParseClientIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pair = |pair: &str| {
            let is_pair = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            is_pair.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
        };
        let bytes = text.split(':').map(pair).collect::<Option<Vec<u8>>>();
        bytes.and_then(Self::new).ok_or_else(|| ParseClientIdError(text.to_owned()))
    }
}

impl TryFrom<String> for ClientId {
    type Error = ParseClientIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_be_written_and_read() {
        let text = "ff:2b:50:67:35:00:02:00:00:ab:11";
        let id: ClientId = text.parse().unwrap();
        assert_eq!(id.as_bytes()[..2], [0xff, 0x2b]);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("{text:?}"));
        assert_eq!(serde_json::from_str::<ClientId>(&json).unwrap(), id);
        assert_eq!(ClientId::of_text("h1").unwrap().to_string(), "00:68:31");
    }

    #[test]
    fn an_identifier_may_hold_that_of_dhcpv6() {
        let id: ClientId = "ff:2b:50:67:35:00:02:00:00:ab:11:07".parse().unwrap();
        assert_eq!(id.of_six(), Some((0x2b50_6735, &[0, 2, 0, 0, 0xab, 0x11, 7][..])));
        for other in ["01:02:00:00:00:00:01:00:01", "ff:2b:50:67:35", "ff:2b:50:67:35:00:02"] {
            assert_eq!(other.parse::<ClientId>().unwrap().of_six(), None, "{other}");
        }
    }

    #[test]
    fn what_no_option_can_hold_is_none() {
        for wrong in ["", "ff", "ff:", "ff:+1", "ff:123", "ff 01", "fß:01"] {
            assert_eq!(wrong.parse::<ClientId>(), Err(ParseClientIdError(wrong.to_owned())));
        }
        assert_eq!(ClientId::new(vec![1; 256]), None);
    }
}
