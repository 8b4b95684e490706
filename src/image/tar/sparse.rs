//! Sparse files in archives: where something is in them, and where nothing (GNU tar manual, "Storing Sparse Files").

use super::pax::{MOST_PARTS, SparseMap, number};
use super::{Archive, BLOCK};
use crate::image::entry::Part;
use crate::image::error::ImageError;
use std::io::Read;
use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

/// The size with the holes, and the parts that are there.
pub(super) type Map = (u64, Vec<Part>);

/// Whether parts come one after the other, end within the file, and are together what there is of data.
pub(super) fn fit(parts: &[Part], bytes: u64, data: u64) -> bool {
    let mut end = 0_u64;
    let mut sum = 0_u64;
    for part in parts {
        let (Some(next), true) = (part.offset.checked_add(part.bytes), part.offset >= end) else { return false };
        end = next;
        sum += part.bytes; // no more than `end`
    }
    // The kernel counts in a signed number.
    end <= bytes && i64::try_from(bytes).is_ok() && sum == data
}

/// That of GNU tar's own format, of which the rest stands in blocks behind the header.
pub(super) fn of_gnu<R: Read>(archive: &mut Archive<'_, R>, header: &Header) -> Result<Map, ImageError> {
    let damaged = |archive: &Archive<'_, R>| archive.damaged("a sparse file's header is wrong");
    let gnu = header.as_gnu().ok_or_else(|| damaged(archive))?;
    let bytes = gnu.real_size().map_err(|_| damaged(archive))?;
    let mut parts = Vec::new();
    let mut add = |all: &[GnuSparseHeader]| {
        for one in all.iter().filter(|one| !one.is_empty()) {
            parts.push(Part { offset: one.offset().ok()?, bytes: one.length().ok()? });
        }
        (parts.len() <= MOST_PARTS).then_some(())
    };
    add(&gnu.sparse).ok_or_else(|| damaged(archive))?;
    let mut goes_on = gnu.is_extended();
    while goes_on {
        let mut more = GnuExtSparseHeader::new();
        archive.read_exact(more.as_mut_bytes())?;
        add(more.sparse()).ok_or_else(|| damaged(archive))?;
        goes_on = more.is_extended();
    }
    Ok((bytes, parts))
}

/// That of a pax archive; `None` where it is wrong. The entry's data is set already, and left after what is read of it here.
pub(super) fn of_pax<R: Read>(archive: &mut Archive<'_, R>, map: &SparseMap) -> Option<Map> {
    let bytes = map.size?;
    let of_data;
    let numbers = if map.is_in_data {
        of_data = in_data(archive)?;
        &of_data
    } else {
        &map.numbers
    };
    let (pairs, rest) = numbers.as_chunks::<2>();
    let parts: Vec<Part> = pairs.iter().map(|[offset, bytes]| Part { offset: *offset, bytes: *bytes }).collect();
    (rest.is_empty() && fit(&parts, bytes, archive.data)).then_some((bytes, parts))
}

/// Offsets and lengths that stand before the data: how many pairs there are, and each number, in a line of its own; filled up to
/// a whole block.
fn in_data<R: Read>(archive: &mut Archive<'_, R>) -> Option<Vec<u64>> {
    let mut block = [0; BLOCK];
    let mut line = Vec::new();
    let mut numbers: Vec<u64> = Vec::new();
    let mut count = None;
    while count != Some(numbers.len()) {
        archive.data().read_exact(&mut block).ok()?;
        for byte in block {
            if count == Some(numbers.len()) {
                break;
            }
            if byte != b'\n' {
                line.push(byte);
                // No number is as long as that.
                if line.len() > 20 {
                    return None;
                }
                continue;
            }
            let found = number(&line)?;
            line.clear();
            match count {
                None => {
                    let pairs = usize::try_from(found).ok().filter(|pairs| *pairs <= MOST_PARTS)?;
                    count = Some(2 * pairs);
                }
                Some(_) => numbers.push(found),
            }
        }
    }
    Some(numbers)
}
