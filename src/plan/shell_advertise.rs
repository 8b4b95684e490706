//! Router advertisements as commands: radvd(8) for nslab's own sender, and what a host has of it.

use super::shell::{Script, quoted};
use crate::model::{Advertised, Advertiser, Autoconfigured, Interface, Sysctl, SysctlKey};

/// A daemon with its configuration (radvd.conf(5)); whatever is not in there is the standard's.
pub(super) fn start(script: &mut Script, Advertiser { netns, interfaces }: &Advertiser) {
    let name = quoted(netns.name.as_str());
    script.line(&format!("cat > /run/radvd-{name}.conf <<'END'"));
    for Advertised { interface, mac: _, mtu, prefixes } in interfaces {
        script.line(&format!("interface {interface} {{"));
        script.line("    AdvSendAdvert on;");
        script.line(&format!("    AdvLinkMTU {mtu};"));
        for prefix in prefixes {
            script.line(&format!("    prefix {prefix} {{ AdvOnLink on; AdvAutonomous on; }};"));
        }
        script.line("};");
    }
    script.line("END");
    script.line(&format!("ip netns exec {name} radvd -C /run/radvd-{name}.conf -p /run/radvd-{name}.pid"));
}

/// What runs is nslab's own sender, which carries its verb on its command line.
pub(super) fn stop(script: &mut Script, Advertiser { netns, interfaces: _ }: &Advertiser) {
    let name = quoted(netns.name.as_str());
    script.line(&format!("for pid in $(ip netns pids {name}); do"));
    script.line("    if grep -qz '^__advertise$' /proc/$pid/cmdline; then kill $pid; fi");
    script.line("done");
}

pub(super) fn autoconfigure(script: &mut Script, of: &Autoconfigured) {
    listen(script, &of.interface, of.accept_ra());
    let Interface { netns, name } = &of.interface;
    let shown = netns.pinned().map(|netns| format!(" -n {}", quoted(netns.as_str()))).unwrap_or_default();
    for address in &of.addresses {
        script.line(&format!("until ip{shown} address show dev {name} | grep -q ' {address} '; do sleep 0.1; done"));
    }
}

pub(super) fn deconfigure(script: &mut Script, of: &Autoconfigured) {
    listen(script, &of.interface, "0");
    let Interface { netns, name } = &of.interface;
    for address in &of.addresses {
        script.ip(netns, &format!("address delete {address} dev {name}"));
    }
    for router in &of.routers {
        script.ip(netns, &format!("route delete default via {router} dev {name} proto ra"));
    }
}

fn listen(script: &mut Script, Interface { netns, name }: &Interface, value: &str) {
    if let Some(key) = SysctlKey::of_ipv6(name, "accept_ra") {
        script.set_sysctl(&Sysctl { netns: netns.clone(), key, value: value.to_owned() });
    }
}
