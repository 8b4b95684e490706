//! `nslab cp`: files into containers, and out of them.

use crate::support::rootfs::busybox;
use crate::support::run::{fails, ok, sh, text, write};
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// A lab with a container and a node that is none.
fn lab(host: &ThrowAwayHost, more: &str) {
    std::fs::create_dir(Path::new(&busybox(host, "root")).join("data")).unwrap();
    let container = format!("rootfs: ./root, command: [sleep, '1000'], {more}");
    let file =
        write(host, "matrix.yaml", &format!("name: matrix\nnodes: {{zion: {{container: {{{container}}}}}, bare: }}\n"));
    ok(&["up", &file]);
}

#[test]
fn files_go_in_and_come_back_as_they_were() {
    ThrowAwayHost::run(|host| {
        lab(host, "tmpfs: [/data]");
        let at = host.scratch().display().to_string();
        sh(&format!(
            "mkdir -p {at}/tree/deep/empty; echo one > {at}/tree/one; chmod 640 {at}/tree/one
             printf '\\0\\1\\2' > {at}/tree/deep/two; chmod 4755 {at}/tree/deep/two; chmod 500 {at}/tree/deep
             ln -s /etc/hosts {at}/tree/link; ln -s {} {at}/tree/long; head -c 3000000 /dev/urandom > {at}/tree/large
             touch -d @1000000000 {at}/tree/one; mkfifo {at}/tree/pipe; : > {at}/tree/$(printf 'n%.0s' $(seq 200))",
            "x".repeat(180)
        ));
        // A file under another name, one into a directory, a directory that is new, and one into a directory.
        ok(&["cp", &format!("{at}/tree/one"), "zion:/data/uno"]);
        ok(&["cp", &format!("{at}/tree/one"), "matrix/zion:/data"]);
        assert_eq!(ok(&["exec", "zion", "--", "cat", "/data/uno", "/data/one"]), "one\none\n");
        assert!(!Path::new("/data/uno").exists());
        let output = nslab(["cp", &format!("{at}/tree"), "zion:/data/new"]).output().unwrap();
        assert!(output.status.success() && text(&output).contains("left out"), "{}", text(&output));
        assert!(text(&output).contains("/tree/pipe"), "{}", text(&output));
        ok(&["cp", &format!("{at}/tree"), "zion:data/"]);
        ok(&["cp", "zion:/data/new", &format!("{at}/back")]);
        ok(&["cp", "zion:/data/tree", &at.clone()]);
        let told = |at: &str| {
            sh(&format!(
                "cd {at}; find . ! -type p -printf '%p %y %m %l %s\\n' | grep -v '^. \\| d ' | sort; stat -c %Y one"
            ))
        };
        let inside = ok(&["exec", "zion", "--", "stat", "-c", "%a %u", "/data/new/deep/two", "/data/new/deep"]);
        assert_eq!(inside, "4755 0\n500 0\n");
        // Nobody gets a program with root's rights out of a container.
        let expected = told(&format!("{at}/tree")).replace("two f 4755", "two f 755");
        assert_eq!(told(&format!("{at}/back")), expected);
        assert!(expected.ends_with("\n1000000000\n"), "{expected}");
        sh(&format!(
            "cmp {at}/tree/large {at}/back/large; [ $(stat -c %a {at}/back/deep) = 500 ]; [ -d {at}/back/deep/empty ]"
        ));
        // What is there is written over, and keeps its inode.
        ok(&["cp", &format!("{at}/tree/large"), "zion:/data/uno"]);
        ok(&["cp", "zion:/data/one", &format!("{at}/back/large")]);
        assert_eq!(sh(&format!("cat {at}/back/large")), "one\n");
        ok(&["down"]);
    });
}

