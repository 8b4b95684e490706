//! Where the machine's cgroup hierarchies are, and where in them the caller is.

use super::error::{CgroupError, While};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// The two interfaces of cgroups(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// A hierarchy a controller, or a few.
    One,
    /// One hierarchy for all.
    Two,
}

/// What nslab uses of the controllers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Controller {
    Memory,
    Pids,
    Cpu,
    Io,
    /// In version 1, where it takes a controller to stop processes.
    Freezer,
}

impl Controller {
    pub(super) const ALL: [Self; 5] = [Self::Memory, Self::Pids, Self::Cpu, Self::Io, Self::Freezer];

    /// As the kernel calls it in version 2, and but for one in version 1.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::Io => "io",
            Self::Freezer => "freezer",
        }
    }
}

/// A hierarchy that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) version: Version,
    /// Its controllers; in version 2, those that its topmost visible cgroup has.
    pub(super) controllers: BTreeSet<String>,
    /// Where it is mounted.
    pub(super) mount: PathBuf,
    /// The cgroup that the caller is in, from there on; empty where that is the topmost one, or can't be seen.
    pub(super) own: PathBuf,
    /// The file system's device number, as mountinfo has it.
    device: String,
}

/// As much as a file of /proc is expected to have: one that is longer is read in portions.
const EXPECTED_BYTES: usize = 16 << 10;

/// The hierarchies that the caller can reach and nslab has a use for, each once.
pub(super) fn look() -> Result<Vec<Hierarchy>, CgroupError> {
    let mut found: Vec<Hierarchy> = Vec::new();
    let all = parse(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?);
    for mut hierarchy in all.into_iter().filter(Hierarchy::is_of_use) {
        // One mount may hide another one, and a hierarchy may be mounted in many places.
        if !hierarchy.is_reachable() || found.iter().any(|other| other.device == hierarchy.device) {
            continue;
        }
        if hierarchy.version == Version::Two {
            let file = hierarchy.mount.join("cgroup.controllers");
            let text = fs::read_to_string(&file).while_to("read", &file)?;
            hierarchy.controllers = text.split_whitespace().map(str::to_owned).collect();
        }
        found.push(hierarchy);
    }
    Ok(found)
}

/// Reads a file whose length nobody tells, at once where it is not long.
fn read(path: &str) -> Result<String, CgroupError> {
    let mut text = String::with_capacity(EXPECTED_BYTES);
    File::open(path).and_then(|mut file| file.read_to_string(&mut text)).while_to("read", path)?;
    Ok(text)
}

/// Reads /proc/PID/mountinfo and /proc/PID/cgroup (proc_pid_mountinfo(5), cgroups(7)).
fn parse(mountinfo: &str, cgroup: &str) -> Vec<Hierarchy> {
    mountinfo.lines().filter_map(|line| one_mount(line, cgroup)).collect()
}

fn one_mount(line: &str, cgroup: &str) -> Option<Hierarchy> {
    // Before the lone hyphen there is any number of optional fields.
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(2);
    let (device, root, mount) = (before.next()?, unescaped(before.next()?), unescaped(before.next()?));
    let mut after = after.split(' ');
    let version = match after.next()? {
        "cgroup" => Version::One,
        "cgroup2" => Version::Two,
        _ => return None,
    };
    let options: BTreeSet<String> = after.nth(1)?.split(',').map(str::to_owned).collect();
    let own = cgroup.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let is_this = match version {
            Version::One => controllers.split(',').any(|name| options.contains(name)),
            Version::Two => controllers.is_empty(),
        };
        is_this.then(|| Path::new(path))
    });
    // A path that is not below the mount's root, or leads out by `..`, belongs to somebody whom the mount does not show.
    let own = own.and_then(|path| path.strip_prefix(&root).ok());
    let own = own.filter(|path| path.components().all(|part| matches!(part, Component::Normal(_))));
    Some(Hierarchy {
        version,
        controllers: if version == Version::One { options } else { BTreeSet::new() },
        mount: PathBuf::from(mount),
        own: own.map(Path::to_owned).unwrap_or_default(),
        device: device.to_owned(),
    })
}

/// A path in mountinfo has blanks, line ends and backslashes as `\` and three octal digits.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Hierarchy {
    pub(super) fn has(&self, controller: Controller) -> bool {
        let name = match (self.version, controller) {
            (Version::One, Controller::Io) => "blkio",
            _ => controller.name(),
        };
        self.controllers.contains(name)
    }

    /// Whether it is of version 2, or has a controller that nslab uses.
    fn is_of_use(&self) -> bool {
        self.version == Version::Two || Controller::ALL.into_iter().any(|one| self.has(one))
    }

    /// Whether it has a controller by which nslab limits.
    pub(super) fn has_limits(&self) -> bool {
        Controller::ALL.into_iter().any(|one| one != Controller::Freezer && self.has(one))
    }

    fn is_reachable(&self) -> bool {
        let device = fs::metadata(&self.mount).ok().map(|there| there.dev());
        device
            .is_some_and(|device| format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device)) == self.device)
    }

    /// The caller's own cgroup.
    pub(super) fn own_directory(&self) -> PathBuf {
        self.mount.join(&self.own)
    }

    /// The topmost cgroup on the way to the caller's own that it may have others below: the hierarchy's root for root, and
    /// what is delegated for others (cgroups(7), "Cgroups delegation").
    pub(super) fn base(&self) -> Option<PathBuf> {
        let mut ways: Vec<&Path> = self.own.ancestors().collect();
        ways.reverse();
        // Joined with nothing, the mount's own path would get a slash at its end.
        ways.into_iter()
            .map(|way| self.mount.join(way).components().collect())
            .find(|directory: &PathBuf| may_fill(directory))
    }
}

