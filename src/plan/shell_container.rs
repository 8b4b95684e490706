//! Containers as commands: unshare(1), mount(8) and chroot(1) for what the launcher does with system calls of its own.

use super::shell::{Script, quoted};
use crate::model::container::{Mount, MountKind, Root, RootFileSystem, RootSource, Writes};
use crate::model::{Exec, NodeContainer};
use std::path::{Path, PathBuf};

/// What starting one is about, and what the commands leave out of it.
pub(super) const LESSON: &[&str] = &[
    "A container is a process in namespaces of its own with a root of its own. unshare(1) makes the namespaces, mount(8)",
    "and chroot(1) the root. nslab does more: pivot_root(2) instead of chroot, so that there is no way out; a seccomp",
    "filter, and fewer capabilities; limits by a cgroup; a /dev of its own, and paths of the kernel's that are hidden; a",
    "process 1 that reaps orphans; another user; a layer for what is not to be written to the root.",
];

pub(super) fn start(script: &mut Script, of: &NodeContainer) {
    let container = &of.container;
    let (root, mounts) = match &container.root {
        Root::Own(RootFileSystem { source: RootSource::Directory(root), writes: _, mounts }) => {
            (root.to_string_lossy(), &mounts[..])
        }
        Root::Own(RootFileSystem { source: RootSource::Host, writes: _, mounts }) => ("/".into(), &mounts[..]),
        Root::Own(RootFileSystem { source: RootSource::Layers(layers), writes, mounts }) => {
            (layered(script, of, layers, writes).into(), &mounts[..])
        }
        Root::Callers => ("/".into(), &[][..]),
    };
    let root = root.trim_end_matches('/').to_owned();
    let mut inside: Vec<String> = Vec::new();
    if let Some(hostname) = &container.hostname {
        inside.push(format!("hostname {}", quoted(hostname)));
    }
    inside.push(format!("mount -t proc proc {}", quoted(&format!("{root}/proc"))));
    inside.extend(mounts.iter().map(|mount| words(mount, &root)));
    inside.push(format!("exec chroot {} {}", quoted(&format!("{root}/")), chrooted(of)));
    let user = if container.namespaces.user.is_some() { " --user --map-root-user" } else { "" };
    let (netns, pid_file) = (quoted(of.netns.name.as_str()), pid_file(of.netns.name.as_str()));
    script.line(&format!(
        "ip netns exec {netns} unshare --pid --fork --kill-child --mount --uts --ipc --cgroup{user} \\\n    \
         sh -ec {} < /dev/null > /dev/null 2>&1 &",
        quoted(&inside.join("\n"))
    ));
    script.line(&format!("echo $! > {pid_file}"));
}

/// Mounts layers, with one above them for what is written; gives back where.
fn layered(script: &mut Script, of: &NodeContainer, layers: &[PathBuf], writes: &Writes) -> String {
    let root = format!("/run/{}.container.root", of.netns.name);
    let above = match writes {
        Writes::Above(upper) => upper.directory.display().to_string(),
        Writes::Layer | Writes::Through => format!("/run/{}.container.layer", of.netns.name),
    };
    let lower: Vec<String> = layers.iter().map(|layer| layer.display().to_string()).collect();
    let options = format!("lowerdir={},upperdir={above}/upper,workdir={above}/work", lower.join(":"));
    let made = [root.clone(), format!("{above}/upper"), format!("{above}/work")].map(|path| quoted(&path));
    script.line(&format!("mkdir -p {}", made.join(" ")));
    script.line(&format!("mount -t overlay overlay -o {} {}", quoted(&options), quoted(&root)));
    root
}

/// The command and what is around it once the root is its own.
fn chrooted(of: &NodeContainer) -> String {
    let container = &of.container;
    let variables = container.environment.variables.iter().map(|(name, value)| quoted(&format!("{name}={value}")));
    let command = container.command.iter().map(|word| quoted(word));
    let head = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"].map(str::to_owned);
    head.into_iter().chain(variables).chain(command).collect::<Vec<_>>().join(" ")
}

fn words(mount: &Mount, root: &str) -> String {
    let target = quoted(&format!("{root}{}", mount.target.display()));
    match &mount.kind {
        MountKind::Tmpfs => format!("mount -t tmpfs tmpfs {target}"),
        MountKind::Bind { source, read_only, if_target_exists } => {
            let options = if *read_only { " -o ro" } else { "" };
            let command = format!("mount --rbind{options} {} {target}", quoted(&source.to_string_lossy()));
            if *if_target_exists { format!("if [ -e {target} ]; then {command}; fi") } else { command }
        }
    }
}

/// What runs is nslab's own: its process 1 stands in the record.
pub(super) fn stop(script: &mut Script, of: &NodeContainer) {
    let running = quoted(&of.directory.join("running.json").to_string_lossy());
    script.line(&format!("pid=$(sed -n 's/.*\"pid\":\\([0-9]*\\).*/\\1/p' {running})"));
    script.line("if kill \"$pid\"; then");
    script.line("    for second in 1 2 3 4 5 6 7 8 9 10; do kill -0 \"$pid\" && sleep 1 || break; done");
    script.line("    kill -KILL \"$pid\" || :");
    script.line("fi");
}

/// A node's command; in a container, of which the process that unshare(1) has forked is the first.
pub(super) fn run(script: &mut Script, exec: &Exec) {
    if exec.container.is_none() {
        let argv = exec.argv.iter().map(String::as_str);
        return script.command(["ip", "netns", "exec", exec.netns.as_str()].into_iter().chain(argv));
    }
    let argv: Vec<String> = exec.argv.iter().map(|word| quoted(word)).collect();
    let pid_file = pid_file(exec.netns.as_str());
    script.line(&format!(
        "nsenter --target \"$(pgrep --parent \"$(cat {pid_file})\")\" --all --root --wdns=/ {}",
        argv.join(" ")
    ));
}

fn pid_file(netns: &str) -> String {
    quoted(&Path::new("/run").join(format!("{netns}.container.pid")).to_string_lossy())
}
