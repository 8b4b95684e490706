//! Steps in words: one line each, for `plan`, for what `up` says it did, and for what `show` says has drifted.

use super::types::{LinkChange, Master, Op};
use crate::model::nat::{DOCKER_USER, NatTable};
use crate::model::ovs::{OvsChange, OvsRow, OvsRowId, OvsTable};
use crate::model::qdisc::Qdiscs;
use crate::model::{
    Autoconfigured, Bridge, IfName, Interface, LimitedGroup, NativeVlan, Netns, NodeName, Uplink, UplinkAddress, Veth,
    VethEnd, VlanId, VlanMode,
};
use std::collections::BTreeSet;
use std::fmt::{Display, Formatter, Result};

impl Display for Op {
    /// What is done, as an order: `give two-node-net1:eth0 the address 10.0.0.1/24`.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::AddNetns(netns) => write!(f, "make the namespace {}", netns.name),
            Self::DeleteNetns(netns) => delete_netns(f, netns),
            Self::SetLoopbackUp(netns) => write!(f, "set {netns}:lo up"),
            Self::SetSysctl(sysctl) => write!(f, "set {} to {} in {}", sysctl.key, sysctl.value, sysctl.netns),
            Self::SetBridge(bridge) => set_bridge(f, bridge),
            Self::AddVeth(veth) => add_veth(f, veth),
            Self::DeleteLink(interface) => write!(f, "remove the interface {interface}"),
            Self::DeleteLinks(netns, names) => {
                write!(f, "remove the interfaces {} of {netns}", list(names.iter().map(IfName::as_str)))
            }
            Self::SetLink(change) => set_link(f, change),
            Self::SetPortVlans(vlans) => match &vlans.mode {
                VlanMode::Access(vlan) => write!(f, "make {} an access port of VLAN {vlan}", vlans.port),
                VlanMode::Trunk { tagged, native } => trunk(f, &vlans.port, tagged, *native),
            },
            Self::SetQdiscs(Qdiscs { interface, shaping }) if shaping.is_none() => {
                write!(f, "lift the conditions of what leaves by {interface}")
            }
            Self::SetQdiscs(Qdiscs { interface, shaping }) => {
                write!(f, "set the conditions of what leaves by {interface} to {shaping}")
            }
            Self::SetPortFwdMask(mask) if mask.mask.is_empty() => {
                write!(f, "let {} take no link-local frames in to be forwarded", mask.port)
            }
            Self::SetPortFwdMask(mask) => write!(f, "let {} take {} in to be forwarded", mask.port, mask.mask),
            Self::AddAddress(address) => write!(f, "give {} the address {}", address.interface, address.address),
            Self::DeleteAddress(address) => {
                write!(f, "take the address {} from {}", address.address, address.interface)
            }
            Self::StartAdvertiser(of) => {
                let on = of.interfaces.iter().map(|on| {
                    let prefixes: Vec<String> = on.prefixes.iter().map(ToString::to_string).collect();
                    format!("{} on {}", list(prefixes.iter().map(String::as_str)), on.interface)
                });
                let on: Vec<String> = on.collect();
                write!(f, "advertise {} as a router: {}", of.netns.name, on.join("; "))
            }
            Self::StopAdvertiser(of) => write!(f, "stop advertising {} as a router", of.netns.name),
            Self::Autoconfigure(of) => {
                write!(f, "let {} configure itself from router advertisements: {}", of.interface, addresses(of))
            }
            Self::Deconfigure(of) => {
                write!(f, "take from {} what it has configured itself: {}", of.interface, addresses(of))
            }
            Self::StartDhcpClient(of) => write!(f, "let {} take an address by DHCP", of.interface()),
            Self::StopDhcpClient(of) => write!(f, "let {} give up its DHCP lease", of.interface()),
            Self::AddRoute(route) => {
                write!(f, "route {} via {} in {}", destination(route.to), route.via, route.netns)?;
                route.metric.map_or(Ok(()), |metric| write!(f, ", metric {metric}"))
            }
            Self::DeleteRoute(route) => {
                write!(f, "remove the route to {} via {} in {}", destination(route.to), route.via, route.netns)
            }
            Self::WriteHosts(file) => {
                write!(f, "write the names of the nodes to {}/hosts", file.directory.display())?;
                let resolver = |_| write!(f, ", and the machine's name servers to resolv.conf there");
                file.resolv_conf.as_ref().map_or(Ok(()), resolver)
            }
            Self::RemoveHosts(file) => write!(f, "remove {}/hosts", file.directory.display()),
            Self::AddNameDirectory(link) => {
                write!(f, "let {} read names from {} (/etc/netns/{})", link.netns, link.directory.display(), link.netns)
            }
            Self::RemoveNameDirectory(link) => write!(f, "remove /etc/netns/{}", link.netns),
            Self::SetHostBridge(_)
            | Self::RemoveHostBridge(_)
            | Self::StartKeeper(_)
            | Self::StopKeeper(_)
            | Self::ReleaseNic(_)
            | Self::TakeBackNic(_)
            | Self::AttachUplink(_)
            | Self::TakeLease(_)
            | Self::DetachUplink(_) => uplink(f, self),
            Self::ChangeOvs(change) => change_ovs(f, change),
            Self::StartContainer(_) | Self::StopContainer(_) => container(f, self),
            Self::SetGroup(_) | Self::RemoveGroup(_) | Self::LimitContainer(_) => limits(f, self),
            Self::AddVolume(_) | Self::RemoveVolume(_) => volume(f, self),
            Self::EndRun(exec) => {
                write!(f, "end what `{}` left running in {}", exec.argv.join(" "), exec.netns)
            }
            Self::SetNatTable(NatTable { name, interface: _, nic, subnets, mark: _ }) => {
                let subnets: Vec<String> = subnets.iter().map(ToString::to_string).collect();
                let subnets = list(subnets.iter().map(String::as_str));
                write!(f, "masquerade {subnets}, by the table {name} of nftables")?;
                nic.as_ref().map_or(Ok(()), |nic| write!(f, ", and let it leave by {nic} alone"))
            }
            Self::RemoveNatTable(table) => write!(f, "remove the table {} of nftables", table.name),
            Self::AddForwardPass(pass) => {
                write!(f, "let the packets of {} pass in {DOCKER_USER} ({})", pass.interface, pass.family.in_words())
            }
            Self::RemoveForwardPass(pass) => write!(
                f,
                "remove the rules for the packets of {} from {DOCKER_USER} ({})",
                pass.interface,
                pass.family.in_words()
            ),
            Self::Run(exec) => write!(f, "run `{}` in {}", exec.argv.join(" "), exec.netns),
        }
    }
}

