//! What a root lacks, and what the kernel does: said, or made up for.

use crate::launch_root::{inside, launch, listing, mounts_inside, rootfs, table};
use crate::support::run::text;
use crate::support::{ThrowAwayHost, nslab};
use std::path::Path;

/// Why it does not run.
#[track_caller]
fn refused(root: &Path, options: &[&str]) -> String {
    let output = launch(root, options, "echo it runs");
    assert_eq!(output.status.code(), Some(125), "{options:?}: {}", text(&output));
    text(&output)
}

/// Each call that older kernels lack is done without, and all looks the same from inside.
#[test]
fn a_kernel_without_the_newer_calls_gives_the_same_root() {
    ThrowAwayHost::run(|host| {
        let root = rootfs(host);
        let data = host.scratch().join("data");
        std::fs::create_dir_all(data.join("below")).unwrap();
        std::fs::write(data.join("file"), "").unwrap();
        std::fs::create_dir(root.join("data")).unwrap();
        host.sh(&format!("mount -t tmpfs below {}/below", data.display()));
        let bind = format!("{}:/data:ro", data.display());
        let file = format!("{}/file:/tmp/dir/file", data.display());
        for options in [&["--bind", &bind, "--tmpfs", "/tmp"][..], &["--read-only", "--bind", &bind, "--bind", &file]] {
            let seen = mounts_inside(&root, options);
            assert!(seen.iter().any(|line| line.starts_with("/data/below tmpfs ro,nodev")), "{seen:#?}");
            for lacking in ["open_tree", "mount_setattr", "openat2", "overlay_by_descriptor"] {
                let mut all = vec!["launch", "--rootfs", root.to_str().unwrap()];
                all.extend(options);
                all.extend(["--", "/bin/cat", "/proc/self/mountinfo"]);
                let output = nslab(all).env("NSLAB_TEST_LACKS", lacking).output().unwrap();
                assert!(output.status.success(), "without {lacking}: {}", text(&output));
                assert_eq!(table(&String::from_utf8(output.stdout).unwrap()), seen, "without {lacking}");
            }
        }
        host.sh(&format!("umount {}/below", data.display()));
    });
}

#[test]
fn what_the_root_lacks_is_said_or_made_in_the_layer() {
    ThrowAwayHost::run(|host| {
        let root = rootfs(host);
        for name in ["proc", "sys", "dev"] {
            std::fs::remove_dir(root.join(name)).unwrap();
            let said = refused(&root, &[]);
            assert!(said.contains(&format!("(`mkdir -p {}/{name}`)", root.display())), "{said}");
            assert!(!root.join(name).exists());
            assert_eq!(inside(&root, &["--read-only"], &format!("ls -d /{name}")), format!("/{name}\n"));
            assert!(!root.join(name).exists());
            std::fs::create_dir(root.join(name)).unwrap();
        }
        std::fs::write(host.scratch().join("file"), "").unwrap();
        let bind = format!("{}/file:/deep/er/file", host.scratch().display());
        let said = refused(&root, &["--bind", &bind]);
        assert!(said.contains("the root has no such file"), "{said}");
        let before = listing(host, &root);
        assert_eq!(inside(&root, &["--read-only", "--bind", &bind], "ls /deep/er"), "file\n");
        // A device has its place in /dev, which is the container's own in any case.
        assert_eq!(inside(&root, &["--bind", "/dev/zero:/dev/net/tun"], "head -c 3 /dev/net/tun | grep -c ''"), "1\n");
        // What is bound is not the container's own.
        let data = host.scratch().join("data");
        std::fs::create_dir(&data).unwrap();
        let first = format!("{}:/deep", data.display());
        refused(&root, &["--read-only", "--bind", &first, "--bind", &bind]);
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0);
        assert_eq!(listing(host, &root), before);
    });
}

#[test]
fn a_root_that_is_none_is_told() {
    ThrowAwayHost::run(|host| {
        let root = rootfs(host);
        let said = refused(&root.join("absent"), &[]);
        assert!(said.contains(&format!("can't open {}/absent: No such file", root.display())), "{said}");
        let said = refused(&root.join("bin/busybox"), &[]);
        assert!(said.contains("Not a directory"), "{said}");
        let said = refused(&root, &["--bind", "/not/there:/tmp"]);
        assert!(said.contains("can't open /not/there: No such file"), "{said}");
    });
}
