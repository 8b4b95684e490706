//! Topologies for tests: a plain one, one with many nodes, and any other.

use super::samples_uplink::{any_nic_uplink, nic_uplink};
use super::{Backends, Resources, SwitchBackend};
use crate::model::conditions::{Conditions, Delay, Impairments};
use crate::model::container::{Capability, IoRate, Limits, Rights, RootFileSystem, RootSource, User, Writes};
use crate::model::nat::IpFamily;
use crate::model::ovs::OvsdbServer;
use crate::model::{
    AddressMode, Identity, IfName, LinkLocal, MacAddress, Mtu, NativeVlan, Rate, Span, Stp, SwitchName, VlanId,
    VlanMode,
};
use crate::observed::nat::{HostFilter, HostInterface, HostNetwork, HostResolver};
use crate::spec::{
    Backend, FailMode, Limit, Link, LinkBehaviour, LinkEnd, Mirror, NatUplink, NetFlow, Node, NodeContainer,
    NodeInterface, NodeRoute, OpenFlow, OvsSettings, Rstp, SFlow, Selection, Slaac, Spec, Switch, Uplink,
};
use ipnetwork::{IpNetwork, Ipv6Network};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// A machine with a NIC by which it reaches everything, and with Docker.
pub(crate) fn host_network() -> HostNetwork {
    let default = |network: &str| (network.parse().unwrap(), "wan0".to_owned());
    let interface = HostInterface { accept_ra: Some("1".into()), ..HostInterface::default() };
    HostNetwork {
        interfaces: BTreeMap::from([("wan0".to_owned(), interface)]),
        routes: [default("0.0.0.0/0"), default("::/0")].into(),
        filter: HostFilter { docker_user: [IpFamily::Ip].into(), ..HostFilter::default() },
        resolver: HostResolver { servers: vec!["192.0.2.1".parse().unwrap()], search: Vec::new() },
        ..HostNetwork::default()
    }
}

/// Whose the samples' resources are.
pub(crate) fn identity() -> Identity {
    Identity { instance: None, boot: "boot".into() }
}

impl Backends {
    /// All switches Linux bridges.
    pub(crate) fn linux(spec: &Spec) -> Self {
        Self::all(spec, &SwitchBackend::Linux)
    }

    /// All switches of one sort.
    pub(crate) fn all(spec: &Spec, backend: &SwitchBackend) -> Self {
        let of = spec.switches.iter().map(|switch| (switch.name.clone(), backend.clone())).collect();
        let server = OvsdbServer { target: "unix:/run/openvswitch/db.sock".into(), tls: None };
        Self { of, server, notes: Vec::new() }
    }
}

pub(crate) fn spec(name: &str) -> Spec {
    Spec {
        name: name.parse().unwrap(),
        description: None,
        switches: Vec::new(),
        nodes: Vec::new(),
        links: Vec::new(),
        uplink: None,
        limits: Limits::default(),
        volumes: Vec::new(),
        expect: Vec::new(),
    }
}

pub(crate) fn switch(name: &str) -> Switch {
    Switch {
        name: name.parse().unwrap(),
        backend: Backend::Auto,
        mtu: Mtu::ETHERNET,
        stp: None,
        subnets: Vec::new(),
        forward: BTreeSet::new(),
        mcast_snooping: None,
        ovs: OvsSettings::default(),
    }
}

pub(crate) fn node(name: &str) -> Node {
    Node {
        name: name.parse().unwrap(),
        interfaces: Vec::new(),
        routes: Vec::new(),
        forwarding: false,
        sysctls: BTreeMap::new(),
        exec: Vec::new(),
        limits: Limits::default(),
        container: None,
    }
}

/// A container with this command and nothing else.
pub(crate) fn container(command: &[&str]) -> NodeContainer {
    NodeContainer {
        root: RootFileSystem {
            source: RootSource::Directory("/opt/rootfs".into()),
            writes: Writes::Through,
            mounts: Vec::new(),
        },
        image: None,
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        hostname: None,
        env: BTreeMap::new(),
        workdir: None,
        user: User::Callers,
        user_namespace: false,
        rights: Rights::Confined { capabilities: Capability::default_set() },
        limits: Limits::default(),
        volumes: Vec::new(),
        terminal: false,
    }
}

