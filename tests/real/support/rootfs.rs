//! A root file system of static busybox alone.

use super::ThrowAwayHost;
use std::path::Path;

/// What every such root has: the programs that the tests run, and nothing that a container would need to be made in it.
const PROGRAMS: &[&str] = &[
    "sh", "ash", "cat", "chmod", "chown", "cp", "cut", "date", "dd", "df", "echo", "env", "false", "find", "grep",
    "head", "hostname", "id", "ip", "kill", "ln", "ls", "mkdir", "mknod", "mount", "mv", "nc", "ping", "printf", "ps",
    "pwd", "readlink", "rm", "rmdir", "sed", "seq", "sleep", "sort", "stat", "stty", "tail", "test", "touch", "tr",
    "true", "tty", "umount", "uname", "unshare", "wc", "wget", "yes",
];

/// Makes one in the scratch directory, and gives back its path.
pub(crate) fn busybox(host: &ThrowAwayHost, name: &str) -> String {
    let root = host.scratch().join(name);
    for directory in ["bin", "dev", "etc", "proc", "root", "sys", "tmp"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    let bin = root.join("bin");
    std::fs::copy("/bin/busybox", bin.join("busybox")).expect("the package busybox-static is installed");
    for program in PROGRAMS {
        std::os::unix::fs::symlink("busybox", bin.join(program)).unwrap();
    }
    text(&root)
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
