//! The host's packet filter, by way of nft(8): the lab's own table, and its rules in the chain that Docker leaves to users.
//!
//! nft is run in the namespace that nslab was started in, which is the host's. It takes and gives JSON
//! (libnftables-json(5)); a document that it takes is one transaction: all of it is done, or nothing.

mod change;
mod list;
mod marked;
mod resolver;
mod survey;

pub use marked::MarkedRules;

use super::HostError;
use nftables::helper::{self, NftablesError};
use nftables::schema::Nftables;
use std::io;
use std::path::{Path, PathBuf};

/// The directories that programs for root are in, which are not always in the path of who becomes root.
const SYSTEM_DIRECTORIES: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Whether there is nft(8).
pub fn has_nft() -> bool {
    program().is_some()
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(SYSTEM_DIRECTORIES.map(PathBuf::from));
    directories.map(|directory| directory.join("nft")).find(|file| Path::is_file(file))
}

/// What nft prints as JSON, for these arguments.
fn ask(arguments: &[&str]) -> Result<String, HostError> {
    let program = program().ok_or(HostError::NoNft)?;
    helper::get_current_ruleset_raw(Some(&program), arguments)
        .map_err(|error| failed(format!("run `nft {}`", arguments.join(" ")), error))
}

/// Has nft do this; `action` says what it is.
fn tell(action: &str, document: &Nftables<'_>) -> Result<(), HostError> {
    let program = program().ok_or(HostError::NoNft)?;
    helper::apply_ruleset_with_args(document, Some(&program), helper::DEFAULT_ARGS)
        .map_err(|error| failed(action.to_owned(), error))
}

fn failed(action: String, error: NftablesError) -> HostError {
    let (said, source) = match error {
        NftablesError::NftExecution { inner, .. } if inner.kind() == io::ErrorKind::NotFound => {
            return HostError::NoNft;
        }
        NftablesError::NftExecution { inner, .. } => ("it could not be run".to_owned(), inner),
        NftablesError::NftFailed { stderr, .. } => {
            (stderr.trim().to_owned(), io::Error::other("it ended without success"))
        }
        NftablesError::NftInvalidJson(error) => ("what it printed is no JSON".to_owned(), error.into()),
        NftablesError::NftOutputEncoding { inner, .. } => {
            ("what it printed is no text".to_owned(), io::Error::new(io::ErrorKind::InvalidData, inner))
        }
    };
    HostError::Nft { action, said, source }
}