#[test]
fn archives_go_by_standard_input_and_output() {
    ThrowAwayHost::run(|host| {
        lab(host, "tmpfs: [/data]");
        let (at, program) = (host.scratch().display(), env!("CARGO_BIN_EXE_nslab"));
        sh(&format!(
            "mkdir -p {at}/a/b; echo one > {at}/a/b/c; ln {at}/a/b/c {at}/a/d
             tar -C {at} -cf - a | {program} cp - zion:/data
             {program} cp zion:/data/a - | tar -tf - | sort > {at}/list
             {program} cp zion:/data - | {program} cp - zion:/tmp"
        ));
        assert_eq!(sh(&format!("cat {at}/list")), "a\na/b\na/b/c\na/d\n");
        assert_eq!(ok(&["exec", "zion", "--", "cat", "/data/a/d", "/tmp/data/a/b/c"]), "one\none\n");
        // One that comes to an early end is said to, and one that leads elsewhere is refused.
        let cut = format!("tar -C {at} -cf - a | head -c 3000 | {program} cp - zion:/data 2>&1 || echo code $?");
        assert!(sh(&cut).contains("early end"), "{}", sh(&cut));
        let out = format!("cd {at}/a; tar -Pcf - ../a/d | {program} cp - zion:/data 2>&1 || echo code $?");
        assert!(sh(&out).contains("leads out of the archive"), "{}", sh(&out));
        ok(&["down"]);
    });
}

