//! What an archive may hold: any bytes. Nothing may panic, and nothing may come of it but files in the one directory.
//!
//! `cargo +nightly fuzz run unpack fuzz/corpus/unpack fuzz/seeds/unpack` (cargo install cargo-fuzz); as root, so that owners and
//! attributes are set, too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nslab::image::{Budget, Cancel, Devices, unpack_archive};
use std::fs;
use std::os::unix::fs::MetadataExt;

const BLOCK: usize = 512;

/// Names that mean something, of which paths are made.
const NAMES: [&str; 13] =
    ["a", "b", "c", "..", ".", "", ".wh.a", ".wh.b", ".wh..wh..opq", ".wh.", "secret", "a/b", ABSOLUTE];

/// Nothing may come there.
const ABSOLUTE: &str = "/dev/shm/nslab-fuzz-unpack";

/// Makes the checksum of a header right, which hardly any chance does.
fn right(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// An archive of entries that are four bytes each: what it is, and two paths.
fn written(data: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in data.chunks_exact(4) {
        let path = |at: u8| {
            let [a, b] = [at & 15, at >> 4].map(|at| NAMES[usize::from(at) % NAMES.len()]);
            format!("{a}/{b}")
        };
        let mut header = [0; BLOCK];
        let (name, link) = (path(entry[1]), path(entry[2]));
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header[100..107].copy_from_slice(b"0006755");
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[156] = b"0123456"[usize::from(entry[0]) % 7];
        let bytes = usize::from(entry[3]);
        header[124..135].copy_from_slice(format!("{bytes:011o}").as_bytes());
        right(&mut header);
        all.extend(header);
        if header[156] == b'0' {
            all.resize(all.len() + bytes.next_multiple_of(BLOCK), 7);
        }
    }
    all.resize(all.len() + 2 * BLOCK, 0);
    all
}

/// The same bytes, with right checksums where they could be.
fn mended(data: &[u8]) -> Vec<u8> {
    let mut all = data.to_vec();
    all.resize(all.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    for block in all.chunks_exact_mut(BLOCK) {
        if block.iter().any(|byte| *byte != 0) {
            right(block);
        }
    }
    all
}

fuzz_target!(|data: &[u8]| {
    let Some((how, data)) = data.split_first() else { return };
    let devices = if how & 128 == 0 { Devices::LeaveOut } else { Devices::Make };
    let archive = match how % 3 {
        0 => data.to_vec(),
        1 => mended(data),
        _ => written(data),
    };
    let outer = tempfile::tempdir_in("/dev/shm").expect("there is memory");
    let (files, secret) = (outer.path().join("files"), outer.path().join("secret"));
    fs::create_dir(&files).expect("it is new");
    fs::write(&secret, "secret").expect("it is new");
    let of_secret = || fs::metadata(&secret).map(|it| (it.nlink(), it.mode(), it.uid())).expect("it is there");
    let before = of_secret();
    let budget = Budget::new("1M".parse().expect("it is one"), Cancel::default());
    let _ = unpack_archive(&archive[..], &files, &budget, devices);
    assert_eq!(fs::read_dir(outer.path()).expect("it is there").count(), 2);
    assert_eq!(fs::read(&secret).expect("it is there"), b"secret");
    assert_eq!(of_secret(), before);
    let escaped = fs::symlink_metadata(ABSOLUTE);
    // Or whatever comes next would be blamed for it.
    let _ = fs::remove_dir_all(ABSOLUTE).or_else(|_| fs::remove_file(ABSOLUTE));
    assert!(escaped.is_err(), "{ABSOLUTE} is there");
});
