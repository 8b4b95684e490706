//! docs/tutorial.md, run from its first line to its last as a learner types it: on a machine of its own, on a street with a DHCP
//! server, a name server and a mirror of packages.

use crate::support::cgroups::Cgroups;
use crate::support::console::Console;
use crate::support::document::{Block, Typed, blocks, is_as_said};
use crate::support::ovs::OpenVswitch;
use crate::support::run::sh;
use crate::support::street::{BEHIND, PATIENCE, ROUTER, Street};
use crate::support::{ThrowAwayHost, wait_until};
use crate::uplink_dhcp::dnsmasq;
use std::path::Path;
use std::time::Instant;

/// What changes a machine for good, and is not run. What it installs, the test's machine has.
const SHOWN: [&str; 3] = [
    "apt-get install iproute2 iputils-ping procps busybox-static e2fsprogs nftables",
    "cargo install --path .",
    "apt-get install openvswitch-switch",
];

/// Of how many commands the document consists at least: none of them is to vanish unseen.
const AT_LEAST: usize = 100;

const ADDRESS: &str = "192.0.2.77";
const MIRROR: &str = "deb.debian.org";

fn tutorial() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tutorial.md")).unwrap()
}

/// A package with a program that says hello, and the list by which apt finds it.
fn make_mirror(at: &Path) {
    sh(&format!(
        "mkdir -p {at}/debian {at}/hello/DEBIAN {at}/hello/usr/bin; cd {at}
         printf 'Package: hello\\nVersion: 2.10-3\\nArchitecture: all\\nMaintainer: a test <test@example.org>\\nDescription: says hello\\n' > hello/DEBIAN/control
         printf '#!/bin/sh\\necho \"Hello, world!\"\\n' > hello/usr/bin/hello
         chmod 755 hello/usr/bin/hello
         dpkg-deb --build -Znone hello debian/hello.deb > /dev/null
         {{ cat hello/DEBIAN/control; echo Filename: ./hello.deb
           stat -c 'Size: %s' debian/hello.deb; sha256sum debian/hello.deb | sed 's/\\([^ ]*\\).*/SHA256: \\1/'; }} > debian/Packages",
        at = at.display()
    ));
}

/// The street, with all servers that a machine meets there; the machine has an address by DHCP.
fn street(host: &ThrowAwayHost) -> Street {
    let mut street = Street::new();
    street.without_offloads(); // for Open vSwitch
    sh(&format!(
        "ip address add {ADDRESS}/24 brd + dev eth0 valid_lft 3600 preferred_lft 3600
         ip route add default via {ROUTER} proto dhcp src {ADDRESS} metric 50"
    ));
    dnsmasq(host, &mut street, ADDRESS, ROUTER);
    let names = format!("--address=/{MIRROR}/{BEHIND}");
    let options = ["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file", &names];
    street.serve("dnsmasq", &options, &host.scratch().join("names.out"));
    let mirror = host.scratch().join("mirror");
    make_mirror(&mirror);
    let options = ["httpd", "-f", "-p", &format!("{BEHIND}:80"), "-h", mirror.to_str().unwrap()];
    street.serve("busybox", &options, &host.scratch().join("mirror.out"));
    wait_until("the servers listen", PATIENCE, || {
        let listen = street.sh("ss -Hlnu; ss -Hlnt");
        listen.contains(":53 ") && listen.contains(&format!("{BEHIND}:80 "))
    });
    street
}

/// The machine asks the street's name server, and takes its packages from there.
fn settle(console: &mut Console) {
    console.sh(&format!(
        "rm -rf /etc/apt/sources.list* /etc/apt/apt.conf.d/* /etc/resolv.conf
         echo 'deb [trusted=yes] http://{MIRROR}/debian ./' > /etc/apt/sources.list
         echo nameserver {ROUTER} > /etc/resolv.conf"
    ));
}