/// Joins two ends by name, each a node or a switch; a node gets its next interface, with these addresses.
pub(crate) fn link(spec: &mut Spec, a: (&str, &[&str]), b: (&str, &[&str])) {
    let ends = [a, b].map(|(name, addresses)| end(spec, name, addresses));
    spec.links.push(plain_link(ends));
}

fn plain_link(ends: [LinkEnd; 2]) -> Link {
    Link {
        ends,
        mtu: Mtu::ETHERNET,
        vlan: None,
        ingress_policing: None,
        egress_qos: None,
        behaviour: LinkBehaviour::default(),
        at_run_time: None,
    }
}

fn end(spec: &mut Spec, name: &str, addresses: &[&str]) -> LinkEnd {
    let Some(node) = spec.nodes.iter_mut().find(|node| node.name.as_str() == name) else {
        return LinkEnd::Switch(SwitchName::try_from(name).unwrap());
    };
    let interface = IfName::try_from(format!("eth{}", node.interfaces.len())).unwrap();
    node.interfaces.push(NodeInterface {
        name: interface.clone(),
        mac: None,
        mtu: Mtu::ETHERNET,
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        advertises: Vec::new(),
        slaac: None,
        dhcp: false,
    });
    LinkEnd::Node { node: node.name.clone(), interface }
}

/// The topology of the README: two nodes on a switch.
pub(crate) fn two_node() -> Spec {
    single("two-node", "net", 2)
}

/// `nodes` nodes on a switch.
pub(crate) fn single(name: &str, prefix: &str, nodes: usize) -> Spec {
    let prefix_length = if nodes < 255 { 24 } else { 8 };
    let mut spec = spec(name);
    spec.switches.push(switch("br0"));
    spec.nodes = (1..=nodes).map(|n| node(&format!("{prefix}{n}"))).collect();
    for n in 1..=nodes {
        // Not by `link`, which looks for the node: that is quadratic.
        let name = IfName::try_from("eth0").unwrap();
        let address: IpNetwork = format!("10.0.{}.{}/{prefix_length}", n / 256, n % 256).parse().unwrap();
        let node = &mut spec.nodes[n - 1];
        node.interfaces.push(NodeInterface {
            name: name.clone(),
            mac: None,
            mtu: Mtu::ETHERNET,
            addresses: vec![address],
            advertises: Vec::new(),
            slaac: None,
            dhcp: false,
        });
        let ends = [
            LinkEnd::Node { node: node.name.clone(), interface: name },
            LinkEnd::Switch(SwitchName::try_from("br0").unwrap()),
        ];
        spec.links.push(plain_link(ends));
    }
    spec
}

/// Settings of every kind of row.
fn ovs_settings(ports: &[usize], [rstp, mirror, exports, controller]: [bool; 4]) -> OvsSettings {
    let to = |text: &str| BTreeSet::from([text.to_owned().try_into().unwrap()]);
    let mut settings = OvsSettings { rstp: rstp.then(Rstp::default), ..OvsSettings::default() };
    if exports {
        settings.netflow = Some(NetFlow { targets: to("127.0.0.1:1"), active_timeout_s: rstp.then_some(5) });
        settings.sflow = Some(SFlow {
            targets: to("127.0.0.1:2"),
            sampling: mirror.then_some(7),
            polling_s: None,
            header_bytes: None,
        });
    }
    if controller {
        settings.controllers = BTreeSet::from(["ptcp:6653".to_owned().try_into().unwrap()]);
        settings.fail_mode = Some(if rstp { FailMode::Secure } else { FailMode::Standalone });
        settings.protocols = BTreeSet::from([OpenFlow::OpenFlow13]);
    }
    if let (true, [output, others @ ..]) = (mirror, ports) {
        let select = if exports { Selection::All } else { Selection::Links(others.iter().copied().collect()) };
        settings.mirrors = vec![Mirror { select, output: *output }];
    }
    settings
}

