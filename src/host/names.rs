//! Names inside the lab: hosts(5) files, and the directories in /etc/netns by which ip-netns(8) finds them.

use super::HostError;
use super::error::FileContext;
use crate::directory;
use crate::model::{HostsFile, NameDirectory, PinName};
use crate::observed::{NameEntry, ObservedNames};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The directory in which ip-netns(8) looks for a namespace's own /etc files.
pub const NAMES_DIRECTORY: &str = "/etc/netns";

/// The files' names in their directory.
const HOSTS: &str = "hosts";
const RESOLV_CONF: &str = "resolv.conf";

/// A file as it is written, before it takes the other's place.
fn new_name(name: &str) -> String {
    format!(".{name}.new")
}

/// Writes a hosts file, and the resolv.conf beside it, each so that its readers see the old or the new one and nothing
/// between.
pub(super) fn write_hosts(file: &HostsFile) -> Result<(), HostError> {
    let HostsFile { directory, content, resolv_conf, leased } = file;
    directory::make_all(directory).on_file("make", directory)?;
    write(directory, HOSTS, content)?;
    match resolv_conf {
        _ if *leased => Ok(()),
        Some(content) => write(directory, RESOLV_CONF, content),
        None => remove(directory, RESOLV_CONF),
    }
}

fn write(directory: &Path, name: &str, content: &str) -> Result<(), HostError> {
    let new = directory.join(new_name(name));
    let mut options = OpenOptions::new();
    let mut written = options.write(true).create(true).truncate(true).mode(0o644).open(&new).on_file("make", &new)?;
    // Whoever a command in the node runs as looks names up, whatever nslab's umask was.
    written.set_permissions(Permissions::from_mode(0o644)).on_file("make readable", &new)?;
    written.write_all(content.as_bytes()).on_file("write", &new)?;
    let path = directory.join(name);
    fs::rename(&new, &path).on_file("replace", &path)
}

/// Writes a lease's resolv.conf into a node's directory, which is there.
pub(super) fn write_resolver(directory: &Path, content: &str) -> Result<(), HostError> {
    write(directory, RESOLV_CONF, content)
}

/// Removes it, where there is one.
pub(super) fn remove_resolver(directory: &Path) -> Result<(), HostError> {
    remove(directory, RESOLV_CONF)
}

/// Removes a file, and what a stopped write left of it.
fn remove(directory: &Path, name: &str) -> Result<(), HostError> {
    for name in [name, &new_name(name)] {
        let path = directory.join(name);
        absent_is_fine(fs::remove_file(&path)).on_file("remove", &path)?;
    }
    Ok(())
}

/// Removes a hosts file, the resolv.conf beside it, what a stopped write left of them, and their directory where nothing else
/// is in it.
pub(super) fn remove_hosts(file: &HostsFile) -> Result<(), HostError> {
    remove(&file.directory, HOSTS)?;
    remove(&file.directory, RESOLV_CONF)?;
    remove_directory_if_empty(&file.directory)
}

/// The content of the files in `directory`; `None` where there is none of them.
///
/// # Errors
/// When one can't be read.
pub fn observe_names(directory: &Path) -> Result<Option<ObservedNames>, HostError> {
    let names = ObservedNames { hosts: read(directory, HOSTS)?, resolv_conf: read(directory, RESOLV_CONF)? };
    Ok((names != ObservedNames::default()).then_some(names))
}

fn read(directory: &Path, name: &str) -> Result<Option<String>, HostError> {
    let path = directory.join(name);
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if is_absence(&error) => Ok(None),
        Err(source) => Err(source).on_file("read", &path),
    }
}

