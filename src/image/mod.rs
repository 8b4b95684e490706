//! Images: root file systems that containers stand on, and where they come from.
//!
//! ```text
//! source (directory, archive, registry) → entries → unpack → a layer of the store
//!                                                             image = layers + how to run it
//! ```
//!
//! Nothing that comes in is trusted: what a file is called, what it links to, how large it is. Nothing of an import is seen
//! before all of it is there. What a container does with an image is not said here: it is handed the directories of the layers.

mod budget;
mod compression;
mod config;
mod digest;
mod entry;
mod error;
mod fingerprint;
mod import;
mod run;
mod source;
mod store;
mod tar;
mod tree;
mod unpack;

pub use budget::{Budget, Cancel, Progress};
pub use config::ImageConfig;
pub use digest::Digest;
pub use error::{ImageError, Refusal, RegistryError};
pub use import::{Imported, Settings, default_name, import};
pub use run::Run;
pub use store::{Claim, Damage, Footing, ImageRecord, Images, Kept, LayerRecord, Pruned, Store, Swept, Usage};
pub use unpack::{Devices, LeftOut};

/// Unpacks an archive of tar(5), packed or not, as a layer into a directory that is there, and empty: for who tests that nothing
/// comes of one but files in there.
///
/// # Errors
/// When it is no archive, or one that is not to be trusted.
pub fn unpack_archive(
    archive: impl std::io::Read,
    directory: &std::path::Path,
    budget: &Budget,
    devices: Devices,
) -> Result<(), ImageError> {
    let unpacker = unpack::Unpacker::new(directory, budget, devices)?;
    let stream = budget::Metered::new(compression::Unpacked::new(archive, "the archive")?, budget);
    source::unpack(unpacker, stream, "the archive").map(drop)
}
