//! Addresses that come by DHCP, or of what routers advertise.

use super::hold;
use crate::spec::parse;

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
