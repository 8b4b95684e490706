//! A plan as a script for sh(1): the same steps as `ip`, `bridge` and `sysctl` commands, for people who want to learn
//! them or to do without nslab. Commands as of iproute2 6.1; see ip-link(8), ip-netns(8), bridge(8).

use super::ovs_vsctl::{self, Word};
use super::shell_advertise as advertise;
use super::shell_lease as lease;
use super::shell_names as names;
use super::shell_nat as nat;
use super::tc;
use super::types::{LinkChange, Master, Op, Plan, Stage, Step};
use super::{shell_container as container, shell_limits as limits, shell_uplink as uplink, shell_volume as volume};
use crate::model::ovs::OvsChange;
use crate::model::{
    Bridge, GroupFwdMask, Interface, NativeVlan, Netns, NetnsName, PortFwdMask, PortVlans, Route, Sysctl, SysctlKey,
    Veth, VethEnd, VlanMode,
};
use std::fmt::Write as _;

const HEADER: &str = "\
#!/bin/sh
# What nslab would do, as commands. Run it as root; the first command that fails ends it.
set -eu
";

/// The plan as a script. It keeps no journal: what it makes, nslab does not take for its own.
pub fn shell(plan: &Plan) -> String {
    let mut script = Script { text: HEADER.to_owned(), has_etc_netns: false };
    let mut stage = None;
    for step in &plan.steps {
        if stage.replace(step.stage) != Some(step.stage) {
            script.line("");
            for line in lesson(step.stage) {
                script.line(&format!("# {line}"));
            }
        }
        script.step(step);
    }
    script.text
}

