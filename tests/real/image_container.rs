//! Containers that stand on images: what they write is theirs alone, and goes with them.

use crate::image::{Images, listing};
use crate::support::rootfs::busybox;
use crate::support::run::{sh, text, write};
use crate::support::{ThrowAwayHost, wait_until};
use nslab::image::{Claim, Store};
use nslab::model::ImageName;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A store with an image whose root file system has no directory to mount on: `a`.
pub(crate) fn stocked(host: &ThrowAwayHost) -> Images {
    let images = Images::of(host);
    let root = busybox(host, "rootfs");
    sh(&format!("cd {root}; rmdir proc sys dev; echo image > etc/said; mkdir -m 700 etc/closed"));
    images.ok(&["image", "import", &root, "--name", "a"]);
    images
}

fn layer(images: &Images) -> String {
    images.layers("a")[0].to_str().unwrap().to_owned()
}

#[test]
fn what_a_container_writes_is_its_own_and_goes_with_it() {
    ThrowAwayHost::run(|host| {
        let images = stocked(host);
        let before = listing(&layer(&images));
        let script = "echo mine > /etc/said; rm -r /etc/closed; cat /etc/said; test ! -e /etc/closed; ls -d /proc /sys /dev; \
                      mount | grep -c ' / type overlay'";
        let said = images.ok(&["launch", "--image", "a", "sh", "-ec", script]);
        assert_eq!(said, "mine\n/dev\n/proc\n/sys\n1\n");
        assert_eq!(images.ok(&["launch", "--image", "a", "cat", "/etc/said"]), "image\n");
        assert_eq!(images.names("containers"), [] as [String; 0], "nothing is left");
        assert_eq!(images.run(&["launch", "--image", "a", "sh", "-c", "touch /x; exit 7"]).status.code(), Some(7));
        assert_eq!(images.run(&["launch", "--image", "a", "--", "/absent"]).status.code(), Some(127));
        // With a user namespace of its own, too: whose the files are is another matter.
        let said = images.ok(&["launch", "--image", "a", "-U", "sh", "-ec", "echo x > /etc/said; cat /etc/said"]);
        assert_eq!(said, "x\n");
        assert_eq!(images.names("containers"), [] as [String; 0]);
        for lacking in ["open_tree", "overlay_by_descriptor"] {
            let mut old = images.command(&["launch", "--image", "a", "sh", "-ec", "touch /new; cat /etc/said"]);
            assert_eq!(text(&old.env("NSLAB_TEST_LACKS", lacking).output().unwrap()), "image\n", "{lacking}");
        }
        assert_eq!(listing(&layer(&images)), before, "the image is as it was");
        images.fails(&["launch", "--image", "a", "-N", "nosuch", "true"], 2);
        assert_eq!(images.names("containers"), [] as [String; 0], "what was not started claims nothing");
        assert!(images.fails(&["launch", "--image", "a"], 2).contains("has no command of its own"));
        assert!(images.fails(&["launch", "--image", "b", "true"], 2).contains("there is no image b; there is a"));
    });
}

#[test]
fn a_tree_that_is_deeper_than_files_can_be_open_goes_too() {
    ThrowAwayHost::run(|host| {
        let images = stocked(host);
        let deep = "i=0; while [ $i -lt 600 ]; do mkdir a; cd a; i=$((i+1)); done; exit 9";
        let launch = images.command(&["launch", "--image", "a", "sh", "-c", deep]);
        let mut limited = Command::new("prlimit");
        limited.arg("--nofile=128").arg(launch.get_program()).args(launch.get_args());
        limited.envs(launch.get_envs().filter_map(|(name, value)| Some((name, value?))));
        assert_eq!(limited.output().unwrap().status.code(), Some(9));
        assert_eq!(images.names("containers"), [] as [String; 0]);
    });
}