/// Whether the caller may make cgroups below this one, and move processes that are below it.
fn may_fill(directory: &Path) -> bool {
    may_write(directory) && may_move_below(directory)
}

/// Whether the caller may move its processes from one cgroup below this one to another.
fn may_move_below(directory: &Path) -> bool {
    may_write(&directory.join("cgroup.procs"))
}

/// Whether the caller may move what is where itself is into this cgroup of version 2: who does must be allowed to at the
/// innermost cgroup that both are in.
pub(super) fn may_move_into(directory: &Path) -> Result<bool, CgroupError> {
    let own = look()?.into_iter().find(|one| one.version == Version::Two).map(|one| one.own_directory());
    let own = own.unwrap_or_default();
    let both = own.components().zip(directory.components()).take_while(|(one, other)| one == other);
    Ok(may_move_below(&both.map(|(part, _)| part).collect::<PathBuf>()))
}

fn may_write(path: &Path) -> bool {
    accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// systemd with version 2 alone.
    const UNIFIED: &str = "\
24 30 0:22 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw
29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
31 23 0:27 / /sys/fs/bpf rw shared:6 - bpf bpf rw,mode=700
";

    /// systemd with version 1 (what an older RHEL and Debian have), two controllers in one.
    const LEGACY: &str = "\
25 18 0:21 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:8 - tmpfs tmpfs ro,mode=755
26 25 0:22 / /sys/fs/cgroup/systemd rw,nosuid shared:9 - cgroup cgroup rw,xattr,name=systemd
29 25 0:25 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:11 - cgroup cgroup rw,cpu,cpuacct
30 25 0:26 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
";

    /// The same with an empty tree of version 2 for systemd.
    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    fn own(hierarchies: &[Hierarchy]) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        hierarchies.iter().map(|one| (text(&one.mount), text(&one.own))).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(mount, own)| ((*mount).to_owned(), (*own).to_owned())).collect()
    }

    #[test]
    fn version_2_is_found_with_the_callers_place_in_it() {
        let found = parse(UNIFIED, "0::/user.slice/user-1000.slice/session-1.scope\n");
        assert_eq!(own(&found), pairs(&[("/sys/fs/cgroup", "user.slice/user-1000.slice/session-1.scope")]));
        assert_eq!(found[0].version, Version::Two);
        assert!(found[0].controllers.is_empty(), "they are not in mountinfo");
    }

    #[test]
    fn version_1_is_found_by_its_controllers() {
        let cgroup = "5:memory:/user.slice\n4:cpu,cpuacct:/docker/1\n1:name=systemd:/user.slice/x\n0::/user.slice/x\n";
        let found = parse(LEGACY, cgroup);
        let expected = [
            ("/sys/fs/cgroup/systemd", "user.slice/x"),
            ("/sys/fs/cgroup/cpu,cpuacct", "docker/1"),
            ("/sys/fs/cgroup/memory", "user.slice"),
        ];
        assert_eq!(own(&found), pairs(&expected));
        assert_eq!(found.iter().map(Hierarchy::is_of_use).collect::<Vec<_>>(), [false, true, true]);
        assert!(found[1].has(Controller::Cpu) && !found[1].has(Controller::Memory));
        assert!(found[2].has(Controller::Memory) && !found[0].has(Controller::Memory));
        let found = parse("35 31 0:32 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n", "4:blkio:/\n");
        assert!(found[0].has(Controller::Io));
    }

    #[test]
    fn both_versions_are_found_beside_each_other() {
        let found = parse(HYBRID, "4:memory:/a/b\n0::/\n");
        assert_eq!(own(&found), pairs(&[("/sys/fs/cgroup/memory", "a/b"), ("/sys/fs/cgroup/unified", "")]));
        assert_eq!([found[0].version, found[1].version], [Version::One, Version::Two]);
    }

    #[test]
    fn a_mount_shows_what_is_below_its_root() {
        let line = |root: &str| format!("9 8 0:5 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
        let place = |root: &str, cgroup: &str| own(&parse(&line(root), &format!("4:memory:{cgroup}\n")))[0].1.clone();
        assert_eq!(place("/docker/1", "/docker/1"), "");
        assert_eq!(place("/docker/1", "/docker/1/sub"), "sub");
        assert_eq!(place("/docker/1", "/elsewhere"), "", "nothing of it can be seen");
        assert_eq!(place("/", "/../sibling"), "", "outside of the cgroup namespace");
    }

    #[test]
    fn paths_may_hold_blanks() {
        let found = parse("9 8 0:5 / /mnt/a\\040b\\134c rw - cgroup2 none rw\n", "0::/x:y\n");
        assert_eq!(own(&found), pairs(&[("/mnt/a b\\c", "x:y")]));
        assert_eq!(unescaped("end\\04"), "end\\04");
    }

    #[test]
    fn lines_that_are_none_are_none() {
        assert_eq!(parse("\nx\n1 2 3 - cgroup\n1 2 0:1 / /m rw - cgroup2 none\n", "0::/\n"), []);
        assert_eq!(own(&parse(HYBRID, "")).len(), 2, "who is nowhere sees the mounts");
    }
}
