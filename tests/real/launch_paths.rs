//! Paths that lead out of a container's root, or come to while it is made.

use crate::support::ThrowAwayHost;
use crate::support::cgroups::Cgroups;
use crate::support::rootfs::RootFs;
use crate::support::run::{ok, sh, text};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why a container with this root does not run.
#[track_caller]
fn refused(root: &RootFs, options: &[&str]) -> String {
    let output = root.sh(options, "echo it runs");
    assert_eq!(output.status.code(), Some(125), "{options:?}: {}", text(&output));
    text(&output)
}

fn link(says: &str, at: &Path) {
    symlink(says, at).unwrap();
}

#[test]
fn links_in_the_root_lead_nowhere_else() {
    ThrowAwayHost::run(|host| {
        let root_fs = RootFs::new(host);
        let root = root_fs.path();
        let data = host.scratch().join("data");
        let outside = host.scratch().join("outside");
        for directory in [&data, &outside] {
            std::fs::create_dir(directory).unwrap();
        }
        std::fs::write(data.join("file"), "").unwrap();
        let up = "../".repeat(20);
        std::fs::create_dir_all(root.join("srv/place")).unwrap();
        std::fs::create_dir_all(format!("{}{}", root.display(), outside.display())).unwrap();
        link("/srv/place", &root.join("absolute"));
        link(&format!("{up}srv/place"), &root.join("relative"));
        link(&format!("{up}{}", outside.display()), &root.join("escape"));
        link("/proc/self/root", &root.join("magic"));
        for target in ["/absolute", "/relative", "/escape", "/../../srv/place", "/srv/../../srv/place"] {
            let bind = format!("{}:{target}", data.display());
            let script = format!("ls {target}; grep -c data /proc/self/mountinfo");
            assert_eq!(root_fs.said(&["--bind", &bind], &script), "file\n1\n", "{target}");
        }
        let bind = |target: &str| format!("{}:{target}", data.display());
        for target in ["/magic/srv/place", "/", "/..", "/proc/self/attr", "/proc"] {
            let said = refused(&root_fs, &["--bind", &bind(target)]);
            assert!(said.contains("can't "), "{target}: {said}");
        }
        // Nor is a source believed that leads into a process.
        let said = refused(&root_fs, &["--bind", "/proc/self/root:/srv/place"]);
        assert!(said.contains("can't open /proc/self/root"), "{said}");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);

        for name in ["proc", "sys", "dev"] {
            std::fs::remove_dir(root.join(name)).unwrap();
            for says in ["/srv/place", "../../../../../../../../..", "/etc", "/proc", outside.to_str().unwrap()] {
                link(says, &root.join(name));
                for options in [&[][..], &["--read-only"]] {
                    let said = refused(&root_fs, options);
                    assert!(said.contains(&format!(" at /{name}: it is a symbolic link")), "{name} -> {says}: {said}");
                }
                std::fs::remove_file(root.join(name)).unwrap();
            }
            std::fs::create_dir(root.join(name)).unwrap();
        }
    });
}

#[test]
fn a_directory_to_start_in_that_leads_outside_is_none() {
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        root.put("inside", b"", 0o644);
        // Of the files that the launcher, or its caller, has open, named by the user or by the root (CVE-2024-21626).
        for fd in 3..32 {
            let link = root.path().join("tmp").join(fd.to_string());
            symlink(format!("/proc/self/fd/{fd}"), &link).unwrap();
            for directory in [format!("/proc/self/fd/{fd}"), format!("/tmp/{fd}"), format!("/proc/1/fd/{fd}")] {
                let said = sh(&format!(
                    "cd /; exec 7</ 8<{scratch} 9</etc
                     {nslab} launch --rootfs {root} --workdir {directory} -- /bin/sh -c \
                     'cd ../../../../..; test -e inside && echo in || echo out' 2>&1 || echo code $?",
                    scratch = host.scratch().display(),
                    nslab = env!("CARGO_BIN_EXE_nslab"),
                    root = root.path().display(),
                ));
                assert!(said == "in\n" || said.ends_with("code 125\n"), "{directory}: {said}");
            }
        }
    });
}