fn container(f: &mut Formatter<'_>, op: &Op) -> Result {
    match op {
        Op::StartContainer(of) => write!(f, "start the container {}: `{}`", of.node, of.container.command.join(" ")),
        Op::StopContainer(of) => write!(f, "stop the container {}", of.node),
        _ => Ok(()),
    }
}

fn limits(f: &mut Formatter<'_>, op: &Op) -> Result {
    let of = |node: &Option<NodeName>| {
        node.as_ref().map_or_else(|| "the lab as a whole".to_owned(), |node| format!("the node {node}"))
    };
    match op {
        Op::SetGroup(LimitedGroup { node, cgroup: _, limits }) => write!(f, "limit {} to {limits}", of(node)),
        Op::RemoveGroup(LimitedGroup { node, .. }) => write!(f, "limit {} no more", of(node)),
        Op::LimitContainer(of) => write!(f, "limit the container {} to {}", of.node, of.container.limits),
        _ => Ok(()),
    }
}

fn delete_netns(f: &mut Formatter<'_>, netns: &[Netns]) -> Result {
    match netns {
        [one] => write!(f, "remove the namespace {} and what runs in it", one.name),
        many => {
            let names: Vec<&str> = many.iter().map(|netns| netns.name.as_str()).collect();
            write!(f, "remove {} and what runs in them", things("namespace", &names).concat())
        }
    }
}

fn volume(f: &mut Formatter<'_>, op: &Op) -> Result {
    match op {
        Op::AddVolume(of) => write!(f, "make the volume {}: {}", of.name, of.kind),
        Op::RemoveVolume(of) => write!(f, "remove the volume {}, with what is in it", of.name),
        _ => Ok(()),
    }
}

