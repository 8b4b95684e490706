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

/// The cgroup of a lab, or of a node that is no container. Who is to be in it has to go there.
fn set(script: &mut Script, group: &LimitedGroup) {
    make(script, &group.cgroup, true);
    write(script, &group.cgroup, &group.limits);
}

/// A cgroup, made in each hierarchy that has one of the files. In version 2 the controllers are passed on from above, level by
/// level. One that limits nothing is only wished for.
pub(super) fn make(script: &mut Script, cgroup: &Path, is_needed: bool) {
    let above: Vec<String> = cgroup.ancestors().skip(1).map(|way| way.to_string_lossy().into_owned()).collect();
    let above: Vec<String> = above
        .iter()
        .rev()
        .map(|way| if way.is_empty() { "''".to_owned() } else { quoted(&format!("/{way}")) })
        .collect();
    script.line("while read -r device mount kind options rest; do");
    script.line("    case $kind,$options, in cgroup2,* | cgroup,*,memory,* | cgroup,*,pids,* | cgroup,*,cpu,* | cgroup,*,blkio,*) ;; *) continue ;; esac");
    script.line("    [ -e \"$mount/cgroup.procs\" ] || continue");
    let otherwise = if is_needed { "" } else { " 2> /dev/null || continue" };
    script.line(&format!("    mkdir -p \"$mount\"/{}{otherwise}", quoted(&cgroup.to_string_lossy())));
    script.line("    [ $kind = cgroup2 ] || continue");
    script.line(&format!("    for above in {}; do for one in memory pids cpu io; do", above.join(" ")));
    script.line("        echo \"+$one\" > \"$mount$above/cgroup.subtree_control\" || :");
    script.line("    done; done 2> /dev/null");
    script.line("done < /proc/mounts");
}

/// The line by which a shell goes into a cgroup that is there, and whom it starts from then on.
pub(super) fn enter(cgroup: &Path) -> String {
    let place = quoted(&format!("*/{}", cgroup.display()));
    format!("for cgroup in $(find /sys/fs/cgroup -type d -path {place}); do echo 0 > \"$cgroup/cgroup.procs\"; done")
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
pub(super) fn write(script: &mut Script, cgroup: &Path, limits: &Limits) {
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
