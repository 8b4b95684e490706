//! A NIC as an uplink, as commands: ip-link(8), ip-address(8), ip-route(8), ip-rule(8).

use super::shell::{Script, quoted};
use super::shell_lease as lease;
use crate::model::{
    DEAF, HostBridge, IfName, Lifetime, NetnsName, NicAddress, NicRoute, NicRule, Sysctl, Uplink, UplinkAddress,
};

/// An address is not preferred for new connections, or valid, for good (INFINITY_LIFE_TIME, net/addrconf.h).
const FOREVER: u32 = u32::MAX;

/// It is there to pass everything on, so that it need not know who listens to what.
pub(super) fn set_bridge(script: &mut Script, HostBridge { name, mac, mtu, mark }: &HostBridge) {
    let mut ip = |command: &str| script.ip(&NetnsName::Host, command);
    ip(&format!("link add name {name} address {mac} type bridge mcast_snooping 0"));
    ip(&format!("link set dev {name} mtu {mtu} alias {mark} up"));
}

pub(super) fn attach(script: &mut Script, of: &Uplink) {
    take_over_sysctls(script, of);
    let moves = of.address != UplinkAddress::None;
    let master = of.master().map(|bridge| format!("master {bridge}"));
    let there = Move {
        from: &of.nic.name,
        to: &of.onto,
        master,
        addresses: if moves { &of.nic.addresses } else { &[] },
        routes: if moves { &of.nic.routes } else { &[] },
        rules: if moves { &of.nic.rules } else { &[] },
    };
    there.carry_out(script, of);
    if of.ovs().is_some_and(|ovs| ovs.copies) {
        script
            .line("# Open vSwitch takes copies of the NIC's frames: the machine is not to take what is for it twice.");
        for (path, value) in DEAF {
            set_sysctl(script, path, &of.nic.name, value);
        }
    }
}

pub(super) fn detach(script: &mut Script, of: &Uplink) {
    end_keeper(script, of);
    for (path, _) in DEAF.iter().filter(|_| of.ovs().is_some_and(|ovs| ovs.copies)) {
        if let Some(value) = of.nic.sysctls.get(*path) {
            set_sysctl(script, path, &of.nic.name, value);
        }
    }
    let back = Move {
        from: &of.onto,
        to: &of.nic.name,
        master: of.master().map(|_| "nomaster".to_owned()),
        addresses: &of.nic.addresses,
        routes: &of.nic.routes,
        rules: &of.nic.rules,
    };
    back.carry_out(script, of);
}

/// In words: it takes a file, or a call over the bus, or a signal.
pub(super) fn release(script: &mut Script, of: &Uplink) {
    for holder in &of.holders {
        script.line(&format!("# {holder}: {}", holder.advice(&of.nic.name)));
    }
}

pub(super) fn take_back(script: &mut Script, of: &Uplink) {
    for holder in &of.holders {
        script.line(&format!("# {holder}: {}", holder.remedy(&of.nic.name)));
    }
}

/// By its MAC address, the bridge is the client that the NIC was, where that did not call itself otherwise.
pub(super) fn take_lease(script: &mut Script, of: &Uplink) {
    let sends = of.client_id.as_ref().map(|id| format!("dhcp-client-identifier {id}"));
    lease::ask(script, None, &of.onto, sends.as_deref());
}

/// The two processes of nslab's that watch over an uplink, at once: each would start the other one anew, and they would put
/// together again what the script takes apart.
fn end_keeper(script: &mut Script, of: &Uplink) {
    let directory = quoted(&of.directory.to_string_lossy());
    script.line("# nslab's own processes that watch over it would put it together again.");
    script.line("for pid in $(grep -lsxzE '__keep|__watch-keeper' /proc/[0-9]*/cmdline | cut -d/ -f3); do");
    script.line(&format!(
        "    if grep -qsxzF -e {directory} /proc/$pid/cmdline; then keepers=\"${{keepers:-}} $pid\"; fi"
    ));
    script.line("done");
    script.line("if [ -n \"${keepers:-}\" ]; then kill -STOP $keepers; kill -KILL $keepers; fi");
}

