//! The throw-away host, tried on itself.

use crate::support::ovs::OpenVswitch;
use crate::support::{ThrowAwayHost, wait_until};
use std::time::Duration;

#[test]
fn a_throw_away_host_is_private_and_notices_what_is_left() {
    ThrowAwayHost::run(|host| {
        assert_eq!(host.json("ip -j link").as_array().unwrap().len(), 1, "lo only");
        assert_eq!(host.sh("ls -A /run /sys/class/net"), "/run:\n\n/sys/class/net:\nlo\n");
        assert!(!host.try_sh("test -e /etc/netns").status.success());

        let cases = [
            ("ip link add x type bridge", "ip link del x", "ip: 2: x: "),
            ("ip addr add 10.0.0.1/32 dev lo", "ip addr del 10.0.0.1/32 dev lo", "ip: 1: lo    inet 10.0.0.1/32"),
            ("ip route add 10.0.0.2 dev lo", "ip route del 10.0.0.2 dev lo", "ip: 10.0.0.2 dev lo"),
            ("ip -6 route add fd00::1 dev lo", "ip -6 route del fd00::1 dev lo", "ip: fd00::1 dev lo"),
            ("ip rule add to 10.0.0.2 table 7", "ip rule del to 10.0.0.2 table 7", "ip: 32765:"),
            ("nft add table inet x", "nft delete table inet x", "nftables: table inet x"),
            ("touch /run/x", "rm /run/x", "file: /run/x"),
            ("mkdir /etc/netns", "rmdir /etc/netns", "file: /etc/netns"),
            ("sysctl -qw net.ipv4.ip_forward=1", "sysctl -qw net.ipv4.ip_forward=0", "sysctl: "),
            ("mount -t tmpfs x /mnt", "umount /mnt", "mount: / on /mnt"),
            ("sleep 1000 >/dev/null 2>&1 &", "kill $(pidof sleep)", "process: "),
        ];
        for (make, undo, fact) in cases {
            host.sh(make);
            let differences = host.differences();
            assert!(differences.iter().any(|line| line.starts_with(&format!("+ {fact}"))), "{make}: {differences:?}");
            host.sh(undo);
            wait_until("it is undone", Duration::from_secs(5), || host.differences().is_empty());
        }
    });
}

#[test]
fn a_throw_away_host_notices_rows_of_open_vswitch() {
    ThrowAwayHost::run(|host| {
        let _ovs = OpenVswitch::start(host);
        let host = host.as_it_is_now();
        let cases = [
            ("add-br x -- set Bridge x datapath_type=netdev", "del-br x", "row: Bridge x"),
            ("--id=@q create Queue external_ids:nslab-id=q", "--all destroy Queue", "row: Queue q"),
            ("set Open_vSwitch . external_ids:a=b", "clear Open_vSwitch . external_ids", "row: Open_vSwitch"),
        ];
        for (make, undo, fact) in cases {
            host.sh(&format!("ovs-vsctl {make}"));
            let differences = host.differences();
            assert!(differences.iter().any(|line| line.starts_with(&format!("+ {fact}"))), "{make}: {differences:?}");
            host.sh(&format!("ovs-vsctl {undo}"));
            wait_until("it is undone", Duration::from_secs(5), || host.differences().is_empty());
        }
    });
}