fn uplink(f: &mut Formatter<'_>, op: &Op) -> Result {
    match op {
        Op::SetHostBridge(bridge) => write!(f, "set up the bridge {} in the host's namespace", bridge.name),
        Op::RemoveHostBridge(bridge) => write!(f, "remove the bridge {} of the host's namespace", bridge.name),
        Op::StartKeeper(of) => write!(f, "start the keeper of the uplink {}", of.nic.name),
        Op::StopKeeper(of) => write!(f, "stop the keeper of the uplink {}", of.nic.name),
        Op::ReleaseNic(of) => write!(f, "have {} let go of {}", holders(of), of.nic.name),
        Op::TakeBackNic(of) => write!(f, "have {} manage {} again", holders(of), of.nic.name),
        Op::AttachUplink(of) => attach(f, of),
        Op::TakeLease(of) => write!(f, "take a lease for {} by DHCP", of.onto),
        Op::DetachUplink(of) => {
            write!(f, "give {} back, and the machine's addresses from {} to it", of.nic.name, of.onto)
        }
        _ => Ok(()),
    }
}

fn holders(of: &Uplink) -> String {
    let names: Vec<String> = of.holders.iter().map(ToString::to_string).collect();
    list(names.iter().map(String::as_str))
}

fn attach(f: &mut Formatter<'_>, of: &Uplink) -> Result {
    let Uplink { nic, address, onto, .. } = of;
    let addresses: Vec<String> = nic.addresses.iter().map(|there| there.address.to_string()).collect();
    write!(f, "make {} a port of {onto}", nic.name)?;
    match address {
        UplinkAddress::None => write!(f, ", the machine's addresses staying behind"),
        UplinkAddress::Dhcp | UplinkAddress::Keep if addresses.is_empty() => Ok(()),
        UplinkAddress::Dhcp | UplinkAddress::Keep => {
            write!(f, ", and move {} there", list(addresses.iter().map(String::as_str)))
        }
    }
}

fn set_bridge(f: &mut Formatter<'_>, bridge: &Bridge) -> Result {
    write!(f, "set up the bridge {}", bridge.interface)?;
    let chosen = |all: &[(bool, &str)]| {
        let chosen: Vec<&str> = all.iter().filter(|(is_on, _)| *is_on).map(|(_, word)| *word).collect();
        (!chosen.is_empty()).then(|| list(chosen))
    };
    if let Some(with) = chosen(&[(bridge.stp.is_some(), "spanning tree"), (bridge.vlan_filtering, "VLANs")]) {
        write!(f, " with {with}")?;
    }
    let forwards = format!("forwards {}", bridge.group_fwd_mask);
    match chosen(&[(!bridge.group_fwd_mask.is_empty(), &forwards), (!bridge.snoops(), "floods multicast")]) {
        Some(does) => write!(f, ", which {does}"),
        None => Ok(()),
    }
}

/// `join two-node-net1:eth0 and br0 (port net1) by a veth pair`: the node first, where there is one.
fn add_veth(f: &mut Formatter<'_>, veth: &Veth) -> Result {
    let end = |end: &VethEnd| match &end.master {
        Some(bridge) => format!("{bridge} (port {})", end.interface.name),
        None => end.interface.to_string(),
    };
    let (first, second) =
        if veth.b.master.is_none() && veth.a.master.is_some() { (&veth.b, &veth.a) } else { (&veth.a, &veth.b) };
    write!(f, "join {} and {} by a veth pair", end(first), end(second))
}

