//! Limits in a script of shell commands.

use super::shell::{Script, quoted};
use super::types::Op;
use crate::model::LimitedGroup;
use crate::model::container::{IoRate, Limits, MemorySize};
use std::path::Path;

/// What a reader is told before the first.
pub(super) const LESSON: &[&str] = &[
    "What processes may use together is said by the files of the cgroup that they are in (cgroups(7)): each hierarchy that is",
    "mounted has a directory of its name. A file that is not there is of a controller that is elsewhere, or of the other version.",
    "How fast disks are read and written is limited for each disk; what is in memory is none.",
];

/// A step that changes limits.
pub(super) fn change(script: &mut Script, op: &Op) {
    match op {
        Op::LimitContainer(of) => write(script, &of.cgroup, &of.container.limits),
        Op::SetGroup(group) => set(script, group),
        Op::RemoveGroup(group) => remove(script, group),
        _ => {}
    }
}

/// A cgroup, made in every hierarchy that has one of the files.
fn set(script: &mut Script, group: &LimitedGroup) {
    let name = quoted(&group.cgroup.to_string_lossy());
    script.line("for mount in /sys/fs/cgroup /sys/fs/cgroup/*; do");
    script.line("    [ -e \"$mount/cgroup.procs\" ] || continue");
    script.line("    for above in '' /nslab; do");
    script.line("        [ ! -e \"$mount/cgroup.controllers\" ] || for one in memory pids cpu io; do");
    script.line("            echo \"+$one\" > \"$mount$above/cgroup.subtree_control\" || :");
    script.line("        done 2> /dev/null");
    script.line(&format!("        mkdir -p \"$mount/\"{name}"));
    script.line("    done");
    script.line("done");
    write(script, &group.cgroup, &group.limits);
}

/// It goes with what it is in, where that is empty.
fn remove(script: &mut Script, group: &LimitedGroup) {
    let ways = group.cgroup.ancestors().filter(|way| !way.as_os_str().is_empty());
    let ways: Vec<String> = ways.map(|way| format!("-path {}", quoted(&format!("*/{}", way.display())))).collect();
    script.line(&format!(
        "find /sys/fs/cgroup -depth -type d \\( {} \\) -exec rmdir {{}} + 2> /dev/null || :",
        ways.join(" -o ")
    ));
}

/// Writes the files of a cgroup, of either version.
fn write(script: &mut Script, cgroup: &Path, limits: &Limits) {
    let Limits { memory, swap, cpus, pids, io_read, io_write } = limits;
    let number = |number: Option<u64>, none: &str| number.map_or_else(|| none.to_owned(), |number| number.to_string());
    let memory_bytes = memory.map(MemorySize::bytes);
    let both = memory_bytes.zip(*swap).map(|(memory, swap)| memory.saturating_add(swap.bytes()));
    let quota = cpus.map(|cpus| u64::from(cpus.thousandths()) * 100);
    let files = [
        // Lifted, so that what comes next is above nothing.
        ("memory.memsw.limit_in_bytes", "-1".to_owned()),
        ("memory.limit_in_bytes", number(memory_bytes, "-1")),
        ("memory.memsw.limit_in_bytes", number(both, "-1")),
        ("memory.max", number(memory_bytes, "max")),
        ("memory.swap.max", number(swap.map(MemorySize::bytes), "max")),
        ("cpu.cfs_quota_us", number(quota, "-1")),
        ("cpu.max", format!("{} 100000", number(quota, "max"))),
        ("pids.max", number(pids.map(u64::from), "max")),
    ];
    let place = quoted(&format!("*/{}", cgroup.display()));
    script.line(&format!("find /sys/fs/cgroup -type d -path {place} | while read -r cgroup; do"));
    for (file, value) in files {
        script.line(&format!("    [ ! -e \"$cgroup/{file}\" ] || echo '{value}' > \"$cgroup/{file}\""));
    }
    let [read, write] = [io_read, io_write].map(|rate| rate.map(IoRate::bytes));
    let files = [
        ("io.max", format!("rbps={} wbps={}", number(read, "max"), number(write, "max"))),
        ("blkio.throttle.read_bps_device", number(read, "0")),
        ("blkio.throttle.write_bps_device", number(write, "0")),
    ];
    script.line("    for disk in /sys/block/*; do");
    script.line("        case ${disk##*/} in loop[0-9]* | ram[0-9]* | zram[0-9]*) continue ;; esac");
    script.line("        [ \"$(cat \"$disk/size\")\" != 0 ] && ! grep -qsx 1 \"$disk/hidden\" || continue");
    for (file, value) in files {
        script.line(&format!(
            "        [ ! -e \"$cgroup/{file}\" ] || echo \"$(cat \"$disk/dev\") {value}\" > \"$cgroup/{file}\""
        ));
    }
    script.line("    done");
    script.line("done");
}
