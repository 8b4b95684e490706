//! Tests of what is found wrong, and of what comes of what is right.

use crate::model::LinkLocal;
use crate::model::container::{Capability, Limits, Mount, MountKind, Rights, RootFileSystem, RootSource, User, Writes};
use crate::spec::{Backend, LinkEnd, Selection, Spec, parse};

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
fn subnets() {
    hold(&[
        (
            r#"name: x
switches: {s1: {subnets: [10.0.0.1/24]}, s2: {subnets: [127.0.0.0/8, "ff02::/64"]}, s3: {subnets: [10.0.0.0/8]}, s4: {subnets: [10.0.0.0/33, zz]}}"#,
            &[
                "2:27: 10.0.0.1/24 is an address in a network, not the network itself: write 10.0.0.0/24",
                "2:57: hosts can't have the loopback addresses of 127.0.0.0/8: choose another subnet, as 10.0.0.0/24 or fd00::/64",
                "2:70: hosts can't have the multicast addresses of ff02::/64: choose another subnet, as 10.0.0.0/24 or fd00::/64",
                "2:100: 10.0.0.0/8 overlaps 10.0.0.0/24 on line 2: choose subnets that have no address in common",
                "2:129: /33 is too long for 10.0.0.0: use at most /32",
                "2:142: `zz` is no subnet: write an address and a prefix length, as in 10.0.0.0/24 or fd00::/64",
            ],
        ),
        (
            r"name: x
switches: {s1: {subnets: [10.0.0.0/24]}, s2: {subnets: [10.0.0.128/25]}}",
            &["2:57: 10.0.0.128/25 overlaps 10.0.0.0/24 on line 2: choose subnets that have no address in common"],
        ),
        (
            r#"name: x
switches: {s1: {subnets: [10.0.0.0/30, "fd00::/126"]}}
nodes: {a: , b: , c: , d: }
links: [[a, s1], [b, s1], [c, s1], [d, s1]]"#,
            &[
                "2:27: 10.0.0.0/30 has addresses for 2 hosts, and 4 interfaces are in it: use a /29 or a shorter prefix",
                "2:40: fd00::/126 has addresses for 3 hosts, and 4 interfaces are in it: use a /125 or a shorter prefix",
            ],
        ),
        (
            r"name: x
switches: {s1: {subnets: [10.0.0.0/24]}, s2: , s3: {subnets: [10.0.1.0/24]}}
nodes: {a: }
links: [[s1, s2], [s2, s3], [a, s2]]",
            &[
                "2:42: `s2` has nodes but no `subnets`, and several switches joined to it have some (s1 and s3): give `s2` those that its nodes are to be in",
            ],
        ),
    ]);
}

