//! Containers in the script that `plan --shell` prints.

use crate::plan::remove_namespaces;
use crate::support::cgroups::Cgroups;
use crate::support::rootfs::busybox;
use crate::support::run::{json, ok, sh};
use crate::support::walk::topology;
use crate::support::{ThrowAwayHost, wait_until};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// A server with all that a container can have, one with the machine's own root, and a node that is none.
const LAB: &str = "
name: matrix
switches: {br0: {subnets: [10.0.0.0/24]}}
nodes:
  zion:
    container:
      rootfs: ROOT
      command: 'env; pwd; id -u; id -g; exec nc -ll -p 8080 -e echo hello'
      env: {LANG: C.UTF-8}
      binds: ['SHOWN:/shown:ro']
      tmpfs: [/root]
      user: '1000:1001'
      workdir: /tmp
    exec: ['id -u > /tmp/executed']
  io: {container: {rootfs: host, command: [sleep, '1000'], hostname: moon, user_namespace: true}}
  plain:
links: [[zion, br0], [io, br0], [plain, br0]]
";

const WITHOUT: &str = "
name: matrix
switches: {br0: {subnets: [10.0.0.0/24]}}
nodes: {zion: , io: , plain: }
links: [[zion, br0], [io, br0], [plain, br0]]
";

/// The topology, and the root of its first container.
fn lab(host: &ThrowAwayHost) -> (String, String) {
    let root = busybox(host, "root");
    let shown = host.scratch().join("shown");
    std::fs::create_dir_all(shown.join("below")).unwrap();
    // The tests' directory is root's alone, and a user in a container is somebody else.
    std::fs::set_permissions(host.scratch(), std::fs::Permissions::from_mode(0o755)).unwrap();
    sh(&format!("mkdir -p {root}/shown; chmod 1777 {root}/tmp; : > {root}/etc/hosts"));
    let text = LAB.replace("ROOT", &root).replace("SHOWN", shown.to_str().unwrap());
    (topology(host, "matrix.yaml", &text), root)
}

/// What a command prints in a container of the script's, in its root.
fn inside(node: &str, command: &str) -> String {
    let place = format!("/run/matrix-{node}.container");
    sh(&format!("nsenter --target $(cat {place}/pid) --all unshare --root={place}/root --wd=/ sh -c '{command}'"))
}

#[test]
fn the_script_starts_containers_with_their_roots_names_networks_and_rights() {
    ThrowAwayHost::run(|host| {
        let (file, root) = lab(host);
        let script = ok(&["plan", "--shell", &file]);
        let path = host.scratch().join("lab.sh");
        std::fs::write(&path, &script).unwrap();
        sh(&format!("sh {}", path.display()));

        assert_eq!(sh(&format!("cat {root}/tmp/executed")), "1000\n", "what exec runs is in the container, too");
        assert_eq!(inside("zion", "hostname; ls /shown"), "zion\nbelow\n");
        assert_eq!(inside("zion", "touch /shown/x 2> /dev/null || echo refused"), "refused\n");
        assert_eq!(inside("zion", "touch /root/x; ls /root"), "x\n");
        assert_eq!(sh(&format!("ls {root}/root")), "", "that is in memory");
        assert_eq!(inside("zion", "ls /proc | grep -c ^1$; test -c /dev/null; test ! -e /usr"), "1\n");
        assert_eq!(inside("zion", "grep Cap[EPB] /proc/1/status | cut -f2 | head -2 | sort -u"), "0000000000000000\n");
        let log = || sh("cat /run/matrix-zion.container/log");
        wait_until("it has said who it is", PATIENCE, || log().lines().count() >= 8);
        for line in ["LANG=C.UTF-8", "NSLAB_LAB=matrix", "NSLAB_NODE=zion", "HOME=/", "/tmp", "1000", "1001"] {
            assert!(log().lines().any(|said| said == line), "{line}: {}", log());
        }

        assert_eq!(inside("io", "hostname; echo x > /etc/written; cat /etc/written"), "moon\nx\n");
        assert!(!Path::new("/etc/written").exists(), "that is in a layer");
        assert_ne!(inside("io", "readlink /proc/1/ns/user"), sh("readlink /proc/self/ns/user"));
        // The server's port, by its name, from the container beside it and from a node that is none.
        let asks = "busybox nc zion 8080 < /dev/null";
        wait_until("the server answers", PATIENCE, || inside("io", &format!("{asks} || :")) == "hello\n");
        assert_eq!(sh(&format!("ip netns exec matrix-plain {asks}")), "hello\n");
        assert_eq!(sh("mount | grep -c matrix-zion.container || :"), "0\n", "nobody else sees what is mounted there");

        // As the script says.
        assert!(script.contains("ip netns pids NAME | xargs kill -KILL"), "{script}");
        sh("for node in zion io; do ip netns pids matrix-$node | xargs kill -KILL 2> /dev/null || :; done");
        remove_namespaces();
        let is_over = || sh("pgrep -fc matrix-[a-z]*.container || :") == "0\n";
        wait_until("what the containers consisted of is gone", PATIENCE, is_over);
        sh("rm -r --one-file-system /run/matrix-*.container");
        host.assert_as_it_was("after the script's lab");
    });
}

#[test]
fn a_container_that_the_script_can_not_start_ends_it() {
    ThrowAwayHost::run(|host| {
        let (file, root) = lab(host);
        std::fs::remove_dir(Path::new(&root).join("shown")).unwrap();
        let path = host.scratch().join("lab.sh");
        std::fs::write(&path, ok(&["plan", "--shell", &file])).unwrap();
        let output = std::process::Command::new("sh").arg(&path).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains("shown"), "{told}");
        remove_namespaces();
        sh("rm -r --one-file-system /run/matrix-*.container");
        host.assert_as_it_was("after the script's lab");
    });
}

/// Of those that nslab started.
#[test]
fn the_script_of_a_change_removes_containers() {
    ThrowAwayHost::run(|host| {
        let cgroups = Cgroups::mount(host);
        let (file, _) = lab(host);
        ok(&["up", &file]);
        // One runs, one has ended by itself.
        sh(&format!("kill -KILL {}", json(&["ps", "--json"])[1]["pid"]));
        assert!(cgroups.all().iter().any(|name| name.ends_with("nslab/matrix/zion")), "{:?}", cgroups.all());
        let script = host.scratch().join("change.sh");
        std::fs::write(&script, ok(&["plan", "--shell", &topology(host, "without.yaml", WITHOUT)])).unwrap();
        sh(&format!("sh {}", script.display()));
        for node in ["zion", "io"] {
            assert_eq!(sh(&format!("ip netns pids matrix-{node}")), "");
            assert!(!Path::new("/run/nslab/labs/matrix/containers").join(node).exists());
        }
        assert!(!cgroups.all().iter().any(|name| name.contains("nslab/matrix/")), "{:?}", cgroups.all());
        ok(&["down"]);
        assert_eq!(cgroups.all(), [] as [&str; 0]);
    });
}