#[test]
fn an_image_in_use_stays() {
    ThrowAwayHost::run(|host| {
        let images = stocked(host);
        let name = images.ok(&[
            "launch",
            "--image",
            "a",
            "--detach",
            "--",
            "sh",
            "-c",
            "echo mine > /etc/said; exec sleep 1000",
        ]);
        let name = name.trim();
        let said = images.fails(&["image", "rm", "a"], 1);
        assert!(said.contains(&format!("in use by {name}")), "{said}");
        // Another one of that name takes its place, and the container stands where it stood.
        sh(&format!("echo other > {}/rootfs/etc/said", host.scratch().display()));
        images.ok(&["image", "import", &format!("{}/rootfs", host.scratch().display()), "--name", "a"]);
        images.ok(&["image", "prune"]);
        assert_eq!(images.names("layers").len(), 2);
        images.ok(&["rm", name]);
        assert_eq!(images.names("containers"), [] as [String; 0]);
        let pruned = images.json(&["image", "prune"]);
        assert_eq!(pruned["layers"].as_array().unwrap().len(), 1);
        images.ok(&["image", "rm", "a"]);
        images.assert_empty();
    });
}

#[test]
fn who_stands_on_an_image_is_known_from_another_time_namespace() {
    ThrowAwayHost::run(|host| {
        let images = stocked(host);
        let mut first =
            images.command(&["launch", "--image", "a", "sh", "-c", "echo mine > /x; echo begun; read go; cat /x"]);
        let mut first = first.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(first.stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "begun");
        let prune = images.command(&["image", "prune"]);
        let mut elsewhere = Command::new("unshare");
        elsewhere.args(["--time", "--boottime", "86400", "--fork"]).arg(prune.get_program()).args(prune.get_args());
        elsewhere.envs(prune.get_envs().filter_map(|(name, value)| Some((name, value?))));
        assert!(elsewhere.status().unwrap().success());
        assert_eq!(images.names("containers").len(), 1, "it is there as long as its process");
        drop(first.stdin.take());
        assert_eq!(said.next().unwrap().unwrap(), "mine");
        assert!(first.wait().unwrap().success());
        assert_eq!(images.names("containers"), [] as [String; 0]);
    });
}

#[test]
fn what_is_kept_is_there_for_the_next_one() {
    ThrowAwayHost::run(|host| {
        let images = stocked(host);
        let started = |script: &str| {
            images.ok(&["launch", "--image", "a", "-d", "--keep", "--name", "c", "--", "sh", "-c", script]);
            wait_until("it has ended", Duration::from_secs(30), || images.ok(&["ps"]).contains("exited"));
            let said = images.ok(&["logs", "c"]);
            images.ok(&["rm", "c"]);
            said
        };
        assert_eq!(started("echo first > /etc/said; mkdir /var"), "");
        images.ok(&["image", "prune"]);
        assert_eq!(started("cat /etc/said; ls -d /var"), "first\n/var\n");
        let said = images.fails(&["image", "rm", "a"], 1);
        let advice = "in use by what is kept of c: `nslab image prune --kept` removes";
        assert!(said.contains(advice) && !said.contains("take it down"), "{said}");
        images.ok(&["image", "prune", "--kept"]);
        images.ok(&["image", "rm", "a"]);
        images.assert_empty();
    });
}