#[test]
fn addresses() {
    hold(&[
        (
            r#"name: x
switches: {s1: {subnets: [10.0.0.0/24, "fd00::/64"]}}
nodes:
  a: {interfaces: {eth0: {addresses: [10.9.0.1/24, 10.9.0.1]}}}
  b: {interfaces: {eth0: {addresses: [10.0.0.0, 10.0.0.255/24, "fd00::"]}}}
  c: {interfaces: {eth0: {addresses: [10.0.0.7/16, 127.0.0.1/8, "ff02::1/64", 0.0.0.0/8]}}}
  d: {interfaces: {eth0: {addresses: [10.0.0.9]}}}
  e: {interfaces: {eth0: {addresses: [10.0.0.9, zz]}}}
links: [[a, s1], [b, s1], [c, s1], [d, s1], [e, s1]]"#,
            &[
                "4:39: 10.9.0.1 is outside the subnets of its link, 10.0.0.0/24: choose an address in one of them",
                "4:52: 10.9.0.1 lies in no subnet of its link: write its prefix length, as in 10.9.0.1/24",
                "5:39: 10.0.0.0 is the address of the network 10.0.0.0/24 itself: use one of 10.0.0.1 to 10.0.0.254",
                "5:49: 10.0.0.255 is the broadcast address of 10.0.0.0/24: use one of 10.0.0.1 to 10.0.0.254",
                "5:64: fd00:: is the subnet-router anycast address of fd00::/64 (RFC 4291): use one of fd00::1 to fd00::ffff:ffff:ffff:ffff",
                "6:39: 10.0.0.7/16 has another prefix length than its subnet 10.0.0.0/24: write 10.0.0.7/24",
                "6:52: no interface can have the loopback address 127.0.0.1: choose another",
                "6:65: no interface can have the multicast address ff02::1: choose another",
                "6:79: no interface can have the unspecified address 0.0.0.0: choose another",
                "8:39: 10.0.0.9 is the address of `d:eth0` already, on line 7: choose another",
                "8:49: `zz` is no IP address: write it as in 10.0.0.5/24 or fd00::5/64, or `slaac` or `dhcp`",
            ],
        ),
        (
            r"name: x
switches: {s1: {subnets: [10.0.0.0/24]}}
nodes: {a: , b: }
links: [[a, s1], [a, s1], [b, s1]]",
            &[
                "4:19: `a` has both `eth0` and `eth1` in 10.0.0.0/24, and could not tell which leads where: put them in subnets of their own",
            ],
        ),
        (
            r#"name: x
switches: {s1: }
nodes:
  a: {interfaces: {eth0: {mac: "02:00:00:00:00:01"}}}
  b: {interfaces: {eth0: {mac: "02:00:00:00:00:01"}}}
  c: {interfaces: {eth0: {mac: "01:00:00:00:00:01"}}}
links: [[a, s1], [b, s1], [c, s1]]"#,
            &[
                "5:32: 02:00:00:00:00:01 is the MAC address of `a:eth0` in the same segment already, on line 4: choose another",
                "6:32: `01:00:00:00:00:01` is a multicast address: make the first byte even, as in 02:00:00:00:00:01",
            ],
        ),
        (
            r#"name: x
nodes: {a: {interfaces: {eth0: {mtu: 1000}}}, b: }
links: [{endpoints: [a, b], subnets: ["fd00::/64"]}]"#,
            &["2:38: `a:eth0` has an IPv6 address and an MTU of 1000, and IPv6 needs 1280: raise the MTU"],
        ),
    ]);
}