/// Runs what is typed, and compares. What fails is to be followed by `echo $?`, which says so.
fn follow(console: &mut Console, session: &[Typed]) {
    for (at, Typed { line, command, input, prints }) in session.iter().enumerate() {
        let begun = Instant::now();
        let (printed, code) = console.run(command, input);
        println!("{:>6} ms  {command}", begun.elapsed().as_millis());
        assert!(
            is_as_said(prints, &printed),
            "docs/tutorial.md:{line}: `{command}` prints\n{}\n--- where the document says\n{}",
            printed.join("\n"),
            prints.join("\n")
        );
        let is_told = session.get(at + 1).is_some_and(|next| next.command == "echo $?");
        assert!(
            code == 0 || is_told,
            "docs/tutorial.md:{line}: `{command}` fails with {code}:\n{}",
            printed.join("\n")
        );
    }
}

#[test]
fn every_block_of_it_does_what_it_says() {
    ThrowAwayHost::run(|host| {
        let before = host.as_it_is_now();
        let cgroups = Cgroups::mount(host);
        let street = street(host);
        let mut console = Console::start(host);
        settle(&mut console);
        // `ip netns add` makes /run/netns a mount, and leaves it so.
        let mounts = "grep -v ' /run/netns ' /proc/self/mountinfo";
        let mounted = console.sh(mounts);
        let (mut shown, mut typed) = (Vec::new(), 0);
        let mut ovs = None;
        for block in blocks(&tutorial()) {
            match block {
                Block::Session(session) => {
                    follow(&mut console, &session);
                    typed += session.len();
                }
                Block::File { name, text } => {
                    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
                    let (printed, code) = console.run(&format!("cat > {name}"), &lines);
                    assert_eq!((code, printed.len()), (0, 0), "{name}: {printed:?}");
                }
                Block::Shown(session) => {
                    shown.extend(session.iter().map(|typed| typed.command.clone()));
                    if session.iter().any(|typed| typed.command.contains("openvswitch")) {
                        ovs = Some(OpenVswitch::start(host));
                    }
                }
            }
        }
        println!("{typed} commands run, {} shown", shown.len());
        assert_eq!(shown, SHOWN);
        assert!(typed >= AT_LEAST, "only {typed} commands were run");
        // Whoever has followed it to the end has a machine as it was before.
        drop(ovs);
        assert_eq!(console.sh(mounts), mounted);
        let left = "find /var/lib/nslab/images/layers /var/lib/nslab/images/containers /etc/netns -mindepth 1 2> /dev/null || :";
        assert_eq!(console.sh(left), "");
        assert_eq!(cgroups.all(), [] as [&str; 0]);
        drop((console, street, cgroups));
        sh("rmdir /run/netns");
        before.assert_as_it_was("after all");
    });
}

/// The test of the tests: each of these documents says something that isn't so.
#[test]
fn a_document_that_says_what_is_not_so_is_found_out() {
    ThrowAwayHost::run(|host| {
        let mut console = Console::start(host);
        let mut is_found_out = |text: &str| {
            let [Block::Session(session)] = &blocks(&format!("```console\n{text}\n```\n"))[..] else {
                panic!("{text}")
            };
            let follows = std::panic::AssertUnwindSafe(|| follow(&mut console, session));
            std::panic::catch_unwind(follows).is_err()
        };
        for wrong in ["# false", "# echo a\nb", "# echo a", "# true\na", "# no-such-program\n…", "# sh\n/ # echo a\nb"]
        {
            assert!(is_found_out(wrong), "{wrong}");
        }
        for right in
            ["# false\n# echo $?\n1", "# echo a\na", "# printf a\na", "# sh\n/ # echo a\na\n/ # echo $0\nsh", "# cat"]
        {
            assert!(!is_found_out(right), "{right}");
        }
        // It is one shell that all of it is typed to.
        assert!(!is_found_out("# cd /tmp; word=here\n# pwd; echo $word\n/tmp\nhere"));
    });
}