#[test]
fn what_a_killed_launcher_left_is_taken_away() {
    ThrowAwayHost::run(|host| {
        let images = stocked(host);
        let mut launcher =
            images.command(&["launch", "--image", "a", "sh", "-c", "touch /made; sleep 1000"]).spawn().unwrap();
        let made =
            |name: &String| std::path::Path::new(&images.at(&format!("containers/{name}/files/upper/made"))).exists();
        wait_until("it has written", Duration::from_secs(30), || images.names("containers").iter().any(made));
        // It is not taken for one that is no more.
        images.ok(&["image", "prune"]);
        assert!(images.names("containers").iter().any(made));
        launcher.kill().unwrap();
        launcher.wait().unwrap();
        wait_until("the container has ended", Duration::from_secs(30), || !sh("ps -e -o args").contains("sleep 1000"));
        assert_eq!(images.names("containers").len(), 1);
        let doctor = images.run(&["doctor"]);
        assert!(text(&doctor).contains("what a container had written that is no more"), "{}", text(&doctor));
        assert_eq!(images.names("containers").len(), 1, "it has only looked");
        let said = images.ok(&["gc"]);
        assert!(said.contains("what a container had written that is no more"), "{said}");
        assert_eq!(images.names("containers"), [] as [String; 0]);
    });
}

#[test]
fn what_a_killed_removal_left_is_taken_away() {
    ThrowAwayHost::run(|host| {
        let images = stocked(host);
        let left = images.at("containers/@container@dead/files");
        for next in [&["gc"][..], &["launch", "--image", "a", "true"], &["image", "prune"]] {
            sh(&format!("mkdir -p {left}; touch {left}/file"));
            let mut prune = images.command(&["image", "prune"]);
            let ended = prune.env("NSLAB_TEST_END_AT", "before what is to go of a store is removed").status().unwrap();
            assert_eq!(ended.signal(), Some(9));
            assert_eq!(images.names("containers"), [] as [String; 0]);
            assert_eq!(images.names("tmp").len(), 1, "it was killed after it had moved what was to go");
            let doctor = images.run(&["doctor"]);
            assert!(text(&doctor).contains("what is left of an import or a removal"), "{}", text(&doctor));
            let said = images.ok(next);
            assert_eq!(said.contains("what is left of an import or a removal"), next[0] != "launch", "{said}");
            assert_eq!(images.names("tmp"), [] as [String; 0], "after {next:?}");
        }
        assert!(images.ok(&["gc"]).contains("nothing was left behind"));
    });
}

#[test]
fn nodes_stand_on_images() {
    ThrowAwayHost::run(|host| {
        let images = stocked(host);
        let before = listing(&layer(&images));
        let lab = |keep: bool| {
            let text = format!(
                "name: l\nnodes:\n  n: {{container: {{image: a, keep: {keep}, command: sleep 1000, env: {{WHO: me}}}}}}\n  m: {{container: {{image: a, command: sleep 1000}}}}\nlinks: [{{endpoints: [n, m], subnets: [10.0.0.0/30]}}]\n"
            );
            write(host, "l.yaml", &text)
        };
        let topology = lab(false);
        assert!(images.ok(&["plan", &topology]).contains("sleep 1000"));
        images.ok(&["up", &topology]);
        let inside = |node: &str, script: &str| images.ok(&["exec", node, "--", "sh", "-c", script]);
        inside("n", "echo mine > /etc/said");
        assert_eq!(inside("n", "cat /etc/said; echo $WHO"), "mine\nme\n");
        assert_eq!(inside("m", "cat /etc/said"), "image\n");
        assert!(inside("n", "cat /etc/hosts").contains("10.0.0.2"), "there was no such file in the image");
        let said = images.fails(&["image", "rm", "a"], 1);
        assert!(said.contains("in use by l/m, l/n"), "{said}");
        // Nothing has changed, and nothing is done.
        assert!(images.ok(&["up", &topology]).contains("nothing to do"));
        assert_eq!(inside("n", "cat /etc/said"), "mine\n");
        images.ok(&["stop", "n"]);
        images.ok(&["start", "n"]);
        assert_eq!(inside("n", "cat /etc/said"), "image\n", "it begins anew");
        images.ok(&["down"]);
        assert_eq!(images.names("containers"), [] as [String; 0]);
        host.assert_as_it_was("after down");
        let topology = lab(true);
        images.ok(&["up", &topology]);
        inside("n", "echo kept > /etc/said");
        inside("m", "echo gone > /etc/said");
        images.ok(&["down"]);
        images.ok(&["up", &topology]);
        assert_eq!(inside("n", "cat /etc/said") + &inside("m", "cat /etc/said"), "kept\nimage\n");
        images.ok(&["down"]);
        assert_eq!(images.names("containers"), ["l@n"]);
        assert_eq!(listing(&layer(&images)), before);
        // Once they stand on another one of that name, the layers of the old one may go.
        images.ok(&["up", &topology]);
        sh(&format!("echo other > {}/rootfs/etc/said", host.scratch().display()));
        images.ok(&["image", "import", &format!("{}/rootfs", host.scratch().display()), "--name", "a"]);
        assert_eq!(images.json(&["image", "prune"])["layers"], serde_json::json!([]));
        images.ok(&["up", &topology]);
        assert_eq!(inside("m", "cat /etc/said"), "other\n");
        assert_eq!(images.json(&["image", "prune"])["layers"].as_array().unwrap().len(), 1);
        images.ok(&["down"]);
        let absent = write(host, "absent.yaml", "name: x\nnodes: {n: {container: {image: b}}}\n");
        assert!(images.fails(&["up", &absent], 2).contains("there is no image b; there is a"));
    });
}