/// Makes /etc/netns/NAME.
pub(super) fn ensure_name_directory(name: &NameDirectory) -> Result<(), HostError> {
    let path = name_path(&name.netns);
    match symlink(&name.directory, &path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_directory(NAMES_DIRECTORY.as_ref())?;
            match symlink(&name.directory, &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => return result.on_file("make", &path),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(source).on_file("make", &path),
    }
    check_ours(name, &path).map(|_| ())
}

/// Removes /etc/netns/NAME.
pub(super) fn remove_name_directory(name: &NameDirectory) -> Result<(), HostError> {
    let path = name_path(&name.netns);
    if check_ours(name, &path)? {
        absent_is_fine(fs::remove_file(&path)).on_file("remove", &path)?;
    }
    Ok(())
}

/// Makes /etc/netns where it isn't there yet; returns whether it had to.
///
/// # Errors
/// When it can't be made.
///
/// # Cancel safety
/// Does not wait. Idempotent.
pub fn ensure_names_directory() -> Result<bool, HostError> {
    make_directory(NAMES_DIRECTORY.as_ref())
}

/// Removes /etc/netns where nothing is in it.
///
/// # Errors
/// When the kernel refuses for another reason than that it is in use, or gone.
///
/// # Cancel safety
/// Does not wait. Idempotent.
pub fn remove_names_directory() -> Result<(), HostError> {
    remove_directory_if_empty(NAMES_DIRECTORY.as_ref())
}

/// Whether /etc/netns is there.
pub fn names_directory_exists() -> bool {
    Path::new(NAMES_DIRECTORY).is_dir()
}

/// What stands at /etc/netns/NAME; `None` where nothing does.
///
/// # Errors
/// When it can't be looked at.
pub fn observe_name_directory(netns: &PinName) -> Result<Option<NameEntry>, HostError> {
    let path = name_path(netns);
    match fs::read_link(&path) {
        Ok(target) => Ok(Some(NameEntry::Link(target))),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(Some(NameEntry::Other)), // no symbolic link
        Err(source) => Err(source).on_file("look at", &path),
    }
}

/// The symbolic links in /etc/netns, with where they point.
///
/// # Errors
/// When the directory can't be read.
pub fn name_links() -> Result<Vec<(PathBuf, PathBuf)>, HostError> {
    let directory = Path::new(NAMES_DIRECTORY);
    let entries = match fs::read_dir(directory) {
        Err(error) if is_absence(&error) => return Ok(Vec::new()),
        other => other.on_file("read", directory)?,
    };
    let mut links = Vec::new();
    for entry in entries {
        let path = entry.on_file("read", directory)?.path();
        if let Ok(target) = fs::read_link(&path) {
            links.push((path, target));
        }
    }
    links.sort();
    Ok(links)
}

/// Whether the link is there and nslab's.
fn check_ours(name: &NameDirectory, path: &Path) -> Result<bool, HostError> {
    let not_ours = |found| Err(HostError::NotOurs { path: path.to_owned(), found });
    match observe_name_directory(&name.netns)? {
        None => Ok(false),
        Some(NameEntry::Link(target)) if target == name.directory => Ok(true),
        Some(NameEntry::Link(target)) => not_ours(format!("it points to {}", target.display())),
        Some(NameEntry::Other) => not_ours("it is no symbolic link".to_owned()),
    }
}

fn name_path(netns: &PinName) -> PathBuf {
    Path::new(NAMES_DIRECTORY).join(netns.as_str())
}

/// Makes a directory; returns whether it had to.
pub(super) fn make_directory(path: &Path) -> Result<bool, HostError> {
    directory::make(path).on_file("make", path)
}

/// Removes a directory unless something is in it or it is in use.
pub(super) fn remove_directory_if_empty(path: &Path) -> Result<(), HostError> {
    use io::ErrorKind::{DirectoryNotEmpty, ReadOnlyFilesystem, ResourceBusy};
    match fs::remove_dir(path) {
        Err(error) if matches!(error.kind(), DirectoryNotEmpty | ResourceBusy) => Ok(()),
        // Read-only is what a file system says first, before it says that there is nothing to remove.
        Err(error) if error.kind() == ReadOnlyFilesystem && !path.exists() => Ok(()),
        result => absent_is_fine(result).on_file("remove", path),
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if is_absence(&error) { Ok(()) } else { Err(error) })
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
