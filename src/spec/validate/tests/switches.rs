//! Switches, and what only one of Open vSwitch has.

use super::hold;
use crate::model::LinkLocal;
use crate::spec::{Backend, Selection, parse};

#[test]
fn spanning_tree_times() {
    hold(&[(
        r"name: x
switches:
  s1: {stp: {forward_delay: 31, hello_time: 0, max_age: 41}}
  s2: {stp: {hello_time: 9, max_age: 6}}
  s3: {stp: {forward_delay: 2, max_age: 20}}",
        &[
            "3:29: `forward_delay` is 31 s, and the kernel takes 2 to 30 s: choose one of these",
            "3:45: `hello_time` is 0 s, and the kernel takes 1 to 10 s: choose one of these",
            "3:57: `max_age` is 41 s, and the kernel takes 6 to 40 s: choose one of these",
            "4:38: `max_age` 6 s is too short for `hello_time` 9 s: it must be 20 s at least, 2 × (hello_time + 1) (IEEE 802.1D)",
            "5:41: `max_age` 20 s is too long for `forward_delay` 2 s: make `forward_delay` 11 s at least, max_age / 2 + 1 (IEEE 802.1D), or `max_age` shorter",
        ],
    )]);
}

#[test]
fn what_only_open_vswitch_has() {
    hold(&[
        (
            r"name: x
switches:
  s1: {backend: linux, rstp: true, mirror: {select: all, output: a}, mcast_snooping: false}
  s2: {stp: true, rstp: {priority: 100, ageing_time: 1, max_age: 20, forward_delay: 4, transmit_hold_count: 11}}
  s3: {fail_mode: sure, controller: 127.0.0.1, protocols: [OpenFlow9], datapath_id: 1, mac_table_size: 5}
  s4: {netflow: {targets: []}, sflow: {targets: [nobody], sampling: 0}, ipfix: {}}
nodes: {a: , b: }
links:
  - {endpoints: [a, s1], egress_qos: {rate: 10mbit}}
  - {endpoints: [a, b], ingress_policing: {rate: 1mbit, burst: 10}}
  - {endpoints: [b, a], egress_qos: {rate: 100bit}}
  - {endpoints: [b, a], egress_qos: {rate: 1mbit}}
  - {endpoints: [s3, s4], egress_qos: {rate: 1mbit}}
  - {endpoints: [b, s3], vlan: {trunk: [10], native_tagged: true}}",
            &[
                "3:30: only Open vSwitch has `rstp`, and `s1` is a Linux bridge: remove it, or write `backend: ovs`",
                "3:44: only Open vSwitch has `mirror`, and `s1` is a Linux bridge: remove it, or write `backend: ovs`",
                "4:13: `s2` runs both `stp` and `rstp`: keep one of the two",
                "4:36: `priority` is 100: rapid spanning tree takes multiples of 4096 up to 61440, as in 0",
                "4:54: `ageing_time` is 1, and Open vSwitch takes 10 to 1000000: choose one of these",
                "4:66: `max_age` 20 s is too long for `forward_delay` 4 s: make `forward_delay` 11 s at least, max_age / 2 + 1 (IEEE 802.1D), or `max_age` shorter",
                "4:109: `transmit_hold_count` is 11, and Open vSwitch takes 1 to 10: choose one of these",
                "5:19: `sure` can't stand here: use standalone or secure",
                "5:37: `127.0.0.1` is no OpenFlow connection: write tcp:ADDRESS:PORT or ssl:ADDRESS:PORT for a controller, an IPv6 address in brackets, or ptcp:PORT or pssl:PORT to wait for one",
                "5:60: `OpenFlow9` can't stand here: did you mean `OpenFlow10`? use OpenFlow10 or OpenFlow11 or OpenFlow12 or OpenFlow13 or OpenFlow14 or OpenFlow15",
                "5:85: `1` is no datapath id: write 16 hexadecimal digits, not all zero, as in \"0000000000000001\"",
                "5:104: `mac_table_size` is 5, and Open vSwitch takes 10 to 1000000: choose one of these",
                "6:27: `targets` is empty: name a collector at least, as in `targets: [\"127.0.0.1:2055\"]`",
                "6:50: `nobody` is no collector: write an address and a UDP port, as in 127.0.0.1:2055 or \"[fd00::1]:2055\"",
                "6:69: `sampling` is 0, and Open vSwitch takes 1 to 4294967295: choose one of these",
                "6:80: `targets` is missing: add it",
                "9:38: only Open vSwitch has `egress_qos`, and `s1` is a Linux bridge: remove it, or write `backend: ovs`",
                "10:43: `ingress_policing` is for switch ports, and both ends of this link are nodes: remove it, or link to a switch",
                "10:64: `10` is no amount of data: write a whole number with its unit, as in 1500b, 64kb or 1mb",
                "11:44: `100bit` is less than 1kbit: choose a rate at which a frame gets through",
                "12:37: `egress_qos` is for switch ports, and both ends of this link are nodes: remove it, or link to a switch",
                "13:39: `egress_qos` can't be on a link between two switches of Open vSwitch, which is a pair of patch ports without a queue: remove it, or make one of the two `backend: linux`",
                "14:61: `native_tagged` is about the trunk's native VLAN, and it has none: write `native` too, or remove it",
            ],
        ),
        (
            r"name: x
switches:
  s1: {mirror: [{select: [a], output: a}, {select: [b, zz, s3], output: a}, {select: [], output: m:eth1}, {select: all, output: m}], stp: true}
  s2: {mirror: {select: all, output: s1}, stp: true}
  s3:
nodes: {a: , b: , m: }
links: [[a, s1], [b, s1], [b, s1], [m, s1], [m, s1], [s1, s2], [s2, s1]]",
            &[
                "3:27: the mirror's output `a` is in its `select` too: Open vSwitch never copies what goes there, remove it",
                "3:53: several links join `s1` and `b`: say which interface, as in `b:eth1`",
                "3:56: no link joins `s1` and `zz`: name a node or a switch that one of its links leads to",
                "3:60: no link joins `s1` and `s3`: name a node or a switch that one of its links leads to",
                "3:73: `a` is the output of the mirror on line 3 already: give each mirror a port of its own",
                "3:86: `select` is empty: write `select: all`, or name what the ports lead to, as in `select: [h1, h2]`",
                "3:129: several links join `s1` and `m`: say which interface, as in `m:eth1`",
                "4:38: several links join `s2` and `s1`: a mirror can't tell them apart, name another port",
            ],
        ),
    ]);
}

