//! Limits on a tree of mounts, for kernels without mount_setattr(2) (before 5.12): each mount by itself, as /proc tells of them.

use super::{lookup, tree};
use nix::errno::Errno;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::mount::{MountAttrFlags, MountFlags, mount_remount};
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

/// The attributes that are set here, as mount_setattr(2) and as mount(2) has them.
const ATTRIBUTES: [(MountAttrFlags, MountFlags); 4] = [
    (MountAttrFlags::MOUNT_ATTR_RDONLY, MountFlags::RDONLY),
    (MountAttrFlags::MOUNT_ATTR_NOSUID, MountFlags::NOSUID),
    (MountAttrFlags::MOUNT_ATTR_NODEV, MountFlags::NODEV),
    (MountAttrFlags::MOUNT_ATTR_NOEXEC, MountFlags::NOEXEC),
];

/// Sets attributes of an attached mount and of all below it.
pub(super) fn limit(top: &OwnedFd, attributes: MountAttrFlags) -> Result<(), Errno> {
    let asked_for = ATTRIBUTES.iter().filter(|(attribute, _)| attributes.contains(*attribute));
    let more = asked_for.fold(MountFlags::empty(), |flags, (_, flag)| flags | *flag);
    let id = mount_of(top)?;
    let lines =
        std::fs::read("/proc/self/mountinfo").map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    let lines: Vec<Line> = lines.split(|byte| *byte == b'\n').filter_map(line).collect();
    let at = &lines.iter().find(|line| line.id == id).ok_or(Errno::ENOENT)?.at;
    let ids = with_below(id, &lines);
    for line in lines.iter().filter(|line| ids.contains(&line.id)) {
        let found = if line.id == id {
            None // a file, maybe, below which nothing can be looked up
        } else {
            let below = line.at.strip_prefix(at).map_err(|_| Errno::ENOENT)?;
            Some(lookup::find(top.as_fd(), below)?)
        };
        let root = found.as_ref().unwrap_or(top);
        // One that lies below another one is out of reach, and so it stays.
        if mount_of(root)? == line.id {
            mount_remount(tree::by_descriptor(root), MountFlags::BIND | line.flags | more, c"").map_err(tree::errno)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "\
        25 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
        40 25 254:0 /a\\040b /a\\040b ro,nosuid,nodev,noexec,noatime shared:1 - tmpfs tmpfs rw\n\
        42 41 0:5 / /a\\040b/c/d rw - tmpfs tmpfs rw\n\
        41 40 0:5 / /a\\040b/c rw,relatime - tmpfs tmpfs rw\n\
        43 25 0:6 / /e rw,relatime - tmpfs tmpfs rw\n";

    #[test]
    fn what_proc_tells_of_mounts_is_read() {
        let lines: Vec<Line> = TOLD.as_bytes().split(|byte| *byte == b'\n').filter_map(line).collect();
        assert_eq!(lines.len(), 5);
        let flags =
            MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME;
        assert_eq!(lines[1], Line { id: 40, parent: 25, at: "/a b".into(), flags });
        assert_eq!(with_below(40, &lines), BTreeSet::from([40, 41, 42]), "in whatever order");
    }
}