#[test]
fn routes() {
    hold(&[(
        r#"name: x
switches: {s1: {subnets: [10.0.0.0/24]}, s2: {subnets: [10.0.1.0/24]}}
nodes:
  a: {gateway: [10.0.1.1, r, zz, s1, a, 10.0.0.1]}
  b:
    routes:
      - 10.0.2.1/24 via 10.0.0.1
      - 10.0.3.0/24 over 10.0.0.1
      - fd00::/64 via 10.0.0.1
      - {to: 10.0.4.0/24, via: 10.0.0.1, dev: eth7}
      - {to: "fd01::/64", via: "fe80::1"}
      - {to: 10.0.5.0/24, via: 10.0.0.1}
      - {to: 10.0.5.0/24, via: 10.0.0.1}
      - {to: 10.0.0.0/24, via: 10.0.0.1}
      - {to: 10.0.0.0/24, via: 10.0.0.1, metric: 5}
  r: {forwarding: true}
links: [[a, s1], [b, s1], [r, s2]]"#,
        &[
            "4:17: `a` has no address in a subnet with the next hop 10.0.1.1 (it has 10.0.0.1/24): use a next hop in one of its subnets",
            "4:27: `a` and `r` share no subnet: link them, or name a next hop that is in a subnet of `a`",
            "4:30: there is no node `zz` to route to: write the next hop's address, or the name of a node",
            "4:34: `s1` is a switch, which routes nothing: name a node whose `forwarding` is on",
            "4:38: `a` is `a` itself: the next hop must be another",
            "4:41: 10.0.0.1 is `a` itself: the next hop must be another",
            "7:9: 10.0.2.1/24 is an address in a network, not the network itself: write 10.0.2.0/24",
            "8:9: `10.0.3.0/24 over 10.0.0.1` is no route: write it as in 10.2.0.0/24 via 10.0.0.254, with `dev` and `metric` after it if need be",
            "9:9: the next hop 10.0.0.1 can't lead to fd00::/64: both must be IPv4, or both IPv6",
            "10:32: `b` has no interface `eth7`: its interfaces are eth0",
            "11:32: the next hop fe80::1 is link-local: write `dev` too, the interface that it is reached by",
            "13:32: `b` has a route to 10.0.5.0/24 with this metric already, on line 12: remove one, or give it a `metric`",
            "14:32: `b` is in 10.0.0.0/24 itself, by its interface `eth0`: remove the route, or give it another `metric`",
        ],
    )]);
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
fn containers_that_can_not_be() {
    hold(&[(
        r#"name: x
nodes:
  a:
    container:
      rootfs: ''
      command: []
      hostname: ''
      env: {'': 1, a=b: 2, C: "x\0y"}
      workdir: srv
      user: root
      binds: [/srv, '/srv:srv', '/a:/b:rx', '/a:/b', '/c:/b/', '/c:/']
      tmpfs: [/b]
      cap_add: [ALMIGHTY]
      privileged: true
      limits: {memory: 100Q, swap: 1G, cpus: 0, pids: 0, io: {read: 10Mbit/s, write: 0, wirte: 1M}}
      terminal: maybe
      rootFS: x
  b: {container: {command: [a]}}
  c: {container: {rootfs: host, command: "", read_only: true, privileged: true, cap_drop: [all], limits: {memory: 10k}}}
  d: {container: {rootfs: host, command: [a], limits: {swap: 1G}, user: '1:-1'}}
  e: {container: {rootfs: host, image: a, command: [a], read_only: true}}
  f: {container: {rootfs: host, keep: true}}
  g: {container: {image: ../a, keep: true}}
"#,
        &[
            "5:15: the root is empty: write a directory, or `host` for the machine's own",
            "6:16: the command is empty: write a line for /bin/sh, or a list of a program and its arguments",
            "7:17: a host name has 1 to 64 bytes and no NUL, and this has 0: write another one",
            "8:13: `` can't be a variable's name, which is neither empty nor has a `=` or a NUL in it: write another one",
            "8:20: `a=b` can't be a variable's name, which is neither empty nor has a `=` or a NUL in it: write another one",
            "8:31: the value of `C` has a NUL character in it, which no variable can have: remove it",
            "9:16: `srv` is no path in the container: write an absolute one, as in /srv/data",
            "10:13: `root` is no user: write a number, or two for user and group, as in 1000:1000",
            "11:15: `/srv` does not say what is seen where: write SOURCE:TARGET, or SOURCE:TARGET:ro",
            "11:21: `srv` is no path in the container: write an absolute one, as in /srv/data",
            "11:33: `/a:/b:rx` does not say what is seen where: write SOURCE:TARGET, or SOURCE:TARGET:ro",
            "11:54: `/b/` is there already: something else can't be mounted at the same place, remove one",
            "11:64: `/` is the container's root: name a directory in it",
            "12:15: `/b` is there already: something else can't be mounted at the same place, remove one",
            "13:16: a container that is privileged has all capabilities: remove `privileged`, or `cap_add` and `cap_drop`",
            "13:17: there is no capability `ALMIGHTY`: capabilities(7) lists them, as in NET_ADMIN or SYS_TIME",
            "15:24: `100Q` is no amount of memory: write a whole number with its unit, as in 512K, 100M or 2G",
            "15:46: `0` is no number of processors: write one from 0.01 on with at most three decimals, as in 0.5 or 2",
            "15:55: a container with this can run nothing: write at least 1",
            "15:69: `10Mbit/s` is no rate at which a disk is read or written: write a whole number of bytes in a second with its unit, from 1KB/s on, as in 512KB/s or 10MB/s",
            "15:86: `0` is no rate at which a disk is read or written: write a whole number of bytes in a second with its unit, from 1KB/s on, as in 512KB/s or 10MB/s",
            "15:89: unknown key `wirte`: did you mean `write`? known here are read, write",
            "16:17: found a text: write true or false",
            "17:7: unknown key `rootFS`: did you mean `rootfs`? known here are rootfs, image, keep, command, hostname, env, workdir, user, user_namespace, read_only, binds, tmpfs, mounts, cap_add, cap_drop, privileged, limits, terminal",
            "18:18: `rootfs` or `image` is missing: add one",
            "19:42: the command is empty: write a line for /bin/sh, or a list of a program and its arguments",
            "19:57: with `rootfs: host` nothing is written to the machine's files anyway: remove `read_only`",
            "19:91: a container that is privileged has all capabilities: remove `privileged`, or `cap_add` and `cap_drop`",
            "19:115: a container with this can run nothing: write at least 1M",
            "20:62: swap is limited beside memory: say how much `memory` it may use, too",
            "20:73: `1:-1` is no user: write a number, or two for user and group, as in 1000:1000",
            "21:40: a container has one root: remove `rootfs` or `image`",
            "21:68: nothing is written to an image anyway: remove `read_only`",
            "22:18: `command` is missing: add it",
            "22:39: what is written to a `rootfs` stays there, or is in memory: remove `keep`, which is for an `image`",
            "23:26: `../a` has '/' in it: use letters, digits, `-`, `_` and `.`",
        ],
    )]);
}

#[test]
fn a_container_is_what_its_text_says() {
    let text = r"name: x
nodes:
  a:
    container:
      rootfs: ../root
      command: exec nc -lk -p 80
      env: {LANG: C.UTF-8, N: 07, YES: true}
      user: 1000
      read_only: true
      binds: ['./www:/srv/www:ro', '/data:/data']
      tmpfs: [/tmp]
      cap_add: [cap_net_admin, NET_RAW]
      cap_drop: [all]
      limits: {memory: 100M, cpus: 0.5, pids: 64, io: {read: 10MB/s, write: 5242880}}
      user_namespace: true
  b: {container: {rootfs: host, command: [/bin/sleep, '9'], user: '1:2', hostname: zion, privileged: true, terminal: true}}
";
    let spec = parse(text, "lab").unwrap().with_files_below("/topologies/lab".as_ref());
    let [a, b] = [0, 1].map(|node| spec.nodes[node].container.clone().unwrap());
    let bind = |source: &str, target: &str, read_only| Mount {
        target: target.into(),
        kind: MountKind::Bind { source: source.into(), read_only, if_target_exists: false },
    };
    let mounts = vec![
        bind("/topologies/lab/www", "/srv/www", true),
        bind("/data", "/data", false),
        Mount { target: "/tmp".into(), kind: MountKind::Tmpfs },
    ];
    let source = RootSource::Directory("/topologies/lab/../root".into());
    assert_eq!(a.root, RootFileSystem { source, writes: Writes::Layer, mounts });
    assert_eq!(a.command, ["/bin/sh", "-c", "exec nc -lk -p 80"]);
    let env = [("LANG", "C.UTF-8"), ("N", "07"), ("YES", "true")].map(|(name, value)| (name.into(), value.into()));
    assert_eq!(a.env, env.into());
    assert_eq!((a.user, b.user), (User::Ids { uid: 1000, gid: 1000 }, User::Ids { uid: 1, gid: 2 }));
    let capabilities = [Capability::NetAdmin, Capability::NetRaw].into();
    assert_eq!((a.rights, b.rights), (Rights::Confined { capabilities }, Rights::Privileged));
    let limits = Limits {
        memory: "100M".parse().ok(),
        swap: None,
        cpus: "0.5".parse().ok(),
        pids: Some(64),
        io_read: "10M".parse().ok(),
        io_write: "5MiB/s".parse().ok(),
    };
    assert_eq!((a.limits, b.limits), (limits, Limits::default()));
    assert_eq!((b.root.source, b.root.writes), (RootSource::Host, Writes::Layer));
    assert_eq!((a.hostname, b.hostname.as_deref()), (None, Some("zion")));
    assert_eq!([a.user_namespace, b.user_namespace, a.terminal, b.terminal], [true, false, false, true]);
}

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

/// What each node's interfaces have: `node:interface address…`, a line each.
fn addresses_of(text: &str) -> Vec<String> {
    let spec = parse(text, "lab").unwrap_or_else(|errors| panic!("{errors}"));
    let lines = spec.nodes.iter().flat_map(|node| {
        node.interfaces.iter().map(move |interface| {
            let addresses: Vec<String> = interface.addresses.iter().map(ToString::to_string).collect();
            format!("{}:{} {}", node.name, interface.name, addresses.join(" "))
        })
    });
    lines.collect()
}

#[test]
fn addresses_are_handed_out_in_the_order_of_the_links_around_those_given() {
    let text = r#"
name: x
switches: {s1: {subnets: [10.0.0.0/29, "fd00::/64"]}, s2: }
nodes:
  a:
  b: {interfaces: {lan0: {addresses: [10.0.0.1, "fd00::7"]}}}
  c: {interfaces: {eth0: {addresses: [10.0.0.6/29]}}}
  d:
links: [[a, s1], [s1, s2], [d, s2], [b:lan0, s1], [c, s1]]
"#;
    assert_eq!(
        addresses_of(text),
        [
            "a:eth0 10.0.0.2/29 fd00::1/64",
            "b:lan0 10.0.0.1/29 fd00::7/64",
            "c:eth0 10.0.0.6/29 fd00::3/64",
            "d:eth0 10.0.0.3/29 fd00::2/64",
        ]
    );
}

#[test]
fn several_interfaces_are_numbered_by_links_and_links_between_nodes_have_their_own_subnets() {
    let text = "
name: x
switches: {s1: {subnets: [10.0.0.0/24]}}
nodes: {r1: , r2: }
links:
  - {endpoints: [r1, r2], subnets: [10.1.0.0/30, 'fd01::/127']}
  - {endpoints: [r2:wan, r1], subnets: [10.1.0.4/31]}
  - [s1, r1]
";
    assert_eq!(
        addresses_of(text),
        [
            "r1:eth0 10.1.0.1/30 fd01::/127",
            "r1:eth1 10.1.0.5/31",
            "r1:eth2 10.0.0.1/24",
            "r2:eth0 10.1.0.2/30 fd01::1/127",
            "r2:wan 10.1.0.4/31",
        ]
    );
}

#[test]
fn the_nearest_mtu_counts() {
    let text = "
name: x
mtu: 1600
switches: {s1: {mtu: 9000}, s2: }
nodes: {a: {interfaces: {eth1: {mtu: 1280}}}, b: }
links: [[a, s1], [a, s2], {endpoints: [b, s1], mtu: 4000}]
";
    let spec = parse(text, "lab").unwrap();
    let mtus = |node: usize| spec.nodes[node].interfaces.iter().map(|i| i.mtu.bytes()).collect::<Vec<_>>();
    assert_eq!((mtus(0), mtus(1)), (vec![9000, 1280], vec![4000]));
    assert_eq!(spec.switches.iter().map(|switch| switch.mtu.bytes()).collect::<Vec<_>>(), [9000, 1600]);
}

#[test]
fn a_gateway_by_name_is_its_address_here_in_each_family() {
    let text = "
name: x
switches: {s1: {subnets: [10.0.0.0/24, 'fd00::/64']}}
nodes: {a: {gateway: r, routes: [10.9.0.0/16 via 10.0.0.2 metric 7]}, r: {forwarding: true}}
links: [[a, s1], [r, s1]]
";
    let spec = parse(text, "lab").unwrap();
    let routes: Vec<String> = spec.nodes[0]
        .routes
        .iter()
        .map(|route| format!("{} via {} dev {} {:?}", route.to, route.via, route.dev, route.metric))
        .collect();
    assert_eq!(
        routes,
        [
            "10.9.0.0/16 via 10.0.0.2 dev eth0 Some(7)",
            "0.0.0.0/0 via 10.0.0.2 dev eth0 None",
            "::/0 via fd00::2 dev eth0 None",
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

#[test]
fn what_is_wrong_with_addresses_by_dhcp() {
    hold(&[(
        r#"name: x
switches:
  s1: {subnets: [10.0.0.0/24, "fd00::/64"]}
  s2: {backend: ovs, mirror: {select: all, output: d}}
nodes:
  a: {interfaces: {eth0: {addresses: [dhcp, 10.0.0.5, dhcp]}}}
  b: {interfaces: {eth0: {address: dhcp, addresses: ["fd00::7"]}}}
  c: {interfaces: {eth0: {address: dhpc}}}
  d: {interfaces: {eth0: {address: dhcp}}}
links: [[a, s1], [b, s1], [c, s1], [d, s2]]"#,
        &[
            "6:45: `a:eth0` takes its IPv4 address by DHCP, so it can't have 10.0.0.5 too: remove one of the two, or have the server give it this one",
            "6:55: `dhcp` is in the list already: remove one",
            "7:36: `address` is `addresses` with just one in it: write it into the list",
            "8:36: `dhpc` is no IP address: write it as in 10.0.0.5/24 or fd00::5/64, or `slaac` or `dhcp`",
            "9:36: `d:eth0` hears just the copies of a mirror, and no DHCP server: remove `dhcp`",
        ],
    )]);
}

#[test]
fn an_address_by_dhcp_takes_the_place_of_one_of_ipv4_that_is_handed_out() {
    let spec = parse(
        "name: x\nswitches: {s: {subnets: [10.0.0.0/24, 'fd00::/64']}}\nnodes:\n  a:\n  \
         b: {interfaces: {eth0: {address: dhcp}}}\n  c: {interfaces: {eth0: {addresses: [dhcp, 'fd00::c']}}}\n\
         links: [[a, s], [b, s], [c, s]]\nexpect: [{reachable: [a, b]}]\n",
        "test",
    );
    let spec = spec.unwrap();
    let of = |node: usize| {
        let on = &spec.nodes[node].interfaces[0];
        (on.dhcp, on.addresses.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(of(0), (false, vec!["10.0.0.1/24".to_owned(), "fd00::1/64".to_owned()]));
    assert_eq!(of(1), (true, vec!["fd00::2/64".to_owned()]));
    assert_eq!(of(2), (true, vec!["fd00::c/64".to_owned()]));
}

#[test]
fn what_is_wrong_with_router_advertisements() {
    hold(&[
        (
            r#"name: x
switches: {s1: {subnets: ["2001:db8:1::/64"]}, s2: {subnets: ["fd00:2::/48"]}}
nodes:
  r: {interfaces: {eth0: {advertise: true}}}
  q: {forwarding: true, interfaces: {eth0: {advertise: true}}}
  a: {interfaces: {eth0: {addresses: [slaac, slaac]}}}
  c: {forwarding: true, interfaces: {eth0: {advertise: true, addresses: [slaac, "2001:db8:1::77"]}}}
  d: {gateway: "2001:db8:1::1", interfaces: {eth0: {addresses: [slaac]}}, routes: ["default via c metric 7"]}
links: [[r, s1], [a, s1], [c, s1], [d, s1], [q, s2]]"#,
            &[
                "4:38: `r:eth0` is to advertise its node as a router, which does not forward: write `forwarding: true` for `r`, or remove `advertise`",
                "5:56: `q:eth0` has no IPv6 address in a /64, of which hosts could make theirs: give it one, as in 2001:db8:1::1/64, or its switch or link a subnet, or remove `advertise`",
                "6:46: `slaac` is in the list already: remove one",
                "7:74: `c:eth0` advertises prefixes, so it can't take its address from others: write one in place of `slaac`",
                "8:16: `d:eth0` has its IPv6 default route from the routers that advertise themselves (`slaac`): remove this one, or give it a `metric` other than 1024",
            ],
        ),
        (
            r#"name: x
switches: {s1: {subnets: ["2001:db8:1::/64"]}, s2: {}}
nodes:
  r: {forwarding: true, interfaces: {eth0: {advertise: true}}}
  a: {interfaces: {eth0: {addresses: [slaac]}}}
  b: {interfaces: {eth0: {addresses: [slaac]}}}
links: [{endpoints: [r, s1], vlan: 10}, {endpoints: [a, s1], vlan: 20}, [b, s2]]"#,
            &[
                "5:39: no router advertises itself where `a:eth0` is: write `advertise: true` for a router's interface there, or an address in place of `slaac`",
                "6:39: no router advertises itself where `b:eth0` is: write `advertise: true` for a router's interface there, or an address in place of `slaac`",
            ],
        ),
    ]);
}

#[test]
fn hosts_make_addresses_of_what_they_hear() {
    let spec = parse(
        r#"name: lab
switches: {s1: {subnets: ["2001:db8:1::/64", 10.0.0.0/24]}, s2: {}}
nodes:
  r: {forwarding: true, interfaces: {eth0: {advertise: true, mac: "02:00:00:00:00:01"}}}
  q: {forwarding: true, interfaces: {eth0: {advertise: true, mac: "02:00:00:00:00:02", addresses: ["fd00:2::1/64"]}}}
  a: {gateway: r, interfaces: {eth0: {addresses: [slaac], mac: "02:00:00:00:00:0a"}}}
  b: {interfaces: {eth0: {addresses: [slaac, "2001:db8:1::b"], mac: "02:00:00:00:00:0b"}}}
links:
  - {endpoints: [r, s1], vlan: 10}
  - {endpoints: [q, s2], vlan: {trunk: [10], native: 20}}
  - {endpoints: [s1, s2], vlan: {trunk: [10, 20]}}
  - {endpoints: [a, s2], vlan: 10}
  - {endpoints: [b, s1], vlan: {trunk: [10], native: 20}}"#,
        "lab",
    )
    .map_err(|errors| errors.to_string());
    // `q` is outside the switch's subnet, which is another matter.
    assert!(spec.unwrap_err().contains("fd00:2::1 is outside the subnets"));
    let spec = parse(
        r#"name: lab
switches: {s1: {}, s2: {}}
nodes:
  r: {forwarding: true, interfaces: {eth0: {advertise: true, mac: "02:00:00:00:00:01", addresses: ["2001:db8:1::1/64", 10.0.0.1/24]}}}
  q: {forwarding: true, interfaces: {eth0: {advertise: true, mac: "02:00:00:00:00:02", addresses: ["fd00:2::1/64"]}}}
  a: {gateway: r, interfaces: {eth0: {addresses: [slaac, 10.0.0.2/24], mac: "02:00:00:00:00:0a"}}}
  b: {interfaces: {eth0: {addresses: [slaac, "fd00:2::b/64"], mac: "02:00:00:00:00:0b"}}}
links:
  - {endpoints: [r, s1], vlan: 10}
  - {endpoints: [q, s2], vlan: {trunk: [10], native: 20}}
  - {endpoints: [s1, s2], vlan: {trunk: [10, 20]}}
  - {endpoints: [a, s2], vlan: 10}
  - {endpoints: [b, s1], vlan: {trunk: [10], native: 20}}"#,
        "lab",
    )
    .unwrap();
    let [r, q, a, b] = &spec.nodes[..] else { panic!() };
    let shown = |of: &crate::spec::Node| -> Vec<String> {
        of.interfaces[0].addresses.iter().map(ToString::to_string).collect()
    };
    assert_eq!(r.interfaces[0].advertises, ["2001:db8:1::/64".parse().unwrap()]);
    assert_eq!(q.interfaces[0].advertises, ["fd00:2::/64".parse().unwrap()]);
    // Each the router of its own VLAN.
    assert_eq!(shown(a), ["10.0.0.2/24", "2001:db8:1::ff:fe00:a/64"]);
    assert_eq!(shown(b), ["fd00:2::b/64", "fd00:2::ff:fe00:b/64"]);
    let routers = |of: &crate::spec::Node| of.interfaces[0].slaac.as_ref().unwrap().routers.clone();
    assert_eq!(routers(a), ["fe80::ff:fe00:1".parse::<std::net::Ipv6Addr>().unwrap()]);
    assert_eq!(routers(b), ["fe80::ff:fe00:2".parse::<std::net::Ipv6Addr>().unwrap()]);
    // The router says by itself that it is the way for IPv6.
    assert_eq!(a.routes.iter().map(|route| route.via.to_string()).collect::<Vec<_>>(), ["10.0.0.1"]);
}