/// The bridge behaves as the NIC did.
fn take_over_sysctls(script: &mut Script, of: &Uplink) {
    let Uplink { nic, onto, .. } = of;
    script.line("# Parameters first: the bridge is to listen to routers, and to filter, as the NIC did.");
    script.line(&format!("for from in /proc/sys/net/ipv[46]/conf/{}/*; do", nic.name));
    script.line(&format!("    to=$(dirname \"$(dirname \"$from\")\")/{onto}/${{from##*/}}"));
    script.line("    case ${from##*/} in mtu|mc_forwarding|stable_secret) continue;; esac");
    script.line("    cmp -s \"$from\" \"$to\" || cat \"$from\" > \"$to\" || true");
    script.line("done");
}

fn set_sysctl(script: &mut Script, path: &str, interface: &IfName, value: &str) {
    if let Ok(key) = path.replace('/', ".").replace('*', interface.as_str()).parse() {
        script.set_sysctl(&Sysctl { netns: NetnsName::Host, key, value: value.to_owned() });
    }
}

/// What leaves one interface for another.
struct Move<'a> {
    from: &'a IfName,
    to: &'a IfName,
    /// What becomes of the NIC as a port.
    master: Option<String>,
    addresses: &'a [NicAddress],
    routes: &'a [NicRoute],
    rules: &'a [NicRule],
}

impl Move<'_> {
    fn carry_out(&self, script: &mut Script, of: &Uplink) {
        let Self { from, to, master, addresses, routes, rules } = self;
        let is_home = **to == of.nic.name;
        // Of IPv4 the first of a subnet first, since others are secondary to it; of IPv6 the kernel has the latest first.
        let of_ipv4 = addresses.iter().filter(|address| address.address.is_ipv4());
        let in_order = of_ipv4.chain(addresses.iter().rev().filter(|address| address.address.is_ipv6()));
        for there in in_order {
            let nodad = if there.address.is_ipv6() { " nodad" } else { "" };
            script.ip(&NetnsName::Host, &format!("address replace {} dev {to}{nodad}", words(there, is_home)));
        }
        if let Some(master) = master {
            script.ip(&NetnsName::Host, &format!("link set dev {} {master}", of.nic.name));
        }
        for there in of.nic.addresses.iter().rev() {
            script.ip(&NetnsName::Host, &format!("address delete {} dev {from}", local(there)));
        }
        if of.nic.routes.iter().any(|route| route.is_advertised) {
            // They outlive the addresses that they came with, and would be in the way of the same by the other one.
            script.line(&format!(
                "ip -6 route show dev {from} proto kernel | grep expires | cut -d' ' -f1 | while read -r to; do"
            ));
            script.line(&format!("    ip -6 route delete \"$to\" dev {from} proto kernel"));
            script.line("done");
        }
        for route in ordered(routes) {
            move_route(script, route, from, to);
        }
        for rule in rules.iter().filter(|rule| !rule.text.is_empty()) {
            let family = if rule.is_ipv6() { "-6 " } else { "" };
            let [here, there] = [to, from].map(|name| naming(&rule.text, &of.nic.name, name));
            script.ip(&NetnsName::Host, &format!("{family}rule add {here}"));
            script.ip(&NetnsName::Host, &format!("{family}rule delete {there}"));
        }
        // That nobody else has them was known; that they were said to need no looking is not what they were.
        for there in addresses.iter().filter(|there| is_home && there.address.is_ipv6() && there.flags & NODAD == 0) {
            script.ip(&NetnsName::Host, &format!("address change {} dev {to}", words(there, is_home)));
        }
    }
}

/// Flags of addresses (linux/if_addr.h), and the words for them.
const NODAD: u32 = 0x02;
const FLAGS: [(u32, &str); 4] = [(0x10, "home"), (0x100, "mngtmpaddr"), (0x200, "noprefixroute"), (0x400, "autojoin")];