/// `tell Open vSwitch of the bridge two-node-br0 and the ports two-node-net1 and two-node-net2`.
fn change_ovs(f: &mut Formatter<'_>, change: &OvsChange) -> Result {
    const WORDS: [(OvsTable, &str); 8] = [
        (OvsTable::Bridge, "bridge"),
        (OvsTable::Port, "port"),
        (OvsTable::Controller, "controller"),
        (OvsTable::Mirror, "mirror"),
        (OvsTable::NetFlow, "NetFlow exporter"),
        (OvsTable::SFlow, "sFlow agent"),
        (OvsTable::Ipfix, "IPFIX exporter"),
        (OvsTable::QoS, "shaper"),
    ];
    let named = |ids: Vec<(&OvsRowId, Option<&str>)>| {
        // Bridges and ports by their names in the host's namespace, the others by what they are of.
        let name_of = |id: &'_ OvsRowId, name: Option<&str>| match id.table {
            OvsTable::Bridge | OvsTable::Port => name.map(str::to_owned),
            _ => Some(id.id.clone()),
        };
        let mut all = Vec::new();
        for (table, word) in WORDS {
            let names: Vec<String> =
                ids.iter().filter(|(id, _)| id.table == table).filter_map(|(id, name)| name_of(id, *name)).collect();
            all.extend(things(word, &names.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        if all.is_empty() {
            all.extend(ids.iter().take(LISTED).map(|(id, _)| id.to_string()));
        }
        list(all.iter().map(String::as_str))
    };
    let mut parts = Vec::new();
    if !change.delete.is_empty() {
        let gone = change.delete.iter().map(|gone| (&gone.id, gone.name.as_deref())).collect();
        parts.push(format!("take {} from Open vSwitch", named(gone)));
    }
    if !change.insert.is_empty() {
        // A bridge's own port is the bridge.
        let own = |row: &&OvsRow| row.id.table == OvsTable::Port && !row.id.id.contains('/');
        let new = change.insert.iter().filter(|row| !own(row)).map(|row| (&row.id, row.name())).collect();
        parts.push(format!("give Open vSwitch {}", named(new)));
    }
    if !change.set.is_empty() {
        let set = change.set.iter().take(LISTED).map(|setting| {
            let columns: Vec<String> = setting.columns.keys().map(ToString::to_string).collect();
            let name = setting.name.as_deref().unwrap_or(&setting.id.id);
            format!("{} of {} {name}", columns.join(", "), setting.id.table.as_str())
        });
        parts.push(format!("set {} in Open vSwitch", list(set.collect::<Vec<_>>().iter().map(String::as_str))));
    }
    f.write_str(&parts.join("; "))
}

/// How many names a step lists.
const LISTED: usize = 8;

/// `the bridge a`, `the ports a, b and c`, or nothing.
fn things(word: &str, names: &[&str]) -> Vec<String> {
    match names {
        [] => Vec::new(),
        [one] => vec![format!("the {word} {one}")],
        many if many.len() > LISTED => {
            vec![format!("the {word}s {} and {} more", many[..LISTED].join(", "), many.len() - LISTED)]
        }
        many => vec![format!("the {word}s {}", list(many.iter().copied()))],
    }
}

fn set_link(f: &mut Formatter<'_>, change: &LinkChange) -> Result {
    let LinkChange { interface, mac, mtu, up, master, software_checksums } = change;
    let mut parts = Vec::new();
    parts.extend(up.map(|up| (if up { "set it up" } else { "set it down" }).to_owned()));
    parts.extend(mac.map(|mac| format!("give it the MAC address {mac}")));
    parts.extend(mtu.map(|mtu| format!("give it an MTU of {mtu} bytes")));
    parts.extend(master.as_ref().map(|master| match master {
        Master::Nothing => "take it from its bridge".to_owned(),
        Master::Bridge(bridge) => format!("make it a port of {bridge}"),
    }));
    parts.extend(software_checksums.map(|software| {
        (if software { "put checksums in before frames leave" } else { "leave checksums to the card" }).to_owned()
    }));
    write!(f, "change {interface}: {}", list(parts.iter().map(String::as_str)))
}

fn trunk(f: &mut Formatter<'_>, port: &Interface, tagged: &BTreeSet<VlanId>, native: Option<NativeVlan>) -> Result {
    let ids: Vec<String> = tagged.iter().map(ToString::to_string).collect();
    match ids.as_slice() {
        [] => write!(f, "make {port} a trunk of no tagged VLAN")?,
        [one] => write!(f, "make {port} a trunk of VLAN {one}")?,
        many => write!(f, "make {port} a trunk of the VLANs {}", list(many.iter().map(String::as_str)))?,
    }
    native.map_or(Ok(()), |native| write!(f, ", untagged frames in VLAN {native}"))
}

/// `2001:db8:1::5/64, everything else via fe80::1`.
fn addresses(of: &Autoconfigured) -> String {
    let addresses = of.addresses.iter().map(ToString::to_string);
    let routers = of.routers.iter().map(|router| format!("everything else via {router}"));
    addresses.chain(routers).collect::<Vec<_>>().join(", ")
}

fn destination(to: ipnetwork::IpNetwork) -> String {
    if to.prefix() == 0 { format!("everything else ({to})") } else { to.to_string() }
}

/// `a`, `a and b`, `a, b and c`.
fn list<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let parts: Vec<&str> = parts.into_iter().collect();
    match parts.as_slice() {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}
