//! A .zip archive that is a root file system, with what Info-ZIP and others write of permissions and symbolic links.
//!
//! Owners are not in it: all is root's. Its directory is at its end, and says where each file is.

use super::super::budget::Metered;
use super::super::entry::{Entry, Kind, Time};
use super::super::error::{ImageError, Refusal};
use super::super::unpack::Unpacker;
use super::archive::one_layer;
use super::{Made, Making};
use ::zip::ZipArchive;
use ::zip::result::ZipError;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// What it begins with: a file, or the end of an empty one (APPNOTE.TXT 4.3).
const BEGINNINGS: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

/// What a file is, in the permissions that it has (inode(7)).
const KIND: u32 = 0o170_000;
const SYMBOLIC_LINK: u32 = 0o120_000;
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;

const SPECIAL: u32 = 0o7000;

/// The longest target of a link (PATH_MAX, linux/limits.h).
const LONGEST_TARGET: u64 = 4096;

/// Whether a file is one, by how it begins; one that can't be read is told so by who reads it. A pipe is read once, and is none.
pub(super) fn is_one(path: &Path) -> bool {
    let mut beginning = [0; 4];
    let is_file = path.metadata().is_ok_and(|found| found.is_file());
    is_file
        && File::open(path).and_then(|mut file| file.read_exact(&mut beginning)).is_ok()
        && BEGINNINGS.contains(&&beginning[..])
}

/// Makes its one layer.
pub(super) fn make(path: &Path, making: &Making<'_>) -> Result<Made, ImageError> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|source| ImageError::Read { what: name.clone(), source })?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| failed(error, &name))?;
    let (layer, unpacker) = making.work.new_layer(making.budget, making.devices)?;
    let mut unpacker = unpacker.with_fingerprint();
    let all = archive.len();
    for at in 0..all {
        let file = archive.by_index(at).map_err(|error| failed(error, &name))?;
        add(&mut unpacker, file, making, &name)?;
        (making.progress)(at as u64 + 1, all as u64);
    }
    let (contents, digest) = unpacker.finish()?;
    let digest = digest.ok_or_else(|| ImageError::Unknown("the files have no digest".to_owned()))?;
    one_layer(making.work, &layer, digest, contents)
}

fn add<R: Read>(
    unpacker: &mut Unpacker<'_>,
    file: ::zip::read::ZipFile<'_, R>,
    making: &Making<'_>,
    name: &str,
) -> Result<(), ImageError> {
    let path = path_of(file.name_raw().to_vec());
    let is_directory = file.is_dir();
    let bytes = file.size();
    // Who has no permissions to write has none that mean something.
    let mode = mode(file.unix_mode(), file.external_attributes()).unwrap_or(if is_directory {
        DIRECTORY | 0o755
    } else {
        FILE | 0o644
    });
    let mut data = Metered::new(file, making.budget);
    let kind = match mode & KIND {
        _ if is_directory => Kind::Directory,
        0 | FILE => Kind::whole_file(bytes),
        SYMBOLIC_LINK => {
            let mut target = Vec::new();
            let read = (&mut data).take(LONGEST_TARGET + 1).read_to_end(&mut target);
            read.map_err(|error| ImageError::of_stream(error, name))?;
            if target.len() as u64 > LONGEST_TARGET {
                return Err(ImageError::Refused { path, refusal: Refusal::TooLong });
            }
            Kind::SymbolicLink(path_of(target))
        }
        _ => Kind::Other,
    };
    let is_file = matches!(kind, Kind::File { .. });
    let entry = Entry {
        path,
        kind,
        mode: mode & 0o7777,
        uid: 0,
        gid: 0,
        // Of a clock that nobody knows the zone of, in steps of two seconds: the same files are to be the same layer.
        modified: Time::default(),
        attributes: Vec::new(),
    };
    unpacker.add(&entry, &mut data, name)?;
    if is_file && io::copy(&mut data, &mut io::sink()).map_err(|error| ImageError::of_stream(error, name))? > 0 {
        return Err(ImageError::Damaged { what: name.to_owned(), why: "a file is longer than it says".to_owned() });
    }
    Ok(())
}

/// The permissions of a file with set-user-ID, set-group-ID and sticky bit, which the library leaves out: what is done with them,
/// the unpacker says, as with other archives. They are in the attributes' upper half, where that has the same permissions: it is
/// somebody else's otherwise (APPNOTE.TXT 4.4.15).
fn mode(known: Option<u32>, attributes: u32) -> Option<u32> {
    let whole = attributes >> 16;
    known.map(|known| if whole & !SPECIAL == known & !SPECIAL { whole } else { known })
}

fn failed(error: ZipError, name: &str) -> ImageError {
    match error {
        ZipError::Io(error) => ImageError::of_stream(error, name),
        error => ImageError::Damaged { what: name.to_owned(), why: error.to_string() },
    }
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_whole_where_they_are_permissions() {
        assert_eq!(mode(Some(0o100_755), 0o104_755 << 16), Some(0o104_755));
        assert_eq!(mode(Some(0o040_777), (0o041_777 << 16) | 0x10), Some(0o041_777));
        assert_eq!(mode(Some(0o100_664), 0x20), Some(0o100_664), "of MS-DOS");
        assert_eq!(mode(None, 0), None);
    }
}