#[test]
fn what_open_vswitch_would_make_something_else_of() {
    hold(&[(
        r#"name: x
switches:
  s1: {rstp: {max_age: 40}, datapath_id: "0000000000000001", controller: ["ptcp:6653", "ptcp:6653", "tcp:127.0.0.1:1"]}
  s2: {rstp: {forward_delay: 4}, datapath_id: "0000000000000001", controller: "ptcp:6653", protocols: [OpenFlow13, OpenFlow13]}
  s3: {mirror: {select: [a, a], output: m}, controller: "tcp:127.0.0.1:1"}
  s4: {mirror: {select: all, output: s3}, netflow: {targets: ["[::1]:1", "[::1]:1"]}}
nodes: {a: , m: {interfaces: {eth0: {addresses: [10.0.0.1/24]}}}}
links:
  - {endpoints: [a, s3], egress_qos: {rate: 40gbit, burst: 1gb}}
  - [m, s3]
  - [s3, s4]"#,
        &[
            "3:24: `max_age` 40 s is too long for `forward_delay` 15 s: make `forward_delay` 21 s at least, max_age / 2 + 1 (IEEE 802.1D), or `max_age` shorter",
            "3:88: `ptcp:6653` is in the list twice: remove one",
            "4:30: `max_age` 20 s is too long for `forward_delay` 4 s: make `forward_delay` 11 s at least, max_age / 2 + 1 (IEEE 802.1D), or `max_age` shorter",
            "4:47: `s1` on line 3 has this `datapath_id` too: give each switch its own",
            "4:79: `s1` on line 3 has this `controller` too: give each switch its own",
            "4:116: `OpenFlow13` is in the list twice: remove one",
            "5:29: `a` is in the list twice: remove one",
            "6:38: a mirror's output must lead to a node, and `s3` is a switch: name a node that is linked to this switch",
            "6:74: `[::1]:1` is in the list twice: remove one",
            "7:49: `m` is a mirror's output, which hears everything and can't be reached: remove its addresses",
            "9:45: 40gbit is more than Open vSwitch can count: use at most 34gbit, or no limit",
            "9:60: 1gb is more than Open vSwitch can count: use at most 256mb, or leave `burst` out",
        ],
    )]);
}

