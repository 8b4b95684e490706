//! Containers as commands: unshare(1) and mount(8) for what the launcher does with system calls of its own.

use super::shell::{Script, quoted};
use super::shell_limits as limits;
use crate::model::container::{Mount, MountKind, Root, RootFileSystem, RootSource, User, Writes};
use crate::model::{Exec, NodeContainer};
use std::path::Path;

/// What starting one is about, and what the commands leave out of it.
pub(super) const LESSON: &[&str] = &[
    "A container is a process in namespaces of its own with a root of its own. unshare(1) makes the namespaces, mount(8) what",
    "is seen in the root, which nobody else sees mounted, and unshare(1) goes there. What it prints is in /run/NAME.container/log.",
    "Its cgroup limits it, and the cgroups of a lab what is in them together: who is in a cgroup stands in its cgroup.procs.",
    "nslab does more: pivot_root(2), so that there is no way out; a seccomp filter, and fewer capabilities; a /sys of its own,",
    "and paths of the kernel's that are hidden; a process 1 that reaps orphans and passes signals on. It all ends with",
    "`ip netns pids NAME | xargs kill -KILL`; rmdir(1) removes the cgroups then.",
];

/// Where programs are, for those who say nothing else; as the launcher has it.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn start(script: &mut Script, of: &NodeContainer) {
    let place = place(of.netns.name.as_str());
    let netns = quoted(of.netns.name.as_str());
    script.line(&format!("mkdir -p {place}/root"));
    let ids = match of.container.user {
        User::Callers => String::new(),
        User::Ids { uid, gid } => format!("--setgid={gid} --setuid={uid}"),
    };
    script.line(&format!("echo {} > {place}/ids", quoted(&ids)));
    let is_limited = !of.container.limits.is_none();
    limits::make(script, &of.cgroup, is_limited);
    if is_limited {
        limits::write(script, &of.cgroup, &of.container.limits);
    }
    // Before its namespaces are made: the cgroup that it is in then is the topmost that it sees.
    script.line(&format!("({}", limits::enter(&of.cgroup)));
    script.line(&format!(
        "exec ip netns exec {netns} unshare --pid --fork --kill-child --mount --uts --ipc --cgroup \\\n    sh -ec {}) \\\n    < /dev/null > {place}/log 2>&1 &",
        quoted(&inside(of, &place).join("\n"))
    ));
    // Only what comes next may need it, but then it is to be there; one that can't be started ends the script.
    script.line(&format!("until [ -s {place}/pid ]; do"));
    script.line(&format!("    kill -0 $! 2> /dev/null || [ -s {place}/pid ] || {{ cat {place}/log >&2; exit 1; }}"));
    script.line("    sleep 0.1");
    script.line("done");
}

/// What process 1 of the container does to become its command.
fn inside(of: &NodeContainer, place: &str) -> Vec<String> {
    let container = &of.container;
    let mut lines = vec![
        format!("cd {place}"),
        // What is mounted there before a /proc of its own says its number outside.
        "read -r pid rest < /proc/self/stat".to_owned(),
        "exec 3> pid".to_owned(),
    ];
    if let Some(hostname) = &container.hostname {
        lines.push(format!("hostname {}", quoted(hostname)));
    }
    if let Root::Own(RootFileSystem { source, writes, mounts }) = &container.root {
        lines.extend(files(source, writes, place));
        lines.push("mount -t proc proc root/proc".to_owned());
        lines.push("mount -t tmpfs -o mode=755 tmpfs root/dev".to_owned());
        lines.push("for device in null zero full random urandom tty; do".to_owned());
        lines.push("    : > root/dev/$device; mount --bind /dev/$device root/dev/$device".to_owned());
        lines.push("done".to_owned());
        lines.extend(mounts.iter().map(words));
    }
    lines.push("echo \"$pid\" >&3".to_owned());
    lines.push(format!("exec {} 3>&-", command(of)));
    lines
}

/// The files of the root, mounted as `root`.
fn files(source: &RootSource, writes: &Writes, place: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let lower = match (source, writes) {
        (RootSource::Directory(directory), Writes::Through) => {
            lines.push(format!("mount --bind {} root", quoted(&directory.to_string_lossy())));
            return lines;
        }
        (RootSource::Host, Writes::Through) => {
            lines.push("mount --bind / root".to_owned());
            return lines;
        }
        (RootSource::Directory(directory), _) => escaped(directory),
        (RootSource::Host, _) => "/".to_owned(),
        (RootSource::Layers(layers), _) => {
            lines.push(
                "# Of an image: nobody knows that it is in use, and it is not to be removed meanwhile.".to_owned(),
            );
            layers.iter().map(|layer| escaped(layer)).collect::<Vec<_>>().join(":")
        }
    };
    // What is written goes with the container. A place in the store of images is for those that nslab has claimed.
    lines.push("mkdir -p layer; mount -t tmpfs tmpfs layer; mkdir layer/upper layer/work".to_owned());
    let options = format!("lowerdir={lower},upperdir={place}/layer/upper,workdir={place}/layer/work");
    lines.push(format!("mount -t overlay overlay -o {} root", quoted(&options)));
    lines
}

