//! Files into a container, and out of it.
//!
//! The container's names are looked up by a process that is inside: in its mount namespace, where its root is `/`, and in its user
//! namespace. So no symbolic link of its leads anywhere else, however often it is changed meanwhile (CVE-2018-15664). The process
//! has nslab's code and loads nothing of the container's (CVE-2019-14271); it is in no other namespace of its, so that nobody in
//! there sees it. It and the one outside are ends of a pipe, in which there is an archive.

mod pack;
mod unpack;

use super::enter;
use super::failure::{During, Failure, Step};
use super::record::Record;
use super::sys::{self, Doubled};
use nix::errno::Errno;
use nix::sys::wait::waitpid;
use rustix::fs::ResolveFlags;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use unpack::{Target, Top};

/// What is outside of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside<'a> {
    /// A file or a directory.
    Path(&'a Path),
    /// An archive as tar(1) has them, on standard input or output.
    Archive,
}

/// Where a path is looked up that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// In the container.
    Inside,
    /// Where the caller is.
    Outside,
}

impl Side {
    /// The links in /proc (proc_pid_fd(5), proc_pid_root(5)) are no names: they lead to what a process has, be that outside. The one
    /// inside may follow those of process 1, which its own processes can't; a link of the container's is not to lead it there.
    fn resolve(self) -> ResolveFlags {
        match self {
            Self::Inside => ResolveFlags::NO_MAGICLINKS,
            Self::Outside => ResolveFlags::empty(),
        }
    }
}

/// What was left out, in words: files that are neither regular, nor directories, nor symbolic links.
pub type LeftOut = Vec<String>;

type Copied = Result<LeftOut, Failure>;

/// Copies what is at a path of a container's to the outside. Modes and times are kept; whose it is, is the caller's, so that what
/// would give a program its owner's rights is not kept.
///
/// To be called by a process that never had a second thread.
///
/// # Errors
/// When the container does not run, or a file can't be read or written.
pub fn copy_out(record: &Record, path: &Path, to: Outside<'_>) -> Copied {
    let path = absolute(path);
    match to {
        Outside::Archive => {
            in_container(record, || pack::pack(Side::Inside, &path, path.file_name(), std::io::stdout().lock()))
        }
        Outside::Path(to) => {
            let target = Target::at(Side::Outside, to, path.file_name())?;
            let (mut reader, writer) = std::io::pipe().during(pipe)?;
            let (own, theirs) = beside(
                record,
                || pack::pack(Side::Inside, &path, Some(unpack::TOP.as_ref()), writer),
                || {
                    let unpacked = unpack::unpack(&target, Top::Replaced, false, &mut reader);
                    drop(reader);
                    unpacked
                },
            )?;
            better(own, theirs)
        }
    }
}

/// Copies what is outside to a path of a container's. It belongs to root inside.
///
/// To be called by a process that never had a second thread.
///
/// # Errors
/// As of [`copy_out`].
pub fn copy_in(record: &Record, path: &Path, from: Outside<'_>) -> Copied {
    let path = absolute(path);
    match from {
        Outside::Archive => in_container(record, || {
            let target = Target::directory(Side::Inside, &path)?;
            unpack::unpack(&target, Top::Kept, true, std::io::stdin().lock())
        }),
        Outside::Path(from) => {
            let (reader, writer) = std::io::pipe().during(pipe)?;
            let (own, theirs) = beside(
                record,
                || {
                    let target = Target::at(Side::Inside, &path, from.file_name())?;
                    unpack::unpack(&target, Top::Replaced, true, reader)
                },
                || pack::pack(Side::Outside, from, Some(unpack::TOP.as_ref()), writer),
            )?;
            better(own, theirs)
        }
    }
}

fn pipe() -> Step {
    Step::of("make a pipe into the container")
}

fn absolute(path: &Path) -> PathBuf {
    Path::new("/").join(path)
}

/// Of two that depend on each other, what went wrong first: whoever finds nobody at the other end of the pipe was left.
fn better(one: Copied, other: Copied) -> Copied {
    match (one, other) {
        (Ok(mut one), Ok(other)) => {
            one.extend(other);
            Ok(one)
        }
        (Err(one), Err(other)) => Err(if one.source == Errno::EPIPE { other } else { one }),
        (Err(failure), Ok(_)) | (Ok(_), Err(failure)) => Err(failure),
    }
}

fn in_container(record: &Record, work: impl FnOnce() -> Copied) -> Copied {
    beside(record, work, || Ok(LeftOut::new())).and_then(|(own, theirs)| better(own, theirs))
}

/// Has a process in the container do one thing, while this one does another; what was moved into either ends with it.
fn beside(
    record: &Record,
    inside: impl FnOnce() -> Copied,
    outside: impl FnOnce() -> Copied,
) -> Result<(Copied, Copied), Failure> {
    let enter = || Step::of("enter the container");
    let running = record.running.as_ref().ok_or(Errno::ESRCH).during(enter)?;
    let has_user_namespace = record.launch.container.namespaces.user.is_some();
    let (mut said, says) = std::io::pipe().during(pipe)?;
    let pid = match sys::fork().during(enter)? {
        Doubled::Child => {
            drop((said, outside));
            let copied = enter::join_files(running, has_user_namespace).and_then(|()| inside());
            let text = serde_json::to_vec(&copied).unwrap_or_default();
            let _ = (&says).write_all(&text); // where nobody reads it, nobody waits
            sys::exit(0);
        }
        Doubled::Parent(pid) => pid,
    };
    drop((says, inside));
    let own = outside();
    let mut text = Vec::new();
    let heard = said.read_to_end(&mut text);
    waitpid(pid, None).during(|| Step::of("wait for the process in the container"))?;
    let lost = || Step::of("copy: the process in the container was ended");
    heard.during(lost)?;
    let theirs = serde_json::from_slice::<Copied>(&text).map_err(|_| Errno::EPIPE).during(lost)?;
    Ok((own, theirs))
}

/// A file's bytes go on as long as it was said to be, or the copy is none.
fn copy_exactly(from: &mut impl Read, to: &mut File, size: u64, path: &Path) -> Result<(), Failure> {
    let copied = std::io::copy(from, to).during(|| Step::of(format!("copy {}", path.display())))?;
    if copied == size {
        return Ok(());
    }
    Err(Step::of(format!("copy {}: it comes to an early end", path.display())).failed()(Errno::EPIPE))
}