#[test]
fn an_ordinary_user_has_images_too() {
    ThrowAwayHost::run(|host| {
        let here = host.scratch().to_str().unwrap().to_owned();
        let nslab = env!("CARGO_BIN_EXE_nslab");
        // Whoever has built it may have closed the way there.
        sh(&format!("chmod 755 {here}; cp {nslab} {here}/nslab; mkdir {here}/home; chown 1234:1234 {here}/home"));
        let user = |script: &str| {
            sh(&format!(
                "cd {here}; setpriv --reuid 1234 --regid 1234 --clear-groups env -i PATH=$PATH:{here} HOME={here}/home sh -ec '{script}'"
            ))
        };
        assert_eq!(user("nslab image import busybox"), "busybox\n");
        let said = user(
            "nslab launch -U --image busybox sh -ec \"id -u; rm -r /var; mkdir -m 0 /var; echo x > /etc/hosts; cat /etc/hosts\"",
        );
        assert_eq!(said, "0\nx\n");
        assert_eq!(user("ls home/.local/share/nslab/images/containers"), "", "nothing is left");
        user("nslab image rm busybox");
        let usage: serde_json::Value = serde_json::from_str(&user("nslab --json image du")).unwrap();
        assert_eq!(usage["all_bytes"], 0);
    });
}

#[test]
fn a_lab_of_the_same_name_elsewhere_leaves_what_is_another_ones() {
    ThrowAwayHost::run(|host| {
        let images = stocked(host);
        let lab = write(host, "l.yaml", "name: l\nnodes: {n: {container: {image: a, command: sleep 1000}}}\n");
        images.ok(&["up", &lab]);
        images.ok(&["exec", "n", "--", "sh", "-c", "echo mine > /etc/said"]);
        let other = host.scratch().join("other").to_str().unwrap().to_owned();
        let said = images.fails(&["--state-dir", &other, "up", &lab], 1);
        assert!(said.contains("l/n"), "{said}");
        assert_eq!(images.names("containers"), ["l@n"]);
        assert!(std::path::Path::new(&images.at("containers/l@n/files/upper/etc/said")).exists());
        images.ok(&["down"]);
        assert_eq!(images.names("containers"), [] as [String; 0]);
        // One that belongs to no lab is not called as if it belonged to that one.
        let name = images.ok(&["launch", "--image", "a", "-d", "--", "sleep", "1000"]);
        let lab = write(host, "c.yaml", "name: container\nnodes: {n: {container: {image: a, command: sleep 1000}}}\n");
        images.ok(&["up", &lab]);
        images.ok(&["down"]);
        assert_eq!(images.names("containers").len(), 1);
        images.ok(&["rm", name.trim()]);
        assert_eq!(images.names("containers"), [] as [String; 0]);
    });
}