/// What may happen to frames: netem alone, TBF alone, one after the other, or nothing.
fn conditions(slow: bool, lossy: bool, much: bool) -> Conditions {
    let delay = Delay { time: Span::from_nanoseconds(if much { 20_000_000 } else { 1000 }).unwrap(), jitter: None };
    Conditions {
        impairments: Impairments { delay: lossy.then_some(delay), ..Impairments::default() },
        rate: slow.then(|| Rate::from_bits_per_second(if much { 1_000_000 } else { 8_000_000 }).unwrap()),
        queue: (slow && much).then_some(7),
    }
}

/// Lets the first node of links to a switch advertise it, or configure itself, as these say.
fn autoconfigure(spec: &mut Spec, nodes: usize, links: &[(usize, usize, u16, [bool; 10])]) {
    let name = spec.name.clone();
    // By switch: what is advertised there, and by whom.
    let mut spoken: BTreeMap<SwitchName, Vec<(Ipv6Network, MacAddress)>> = BTreeMap::new();
    let mut waiting = Vec::new();
    let links = links.iter().filter(|(a, b, ..)| {
        let names = nodes + spec.switches.len();
        a % names != b % names
    });
    for (link, (.., [_, _, _, _, advertise, slaac, ..])) in spec.links.iter().zip(links) {
        let (LinkEnd::Node { node, interface }, LinkEnd::Switch(switch)) = (&link.ends[0], &link.ends[1]) else {
            continue;
        };
        let node = spec.nodes.iter_mut().find(|other| other.name == *node).unwrap();
        let place = node.interfaces.iter_mut().position(|other| other.name == *interface).unwrap();
        let on = &mut node.interfaces[place];
        let ipv6 = on.addresses.iter().find_map(|address| match address {
            IpNetwork::V6(address) => Ipv6Network::new(address.network(), 64).ok(),
            IpNetwork::V4(_) => None,
        });
        let mac = on.mac.unwrap_or_else(|| MacAddress::of_interface(&name, &node.name, interface));
        if let (true, Some(prefix)) = (*advertise, ipv6) {
            on.advertises = vec![prefix];
            node.forwarding = true;
            spoken.entry(switch.clone()).or_default().push((prefix, mac));
        } else if *slaac {
            waiting.push((node.name.clone(), place, switch.clone(), mac));
        }
    }
    for (node, place, switch, mac) in waiting {
        let Some(spoken) = spoken.get(&switch) else { continue };
        let node = spec.nodes.iter_mut().find(|other| other.name == node).unwrap();
        let on = &mut node.interfaces[place];
        on.addresses.retain(IpNetwork::is_ipv4);
        let prefixes: BTreeSet<Ipv6Network> = spoken.iter().map(|(prefix, _)| *prefix).collect();
        let made = prefixes.iter().map(|prefix| IpNetwork::new(mac.address_in(*prefix).into(), 64).unwrap());
        let slaac =
            Slaac { addresses: made.collect(), routers: spoken.iter().map(|(_, mac)| mac.link_local()).collect() };
        on.addresses.extend(&slaac.addresses);
        on.slaac = Some(slaac);
    }
}

/// Has the second interface of every other node take its IPv4 address by DHCP.
fn take_leases(spec: &mut Spec) {
    for node in spec.nodes.iter_mut().step_by(2) {
        if let Some(second) = node.interfaces.get_mut(1) {
            second.addresses.retain(IpNetwork::is_ipv6);
            second.dhcp = true;
        }
    }
}

