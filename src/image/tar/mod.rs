//! Archives of tar(5), read from their beginning to their end (POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar's formats).
//!
//! The crate `tar` reads the headers. What goes on from header to header is done here, because the crate's own iterator keeps
//! headers of any length in memory, knows no extended attribute that has a line's end in it (as that of capabilities often has),
//! and no sparse file of pax archives. Where formats leave something open, this reads what Go's archive/tar reads: images are
//! written by that.

mod pax;
mod sparse;

use super::entry::{Entry, Kind, Time};
use super::error::{ImageError, Refusal};
use pax::Extensions;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use tar::{EntryType, Header};

/// The unit of which archives are made, in bytes.
const BLOCK: usize = 512;

/// The longest name, or set of extensions: extended attributes have up to 64 KiB each.
const LONGEST_EXTENSION: u64 = 1 << 20;

/// An archive that is being read.
pub(super) struct Archive<'a, R> {
    stream: R,
    /// What it is called in messages.
    name: &'a str,
    /// What is left of the current entry's data, in bytes.
    data: u64,
    /// What comes after that up to the next header.
    padding: u64,
}

/// What stands before an entry and is about it.
#[derive(Default)]
struct Before {
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    extensions: Extensions,
}

impl<'a, R: Read> Archive<'a, R> {
    pub(super) fn new(stream: R, name: &'a str) -> Self {
        Self { stream, name, data: 0, padding: 0 }
    }

