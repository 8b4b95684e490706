//! The machine's cgroup hierarchies as a test's own: in each it sees nothing but a cgroup made for it, at the usual places.
//!
//! The hierarchies are the machine's, whatever the namespaces, and other tests use them at the same time.

use super::ThrowAwayHost;
use super::run::sh;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where a hierarchy is mounted for the moment in which the test's cgroup in it is made or removed.
const WHOLE: &str = "/run/whole-cgroup";

/// The directory of version 2, and the cgroup in there that the test itself is in.
const UNIFIED: &str = "unified";
const CALLER: &str = "caller";

/// Everything below [`Cgroups::HERE`]. Dropping it takes it all away.
pub(crate) struct Cgroups {
    /// What the cgroup is called that the test has in each hierarchy.
    name: String,
    /// The mounts, by their directories' names; with what mount(8) is told to find the hierarchy.
    hierarchies: BTreeMap<String, String>,
    /// The cgroup of version 2 that the test came from.
    origin: String,
}

impl Cgroups {
    /// Where they are mounted.
    pub(crate) const HERE: &str = "/sys/fs/cgroup";

    /// All that the machine has.
    pub(crate) fn mount(host: &ThrowAwayHost) -> Self {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let controllers = own.lines().map(|line| line.split(':').nth(1).unwrap());
        Self::mount_these(host, &controllers.collect::<Vec<_>>())
    }

    /// All that the machine has, and then those of version 1 alone where it has them: each until the next is asked for.
    pub(crate) fn of_both_versions(host: &ThrowAwayHost) -> impl Iterator<Item = Self> {
        let ways: [fn(&ThrowAwayHost) -> Self; 2] = [Self::mount, Self::mount_version_1];
        ways.into_iter().map(|mount| mount(host)).filter(|cgroups| !cgroups.places().is_empty())
    }

    /// Those of version 1, without the tree of version 2.
    fn mount_version_1(host: &ThrowAwayHost) -> Self {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let controllers = own.lines().map(|line| line.split(':').nth(1).unwrap());
        Self::mount_these(host, &controllers.filter(|list| !list.is_empty()).collect::<Vec<_>>())
    }

    fn mount_these(host: &ThrowAwayHost, lists: &[&str]) -> Self {
        // A process's number is another one's in another test's host; the scratch directory's name is drawn.
        let drawn: String = host.scratch().to_str().unwrap().chars().filter(char::is_ascii_alphanumeric).collect();
        let used = |list: &&&str| list.is_empty() || list.split(',').any(|one| USED.contains(&one));
        let hierarchies = lists.iter().filter(used).map(|list| match *list {
            "" => (UNIFIED.to_owned(), "-t cgroup2".to_owned()),
            list => (list.to_owned(), format!("-t cgroup -o {list}")),
        });
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let origin = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default().to_owned();
        let this = Self { name: format!("nslab-test-{drawn}"), hierarchies: hierarchies.collect(), origin };
        let Self { name, .. } = &this;
        sh(&format!("mkdir {WHOLE}; mount -t tmpfs none {}", Self::HERE));
        for (directory, kind) in &this.hierarchies {
            let place = this.place(directory);
            sh(&format!(
                "mkdir {place}; mount {kind} none {WHOLE}; mkdir {WHOLE}/{name}
                 if grep -qw memory {WHOLE}/cgroup.controllers 2> /dev/null; then
                     echo +memory +pids +cpu +io > {WHOLE}/cgroup.subtree_control; fi
                 mount --bind {WHOLE}/{name} {place}; umount {WHOLE}",
                place = place.display()
            ));
        }
        // Who calls nslab is somewhere in what he sees.
        if this.hierarchies.contains_key(UNIFIED) {
            let here = this.place(UNIFIED).join(CALLER);
            sh(&format!("mkdir {0}; echo {1} > {0}/cgroup.procs", here.display(), std::process::id()));
        }
        this
    }

    fn place(&self, directory: &str) -> PathBuf {
        Path::new(Self::HERE).join(directory)
    }

    /// The hierarchies' directories.
    pub(crate) fn places(&self) -> Vec<PathBuf> {
        self.hierarchies.keys().map(|directory| self.place(directory)).collect()
    }

    /// The cgroups that there are, in all hierarchies, but for the test's own.
    pub(crate) fn all(&self) -> Vec<String> {
        let found = sh(&format!("cd {}; find . -mindepth 2 -type d ! -path ./{UNIFIED}/{CALLER}", Self::HERE));
        found.lines().map(str::to_owned).collect()
    }

    /// The controllers of version 2 that are enabled for what is below the test's own, and nslab's marks of them; none where it
    /// has none.
    pub(crate) fn enabled(&self) -> String {
        let file = self.place(UNIFIED).join("cgroup.subtree_control");
        let names = std::fs::read_to_string(&file).unwrap_or_default();
        let mut marks = Vec::with_capacity(4096);
        if file.exists() {
            rustix::fs::listxattr(&file, rustix::buffer::spare_capacity(&mut marks)).unwrap();
        }
        let marks = marks.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let words = names.split_whitespace().map(str::to_owned);
        words.chain(marks.filter(|mark| mark.contains("nslab")).map(String::from)).collect::<Vec<_>>().join(" ")
    }

    /// What is in a file of the one cgroup that has it, below any of `name`.
    pub(crate) fn read(&self, name: &str, file: &str) -> String {
        let places = self.places().into_iter().map(|place| place.join(name).join(file));
        let found: Vec<PathBuf> = places.filter(|path| path.exists()).collect();
        assert_eq!(found.len(), 1, "{file} in {name}: {found:?}");
        std::fs::read_to_string(&found[0]).unwrap().trim().to_owned()
    }

    /// Whether memory is counted by version 2.
    pub(crate) fn is_version_2(&self) -> bool {
        !self.hierarchies.contains_key("memory")
    }
}

/// The controllers that nslab uses.
const USED: [&str; 5] = ["memory", "pids", "cpu", "blkio", "freezer"];

impl Drop for Cgroups {
    fn drop(&mut self) {
        let Self { name, origin, .. } = &*self;
        for (directory, kind) in &self.hierarchies {
            // What a test that failed has left goes, too, as far as it is empty.
            sh(&format!(
                "umount -l {place}; mount {kind} none {WHOLE}
                 for pid in $(cat {WHOLE}/{name}/{CALLER}/cgroup.procs 2> /dev/null); do
                     echo $pid > {WHOLE}{origin}/cgroup.procs || true; done
                 find {WHOLE}/{name} -depth -type d -exec rmdir {{}} \\; 2> /dev/null || true
                 umount {WHOLE}",
                place = self.place(directory).display()
            ));
        }
        sh(&format!("umount -l {}; rmdir {WHOLE}", Self::HERE));
    }
}
