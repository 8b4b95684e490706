//! Root file systems that are made of what the machine has: its busybox, or what its debootstrap fetches.

use super::super::config::ImageConfig;
use super::super::error::{ImageError, InStore};
use super::{Made, Making, directory};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where Debian's busybox-static has it, and others.
const BUSYBOX: [&str; 2] = ["/bin/busybox", "/usr/bin/busybox"];

/// The directories of a root file system, and what each allows.
const DIRECTORIES: [(&str, u32); 13] = [
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("sbin", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/sbin", 0o755),
    ("var", 0o755),
];

/// Its files, besides programs.
const FILES: [(&str, &str); 4] = [
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
    ("etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"),
    ("etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"),
    ("etc/resolv.conf", ""),
];

/// A root file system with busybox and all of its applets.
pub(super) fn busybox(making: &Making<'_>) -> Result<Made, ImageError> {
    let lacking = || ImageError::Lacking { program: "a static busybox", package: "busybox-static" };
    let program = BUSYBOX.iter().map(Path::new).find(|path| is_static(path)).ok_or_else(lacking)?;
    let run = |error| ImageError::Read { what: format!("what {} can do", program.display()), source: error };
    let listed = Command::new(program).arg("--list-full").stdin(Stdio::null()).output().map_err(run)?;
    let root = making.work.directory()?;
    fs::set_permissions(&root, Permissions::from_mode(0o755)).in_store("make", &root)?;
    for (name, mode) in DIRECTORIES {
        let path = root.join(name);
        fs::create_dir(&path).in_store("make", &path)?;
        fs::set_permissions(&path, Permissions::from_mode(mode)).in_store("make", &path)?;
    }
    for (name, text) in FILES {
        let path = root.join(name);
        fs::write(&path, text).in_store("write", &path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o644)).in_store("write", &path)?;
    }
    let own = root.join("bin/busybox");
    fs::copy(program, &own).in_store("write", &own)?;
    fs::set_permissions(&own, Permissions::from_mode(0o755)).in_store("write", &own)?;
    for applet in String::from_utf8_lossy(&listed.stdout).lines() {
        let path = root.join(applet.trim_start_matches('/'));
        // Some builds have applets where there is no such directory here, and busybox itself is one.
        if path.parent().is_some_and(Path::is_dir) && path.symlink_metadata().is_err() {
            symlink("/bin/busybox", &path).in_store("make", &path)?;
        }
    }
    directory::make_timeless(&root, shell("/bin/sh"), making)
}

/// Debian's or Ubuntu's own way to a root file system: `SUITE`, or `SUITE,MIRROR`.
pub(super) fn debootstrap(suite: &str, making: &Making<'_>) -> Result<Made, ImageError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).chain(["/usr/sbin".into()]).map(|path| path.join("debootstrap"));
    let program: Option<PathBuf> = is_there.into_iter().find(|path| path.is_file());
    let program = program.ok_or(ImageError::Lacking { program: "debootstrap", package: "debootstrap" })?;
    let (suite, mirror) = suite.split_once(',').map_or((suite, None), |(suite, mirror)| (suite, Some(mirror)));
    let is_name = |text: &str| !text.is_empty() && !text.starts_with('-');
    if !is_name(suite) || mirror.is_some_and(|mirror| !is_name(mirror)) {
        let text = "write debootstrap:SUITE or debootstrap:SUITE,MIRROR, as in debootstrap:bookworm";
        return Err(ImageError::Unknown(text.to_owned()));
    }
    let root = making.work.directory()?;
    fs::set_permissions(&root, Permissions::from_mode(0o755)).in_store("make", &root)?;
    // What it mounts in there is not to be seen, or left, outside.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--"]).arg(program);
    // Its packages have programs that root runs here: only as far as their signatures are good.
    command.args(["--variant=minbase", "--force-check-gpg", suite]).arg(&root).args(mirror);
    command.stdin(Stdio::null()).stdout(std::io::stderr());
    let what = || format!("debootstrap of {suite}");
    // Where nslab is killed, it goes on: who comes next is to see that.
    making.work.have_lock_inherited()?;
    let status = command.status().map_err(|source| ImageError::Read { what: what(), source })?;
    if !status.success() {
        return Err(ImageError::Damaged { what: what(), why: format!("it has failed ({status}), and says why above") });
    }
    let packages = root.join("var/cache/apt/archives");
    for entry in fs::read_dir(&packages).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            fs::remove_file(entry.path()).in_store("remove", &entry.path())?;
        }
    }
    let made = directory::make(&root, making)?;
    Ok(Made { config: shell("/bin/bash"), ..made })
}

fn shell(program: &str) -> ImageConfig {
    ImageConfig { command: vec![program.to_owned()], ..ImageConfig::default() }
}

/// Whether a program needs no library: an ELF file of 64 bits without an interpreter (elf(5)).
fn is_static(path: &Path) -> bool {
    const PT_INTERP: u32 = 3;
    let Ok(bytes) = fs::read(path) else { return false };
    let number = |at: usize, count: usize| -> Option<usize> {
        let field = bytes.get(at..at.checked_add(count)?)?;
        let value = field.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        usize::try_from(value).ok()
    };
    let has_interpreter = || -> Option<bool> {
        let (offset, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        let mut kinds = (0..count).map(|one| number(offset.checked_add(one * size)?, 4));
        Some(kinds.any(|kind| kind == Some(PT_INTERP as usize)))
    };
    bytes.starts_with(b"\x7fELF\x02\x01") && has_interpreter() == Some(false)
}