/// An address with the other end's, where there is one.
fn local(there: &NicAddress) -> String {
    let NicAddress { address, peer, .. } = there;
    peer.map_or_else(|| address.to_string(), |peer| format!("{} peer {peer}/{}", address.ip(), address.prefix()))
}

/// An address as ip-address(8) would say it. Its label begins with the NIC's name, so that only the NIC can have it.
fn words(there: &NicAddress, is_home: bool) -> String {
    let NicAddress { address: _, peer: _, broadcast, label, scope, flags, metric, protocol: _, lifetime } = there;
    let mut words = vec![local(there)];
    words.extend(broadcast.map(|broadcast| format!("broadcast {broadcast}")));
    words.extend(label.as_ref().filter(|_| is_home).map(|label| format!("label {label}")));
    words.extend((*scope != 0).then(|| format!("scope {scope}")));
    words.extend(metric.map(|metric| format!("metric {metric}")));
    let seconds = |seconds: u32| if seconds == FOREVER { "forever".to_owned() } else { seconds.to_string() };
    words.extend(lifetime.map(|Lifetime { preferred_s, valid_s }| {
        format!("valid_lft {} preferred_lft {}", seconds(valid_s), seconds(preferred_s))
    }));
    words.extend(FLAGS.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, word)| (*word).to_owned()));
    words.join(" ")
}

/// Whether a route is put before others to the same destination.
fn is_before(route: &NicRoute) -> bool {
    !route.is_ipv6() && !route.is_behind
}

/// As they are moved: what was before others is put before them, the last one first, and what is on the link comes first.
fn ordered(routes: &[NicRoute]) -> Vec<&NicRoute> {
    let (before, after): (Vec<&NicRoute>, Vec<&NicRoute>) = routes.iter().partition(|route| is_before(route));
    let mut ordered: Vec<&NicRoute> = before.into_iter().rev().chain(after).collect();
    ordered.sort_by_key(|route| [" via ", SEVERAL].iter().any(|word| route.text.contains(word)));
    ordered
}

/// Those that are gone with an address already are not missed.
fn move_route(script: &mut Script, route: &NicRoute, from: &IfName, to: &IfName) {
    let family = if route.is_ipv6() { " -6" } else { "" };
    if route.text.contains(SEVERAL) {
        let to = format!("`ip{family} route replace`, with each way by {from} as one by {to}");
        script.line(&format!("# What is left to do by hand: {}: {to}.", route.text));
        return;
    }
    // A copy as good as the kernel's own of an advertisement would be in its way: it is a little worse.
    let arriving = if route.is_advertised { worse(&route.text) } else { route.text.clone() };
    let how = if route.is_advertised {
        "replace"
    } else if is_before(route) {
        "prepend"
    } else {
        "append"
    };
    script.ip(&NetnsName::Host, format!("{} route {how} {arriving} dev {to}", family.trim()).trim_start());
    for leaving in [&route.text, &arriving].into_iter().take(1 + usize::from(route.is_advertised)) {
        script.line(&format!("ip{family} route delete {leaving} dev {from} 2> /dev/null || true"));
    }
}

/// What stands for the ways of a route by several.
const SEVERAL: &str = "by several ways";

/// A route with a metric greater by one.
fn worse(text: &str) -> String {
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    if let Some(at) = words.iter().position(|word| word == "metric")
        && let Some(metric) = words.get_mut(at + 1)
        && let Ok(value) = metric.parse::<u32>()
    {
        *metric = value.saturating_add(1).to_string();
    }
    words.join(" ")
}

/// A rule with another interface where it names the NIC.
fn naming(text: &str, nic: &IfName, other: &IfName) -> String {
    let mut before = "";
    let words = text.split(' ').map(|word| {
        let is_interface = ["iif", "oif"].contains(&std::mem::replace(&mut before, word));
        if is_interface && word == nic.as_str() { other.as_str() } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}
