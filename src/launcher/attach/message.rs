//! What process 1 and those who have joined say to one another: a letter, and what it is of.

use crate::launcher::handshake::Ended;

/// The longest message, in bytes: what is printed or typed goes in portions.
pub(super) const LONGEST: usize = 4096 + 1;

/// What process 1 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToClient<'a> {
    /// First: whether there is a terminal.
    Welcome { has_terminal: bool },
    /// This was printed.
    Printed(&'a [u8]),
    /// The container has ended.
    Ended(Ended),
}

/// What those say who have joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToServer<'a> {
    /// This was typed.
    Typed(&'a [u8]),
    /// My terminal is this large.
    Size { rows: u16, columns: u16 },
}

impl<'a> ToClient<'a> {
    pub(super) fn write(self) -> Vec<u8> {
        match self {
            Self::Welcome { has_terminal } => vec![b'w', has_terminal.into()],
            Self::Printed(bytes) => [b"p", bytes].concat(),
            Self::Ended(Ended::Code(code)) => vec![b'c', code],
            Self::Ended(Ended::Signal(signal)) => [b"s".as_slice(), &signal.to_le_bytes()].concat(),
        }
    }

    /// `None` for what is no message.
    pub(super) fn read(text: &'a [u8]) -> Option<Self> {
        let (letter, rest) = text.split_first()?;
        match (letter, rest) {
            (b'w', [has_terminal]) => Some(Self::Welcome { has_terminal: *has_terminal != 0 }),
            (b'p', bytes) => Some(Self::Printed(bytes)),
            (b'c', [code]) => Some(Self::Ended(Ended::Code(*code))),
            (b's', number) => Some(Self::Ended(Ended::Signal(i32::from_le_bytes(number.try_into().ok()?)))),
            _ => None,
        }
    }
}

impl<'a> ToServer<'a> {
    pub(super) fn write(self) -> Vec<u8> {
        match self {
            Self::Typed(bytes) => [b"t", bytes].concat(),
            Self::Size { rows, columns } => [b"z".as_slice(), &rows.to_le_bytes(), &columns.to_le_bytes()].concat(),
        }
    }

    /// `None` for what is no message.
    pub(super) fn read(text: &'a [u8]) -> Option<Self> {
        let (letter, rest) = text.split_first()?;
        match (letter, rest) {
            (b't', bytes) => Some(Self::Typed(bytes)),
            (b'z', [a, b, c, d]) => {
                Some(Self::Size { rows: u16::from_le_bytes([*a, *b]), columns: u16::from_le_bytes([*c, *d]) })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let all = [
            ToClient::Welcome { has_terminal: true },
            ToClient::Printed(b"text\0"),
            ToClient::Printed(b""),
            ToClient::Ended(Ended::Code(7)),
            ToClient::Ended(Ended::Signal(9)),
        ];
        for message in all {
            assert_eq!(ToClient::read(&message.write()), Some(message));
        }
        for message in [ToServer::Typed(b"\x03"), ToServer::Size { rows: 24, columns: 300 }] {
            assert_eq!(ToServer::read(&message.write()), Some(message));
        }
    }

    #[test]
    fn what_is_no_message_is_none() {
        for text in [&b""[..], b"w", b"x", b"c", b"cc1", b"s12"] {
            assert_eq!(ToClient::read(text), None, "{text:?}");
        }
        for text in [&b""[..], b"z", b"z123", b"z12345", b"y"] {
            assert_eq!(ToServer::read(text), None, "{text:?}");
        }
    }
}
