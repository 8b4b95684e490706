//! Tests of what is found wrong, and of what comes of what is right.

mod addresses;
mod automatic_addresses;
mod containers;
mod switches;

use crate::spec::{LinkEnd, Spec, parse};

/// The errors of a text, a line each, without the file's name.
fn errors(text: &str) -> Vec<String> {
    let errors = parse(text, "lab").expect_err("it is wrong").to_string();
    errors.lines().map(|line| line.strip_prefix("lab:").unwrap_or(line).to_owned()).collect()
}

/// A text and all that is wrong with it.
type Case = (&'static str, &'static [&'static str]);

#[track_caller]
fn hold(cases: &[Case]) {
    for (text, expected) in cases {
        println!("{text}");
        assert_eq!(errors(text), *expected, "{text}");
    }
}

#[test]
fn what_is_no_topology() {
    hold(&[
        ("", &["1:1: the text is empty: a topology has a `name` at least, and `nodes` and `links` to be of use"]),
        ("[]\n", &["1:1: found a list: write a mapping (`key: value`)"]),
        ("name: [\n", &["1:7: this is not YAML: unclosed bracket '['"]),
        ("just text\n", &["1:1: found a text: write a mapping (`key: value`)"]),
        ("nodes: {}\n", &["1:1: `name` is missing: add it"]),
        (
            r"a: &a [x, x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]",
            &[
                "6:8: the aliases (`*name`) repeat too much, the text would grow without bounds: write out what they stand for, or use fewer of them",
            ],
        ),
        (
            r"name: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
            &["1:39: this is not YAML: recursion limit exceeded"],
        ),
        (
            r"name: x
--- ",
            &[
                "2:1: the text is too deeply nested or has too many values for a topology: budget breached: Documents { documents: 2 }",
            ],
        ),
    ]);
}

#[test]
fn unknown_keys_and_wrong_values() {
    hold(&[
        (
            r"name: x
mtu: 70000
swiches: {}
nodes:
  a: {fowarding: true, interfaces: {eth0: {mac: zz, mtu: 12}}}
  b: {forwarding: maybe, exec: 3}
links:
  - [a, b, c]
  - {endpoints: [a, b], subnet: [10.0.0.0/24]}",
            &[
                "2:6: an MTU of 70000 bytes is out of range: use 68 to 65535 (1280 or more where IPv6 is used)",
                "3:1: unknown key `swiches`: did you mean `switches`? known here are name, description, mtu, switches, nodes, links, uplink, limits, volumes, expect",
                "5:7: unknown key `fowarding`: did you mean `forwarding`? known here are interfaces, routes, gateway, forwarding, sysctls, exec, limits, container",
                "5:49: `zz` is no MAC address: write six hexadecimal bytes, as in 02:00:00:00:00:01",
                "5:58: an MTU of 12 bytes is out of range: use 68 to 65535 (1280 or more where IPv6 is used)",
                "6:19: found a text: write true or false",
                "6:32: found a number: write a list",
                "8:5: found a list of 3: write a list of 2",
                "9:25: unknown key `subnet`: did you mean `subnets`? known here are endpoints, subnets, mtu, vlan, ingress_policing, egress_qos, profile, delay, jitter, loss, duplicate, corrupt, reorder, rate, queue, towards",
            ],
        ),
        (
            r"name: x
switches: {s1: {backend: ovz, stp: {priority: 70000, forward_delay: 1}}}",
            &[
                "2:26: `ovz` can't stand here: did you mean `ovs`? use auto or ovs or linux",
                "2:47: 70000 is too big: use at most 65535",
                "2:69: `forward_delay` is 1 s, and the kernel takes 2 to 30 s: choose one of these",
            ],
        ),
        (
            r"name: x
nodes: {a: , a: }",
            &["2:14: `a` is already there on line 2: keep one of the two"],
        ),
    ]);
}

#[test]
fn names() {
    hold(&[(
        r#"name: "x y"
switches: {averyveryverylongname: , all: , s1: }
nodes: {"a/b": , "": , s1: , fabric: , "-a": }"#,
        &[
            "1:7: `x y` has ' ' in it: use letters, digits, `-`, `_` and `.`",
            "2:12: `averyveryverylongname` is 21 bytes long, 15 is the most: shorten it",
            "2:37: `all` is a name the kernel keeps for itself: choose another",
            "3:9: `a/b` has '/' in it: use letters, digits, `-`, `_` and `.`",
            "3:18: a name can't be empty",
            "3:24: `s1` is the name of a switch too, on line 2: give one of the two another name",
            "3:30: no node can be called `fabric`, the lab's switches live under that name: choose another",
            "3:40: `-a` must start with a letter or a digit",
        ],
    )]);
    hold(&[(
        "name: x\nnodes: {LocalHost: , ip6-loopback: , 10.0.0.1: , '7': , 0x7f.1: , a1: , A1: , 7a: , 0xg: }",
        &[
            "2:9: no node can be called `LocalHost`, which means something else wherever a host's name stands: choose another",
            "2:22: no node can be called `ip6-loopback`, which means something else wherever a host's name stands: choose another",
            "2:38: no node can be called `10.0.0.1`, which means something else wherever a host's name stands: choose another",
            "2:50: no node can be called `7`, which means something else wherever a host's name stands: choose another",
            "2:57: no node can be called `0x7f.1`, which means something else wherever a host's name stands: choose another",
            "2:73: `A1` and `a1` on line 2 are the same host's name, which knows no case: rename one of the two",
        ],
    )]);
}

#[test]
fn links() {
    hold(&[
        (
            r"name: x
switches: {s1: , s2: }
nodes: {net1: , b: {interfaces: {eth9: {mtu: 1400}}}}
links:
  - [ne1, s1]
  - [net1, net1]
  - [s1:p1, b]
  - [net1:eth0, s1]
  - [net1:eth0, s2]
  - {endpoints: [b, s2], subnets: [10.0.0.0/24]}
  - {endpoints: [net1, b], vlan: 10}",
            &[
                "5:6: `ne1` is neither a node nor a switch: did you mean `net1`? correct the link, or add `ne1` to `nodes` or `switches`",
                "6:5: both ends of the link are `net1`: a link joins two different things, correct one end",
                "7:6: `s1` is a switch, and its ports have no names of their own: write just `s1`",
                "9:6: `net1:eth0` is on the link on line 8 already: name another interface, or leave the name out",
                "10:35: a link's `subnets` are for links between two nodes: give them to the switch `s2`",
                "11:34: `vlan` is for switch ports, and both ends of this link are nodes: remove it, or link to a switch",
            ],
        ),
        (
            r"name: x
switches: {s1: }
nodes: {a: , b: , c: , d: , e: , f: }
links:
  - {endpoints: [a, s1], vlan: 0}
  - {endpoints: [b, s1], vlan: {access: 1, trunk: [2]}}
  - {endpoints: [c, s1], vlan: {trunk: []}}
  - {endpoints: [d, s1], vlan: {trunk: [2, 3], native: 2}}
  - {endpoints: [e, s1], vlan: {trunk: [2, 2]}}
  - {endpoints: [f, s1], vlan: 4095}",
            &[
                "5:32: VLAN 0 is out of range: use 1 to 4094",
                "6:32: `vlan` is either `access: 10`, or `trunk: [10, 20]` with or without `native: 1` (and `native_tagged`): write one of them",
                "7:40: the trunk carries no VLANs: name at least one, as in `trunk: [10, 20]`",
                "8:56: VLAN 2 is both in `trunk` and `native`, tagged and untagged at once: remove it from one",
                "9:44: VLAN 2 is in the trunk twice: remove one",
                "10:32: VLAN 4095 is out of range: use 1 to 4094",
            ],
        ),
        (
            r"name: x
switches: {s1: {stp: true}, s2: , s3: , s4: , s5: }
links: [[s1, s2], [s2, s3], [s3, s1], [s4, s5]]",
            &[
                "3:29: s3, s2 and s1 form a loop, in which frames circle for ever: set `stp: true`, or `rstp: true`, on every switch joined to it (missing on s2 and s3), or remove a link",
            ],
        ),
    ]);
}

#[test]
fn the_rest_of_a_node() {
    hold(&[(
        r#"name: x
nodes:
  a:
    sysctls: {kernel.hostname: x, net.ipv4.ip_forward: "", net.ipv4.conf.eth3.rp_filter: 1, net..x: 1}
    exec: [[], "", "a\0b"]"#,
        &[
            "4:15: `kernel.hostname` is not of the `net.` family: only those belong to a node, others would change the whole machine",
            "4:56: the value of `net.ipv4.ip_forward` is empty or has a control character in it: write what `sysctl net.ipv4.ip_forward` would show",
            "4:60: `a` has no interface `eth3` to set `net.ipv4.conf.eth3.rp_filter` of: its interfaces are none",
            "4:93: `net..x` is no sysctl name: write it as `net.ipv4.ip_forward`",
            "5:12: the command is empty: write a line for /bin/sh, or a list of a program and its arguments",
            "5:16: the command is empty: write a line for /bin/sh, or a list of a program and its arguments",
            "5:20: the command has a NUL character in it, which no argument can have: remove it",
        ],
    )]);
}

#[test]
fn expectations() {
    hold(&[
        (
            r"name: x
switches: {s1: {subnets: [10.0.0.0/24]}}
nodes: {a: , b: }
links: [[a, s1], [b, s1]]
expect:
  - {reachable: [a, b], unreachable: [a, b]}
  - {unreachable: [a, b], within: 1s}
  - {reachable: [a, c]}
  - {reachable: [a, s1]}
  - {reachable: [a, a]}
  - {reachable: [a]}
  - {reachable: [a, b], within: soon}",
            &[
                "6:5: an expectation is either `reachable` or `unreachable`: write one of them",
                "7:35: `within` goes with `reachable`: remove it, no answer comes at no time",
                "8:21: there is no node `c`: correct the name",
                "9:21: `s1` is a switch, which answers nobody: name nodes",
                "10:21: `a` is in the list twice: remove one",
                "11:17: there is no pair among 1 node: name at least two",
                "12:5: `a` is to reach `b` and not to reach it, see line 7: remove one of the two",
                "12:33: `soon` is no duration: write a whole number with its unit, as in 20ms or 2s",
            ],
        ),
        (
            r"name: x
switches: {s1: {subnets: [10.0.0.0/24]}}
nodes: {a: , b: }
links: [[a, s1], [b, s1]]
expect:
  - reachable: all
  - unreachable: [b, a]",
            &["7:5: `b` is to reach `a` and not to reach it, see line 6: remove one of the two"],
        ),
        (
            r"name: x
switches: {s1: {subnets: [10.0.0.0/24]}, s2: {subnets: ['fd00::/64']}}
nodes: {a: , b: , c: }
links: [[a, s1], [b, s2]]
expect:
  - reachable: [a, b]
  - {reachable: all, within: 1s}
  - unreachable: [a, c]",
            &[
                "6:5: `a` can't reach `b`: one has IPv4 addresses and the other IPv6 ones, or none at all: give both \
                 addresses of one sort, or take them out of `reachable`",
                "7:5: `a` can't reach `b`: one has IPv4 addresses and the other IPv6 ones, or none at all: give both \
                 addresses of one sort, or take them out of `reachable`",
            ],
        ),
    ]);
}

#[test]
fn a_text_too_long_is_not_even_read() {
    let garbage = "- ".repeat(5 << 20);
    assert_eq!(
        errors(&garbage),
        [
            "1:1: the text is longer than 4 MiB, which is the most that is read: is this a topology? If so, split the lab"
        ]
    );
}

#[test]
fn a_spec_survives_the_journal() {
    let text = crate::topology::TopologySource::find("three-tier").unwrap().load().unwrap().text;
    let spec = parse(&text, "three-tier").unwrap();
    assert!(spec.links.iter().any(|link| matches!(link.ends, [LinkEnd::Node { .. }, LinkEnd::Switch(_)])));
    let json = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<Spec>(&json).unwrap(), spec);
}