/// A path such that overlayfs finds neither its next option nor its next layer in it.
fn escaped(path: &Path) -> String {
    let mut text = String::new();
    for character in path.to_string_lossy().chars() {
        if matches!(character, '\\' | ':' | ',') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

/// The command, in its root, with its environment, and who it is.
fn command(of: &NodeContainer) -> String {
    let container = &of.container;
    let mut words: Vec<String> = ["env", "-i", PATH].map(str::to_owned).into();
    let home = match container.user {
        User::Callers | User::Ids { uid: 0, .. } => "/root",
        User::Ids { .. } => "/",
    };
    words.push(format!("HOME={home}"));
    words.extend(container.environment.variables.iter().map(|(name, value)| quoted(&format!("{name}={value}"))));
    // Found before, whatever its PATH is then.
    words.push("\"$(command -v unshare)\"".to_owned());
    if container.namespaces.user.is_some() {
        words.extend(["--user", "--map-root-user"].map(str::to_owned));
    }
    match &container.root {
        Root::Own(_) => words.push("--root=root".to_owned()),
        Root::Callers => {}
    }
    let directory = container.working_directory.as_deref().map_or_else(|| "/".into(), |path| path.to_string_lossy());
    words.push(quoted(&format!("--wd={directory}")));
    words.push("$(cat ids)".to_owned());
    words.push("--".to_owned());
    words.extend(container.command.iter().map(|word| quoted(word)));
    words.join(" ")
}

fn words(mount: &Mount) -> String {
    let target = quoted(&format!("root{}", mount.target.display()));
    match &mount.kind {
        MountKind::Tmpfs => format!("mount -t tmpfs tmpfs {target}"),
        MountKind::Volume { namespace, path, read_only, propagation: _ } => {
            let source = quoted(&super::shell_volume::place(namespace, path));
            format!("mount --bind {source} {target}{}", limited(*read_only, &target))
        }
        MountKind::Bind { source, read_only, if_target_exists } => {
            let source = quoted(&source.to_string_lossy());
            let command = format!("mount --rbind {source} {target}{}", limited(*read_only, &target));
            if *if_target_exists { format!("if [ -e {target} ]; then {command}; fi") } else { command }
        }
    }
}

/// In a command of its own: with the mount, it would take away what the source forbids besides (`nosuid`, `noexec`).
fn limited(read_only: bool, target: &str) -> String {
    if read_only { format!("; mount -o remount,bind,ro {target}") } else { String::new() }
}

/// What runs is nslab's own: its process 1 stands in the record, and goes with what is written down.
pub(super) fn stop(script: &mut Script, of: &NodeContainer) {
    let directory = quoted(&of.directory.to_string_lossy());
    // Those that it is in go with it, unless there is another one in them.
    let cgroups = of.cgroup.ancestors().filter(|way| !way.as_os_str().is_empty());
    let cgroups: Vec<String> =
        cgroups.map(|way| format!("-path {}", quoted(&format!("*/{}", way.display())))).collect();
    script.line(&format!("if [ -e {directory}/running.json ] && ! [ -e {directory}/ended.json ]; then"));
    script.line(&format!("    pid=$(sed -n 's/.*\"pid\":\\([0-9]*\\).*/\\1/p' {directory}/running.json)"));
    script.line("    kill \"$pid\" || :");
    script.line("    for second in 1 2 3 4 5 6 7 8 9 10; do ! kill -0 \"$pid\" 2> /dev/null || sleep 1; done");
    script.line("    kill -KILL \"$pid\" 2> /dev/null || :");
    script.line("fi");
    script.line(&format!("rm -rf {directory}"));
    script.line(&format!(
        "find /sys/fs/cgroup -depth -type d \\( {} \\) -exec rmdir {{}} + 2> /dev/null || :",
        cgroups.join(" -o ")
    ));
}

/// A node's command; in a container's namespaces and root, where its node is one.
pub(super) fn run(script: &mut Script, exec: &Exec) {
    if exec.container.is_none() {
        let argv = exec.argv.iter().map(String::as_str);
        return script.command(["ip", "netns", "exec", exec.netns.as_str()].into_iter().chain(argv));
    }
    let argv: Vec<String> = exec.argv.iter().map(|word| quoted(word)).collect();
    let place = place(exec.netns.as_str());
    // Not by the command's own root: it may not have gone there yet.
    script.line(&format!(
        "nsenter --target \"$(cat {place}/pid)\" --all unshare --root={place}/root --wd=/ $(cat {place}/ids) -- {}",
        argv.join(" ")
    ));
}

/// Where the script keeps what it knows of a container, and where its root is mounted, as a word of the shell's.
fn place(netns: &str) -> String {
    quoted(&format!("/run/{netns}.container"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::container::Upper;

    #[test]
    fn a_container_of_an_image_writes_to_no_place_of_the_store() {
        let source = RootSource::Layers(vec!["/store,a/l:2".into(), "/store\\/l1".into()]);
        let upper = Upper { directory: "/store/containers/l@n/files".into(), goes: Vec::new() };
        let lines = files(&source, &Writes::Above(upper), "/run/n.container").join("\n");
        assert!(!lines.contains("l@n") && lines.contains("not to be removed meanwhile"), "{lines}");
        assert!(
            lines.contains(r"lowerdir=/store\,a/l\:2:/store\\/l1,upperdir=/run/n.container/layer/upper,"),
            "{lines}"
        );
    }
}