/// Small topologies of one lab, of every kind of resource; two of them differ in anything.
pub(crate) fn any_spec() -> impl Strategy<Value = Spec> {
    let switches =
        prop::collection::vec((any::<[bool; 7]>(), prop::sample::select(vec![1500, 9000]), any_frames()), 0..3);
    let nodes = prop::collection::vec(any::<[bool; 6]>(), 1..5);
    let links = prop::collection::vec((0..7_usize, 0..7_usize, 0..5_u16, any::<[bool; 10]>()), 0..8);
    let nic = prop::option::of(any_nic_uplink());
    let containers = prop::collection::vec(prop::option::of(0..2_u8), 5);
    (switches, nodes, links, nic, containers).prop_map(|(switches, nodes, links, nic, containers)| {
        let mut spec = build(&switches, &nodes, &links, nic);
        for (node, seconds) in spec.nodes.iter_mut().zip(containers) {
            node.limits.pids = seconds.map(|seconds| u32::from(seconds) + 7);
            node.limits.io_write = seconds.and_then(|seconds| IoRate::from_bytes(u64::from(seconds) << 20));
            // One that changes from a container to none, and back.
            node.container = seconds.map(|seconds| container(&["sleep", &seconds.to_string()]));
            spec.limits.pids = seconds.map(u32::from).or(spec.limits.pids);
            spec.limits.io_read = seconds.and(node.limits.io_write).or(spec.limits.io_read);
        }
        spec
    })
}

/// What a switch does with link-local frames and with multicast.
type Frames = (BTreeSet<LinkLocal>, Option<bool>);

fn any_frames() -> impl Strategy<Value = Frames> {
    let forward = prop::sample::subsequence(LinkLocal::ALL.to_vec(), 0..=3);
    (forward.prop_map(|all| all.into_iter().collect()), any::<Option<bool>>())
}

/// Joins a lab to the machine's network: by a NIC, or by NAT where that can be.
fn join_network(spec: &mut Spec, nat: bool, nic: Option<(AddressMode, usize)>) {
    let Some(first) = spec.switches.first() else { return };
    if let Some((address, at)) = nic {
        spec.uplink = Some(nic_uplink(address, &spec.switches[at % spec.switches.len()].name));
    } else if nat {
        let uplink = Some(Uplink::Nat(NatUplink { switch: first.name.clone(), nic: None }));
        let with_nat = Spec { uplink, ..spec.clone() };
        // Where nobody is on the switch, there is nothing to be reached.
        if super::nat::choose(&with_nat, &host_network(), &Resources::default(), super::nat::Missing::Fails).is_ok() {
            *spec = with_nat;
        }
    }
}

