//! Volumes as commands: mount(8), where nslab has a mount namespace that nobody else looks into.

use super::shell::{Script, quoted};
use crate::model::{Volume, VolumeKind, VolumeLimits};
use std::path::Path;

/// What they are about, and what the commands leave out.
pub(super) const LESSON: &[&str] = &[
    "A volume is a file system that containers share: it is mounted once, and each of them gets a copy of the mount. nslab mounts it",
    "in a mount namespace of the lab's own, in which nobody else sees it; by hand, it is seen in /run/LAB.volumes, and what is",
    "mounted in it by one container is seen by no other one.",
];

/// Where a volume is mounted by hand.
pub(super) fn place(namespace: &Path, at: &Path) -> String {
    let lab = namespace.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    format!("/run/{lab}.volumes{}", at.display())
}

pub(super) fn add(script: &mut Script, of: &Volume) {
    let at = quoted(&place(&of.namespace, &of.at));
    script.line(&format!("mkdir -p {at}"));
    let VolumeLimits { read_only, nosuid, nodev, noexec } = of.limits;
    let limits = [(read_only, "ro"), (nosuid, "nosuid"), (nodev, "nodev"), (noexec, "noexec")];
    let limits: Vec<&str> = limits.into_iter().filter(|(is_on, _)| *is_on).map(|(_, name)| name).collect();
    match &of.kind {
        VolumeKind::Bind { source } => script.line(&format!("mount --bind {} {at}", quoted(&source.to_string_lossy()))),
        VolumeKind::Tmpfs { size } => {
            let size = size.map(|size| format!(",size={}", size.bytes())).unwrap_or_default();
            script.line(&format!("mount -t tmpfs -o mode=1777{size} {} {at}", quoted(&of.name)));
        }
        VolumeKind::Ramdisk { size, filesystem } => {
            let file = quoted(&format!("{}.disk", place(&of.namespace, &of.at)));
            script.line(&format!("truncate -s {} {file}", size.bytes()));
            script.line(&format!("mkfs.{filesystem} {file}"));
            script.line(&format!("mount -t {filesystem} -o loop {file} {at}"));
            script.line(&format!("chmod 1777 {at}"));
        }
    }
    if !limits.is_empty() {
        script.line(&format!("mount -o remount,bind,{} {at}", limits.join(",")));
    }
}

/// One that nslab has mounted is in its own mount namespace, which has no programs: commands do not get at it.
pub(super) fn remove(script: &mut Script, of: &Volume) {
    let at = quoted(&place(&of.namespace, &of.at));
    let disk = quoted(&format!("{}.disk", place(&of.namespace, &of.at)));
    script.line(&format!("[ ! -e {at} ] || {{ umount -l {at}; rm -f {disk}; rmdir {at}; }}"));
}