#[test]
fn a_container_that_nobody_waits_for_starts_nowhere_outside_either() {
    ThrowAwayHost::run(|host| {
        let _cgroups = Cgroups::mount(host);
        let root = RootFs::new(host);
        for fd in 3..24 {
            symlink(format!("/proc/self/fd/{fd}"), root.path().join(format!("tmp/{fd}"))).unwrap();
            // What process 1 has open: its record, its cgroup.
            let launch = |options: &[&str], command: &str| {
                let always = ["--detach", "--rm", "--memory", "100M"];
                let output = root.launch(&[&always[..], options].concat(), &[command, "100"]);
                (output.status.code(), text(&output))
            };
            for directory in [format!("/proc/self/fd/{fd}"), format!("/tmp/{fd}")] {
                let (code, said) = launch(&["--workdir", &directory], "sleep");
                assert!(
                    code == Some(125) && said.contains(&format!("can't open {directory}")),
                    "{directory}: {code:?} {said}"
                );
            }
            let (code, said) = launch(&[], &format!("/proc/self/fd/{fd}/../../../../../../bin/sleep"));
            assert!(matches!(code, Some(126 | 127)), "{fd}: {code:?} {said}");
        }
        assert_eq!(ok(&["ps"]), "there is no container\n");
    });
}

/// Renames two paths to each other in a loop while something is done.
fn while_swapped<T>(one: &Path, other: &Path, does: impl FnOnce() -> T) -> T {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(does));
        is_done.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn what_is_swapped_for_a_symbolic_link_meanwhile_leads_nowhere_else() {
    const ROUNDS: usize = 150;
    ThrowAwayHost::run(|host| {
        let root = RootFs::new(host);
        let scratch = host.scratch();
        let [source, theirs, outside] = ["source", "theirs", "outside"].map(|name| scratch.join(name));
        for directory in [&source, &theirs.join("place"), &outside] {
            std::fs::create_dir_all(directory).unwrap();
            std::fs::write(directory.join(directory.file_name().unwrap()), "").unwrap();
        }
        std::fs::create_dir(root.path().join("mnt")).unwrap();
        root.put("inside", b"", 0o644);
        let launch = |binds: [String; 2], command: &str| {
            let options: Vec<&str> = binds.iter().flat_map(|bind| ["--bind", bind]).collect();
            let output = root.sh(&options, command);
            let code = output.status.code();
            (code, text(&output))
        };

        // A place in what another container may write to (CVE-2021-30465).
        let link = theirs.join("link");
        symlink(format!("../../../../../../../..{}", outside.display()), &link).unwrap();
        let binds = || [format!("{}:/mnt", theirs.display()), format!("{}:/mnt/place", source.display())];
        let mut seen = BTreeSet::new();
        while_swapped(&theirs.join("place"), &link, || {
            for _ in 0..ROUNDS {
                let (code, said) = launch(binds(), "ls / /mnt/place /mnt/link; cat /proc/self/mountinfo");
                assert!(!said.contains("outside\n"), "{said}");
                assert!(code == Some(125) || said.contains("inside"), "{said}");
                seen.insert(code);
            }
        });
        assert!(seen.contains(&Some(125)), "it was a link sometimes: {seen:?}");

        // A source that comes to lead through a process's files.
        let own = scratch.join("own");
        symlink(format!("/proc/self/root{}", outside.display()), &own).unwrap();
        let binds = || [format!("{}:/mnt", source.display()), "/usr:/tmp:ro".to_owned()];
        seen.clear();
        while_swapped(&source, &own, || {
            for _ in 0..ROUNDS {
                let (code, said) = launch(binds(), "ls /mnt");
                assert!(code == Some(125) || said == "source\n", "{said}");
                seen.insert(code);
            }
        });
        assert_eq!(seen.len(), 2, "it was either: {seen:?}");
    });
}