    /// The next entry; `None` after the last one. What was not read of the one before is passed over.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, ImageError> {
        let mut before = Before::default();
        loop {
            self.pass_over()?;
            let Some(header) = self.header()? else { return Ok(None) };
            match header.entry_type() {
                // The label of a tape.
                sort if sort.as_byte() == b'V' => self.set_data(self.size(&header)?)?,
                EntryType::GNULongName => before.long_path = Some(self.name_of(&header)?),
                EntryType::GNULongLink => before.long_link = Some(self.name_of(&header)?),
                EntryType::XHeader => {
                    let text = self.extension(&header)?;
                    before.extensions = Extensions::parse(&text).ok_or_else(|| self.damaged("bad extensions"))?;
                }
                // Of all that comes after: comments of who has written it, as a rule.
                EntryType::XGlobalHeader => drop(self.extension(&header)?),
                _ => return self.entry(&header, before).map(Some),
            }
        }
    }

    /// The data of the current entry.
    pub(super) fn data(&mut self) -> Data<'_, R> {
        Data { stream: &mut self.stream, left: &mut self.data }
    }

    /// Reads what comes after the end, to the end of the stream, and gives that back: who has written it may have padded it, and
    /// it is part of what a digest is of.
    pub(super) fn finish(mut self) -> Result<R, ImageError> {
        io::copy(&mut self.stream, &mut io::sink()).map_err(|error| ImageError::of_stream(error, self.name))?;
        Ok(self.stream)
    }

    fn pass_over(&mut self) -> Result<(), ImageError> {
        let left = std::mem::take(&mut self.data) + std::mem::take(&mut self.padding);
        let passed = io::copy(&mut (&mut self.stream).take(left), &mut io::sink());
        if passed.map_err(|error| ImageError::of_stream(error, self.name))? < left {
            return Err(self.truncated());
        }
        Ok(())
    }

    /// The next header; `None` at the archive's end, which is a block of zeros.
    fn header(&mut self) -> Result<Option<Header>, ImageError> {
        let mut header = Header::new_old();
        self.read_exact(header.as_mut_bytes())?;
        let bytes = header.as_bytes();
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // With blanks in its own place.
        let own = 148..156;
        let of = |(at, byte): (usize, &u8)| if own.contains(&at) { u32::from(b' ') } else { u32::from(*byte) };
        let sum: u32 = bytes.iter().enumerate().map(of).sum();
        if header.cksum().ok() != Some(sum) {
            return Err(self.damaged("there is something else where a file's header should be (its checksum is wrong)"));
        }
        Ok(Some(header))
    }

    fn read_exact(&mut self, into: &mut [u8]) -> Result<(), ImageError> {
        self.stream.read_exact(into).map_err(|error| ImageError::of_stream(error, self.name))
    }

    fn size(&self, header: &Header) -> Result<u64, ImageError> {
        number(header.entry_size(), &header.as_old().size).ok_or_else(|| self.damaged("a size is no number"))
    }

    fn set_data(&mut self, bytes: u64) -> Result<(), ImageError> {
        let whole = bytes.checked_next_multiple_of(BLOCK as u64).ok_or_else(|| self.damaged("a size is too large"))?;
        (self.data, self.padding) = (bytes, whole - bytes);
        Ok(())
    }

    /// What an entry holds that is about the next one.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, ImageError> {
        let bytes = self.size(header)?;
        if bytes > LONGEST_EXTENSION {
            return Err(self.damaged("a name, or what else is about a file, is longer than 1 MiB"));
        }
        self.set_data(bytes)?;
        let mut text = Vec::new();
        let read = self.data().read_to_end(&mut text);
        read.map_err(|error| ImageError::of_stream(error, self.name))?;
        Ok(text)
    }

    /// A name that was too long for its own header; it ends with a NUL.
    fn name_of(&mut self, header: &Header) -> Result<Vec<u8>, ImageError> {
        let mut name = self.extension(header)?;
        name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
        Ok(name)
    }

    fn entry(&mut self, header: &Header, before: Before) -> Result<Entry, ImageError> {
        let Before { long_path, long_link, extensions } = before;
        let path = extensions.path.or(long_path).unwrap_or_else(|| header.path_bytes().into_owned());
        let link = || {
            let link = extensions.link.clone().or(long_link);
            let link = link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
            path_of(link.unwrap_or_default())
        };
        let refused = |refusal| ImageError::Refused { path: path_of(path.clone()), refusal };
        let old = header.as_old();
        let no_number = || self.damaged("a number is none");
        let uid = extensions.uid.or_else(|| number(header.uid(), &old.uid)).ok_or_else(no_number)?;
        let gid = extensions.gid.or_else(|| number(header.gid(), &old.gid)).ok_or_else(no_number)?;
        let mode = number(header.mode(), &old.mode).ok_or_else(no_number)?;
        // One before 1970 has no meaning in an image.
        let seconds = header.mtime().ok().and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or_default();
        let modified = extensions.modified.unwrap_or(Time { seconds, nanoseconds: 0 });
        let size = match extensions.size {
            Some(size) => size,
            None => self.size(header)?,
        };
        let device = |number: io::Result<Option<u32>>| number.ok().flatten().unwrap_or(0);
        let mut name = None;
        let kind = match header.entry_type() {
            // Before POSIX, a slash at the end said what is a directory.
            EntryType::Regular if path.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => {
                self.set_data(size)?;
                if let Some(map) = extensions.sparse {
                    name.clone_from(&map.name);
                    let (bytes, parts) = sparse::of_pax(self, &map).ok_or_else(|| refused(Refusal::Sparse))?;
                    Kind::File { bytes, parts }
                } else {
                    Kind::whole_file(size)
                }
            }
            EntryType::GNUSparse => {
                let (bytes, parts) = sparse::of_gnu(self, header)?;
                self.set_data(size)?;
                if !sparse::fit(&parts, bytes, self.data) {
                    return Err(refused(Refusal::Sparse));
                }
                Kind::File { bytes, parts }
            }
            EntryType::Directory => Kind::Directory,
            sort if sort.as_byte() == b'D' => {
                self.set_data(size)?; // the names in it, of GNU tar's incremental dumps
                Kind::Directory
            }
            EntryType::Symlink => Kind::SymbolicLink(link()),
            EntryType::Link => Kind::HardLink(link()),
            EntryType::Fifo => Kind::Fifo,
            kind @ (EntryType::Char | EntryType::Block) => Kind::Device {
                is_block: kind == EntryType::Block,
                major: device(header.device_major()),
                minor: device(header.device_minor()),
            },
            other => return Err(refused(Refusal::Sort(char::from(other.as_byte())))),
        };
        let path = path_of(name.unwrap_or(path));
        Ok(Entry { path, kind, mode, uid, gid, modified, attributes: extensions.attributes })
    }

    fn damaged(&self, why: &str) -> ImageError {
        ImageError::Damaged { what: self.name.to_owned(), why: why.to_owned() }
    }

    fn truncated(&self) -> ImageError {
        ImageError::Truncated { what: self.name.to_owned() }
    }
}

/// A number of a header, which is nothing where its field is empty.
fn number<T: Default>(number: io::Result<T>, field: &[u8]) -> Option<T> {
    let is_empty = field.iter().all(|byte| matches!(byte, 0 | b' '));
    number.ok().or_else(|| is_empty.then(T::default))
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

/// The data of an entry: never more than it has, and an error where the archive ends in it.
pub(super) struct Data<'a, R> {
    stream: &'a mut R,
    left: &'a mut u64,
}

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(*self.left).map_or(into.len(), |left| left.min(into.len()));
        if most == 0 {
            return Ok(0);
        }
        let count = self.stream.read(&mut into[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