#[test]
fn what_can_not_be_copied_is_refused_with_a_reason() {
    ThrowAwayHost::run(|host| {
        lab(host, "tmpfs: [/data]");
        let file = write(host, "file", "mine\n");
        assert!(fails(&["cp", &file, "bare:/tmp"], 2).contains("matrix/bare is no container"));
        assert!(fails(&["cp", &file, "nobody:/tmp"], 2).contains("nobody"));
        assert!(fails(&["cp", &file, "/tmp"], 2).contains("neither of the two is in a container"));
        assert!(fails(&["cp", "zion:/a", "zion:/b"], 2).contains("both are in containers"));
        for (from, to, said) in [
            ("zion:/nothing", file.as_str(), "can't open /nothing"),
            (file.as_str(), "zion:/data/no/such", "can't open /data/no"),
            (file.as_str(), "zion:/data/directory/", "can't open /data/directory/"),
            ("zion:/dev/null", "./x", "neither a regular file nor a directory"),
            ("zion:/etc", file.as_str(), "it is there already, and no directory"),
        ] {
            let told = nslab(["cp", from, to]).output().unwrap();
            assert!(!told.status.success() && text(&told).contains(said), "{from} {to}: {}", text(&told));
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine\n");
        ok(&["stop", "zion"]);
        assert!(fails(&["cp", &file, "zion:/tmp"], 2).contains("does not run"));
        ok(&["down"]);
    });
}

/// CVE-2018-15664: a container changes a name between a directory and a symbolic link while something is copied by it.
#[test]
fn a_hostile_containers_links_lead_nowhere_but_into_it() {
    ThrowAwayHost::run(|host| {
        let at = host.scratch().display().to_string();
        sh(&format!("mkdir -p {at}/secret {at}/out; echo secret > {at}/secret/file; chmod 755 {at} {at}/secret"));
        let script = format!(
            "mkdir -p /data/good {at}/secret; echo own > {at}/secret/file; echo good > /data/good/file
             ln -s {at}/secret /data/evil; ln -s evil /data/name; echo begun > /data/begun
             while :; do ln -sfn good /data/name; ln -sfn evil /data/name; ln -sfn ../../../../../../..{at}/secret /data/name; done"
        );
        lab(host, "tmpfs: [/data]");
        let root = host.scratch().join("root");
        let mut launch =
            vec!["launch", "--detach", "--name", "evil", "--read-only", "--rootfs", root.to_str().unwrap()];
        launch.extend(["--tmpfs", "/data", "sh", "-c", &script]);
        ok(&launch);
        wait_until("it has begun", SOON, || {
            nslab(["exec", "evil", "--", "test", "-e", "/data/begun"]).status().unwrap().success()
        });
        let file = write(host, "mine", "mine\n");
        let out = format!("{at}/out/file");
        for _ in 0..100 {
            let _ = nslab(["cp", "evil:/data/name/file", &out]).output().unwrap();
            let copied = std::fs::read_to_string(&out).unwrap_or_default();
            assert!(["", "own\n", "good\n", "mine\n"].contains(&copied.as_str()), "{copied}");
            let _ = nslab(["cp", &file, "evil:/data/name/file"]).output().unwrap();
            assert_eq!(std::fs::read_to_string(format!("{at}/secret/file")).unwrap(), "secret\n");
        }
        // A directory full of links is copied as they are, and nothing is written by them outside.
        ok(&["cp", "evil:/data", &format!("{at}/out")]);
        assert!(std::fs::symlink_metadata(format!("{at}/out/data/evil")).unwrap().is_symlink());
        ok(&["exec", "evil", "--", "sh", "-c", "rm /data/evil; mkdir /data/evil; echo bad > /data/evil/file"]);
        let told = nslab(["cp", "evil:/data", &format!("{at}/out")]).output().unwrap();
        assert!(text(&told).contains("out/data/evil: it is there already, and no directory"), "{}", text(&told));
        assert_eq!(std::fs::read_to_string(format!("{at}/secret/file")).unwrap(), "secret\n");
        ok(&["rm", "evil"]);
        ok(&["down"]);
    });
}

/// What process 1 has open may be from outside, and a process that comes in as the machine's root may open it there.
#[test]
fn a_hostile_containers_links_into_proc_are_not_followed() {
    ThrowAwayHost::run(|host| {
        lab(host, "tmpfs: [/data]");
        let file = write(host, "mine", "mine\n");
        let back = format!("{file}.back");
        let refused = |arguments: [&str; 3], to: &str| {
            let told = nslab(arguments).output().unwrap();
            assert!(!told.status.success() && text(&told).contains("can't open /data/x"), "{to}: {}", text(&told));
        };
        let link = |to: &str| ok(&["exec", "zion", "--", "ln", "-sfn", to, "/data/x"]);
        for to in ["/proc/1/fd/1", "/proc/1/exe", "/proc/1/root/bin", "/proc/1/cwd"] {
            link(to);
            refused(["cp", "zion:/data/x", &back], to);
            assert!(!Path::new(&back).exists());
        }
        for to in ["/proc/1/root", "/proc/1/cwd", "/proc/1/root/data"] {
            link(to);
            refused(["cp", &file, "zion:/data/x"], to);
            refused(["cp", &file, "zion:/data/x/new"], to);
            let (at, program) = (host.scratch().display(), env!("CARGO_BIN_EXE_nslab"));
            let said = sh(&format!("tar -C {at} -cf - mine | {program} cp - zion:/data/x 2>&1 || echo code $?"));
            assert!(said.contains("can't open /data/x") && said.contains("code"), "{to}: {said}");
        }
        // Outside, links are the caller's own.
        ok(&["cp", &format!("/proc/self/root{file}"), "zion:/data/file"]);
        assert_eq!(ok(&["exec", "zion", "--", "cat", "/data/file"]), "mine\n");
        ok(&["down"]);
    });
}

#[test]
fn in_a_user_namespace_files_are_those_of_its_root() {
    ThrowAwayHost::run(|host| {
        let root = busybox(host, "root");
        sh(&format!("chmod 755 {}; mkdir {root}/data", host.scratch().display()));
        let mut launch = vec!["launch", "--detach", "--name", "one", "--rootfs", &root, "-U", "-M", "0 100000 1000"];
        launch.extend(["-G", "0 100000 1000", "--tmpfs", "/data", "sleep", "1000"]);
        ok(&launch);
        let file = write(host, "mine", "mine\n");
        ok(&["cp", &file, "one:/data/mine"]);
        assert_eq!(ok(&["exec", "one", "--", "stat", "-c", "%u:%g", "/data/mine"]), "0:0\n");
        ok(&["cp", "one:/data/mine", &format!("{file}.back")]);
        assert_eq!(sh(&format!("cat {file}.back; stat -c %u {file}.back")), "mine\n0\n");
        ok(&["rm", "one"]);
    });
}
