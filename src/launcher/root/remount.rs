//! Limits on a tree of mounts, for kernels without mount_setattr(2) (before 5.12): each mount by itself, as /proc tells of them.

use super::{lookup, tree};
use nix::errno::Errno;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::mount::{MountFlags, mount_remount};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// A line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
#[derive(Debug, PartialEq, Eq)]
struct Line {
    id: u32,
    parent: u32,
    at: PathBuf,
    flags: MountFlags,
}

/// Limits an attached mount and all below it.
pub(super) fn limit(top: &OwnedFd, limits: tree::Limits) -> Result<(), Errno> {
    let tree::Limits { read_only, no_devices } = limits;
    let mut more = MountFlags::empty();
    more.set(MountFlags::RDONLY, read_only);
    more.set(MountFlags::NODEV, no_devices);
    let id = mount_of(top)?;
    let lines =
        std::fs::read("/proc/self/mountinfo").map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    let lines: Vec<Line> = lines.split(|byte| *byte == b'\n').filter_map(line).collect();
    let at = &lines.iter().find(|line| line.id == id).ok_or(Errno::ENOENT)?.at;
    let ids = with_below(id, &lines);
    for line in lines.iter().filter(|line| ids.contains(&line.id)) {
        let below = line.at.strip_prefix(at).map_err(|_| Errno::ENOENT)?;
        let root = lookup::find(top.as_fd(), below)?;
        // One that lies below another one is out of reach, and so it stays.
        if mount_of(&root)? == line.id {
            mount_remount(tree::by_descriptor(&root), MountFlags::BIND | line.flags | more, c"")
                .map_err(tree::errno)?;
        }
    }
    Ok(())
}

/// The mount that a descriptor is in, by its number in mountinfo.
fn mount_of(file: &OwnedFd) -> Result<u32, Errno> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd()));
    let text = text.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    let number = text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    number.ok_or(Errno::ENOENT)
}

/// A mount and all that hang on it. A mount that was moved may stand before the one that it hangs on.
fn with_below(top: u32, lines: &[Line]) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([top]);
    loop {
        let before = found.len();
        found.extend(lines.iter().filter(|line| found.contains(&line.parent)).map(|line| line.id).collect::<Vec<_>>());
        if found.len() == before {
            return found;
        }
    }
}

fn line(text: &[u8]) -> Option<Line> {
    let mut words = text.split(|byte| *byte == b' ');
    let mut number = || std::str::from_utf8(words.next()?).ok()?.parse().ok();
    let (id, parent) = (number()?, number()?);
    let at = unescaped(words.nth(2)?);
    let flags = words.next()?.split(|byte| *byte == b',').filter_map(flag);
    Some(Line { id, parent, at, flags: flags.fold(MountFlags::empty(), MountFlags::union) })
}

/// The flag that an option of a mount stands for; a remount has to name all that are to stay.
fn flag(option: &[u8]) -> Option<MountFlags> {
    Some(match option {
        b"ro" => MountFlags::RDONLY,
        b"nosuid" => MountFlags::NOSUID,
        b"nodev" => MountFlags::NODEV,
        b"noexec" => MountFlags::NOEXEC,
        b"noatime" => MountFlags::NOATIME,
        b"nodiratime" => MountFlags::NODIRATIME,
        b"relatime" => MountFlags::RELATIME,
        _ => return None,
    })
}

/// A path as it is, from one in which blanks and the like are written as `\040`.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let octal = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok();
        match after.get(..3).and_then(octal) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &after[3..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes).into()
}