/// What a stage is about, and why it has to be done so.
fn lesson(stage: Stage) -> &'static [&'static str] {
    match stage {
        Stage::DetachUplink => &["The machine's NIC, and what the machine has on it, back to where they were."],
        Stage::RemoveHostBridge => &["The bridge of the NIC."],
        Stage::StartKeeper => &[
            "nslab has a process watch over what comes now, which undoes it where nobody else can. By hand: have a way to the",
            "machine that is not this NIC.",
        ],
        Stage::ReleaseNic => &["Who manages the NIC is not to give it addresses while it is a port."],
        Stage::TakeBackNic => &["Who managed the NIC before does so again."],
        Stage::PlugUplink => &["The NIC becomes a port of the switch, which Open vSwitch sees to."],
        Stage::AttachUplink => &[
            "The machine's NIC becomes a port, and what the machine has on it moves to the bridge: first the addresses, so",
            "that they are the machine's at every moment, and the routes last.",
        ],
        Stage::TakeLease => &[
            "A lease for the bridge: by who asks for it, the server knows the machine again. nslab's keeper holds it; by hand it",
            "is dhclient(8), which goes on in the background. It is not asked for name servers.",
        ],
        Stage::StopKeeper => &["Nobody watches any more: who did was ended first of all."],
        Stage::StopContainers => &["Containers that go, or become others: asked to end, and killed after ten seconds."],
        Stage::LimitLab | Stage::Limits => limits::LESSON,
        Stage::StartContainers | Stage::StartLeasedContainers => container::LESSON,
        Stage::StopForwarding => &["The machine forwards the lab's packets no more."],
        Stage::StopMasquerade => &["Rules of the machine's packet filter that go."],
        Stage::Masquerade => &[
            "What comes from the lab leaves the machine under its own address (masquerading), and answers find their way",
            "back. These rules are before anything is forwarded, so that nothing leaves without them.",
        ],
        Stage::Forwarding => &[
            "The machine forwards what comes in by these interfaces: the lab's packets by the first, the answers by the NIC.",
        ],
        Stage::RemoveRoutes => &["Routes that go."],
        Stage::Deconfigure => &["Addresses and routes that hosts had from routers, and that go."],
        Stage::StopAdvertisers => &["Routers that do not advertise themselves any more, or not so."],
        Stage::StopDhcpClients => &["Interfaces that take no address by DHCP any more, or not so."],
        Stage::RemoveAddresses => &["Addresses that go."],
        Stage::UnplugSwitches => &["What goes from Open vSwitch: queues, and then ports and bridges."],
        Stage::PlugSwitches => &[
            "Open vSwitch learns of its bridges and ports in one transaction: all of them, or none. The external_ids say",
            "whose the rows are. With the user-space datapath (netdev), `tx off` above sees to it that TCP works.",
        ],
        Stage::RemoveLinks => &["Interfaces that go. The other end of a veth pair goes with the first."],
        Stage::Namespaces => &[
            "A network namespace is a network stack of its own: interfaces, routes, sockets. `ip netns` pins it by a",
            "file in /run/netns. The alias of its loopback interface says whose it is. Files in /etc/netns/NAME stand",
            "in for those in /etc for what `ip netns exec NAME` runs.",
        ],
        Stage::Volumes => volume::LESSON,
        Stage::NamespaceSysctls => {
            &["Parameters of the network stacks, before any interface is there: each takes them over when it is made."]
        }
        Stage::Bridges => &["A bridge is an Ethernet switch inside the kernel."],
        Stage::Links => &[
            "A veth pair is a cable: what goes in at one end comes out at the other. An end whose master is a bridge is",
            "a port of that switch.",
        ],
        Stage::ChangeLinks => &["Interfaces that change."],
        Stage::PortVlans => {
            &["VLANs of the switches' ports: untagged frames join the `pvid`; `untagged` ones leave without a tag."]
        }
        Stage::PortFwdMasks => &[
            "Frames to 01-80-C2-00-00-0X are for a neighbour, and a bridge keeps them. Where bit X of group_fwd_mask is set,",
            "it lets them pass; those of LACP (bit 2) only by the mask of the port that they come in at.",
        ],
        Stage::LinkSysctls => &["Parameters of single interfaces."],
        Stage::Qdiscs => &[
            "What leaves by an interface goes through a queueing discipline: netem delays, loses and damages frames, tbf",
            "lets so many through and has the others wait.",
        ],
        Stage::Addresses => &["Addresses. Each brings the route to its subnet along."],
        Stage::Advertise => &[
            "Routers that advertise themselves, and the prefixes of their links (RFC 4861). nslab sends that itself; by hand",
            "it is radvd(8).",
        ],
        Stage::Autoconfigure => &[
            "Hosts make addresses of the prefixes that they hear of, and of their MAC addresses, and send everything else to",
            "the router (RFC 4862). That comes with the next advertisement.",
        ],
        Stage::Routes => &["Routes to what is further away. Their next hops must be in a subnet from above."],
        Stage::Serve => &["The commands of the nodes that take no address by DHCP: a server's are among them."],
        Stage::Lease => &[
            "Addresses by DHCP: the client asks all, and a server lends it one for a while (RFC 2131). nslab holds leases itself;",
            "by hand it is dhclient(8). It is not asked for name servers: it would write them to the machine's resolv.conf.",
        ],
        Stage::Exec => &["The nodes' own commands."],
        Stage::RemoveGroups => &["Cgroups that go: they are empty now."],
        Stage::RemoveNamespaces => &["Namespaces that go, and the processes in them."],
    }
}

pub(super) struct Script {
    text: String,
    /// Whether it makes /etc/netns already.
    has_etc_netns: bool,
}