fn build(
    switches: &[([bool; 7], u32, Frames)],
    nodes: &[[bool; 6]],
    links: &[(usize, usize, u16, [bool; 10])],
    nic: Option<(AddressMode, usize)>,
) -> Spec {
    let mut spec = spec("lab");
    for (n, ([stp, ovs, ..], mtu, (forward, mcast_snooping))) in switches.iter().enumerate() {
        let (forward, mcast_snooping) = (forward.clone(), *mcast_snooping);
        let stp = stp.then(Stp::default);
        let backend = if *ovs { Backend::Ovs } else { Backend::Linux };
        let mtu = (*mtu).try_into().unwrap();
        spec.switches.push(Switch { backend, mtu, stp, forward, mcast_snooping, ..switch(&format!("br{n}")) });
    }
    spec.nodes = (0..nodes.len()).map(|n| node(&format!("h{n}"))).collect();
    let names: Vec<String> = spec
        .nodes
        .iter()
        .map(|node| node.name.to_string())
        .chain(spec.switches.iter().map(|switch| switch.name.to_string()))
        .collect();
    for (l, &(a, b, vlan, [ipv6, second, jumbo, mac, _, _, slow, lossy, one_way, down])) in links.iter().enumerate() {
        let (a, b) = (a % names.len(), b % names.len());
        if a == b {
            continue;
        }
        // Everybody on a switch is in its subnet; a link between nodes has one of its own.
        let subnet = [a, b].into_iter().find(|&end| end >= nodes.len()).map_or(l, |switch| 100 + switch);
        let addresses = [0, 1].map(|side| {
            let host = l * 4 + side * 2 + 1;
            let mut all = vec![format!("10.0.{subnet}.{host}/24")];
            if second {
                all.push(format!("10.0.{subnet}.{}/24", host + 1));
            }
            if ipv6 {
                all.push(format!("fd00:{subnet}::{host}/64"));
            }
            all
        });
        let [x, y] = addresses.each_ref().map(|all| all.iter().map(String::as_str).collect::<Vec<_>>());
        link(&mut spec, (&names[a], &x), (&names[b], &y));
        let link = spec.links.last_mut().unwrap();
        link.mtu = if jumbo { 9000 } else { 1500 }.try_into().unwrap();
        let id = |id: u16| VlanId::try_from(id).unwrap();
        link.vlan = match vlan {
            0 => Some(VlanMode::Access(id(10 + u16::try_from(l).unwrap()))),
            1 => Some(VlanMode::Trunk {
                tagged: BTreeSet::from([id(10), id(11)]),
                native: second.then(|| NativeVlan { id: id(1), is_tagged: jumbo }),
            }),
            _ => None,
        };
        let limit = |rate: &str| Limit { rate: rate.to_owned().try_into().unwrap(), burst: None };
        link.egress_qos = second.then(|| limit(if jumbo { "1mbit" } else { "2mbit" }));
        let conditions = conditions(slow, lossy, jumbo);
        let back = if one_way { Conditions::default() } else { conditions };
        // Both shape what the switch sends.
        if slow || lossy {
            link.egress_qos = None;
        }
        link.behaviour = LinkBehaviour { conditions: [conditions, back], up: true };
        link.at_run_time = down.then_some(LinkBehaviour { up: false, ..link.behaviour });
        link.ingress_policing = mac.then(|| limit("3mbit"));
        let node = spec.nodes.iter_mut().find(|node| node.name.as_str() == names[a]);
        if let (true, Some(node)) = (mac, node) {
            node.interfaces.last_mut().unwrap().mac = Some(format!("02:00:00:00:00:{l:02x}").parse().unwrap());
        }
    }
    autoconfigure(&mut spec, nodes.len(), links);
    take_leases(&mut spec);
    for (n, &([_, ovs, rstp, mirror, exports, controller, _], ..)) in switches.iter().enumerate() {
        let name = spec.switches[n].name.clone();
        let is_port = |link: &Link| link.ends.contains(&LinkEnd::Switch(name.clone()));
        let ports: Vec<usize> = (0..spec.links.len()).filter(|l| is_port(&spec.links[*l])).collect();
        if ovs {
            spec.switches[n].ovs = ovs_settings(&ports, [rstp, mirror, exports, controller]);
        }
    }
    join_network(&mut spec, switches.first().is_some_and(|([.., nat], ..)| *nat), nic);
    for (node, &[forwarding, gateway, metric, sysctl, own, exec]) in spec.nodes.iter_mut().zip(nodes) {
        node.forwarding |= forwarding;
        if let (true, Some(first)) = (gateway, node.interfaces.first()) {
            for address in &first.addresses[first.addresses.len() - 1..] {
                let (to, via) = if address.is_ipv4() { ("0.0.0.0/0", 254) } else { ("fd01::/16", 254) };
                let via = address.iter().nth(via).unwrap();
                let metric = metric.then_some(7);
                node.routes.push(NodeRoute { to: to.parse().unwrap(), via, dev: first.name.clone(), metric });
            }
        }
        if sysctl {
            node.sysctls.insert("net.ipv4.tcp_ecn".parse().unwrap(), if own { "1" } else { "2" }.into());
        }
        if let (true, Some(first)) = (own, node.interfaces.first()) {
            let key = format!("net.ipv4.conf.{}.rp_filter", first.name);
            node.sysctls.insert(key.parse().unwrap(), "1".into());
        }
        if exec {
            node.exec = vec![vec!["true".into()], vec!["sh".into(), "-c".into(), "echo hello".into()]];
        }
    }
    spec
}
