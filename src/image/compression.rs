//! What archives are packed with, known by their first bytes; names of files say nothing.
//!
//! A stream may be several packed ones after each other, as gzip(1) and xz(1) have it.

use super::error::ImageError;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, BufReader, Read};

/// How much memory unpacking may take, in KiB: xz(1) needs 65 MiB for what its best level has packed, and zstd(1) 128 MiB for
/// its longest.
const MEMORY_KIB: u32 = 160 << 10;

/// As much as is read at once, in bytes.
const BUFFER: usize = 64 << 10;

/// What a stream is packed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

impl Compression {
    /// That of a stream which begins so.
    pub(super) fn of(beginning: &[u8]) -> Self {
        match beginning {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // A frame that holds nothing may come first (RFC 8878 section 3.1.2).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// A packed stream, unpacked while it is read.
pub(super) enum Unpacked<R: Read> {
    None(BufReader<R>),
    Gzip(MultiGzDecoder<BufReader<R>>),
    Xz(Box<XzReader<BufReader<R>>>),
    Zstd(Box<Zstd<BufReader<R>>>),
}

impl<R: Read> Unpacked<R> {
    /// Of a stream of which nothing was read yet.
    pub(super) fn new(stream: R, name: &str) -> Result<Self, ImageError> {
        let mut stream = BufReader::with_capacity(BUFFER, stream);
        let beginning = stream.fill_buf().map_err(|error| ImageError::of_stream(error, name))?;
        Ok(match Compression::of(beginning) {
            Compression::None => Self::None(stream),
            Compression::Gzip => Self::Gzip(MultiGzDecoder::new(stream)),
            Compression::Xz => Self::Xz(Box::new(XzReader::new_mem_limit(stream, true, MEMORY_KIB))),
            Compression::Zstd => Self::Zstd(Box::new(Zstd::new(stream))),
        })
    }

    /// The packed stream.
    pub(super) fn into_inner(self) -> R {
        match self {
            Self::None(stream) => stream,
            Self::Gzip(stream) => stream.into_inner(),
            Self::Xz(stream) => stream.into_inner(),
            Self::Zstd(zstd) => zstd.stream,
        }
        .into_inner()
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::None(stream) => stream.read(into),
            Self::Gzip(stream) => stream.read(into),
            Self::Xz(stream) => stream.read(into),
            Self::Zstd(stream) => stream.read(into),
        }
    }
}

/// The frames of a zstd stream, one after the other.
pub(super) struct Zstd<R> {
    stream: R,
    decoder: FrameDecoder,
    /// Whether a frame was begun, and not all of it was read.
    is_in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(stream: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(u64::from(MEMORY_KIB) << 10);
        Self { stream, decoder, is_in_frame: false }
    }

    /// Begins the next frame; says whether there is one.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.stream.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.stream) {
                Ok(()) => {
                    self.is_in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = u64::from(length);
                    if io::copy(&mut self.stream.by_ref().take(length), &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(of_decoder(error)),
            }
        }
        Ok(false)
    }

    /// Whether a frame that has ended is what its checksum says, where it has one: the decoder does not look.
    fn verify(&self) -> io::Result<()> {
        match (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum()) {
            (Some(said), Some(found)) if said != found => Err(io::Error::other("its checksum is wrong")),
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.is_in_frame && !self.begin()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.stream, one).map_err(of_decoder)?;
            }
            match self.decoder.read(into)? {
                0 => {
                    self.verify()?;
                    self.is_in_frame = false;
                }
                count => return Ok(count),
            }
        }
    }
}

/// What a decoder's error is to who reads: that a stream ends too early is to be seen.
fn of_decoder(error: FrameDecoderError) -> io::Error {
    let mut causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    let is_cut = causes.any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
    });
    if is_cut { io::ErrorKind::UnexpectedEof.into() } else { io::Error::other(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Packs by the machine's own program.
    fn packed(program: &str, arguments: &[&str], data: &[u8]) -> Vec<u8> {
        use std::io::Write as _;
        let mut command = Command::new(program);
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let data = data.to_vec();
        let writer = std::thread::spawn(move || input.write_all(&data).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(output.status.success());
        output.stdout
    }

    fn data() -> Vec<u8> {
        (0..300_000_u32).flat_map(|number| number.wrapping_mul(number).to_le_bytes()).collect()
    }

    fn unpacked(packed: &[u8]) -> Result<Vec<u8>, ImageError> {
        let mut stream = Unpacked::new(packed, "it")?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).map_err(|error| ImageError::of_stream(error, "it"))?;
        Ok(all)
    }

    const PROGRAMS: [(&str, &[&str]); 3] = [("gzip", &["-c"]), ("xz", &["-c"]), ("zstd", &["-c", "--check"])];

    #[test]
    fn what_programs_pack_is_unpacked() {
        let data = data();
        assert_eq!(unpacked(&data).unwrap(), data);
        for (program, arguments) in PROGRAMS {
            let mut packed = packed(program, arguments, &data);
            assert_ne!(Compression::of(&packed), Compression::None, "{program}");
            assert_eq!(unpacked(&packed).unwrap(), data, "{program}");
            // Two after each other.
            packed.extend_from_within(..);
            assert_eq!(unpacked(&packed).unwrap(), [&data[..], &data[..]].concat(), "{program}");
        }
    }

    #[test]
    fn what_is_cut_off_or_changed_is_refused() {
        for (program, arguments) in PROGRAMS {
            let whole = packed(program, arguments, &data());
            for cut in [1, 5, whole.len() / 2] {
                let error = unpacked(&whole[..whole.len() - cut]).unwrap_err();
                assert!(matches!(error, ImageError::Truncated { .. }), "{program}, {cut}: {error:?}");
            }
            for at in [whole.len() / 2, whole.len() - 4] {
                let mut changed = whole.clone();
                changed[at] ^= 0x10;
                let error = unpacked(&changed).unwrap_err();
                assert!(matches!(error, ImageError::Damaged { .. }), "{program}, {at}: {error:?}");
            }
        }
    }
}
