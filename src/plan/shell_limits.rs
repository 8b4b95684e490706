//! Limits in a script of shell commands.

use super::shell::{Script, quoted};
use crate::model::NodeContainer;
use crate::model::container::Limits;
use std::path::Path;

/// What a reader is told before the first.
pub(super) const LESSON: &[&str] = &[
    "What processes may use together is said by the files of the cgroup that they are in (cgroups(7)): each hierarchy that is",
    "mounted has a directory of its name. A file that is not there is of a controller that is elsewhere, or of the other version.",
];

/// The limits of a container that runs.
pub(super) fn container(script: &mut Script, of: &NodeContainer) {
    write(script, &of.cgroup, &of.container.limits);
}

/// Writes the files of a cgroup, of either version.
fn write(script: &mut Script, cgroup: &Path, limits: &Limits) {
    let Limits { memory, swap, cpus, pids } = limits;
    let number = |number: Option<u64>, none: &str| number.map_or_else(|| none.to_owned(), |number| number.to_string());
    let memory_bytes = memory.map(|memory| memory.bytes());
    let both = memory_bytes.zip(*swap).map(|(memory, swap)| memory.saturating_add(swap.bytes()));
    let quota = cpus.map(|cpus| u64::from(cpus.thousandths()) * 100);
    let files = [
        // Lifted, so that what comes next is above nothing.
        ("memory.memsw.limit_in_bytes", "-1".to_owned()),
        ("memory.limit_in_bytes", number(memory_bytes, "-1")),
        ("memory.memsw.limit_in_bytes", number(both, "-1")),
        ("memory.max", number(memory_bytes, "max")),
        ("memory.swap.max", number(swap.map(|swap| swap.bytes()), "max")),
        ("cpu.cfs_quota_us", number(quota, "-1")),
        ("cpu.max", format!("{} 100000", number(quota, "max"))),
        ("pids.max", number(pids.map(u64::from), "max")),
    ];
    let place = quoted(&format!("*/{}", cgroup.display()));
    script.line(&format!("find /sys/fs/cgroup -type d -path {place} | while read -r cgroup; do"));
    for (file, value) in files {
        script.line(&format!("    [ ! -e \"$cgroup/{file}\" ] || echo '{value}' > \"$cgroup/{file}\""));
    }
    script.line("done");
}
