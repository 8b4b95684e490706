//! JSON values one after the other in a stream of bytes, with nothing between them (RFC 7047 section 4).

use bytes::{Bytes, BytesMut};
use tokio_util::codec::Decoder;

/// The longest message that is taken. A whole database of a thousand ports is one of about a megabyte.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Bytes that are no message.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A message begins with something else than a brace.
    #[error("the server sent {0:?} where a JSON object should begin: this is no OVSDB server")]
    NoObject(char),
    /// A message goes on and on.
    #[error("the server sent a message of more than {} MiB, which is the most that is read", MAX_MESSAGE_BYTES >> 20)]
    TooLong,
    /// The stream ended inside a message.
    #[error("the connection ended in the middle of a message")]
    Truncated,
    /// Reading failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Finds where each JSON object ends. It looks at every byte once, however they arrive; whether what is between is
/// JSON, the parser says.
#[derive(Debug, Default)]
pub struct JsonFrames {
    /// How many bytes of the current object were looked at.
    scanned: usize,
    /// How many braces and brackets are open.
    depth: usize,
    within: Within,
}

#[derive(Debug, Default, Clone, Copy)]
enum Within {
    #[default]
    Value,
    String,
    /// In a string, behind a backslash.
    Escape,
}

impl JsonFrames {
    fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, &byte) in bytes.iter().enumerate().skip(self.scanned) {
            self.within = match (self.within, byte) {
                (Within::Value, b'"') | (Within::Escape, _) => Within::String,
                (Within::Value, b'{' | b'[') => {
                    self.depth += 1;
                    Within::Value
                }
                (Within::Value, b'}' | b']') => {
                    self.depth -= 1; // the first byte is a brace: there is one to close
                    if self.depth == 0 {
                        return Some(index + 1);
                    }
                    Within::Value
                }
                (Within::String, b'"') => Within::Value,
                (Within::String, b'\\') => Within::Escape,
                (within, _) => within,
            };
        }
        self.scanned = bytes.len();
        None
    }
}

impl Decoder for JsonFrames {
    type Item = Bytes;
    type Error = FrameError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        if self.scanned == 0 {
            let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            bytes::Buf::advance(buffer, blank);
            match buffer.first() {
                None => return Ok(None),
                Some(b'{') => {}
                Some(&other) => return Err(FrameError::NoObject(char::from(other))),
            }
        }
        match self.scan(buffer) {
            Some(end) if end <= MAX_MESSAGE_BYTES => {
                *self = Self::default();
                Ok(Some(buffer.split_to(end).freeze()))
            }
            None if buffer.len() <= MAX_MESSAGE_BYTES => Ok(None),
            _ => Err(FrameError::TooLong),
        }
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        match self.decode(buffer)? {
            None if !buffer.is_empty() => Err(FrameError::Truncated),
            frame => Ok(frame),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All frames of a stream that arrives in pieces, and the error that it ends with.
    fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Bytes>, Option<FrameError>) {
        let (mut codec, mut buffer, mut all) = (JsonFrames::default(), BytesMut::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                match codec.decode(&mut buffer) {
                    Ok(Some(frame)) => all.push(frame),
                    Ok(None) => break,
                    Err(error) => return (all, Some(error)),
                }
            }
        }
        match codec.decode_eof(&mut buffer) {
            Ok(Some(frame)) => all.push(frame),
            Ok(None) => {}
            Err(error) => return (all, Some(error)),
        }
        (all, None)
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "[\"\\\\{}\\[\\] a-z\u{e9}\n]{0,12}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::hash_map("[\"\\\\{}a-z]{0,6}", inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_split_of_a_stream_gives_the_same_messages(
            values in prop::collection::vec(json(), 0..6),
            blanks in prop::collection::vec("[ \n\t\r]{0,3}", 7),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let objects: Vec<String> = values.iter().map(|value| serde_json::json!({ "v": value }).to_string()).collect();
            let mut text = blanks[6].clone();
            for (object, blank) in objects.iter().zip(&blanks) {
                text.push_str(object);
                text.push_str(blank);
            }
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            places.extend([0, text.len()]);
            places.sort_unstable();
            let pieces = places.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]);
            let (found, error) = frames(pieces);
            prop_assert!(error.is_none(), "{error:?}");
            prop_assert_eq!(found, objects.into_iter().map(Bytes::from).collect::<Vec<_>>());
        }

        #[test]
        fn garbage_ends_in_an_error_or_in_frames_and_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (whole, _) = frames([bytes.as_slice()]);
            let (apart, _) = frames(bytes.chunks(1));
            prop_assert_eq!(whole, apart);
        }
    }

    #[test]
    fn a_message_may_be_64_mib_long_and_no_longer() {
        let object = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8)).into_bytes();
        let longest = object(MAX_MESSAGE_BYTES);
        assert_eq!(longest.len(), MAX_MESSAGE_BYTES);
        let (found, error) = frames(longest.chunks(1 << 16));
        assert_eq!((found.len(), found[0].len(), error.is_none()), (1, MAX_MESSAGE_BYTES, true));
        let (found, error) = frames(object(MAX_MESSAGE_BYTES + 1).chunks(1 << 16));
        assert!(found.is_empty() && matches!(error, Some(FrameError::TooLong)), "{error:?}");
    }

    #[test]
    fn what_is_no_message_is_told() {
        let error = |bytes: &[u8]| frames([bytes]).1.map(|error| error.to_string());
        assert!(error(b"HTTP/1.1 400").unwrap().contains("'H' where a JSON object should begin"));
        assert!(error(b"{\"a\":").unwrap().contains("in the middle of a message"));
        assert_eq!(error(b"  \n"), None);
    }
}