impl Script {
    pub(super) fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A command from its words, each quoted where it must be.
    pub(super) fn command<'a>(&mut self, words: impl IntoIterator<Item = &'a str>) {
        let words: Vec<String> = words.into_iter().map(quoted).collect();
        self.line(&words.join(" "));
    }

    /// `ip -n NETNS …`, the rest given as text that needs no quoting.
    pub(super) fn ip(&mut self, netns: &NetnsName, rest: &str) {
        self.tool("ip", netns, rest);
    }

    /// A command of iproute2's that works in a namespace.
    fn tool(&mut self, program: &str, netns: &NetnsName, rest: &str) {
        let namespace = netns.pinned().map(|name| ["-n", name.as_str()]).into_iter().flatten();
        self.command(std::iter::once(program).chain(namespace).chain(rest.split(' ')));
    }

    fn step(&mut self, step: &Step) {
        match &step.op {
            Op::AddNetns(netns) => self.add_netns(netns),
            Op::DeleteNetns(all) => {
                for netns in all {
                    let name = quoted(netns.name.as_str());
                    self.line(&format!("ip netns pids {name} | xargs -r kill -KILL"));
                    self.line(&format!("ip netns delete {name}"));
                }
            }
            Op::SetLoopbackUp(netns) => self.ip(&netns.clone().into(), "link set dev lo up"),
            Op::SetSysctl(sysctl) => self.set_sysctl(sysctl),
            Op::SetBridge(bridge) => {
                // Undo puts a bridge that is there back to what it was.
                let before = step.undo.iter().find_map(|undo| match undo {
                    Op::SetBridge(before) => Some(before),
                    _ => None,
                });
                self.set_bridge(bridge, before);
            }
            Op::AddVeth(veth) => self.add_veth(veth),
            Op::DeleteLink(Interface { netns, name }) => self.ip(netns, &format!("link delete dev {name}")),
            Op::DeleteLinks(netns, names) => {
                for name in names {
                    self.ip(netns, &format!("link delete dev {name}"));
                }
            }
            Op::SetLink(change) => self.set_link(change),
            Op::SetPortVlans(vlans) => self.set_port_vlans(vlans),
            Op::SetQdiscs(qdiscs) => {
                for command in tc::commands(qdiscs) {
                    self.tool("tc", &qdiscs.interface.netns, &command);
                }
            }
            Op::SetPortFwdMask(PortFwdMask { port: Interface { netns, name }, mask }) => {
                self.ip(netns, &format!("link set dev {name} type bridge_slave group_fwd_mask {:#x}", mask.bits()));
            }
            Op::AddAddress(address) => {
                let Interface { netns, name } = &address.interface;
                let nodad = if address.address.is_ipv6() { " nodad" } else { "" };
                self.ip(netns, &format!("address add {} dev {name}{nodad}", address.address));
            }
            Op::DeleteAddress(address) => {
                let Interface { netns, name } = &address.interface;
                self.ip(netns, &format!("address delete {} dev {name}", address.address));
            }
            Op::StartAdvertiser(of) => advertise::start(self, of),
            Op::StopAdvertiser(of) => advertise::stop(self, of),
            Op::Autoconfigure(of) => advertise::autoconfigure(self, of),
            Op::Deconfigure(of) => advertise::deconfigure(self, of),
            Op::StartDhcpClient(of) => lease::start(self, of),
            Op::StopDhcpClient(of) => lease::stop(self, of),
            Op::AddRoute(route) => self.route("add", route),
            Op::DeleteRoute(route) => self.route("delete", route),
            Op::WriteHosts(file) => {
                // Undo puts files that are there back to what they were.
                let before = step.undo.iter().find_map(|undo| match undo {
                    Op::WriteHosts(before) => before.resolv_conf.as_ref(),
                    _ => None,
                });
                names::write(self, file, before.is_some());
            }
            Op::RemoveHosts(file) => names::remove(self, file),
            Op::AddNameDirectory(link) => {
                if !std::mem::replace(&mut self.has_etc_netns, true) {
                    self.command(["mkdir", "-p", "/etc/netns"]);
                }
                let (target, at) = (link.directory.to_string_lossy(), format!("/etc/netns/{}", link.netns));
                self.command(["ln", "-s", &target, &at]);
            }
            Op::RemoveNameDirectory(link) => self.command(["rm", "-f", &format!("/etc/netns/{}", link.netns)]),
            Op::SetHostBridge(bridge) => uplink::set_bridge(self, bridge),
            Op::RemoveHostBridge(bridge) => self.ip(&NetnsName::Host, &format!("link delete dev {}", bridge.name)),
            // Who watches is a process of nslab's own: by hand, it is the one who types.
            Op::StartKeeper(_) | Op::StopKeeper(_) => {}
            Op::ReleaseNic(of) => uplink::release(self, of),
            Op::TakeBackNic(of) => uplink::take_back(self, of),
            Op::AttachUplink(of) => uplink::attach(self, of),
            Op::TakeLease(of) => uplink::take_lease(self, of),
            Op::DetachUplink(of) => uplink::detach(self, of),
            Op::ChangeOvs(change) => self.change_ovs(change),
            Op::SetNatTable(table) => nat::set_table(self, table),
            Op::RemoveNatTable(table) => nat::remove_table(self, table),
            Op::AddForwardPass(pass) => nat::add_pass(self, pass),
            Op::RemoveForwardPass(pass) => nat::remove_pass(self, pass),
            Op::StartContainer(of) => container::start(self, of),
            Op::StopContainer(of) => container::stop(self, of),
            Op::SetGroup(_) | Op::RemoveGroup(_) | Op::LimitContainer(_) => limits::change(self, &step.op),
            Op::AddVolume(of) => volume::add(self, of),
            Op::RemoveVolume(of) => volume::remove(self, of),
            Op::EndRun(exec) => {
                let netns = quoted(exec.netns.as_str());
                self.line(&format!("ip netns pids {netns} | xargs -r kill"));
            }
            Op::Run(exec) => container::run(self, exec),
        }
    }

    fn add_netns(&mut self, Netns { name, mark }: &Netns) {
        self.command(["ip", "netns", "add", name.as_str()]);
        self.command(["ip", "-n", name.as_str(), "link", "set", "dev", "lo", "alias", mark, "up"]);
    }

    pub(super) fn set_sysctl(&mut self, Sysctl { netns, key, value }: &Sysctl) {
        self.inside(netns, ["sysctl", "-qw", &format!("{key}={value}")]);
    }

    /// `ethtool` prints what it changed along; nobody asked.
    fn checksums(&mut self, netns: &NetnsName, name: &str, software: bool) {
        self.inside(netns, ["ethtool", "-K", name, "tx", if software { "off" } else { "on" }]);
        self.text.insert_str(self.text.len() - 1, " > /dev/null");
    }

    /// A command that knows nothing of namespaces, in one.
    fn inside<'a>(&mut self, netns: &'a NetnsName, words: impl IntoIterator<Item = &'a str>) {
        let enter = netns.pinned().map(|name| ["ip", "netns", "exec", name.as_str()]).into_iter().flatten();
        self.command(enter.chain(words));
    }

    fn set_bridge(&mut self, bridge: &Bridge, before: Option<&Bridge>) {
        let Bridge {
            interface: Interface { netns, name },
            mac,
            mtu,
            stp,
            vlan_filtering,
            mcast_snooping: _,
            group_fwd_mask,
        } = bridge;
        let mut command = match before {
            None => format!("link add name {name} type bridge"),
            Some(_) => format!("link set dev {name} type bridge"),
        };
        // Writing to a String does not fail. The times are in hundredths of a second.
        let _ = match stp {
            Some(stp) => write!(
                command,
                " stp_state 1 priority {} forward_delay {}00 hello_time {}00 max_age {}00",
                stp.priority, stp.forward_delay_s, stp.hello_time_s, stp.max_age_s
            ),
            None if before.is_some() => write!(command, " stp_state 0"),
            None => Ok(()),
        };
        // Only where it changes: a kernel that can't keep VLANs apart refuses to hear of it at all.
        if before.is_some_and(|before| before.vlan_filtering) != *vlan_filtering {
            let _ = write!(command, " vlan_filtering {}", u8::from(*vlan_filtering));
        }
        if before.map_or_else(GroupFwdMask::default, |before| before.group_fwd_mask) != *group_fwd_mask {
            let _ = write!(command, " group_fwd_mask {:#x}", group_fwd_mask.bits());
        }
        // A new bridge snoops, where the kernel can.
        let snoops = before.map_or(Some(true), |before| before.mcast_snooping);
        if snoops.is_some_and(|snoops| snoops != bridge.snoops()) {
            let _ = write!(command, " mcast_snooping {}", u8::from(bridge.snoops()));
        }
        self.ip(netns, &command);
        // By themselves: a bridge that is told its MTU when it is there keeps it, whatever its ports have.
        self.ip(netns, &format!("link set dev {name} address {mac} mtu {mtu} up"));
    }

    fn add_veth(&mut self, Veth { a, b }: &Veth) {
        // From a namespace with a name: that is how the other one is told.
        let (a, b) = if b.interface.netns == NetnsName::Host { (b, a) } else { (a, b) };
        let VethEnd { interface: Interface { netns, name }, mac, mtu, .. } = a;
        let VethEnd { interface: Interface { netns: peer_netns, name: peer }, mac: peer_mac, mtu: peer_mtu, .. } = b;
        // Where both are in the host's namespace, that is where the command is.
        let there = peer_netns.pinned().map(|name| format!(" netns {name}")).unwrap_or_default();
        self.ip(
            netns,
            &format!(
                "link add name {name} address {mac} mtu {mtu} type veth \
                 peer name {peer} address {peer_mac} mtu {peer_mtu}{there}"
            ),
        );
        for end in [a, b] {
            let VethEnd { interface, mac: _, mtu: _, master, mark, software_checksums, ignores_routers, up } = end;
            let Interface { netns, name } = interface;
            let accept_ra = SysctlKey::of_ipv6(name, "accept_ra").filter(|_| *ignores_routers);
            if let Some(key) = accept_ra {
                self.set_sysctl(&Sysctl { netns: netns.clone(), key, value: "0".to_owned() });
            }
            if *software_checksums {
                self.checksums(netns, name.as_str(), true);
            }
            let master = master.as_ref().map(|bridge| format!(" master {bridge}")).unwrap_or_default();
            let alias = mark.as_ref().map(|mark| format!(" alias {mark}")).unwrap_or_default();
            let state = if *up { " up" } else { "" };
            if !state.is_empty() || !alias.is_empty() || !master.is_empty() {
                self.ip(netns, &format!("link set dev {name}{alias}{master}{state}"));
            }
        }
    }

    fn set_link(&mut self, change: &LinkChange) {
        let LinkChange { interface: Interface { netns, name }, mac, mtu, up, master, software_checksums } = change;
        if let Some(software) = software_checksums {
            self.checksums(netns, name.as_str(), *software);
        }
        let mut command = format!("link set dev {name}");
        let mut word = |text: String| {
            command.push(' ');
            command.push_str(&text);
        };
        if let Some(mac) = mac {
            word(format!("address {mac}"));
        }
        if let Some(mtu) = mtu {
            word(format!("mtu {mtu}"));
        }
        match master {
            None => {}
            Some(Master::Nothing) => word("nomaster".to_owned()),
            Some(Master::Bridge(bridge)) => word(format!("master {bridge}")),
        }
        if let Some(up) = up {
            word((if *up { "up" } else { "down" }).to_owned());
        }
        self.ip(netns, &command);
    }

    fn set_port_vlans(&mut self, PortVlans { port: Interface { netns, name }, mode }: &PortVlans) {
        let mut bridge = |rest: String| self.tool("bridge", netns, &format!("vlan {rest}"));
        bridge(format!("delete dev {name} vid 1-4094"));
        let (native, tagged) = match mode {
            VlanMode::Access(vlan) => (Some(NativeVlan { id: *vlan, is_tagged: false }), None),
            VlanMode::Trunk { tagged, native } => (*native, Some(tagged)),
        };
        if let Some(NativeVlan { id, is_tagged }) = native {
            bridge(format!("add dev {name} vid {id} pvid{}", if is_tagged { "" } else { " untagged" }));
        }
        for vlan in tagged.into_iter().flatten() {
            bridge(format!("add dev {name} vid {vlan}"));
        }
    }

    fn route(&mut self, verb: &str, Route { netns, to, via, dev, metric }: &Route) {
        let metric = metric.map(|metric| format!(" metric {metric}")).unwrap_or_default();
        self.ip(netns, &format!("route {verb} {to} via {via} dev {dev} proto static{metric}"));
    }

    fn change_ovs(&mut self, change: &OvsChange) {
        let word = |word: &Word| match word {
            Word::Text(text) => quoted(text),
            Word::Output(words) => {
                let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
                format!("\"$({})\"", words.join(" "))
            }
        };
        for parts in ovs_vsctl::commands(change) {
            let lines: Vec<String> =
                parts.iter().map(|part| part.iter().map(word).collect::<Vec<_>>().join(" ")).collect();
            self.line(&lines.join(" \\\n    -- "));
        }
    }
}

/// A word as the shell reads it back: as it is, or in single quotes.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@%+=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::{Backends, resolve, samples};
    use crate::plan::simulator::Machine;
    use crate::plan::{Made, diff};

    /// golden/two-node.sh runs as it is, as root, where iproute2 and sysctl(8) are.
    #[test]
    fn two_node_as_a_script() {
        let spec = samples::two_node();
        let desired = resolve(
            &spec,
            std::path::Path::new("/etc/netns/.two-node"),
            &samples::identity(),
            &Backends::linux(&spec),
            None,
            None,
        );
        let plan = diff(&desired, &Made::default(), &Machine::new(&[&desired]).observed).unwrap();
        assert_eq!(shell(&plan), include_str!("golden/two-node.sh"));
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quoted("fd00::1/64"), "fd00::1/64");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("it's $HOME; `x`"), r"'it'\''s $HOME; `x`'");
        assert_eq!(quoted("a\tb\nc"), "'a\tb\nc'");
    }
}
