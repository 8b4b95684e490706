//! What a server may send: any bytes, in any pieces. The pieces must not matter, and nothing may panic.
//!
//! `cargo +nightly fuzz run ovsdb` (cargo install cargo-fuzz).

#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use nslab::host::ovsdb::{Atom, JsonFrames, Replica, Schema, TableUpdates, Uuid, Value};
use tokio_util::codec::Decoder;

fn frames<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Bytes> {
    let (mut codec, mut buffer, mut all) = (JsonFrames::default(), BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(frame)) => all.push(frame),
                Ok(None) => break,
                Err(_) => return all,
            }
        }
    }
    let _ = codec.decode_eof(&mut buffer);
    all
}

fn has_reals(value: &Value) -> bool {
    let is_real = |atom: &Atom| matches!(atom, Atom::Real(_));
    match value {
        Value::Set(atoms) => atoms.iter().any(is_real),
        Value::Map(pairs) => pairs.iter().any(|(key, value)| is_real(key) || is_real(value)),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&size, rest)) = data.split_first() else { return };
    let whole = frames(std::iter::once(rest));
    assert_eq!(whole, frames(rest.chunks(usize::from(size).max(1))));
    for frame in whole {
        let _ = serde_json::from_slice::<Schema>(&frame);
        if let Ok(updates) = serde_json::from_slice::<TableUpdates>(&frame) {
            let schema = r#"{"name":"d","version":"1","tables":{"T":{"columns":{
                "s":{"type":{"key":"string","min":0,"max":9}},"m":{"type":{"key":"string","value":"string"}}}}}}"#;
            let schema = serde_json::from_str(schema).expect("it is one");
            let mut replica = Replica::default();
            replica.apply(&schema, &updates);
            replica.apply(&schema, &updates);
        }
    }
    if let Ok(value) = serde_json::from_slice::<Value>(rest) {
        let text = serde_json::to_vec(&value).expect("a value can be written");
        let again: Value = serde_json::from_slice(&text).expect("and read back");
        // serde_json reads fractions quickly, not to the last bit.
        assert!(value.is_same(&again) || has_reals(&value), "{value:?} {again:?}");
    }
    if let Ok(text) = std::str::from_utf8(rest) {
        if let Ok(uuid) = text.parse::<Uuid>() {
            assert_eq!(uuid.to_string(), text.to_ascii_lowercase());
        }
    }
});