#[test]
fn what_is_written_is_roots_as_it_was_whatever_the_umask_is() {
    ThrowAwayHost::run(|host| {
        let images = stocked(host);
        for user in [&[][..], &["-U"]] {
            let mut command = vec!["launch", "--image", "a"];
            command.extend(user);
            command.extend(["stat", "-c", "%a", "/"]);
            let mode = sh(&format!("stat -c %a {}", layer(&images)));
            let command = command.join(" ");
            let nslab = env!("CARGO_BIN_EXE_nslab");
            let said = sh(&format!("umask 077; NSLAB_IMAGE_DIR={} {nslab} {command}", images.at("")));
            assert_eq!(said, mode, "{user:?}");
        }
        // The end of the command is not that of the container, where it has no PID namespace.
        let said = images.fails(&["launch", "--image", "a", "--share", "pid", "true"], 2);
        assert!(said.contains("PID namespace"), "{said}");
        // Nor can its files be those of somebody else.
        let said =
            images.fails(&["launch", "--image", "a", "-U", "-M", "0 100000 65536", "-G", "0 100000 65536", "true"], 2);
        assert!(said.contains("nobody inside with these maps"), "{said}");
        let maps = ["-M", "0 0 1, 1 100000 1000", "-G", "0 0 1, 1 100000 1000"];
        let said = images.ok(&[&["launch", "--image", "a", "-U"], &maps[..], &["cat", "/etc/said"]].concat());
        assert_eq!(said, "image\n");
    });
}

#[test]
fn what_is_claimed_is_what_a_container_stands_on() {
    ThrowAwayHost::run(|host| {
        let images = stocked(host);
        let store = Store::new(images.at(""));
        let image = ImageName::try_from("a").unwrap();
        let record = host.scratch().join("record");
        std::fs::write(&record, "").unwrap();
        let claim = Claim { owner: "x".into(), image: image.clone(), is_kept: true, record: Some(record.clone()) };
        let before = store.footing("x", &image).unwrap();
        // Another one gets the name between the two.
        sh(&format!("echo other > {}/rootfs/etc/said", host.scratch().display()));
        let again = ["image", "import", &format!("{}/rootfs", host.scratch().display()), "--name", "a"];
        images.ok(&again);
        store.claim("x", &claim, &before.layers).unwrap();
        images.ok(&["image", "prune"]);
        assert!(before.layers[0].is_dir(), "the container stands on it");
        std::fs::remove_file(&record).unwrap();
        images.ok(&["image", "prune", "--kept"]);
        images.ok(&["image", "prune"]);
        assert!(!before.layers[0].exists());
        let error = store.claim("x", &claim, &before.layers).unwrap_err();
        assert!(error.to_string().contains("try again"), "{error}");
        assert_eq!(images.names("containers"), [] as [String; 0]);
    });
}

#[test]
fn what_others_have_left_and_nobody_can_remove_is_told_and_stops_nobody() {
    ThrowAwayHost::run(|host| {
        let images = stocked(host);
        let left = images.at("containers/@container@dead/files/upper/busy");
        // Neither claimed nor removable: something is mounted in it.
        sh(&format!("mkdir -p {left}; mount -t tmpfs t {left}; touch {left}/file; mkdir {}", images.at("tmp/dead")));
        let output = images.run(&["launch", "--image", "a", "cat", "/etc/said"]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "image\n", "{}", text(&output));
        assert!(text(&output).contains("can't remove"), "{}", text(&output));
        let output = images.run(&["image", "import", &format!("{}/rootfs", host.scratch().display()), "--name", "b"]);
        assert!(output.status.success() && text(&output).contains("can't remove"), "{}", text(&output));
        let output = images.run(&["--json", "image", "prune", "--kept"]);
        let pruned: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", text(&output));
        assert_eq!(pruned["failed"].as_array().unwrap().len(), 1, "{pruned}");
        assert_eq!(images.names("containers"), [] as [String; 0]);
        assert!(images.fails(&["gc"], 4).contains("can't remove"));
        assert!(images.fails(&["image", "rm", "b"], 4).contains("removed b"));
        // What it is in has been moved meanwhile.
        sh("umount $(awk '$2 ~ /busy$/ {print $2}' /proc/mounts)");
        let pruned = images.json(&["image", "prune"]);
        assert_eq!(
            (pruned["unfinished"].as_u64(), pruned["failed"].as_array().unwrap().len()),
            (Some(1), 0),
            "{pruned}"
        );
        assert_eq!(images.names("tmp"), [] as [String; 0]);
    });
}

