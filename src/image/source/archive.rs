//! An archive of tar(5), packed or not, that is a root file system, or holds an image of layers.

use super::super::budget::{Metered, Told};
use super::super::compression::Unpacked;
use super::super::digest::{Digest, Hashed};
use super::super::entry::Entry;
use super::super::error::ImageError;
use super::super::store::Work;
use super::super::tar::Archive;
use super::super::unpack::{Contents, Unpacker};
use super::{KNOWN, Made, Making, oci};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Makes its one layer; or the layers of the image that is in it.
pub(super) fn make(path: &Path, tag: Option<&str>, making: &Making<'_>) -> Result<Made, ImageError> {
    let name = path.display().to_string();
    let failed = |source| ImageError::Read { what: name.clone(), source };
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let packed = Told::new(file, bytes, making.progress.clone());
    let (layer, unpacker) = making.work.new_layer(making.budget, making.devices)?;
    let stream = Metered::new(Hashed::new(Unpacked::new(packed, &name)?), making.budget);
    let mut archive = Archive::new(stream, &name);
    let first = archive.next().map_err(|error| match error {
        // Of the very first header: it never was one.
        ImageError::Damaged { .. } => ImageError::Unknown(format!("{name} is no archive: {KNOWN}")),
        error => error,
    })?;
    let (contents, stream) = unpack_from(first, unpacker, archive, &name)?;
    let digest = stream.into_inner().digest();
    if let Some(form) = oci::form_of(&layer.files()) {
        // What is unpacked of it has nothing to do with how large the archive was.
        let budget = making.budget.anew();
        return oci::make(&layer.files(), form, tag, &Making { budget: &budget, ..*making });
    }
    one_layer(making.work, &layer, digest, contents)
}

/// Unpacks all of an archive; gives back what is in it, and the stream, read to its end.
pub(in crate::image) fn unpack<R: Read>(
    unpacker: Unpacker<'_>,
    stream: R,
    name: &str,
) -> Result<(Contents, R), ImageError> {
    let mut archive = Archive::new(stream, name);
    let first = archive.next()?;
    unpack_from(first, unpacker, archive, name)
}

/// The same from an entry on that was read already.
fn unpack_from<R: Read>(
    first: Option<Entry>,
    mut unpacker: Unpacker<'_>,
    mut archive: Archive<'_, R>,
    name: &str,
) -> Result<(Contents, R), ImageError> {
    let mut next = first;
    while let Some(entry) = next {
        unpacker.add(&entry, &mut archive.data(), name)?;
        next = archive.next()?;
    }
    let stream = archive.finish()?;
    let (contents, _) = unpacker.finish()?;
    Ok((contents, stream))
}

/// An image of one layer.
pub(super) fn one_layer(
    work: &Work<'_>,
    layer: &super::super::store::NewLayer,
    digest: Digest,
    contents: Contents,
) -> Result<Made, ImageError> {
    let record = work.add_layer(layer, digest, &contents)?;
    Ok(Made { layers: vec![record], left_out: contents.left_out, ..Made::default() })
}