#[test]
fn link_local_frames() {
    hold(&[(
        r"name: x
switches:
  s1: {stp: true, forward: [lldp, stp]}
  s2: {rstp: {priority: 4096}, forward: [stp]}
  s3: {forward: [lldp, lacp, lldp], stp: false}
  s4: {forward: [ldp, cdp], mcast_snooping: maybe}
  s5: {backend: linux, forward: [lacp, lldp, stp], mcast_snooping: true}
  s6: {forward: lldp}",
        &[
            "3:35: `s1` has a spanning tree of its own (`stp`), which takes these frames in and forwards none: take `stp` out of `forward`, or leave the switch without `stp`",
            "4:42: `s2` has a spanning tree of its own (`rstp`), which takes these frames in and forwards none: take `stp` out of `forward`, or leave the switch without `rstp`",
            "5:30: `lldp` is in the list twice: remove one",
            "6:18: `ldp` can't stand here: did you mean `lldp`? use lacp or lldp or stp",
            "6:23: `cdp` can't stand here: use lacp or lldp or stp",
            "6:45: found a text: write true or false",
            "8:17: found a text: write a list",
        ],
    )]);
    let spec = parse("name: x\nswitches: {s1: {forward: [stp, lldp], mcast_snooping: false}, s2: }", "lab").unwrap();
    let [s1, s2] = &spec.switches[..] else { panic!("{:?}", spec.switches) };
    assert_eq!((&s1.forward, s1.mcast_snooping), (&[LinkLocal::Lldp, LinkLocal::Stp].into(), Some(false)));
    assert_eq!((s2.forward.is_empty(), s2.mcast_snooping), (true, None));
    // Neither makes a switch one of Open vSwitch.
    assert_eq!([s1.backend, s2.backend], [Backend::Auto; 2]);
}

#[test]
fn what_only_open_vswitch_has_makes_a_switch_one_of_it() {
    let spec = parse(
        r"name: x
switches:
  s1: {rstp: true, mirror: {select: [a], output: m}, subnets: [10.0.0.0/24]}
  s2: {rstp: true}
  s3: {mcast_snooping: false, rstp: false}
  s4: {backend: linux}
  s5:
nodes: {a: , m: }
links: [[a, s1], [m, s1], [s1, s2], [s2, s1], {endpoints: [s4, s5], egress_qos: {rate: 1mbit, burst: 3kb}}]",
        "lab",
    )
    .unwrap();
    let backends: Vec<Backend> = spec.switches.iter().map(|switch| switch.backend).collect();
    assert_eq!(backends, [Backend::Ovs, Backend::Ovs, Backend::Auto, Backend::Linux, Backend::Ovs]);
    let mirror = &spec.switches[0].ovs.mirrors[0];
    assert_eq!((mirror.output, &mirror.select), (1, &Selection::Links([0].into())));
    // Who hears everything reaches nobody, and so has no address.
    assert_eq!(spec.nodes[0].interfaces[0].addresses.len(), 1);
    assert!(spec.nodes[1].interfaces[0].addresses.is_empty());
    let limit = spec.links[4].egress_qos.unwrap();
    assert_eq!((limit.rate.bits_per_second(), limit.burst.unwrap().bytes()), (1_000_000, 3072));
}