/// Of a lab's own container it is in the way until it is gone.
#[test]
fn what_is_mounted_in_a_containers_files_is_told_and_down_goes_on_when_it_is_not() {
    ThrowAwayHost::run(|host| {
        let images = stocked(host);
        let lab = write(host, "l.yaml", "name: l\nnodes: {n: {container: {image: a, command: sleep 1000}}}\n");
        images.ok(&["up", &lab]);
        let busy = images.at("containers/l@n/files/upper/busy");
        images.ok(&["exec", "n", "--", "mkdir", "/busy"]);
        sh(&format!("mount -t tmpfs t {busy}"));
        let said = images.fails(&["down"], 4);
        assert!(said.contains("l is not all gone") && said.contains("containers/l@n/files: EBUSY"), "{said}");
        sh(&format!("umount {busy}"));
        images.ok(&["down"]);
        assert_eq!(images.names("containers"), [] as [String; 0]);
        host.assert_as_it_was("after down");
    });
}

#[test]
fn what_an_ordinary_users_container_gives_to_other_users_goes_as_well() {
    ThrowAwayHost::run(|host| {
        let here = host.scratch().to_str().unwrap().to_owned();
        let nslab = env!("CARGO_BIN_EXE_nslab");
        sh(&format!(
            "chmod 755 {here}; cp {nslab} {here}/nslab; mkdir -p {here}/home {here}/run; chown 1234:1234 {here}/home {here}/run
             echo walker:x:1234:1234::/tmp:/bin/sh >> /etc/passwd; echo walker:x:1234: >> /etc/group
             echo walker:100000:1000 > /etc/subuid; echo walker:100000:1000 > /etc/subgid"
        ));
        let user = |script: &str| {
            sh(&format!(
                "cd {here}; setpriv --reuid 1234 --regid 1234 --clear-groups env -i PATH=$PATH:{here} HOME={here}/home \
                 XDG_RUNTIME_DIR={here}/run sh -ec '{script}'"
            ))
        };
        let store = format!("{here}/home/.local/share/nslab/images");
        user("nslab image import busybox");
        let write = "mkdir -p /d/e/f; echo x > /d/e/f/g; chmod 700 /d /d/e; chown -R 1:1 /d; stat -c %u /d";
        // By its launcher.
        assert_eq!(user(&format!("nslab launch -U --image busybox sh -ec \"{write}\"")), "1\n");
        assert_eq!(sh(&format!("ls {store}/containers {store}/tmp")), format!("{store}/containers:\n\n{store}/tmp:\n"));
        // By whoever works at the store, which has more than one thread.
        let script = format!("{write}; exec sleep 1000");
        user(&format!("nslab launch -U --image busybox -d --name c -- sh -ec \"{script}\""));
        let made = format!("find {store}/containers -name g -user 100000");
        wait_until("it has written", Duration::from_secs(30), || !sh(&made).is_empty());
        user("nslab rm c");
        assert_eq!(sh(&format!("ls {store}/containers {store}/tmp")), format!("{store}/containers:\n\n{store}/tmp:\n"));
        user("nslab image rm busybox");
    });
}
