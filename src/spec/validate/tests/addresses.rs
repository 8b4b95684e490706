//! Subnets, the addresses of them that are handed out, MTUs, and routes.

use super::hold;
use crate::spec::parse;

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
