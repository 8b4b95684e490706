//! Finds a file inside a root, whatever its symbolic links say.
//!
//! `..` and absolute links stay inside. By openat2(2) with RESOLVE_IN_ROOT; where the kernel (before 5.6) has none, by a walk that
//! opens each component by itself.

use crate::fault;
use nix::errno::Errno;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path};

/// How often openat2(2) is asked again where something in the machine was renamed meanwhile, and `..` could lead outside.
const ATTEMPTS: u32 = 1000;
/// How many symbolic links are followed: as many as the kernel follows (path_resolution(7)).
const MOST_LINKS: u32 = 40;

/// Opens what is at a path, for nothing but to refer to it (O_PATH).
pub(in crate::launcher) fn find(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    if fault::lacks("openat2") {
        return walk(root, path);
    }
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..ATTEMPTS {
        match openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(rustix::io::Errno::AGAIN) => {}
            Err(rustix::io::Errno::NOSYS) => return walk(root, path),
            answer => return answer.map_err(|errno| Errno::from_raw(errno.raw_os_error())),
        }
    }
    Err(Errno::EAGAIN)
}

/// The same without openat2(2). What a magic link of /proc says is taken as text, inside the root.
fn walk(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let mut passed: Vec<OwnedFd> = Vec::new();
    let mut ahead = components(path);
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        if name == ".." {
            passed.pop();
            continue;
        }
        let here = passed.last().map_or(root, AsFd::as_fd);
        let next =
            openat(here, &name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).map_err(errno)?;
        if FileType::from_raw_mode(fstat(&next).map_err(errno)?.st_mode) != FileType::Symlink {
            passed.push(next);
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(Errno::ELOOP);
        }
        let says = OsString::from_vec(readlinkat(&next, "", Vec::new()).map_err(errno)?.into_bytes());
        if Path::new(&says).is_absolute() {
            passed.clear();
        }
        ahead.extend(components(Path::new(&says)));
    }
    match passed.pop() {
        Some(found) => Ok(found),
        None => openat(root, ".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(errno),
    }
}

/// The components of a path that change something, the last one first.
fn components(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    names.rev().collect()
}

fn errno(errno: rustix::io::Errno) -> Errno {
    Errno::from_raw(errno.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, create_dir_all, write};
    use std::os::unix::fs::{MetadataExt, symlink};

    /// Both ways find the same file, or neither does.
    #[test]
    fn links_stay_inside() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("root");
        create_dir_all(root.join("etc/deep")).unwrap();
        write(scratch.path().join("outside"), "").unwrap();
        write(root.join("etc/file"), "").unwrap();
        for (link, says) in [
            ("up", "../../../../../.."),
            ("absolute", "/etc/file"),
            ("etc/deep/relative", "../file"),
            ("escape", "../outside"),
            ("etc/outwards", "../../outside"),
            ("round", "round"),
            ("nowhere", "/not/there"),
            ("machine", "/usr"),
            ("chain", "etc/deep/relative"),
        ] {
            symlink(says, root.join(link)).unwrap();
        }
        let opened = File::open(&root).unwrap();
        let identity = |path: &str| {
            let metadata = std::fs::metadata(root.join(path)).unwrap();
            (metadata.dev(), metadata.ino())
        };
        let found = |find: fn(BorrowedFd<'_>, &Path) -> Result<OwnedFd, Errno>, path: &str| {
            find(opened.as_fd(), Path::new(path)).map(|fd| {
                let stat = fstat(fd).unwrap();
                (stat.st_dev, stat.st_ino)
            })
        };
        for (path, expected) in [
            ("/", Ok(".")),
            ("/..", Ok(".")),
            ("/up", Ok(".")),
            ("/up/etc/../etc/file", Ok("etc/file")),
            ("/absolute", Ok("etc/file")),
            ("/etc/deep/relative", Ok("etc/file")),
            ("/chain", Ok("etc/file")),
            ("/etc/deep/..", Ok("etc")),
            ("/escape", Err(Errno::ENOENT)),
            ("/etc/outwards", Err(Errno::ENOENT)),
            ("/../outside", Err(Errno::ENOENT)),
            ("/machine", Err(Errno::ENOENT)),
            ("/nowhere", Err(Errno::ENOENT)),
            ("/round", Err(Errno::ELOOP)),
            ("/etc/file/below", Err(Errno::ENOTDIR)),
        ] {
            let expected = expected.map(identity);
            assert_eq!(found(find, path), expected, "{path}");
            assert_eq!(found(walk, path), expected, "{path}, walked");
        }
    }
}
