//! How a keeper is asked: a unix socket in the lab's directory, for root alone, a line each way.

use super::keeper::KeeperFiles;
use super::sight::{LeaseState, SeenLease, Sight};
use crate::host::HostError;
use crate::host::facade::Host;
use crate::model::Uplink;
use std::fs::Permissions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// What a keeper can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// What it sees.
    Sight,
    /// The same, once it has a lease or knows that there is none.
    Lease,
}

const SIGHT: &str = "sight";
pub(crate) const LEASE: &str = "lease";

/// The longest line, in bytes.
pub(crate) const LINE: u64 = 4096;

/// How long a keeper that only has to look may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long one may take that has to get a lease: it has twenty seconds for that.
const LEASE_PATIENCE: Duration = Duration::from_secs(30);

/// The path of a socket may have 107 bytes, a state directory's more: so it is called by its directory's descriptor.
fn short(path: &Path, directory: &std::fs::File) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name)
}

/// Makes the socket; one of a former keeper goes.
pub(crate) fn bind(files: &KeeperFiles) -> io::Result<UnixListener> {
    let path = files.socket();
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => result?,
    }
    let directory = std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    let listener = UnixListener::bind(short(&path, &directory))?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Asks the keeper with these files.
///
/// # Errors
/// When there is none, or it does not answer.
pub(crate) async fn ask(files: &KeeperFiles, asked: Asked) -> io::Result<Sight> {
    let path = files.socket();
    let directory = std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    let conversation = async {
        let (reader, mut writer) = UnixStream::connect(short(&path, &directory)).await?.into_split();
        let word = match asked {
            Asked::Sight => SIGHT,
            Asked::Lease => LEASE,
        };
        writer.write_all(format!("{word}\n").as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(reader.take(LINE * 16)).read_line(&mut line).await?;
        Ok(serde_json::from_str(&line)?)
    };
    match asked {
        Asked::Lease => tokio::time::timeout(LEASE_PATIENCE, conversation).await?,
        Asked::Sight => tokio::time::timeout(PATIENCE, conversation).await?,
    }
}

impl Host {
    /// Has the keeper of an uplink take a lease, and waits until it has one.
    ///
    /// # Errors
    /// [`HostError::Keeper`] where there is none, or it got no lease.
    ///
    /// # Cancel safety
    /// The keeper goes on.
    pub async fn take_lease(&self, of: &Uplink) -> Result<(), HostError> {
        let failed = |said| HostError::Keeper { nic: of.nic.name.clone(), said };
        let files = KeeperFiles::of(&of.directory);
        let sight = ask(&files, Asked::Lease).await.map_err(|error| failed(format!("it does not answer: {error}")))?;
        match sight.lease {
            Some(SeenLease { state: LeaseState::Held, .. }) => Ok(()),
            Some(SeenLease { state: LeaseState::Failed(why), .. }) => {
                Err(HostError::NoLease { nic: of.nic.name.clone(), why })
            }
            _ => Err(failed("it takes no lease".to_owned())),
        }
    }
}
