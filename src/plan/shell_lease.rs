//! DHCP clients as commands: dhclient(8) for nslab's own holder of leases.

use super::shell::{Script, quoted};
use crate::model::{DhcpClient, IfName, Interface};

pub(super) fn start(script: &mut Script, of: &DhcpClient) {
    let name = of.interface().name;
    let sends = format!("host-name \"{}\"", of.leased.host_name);
    ask(script, Some(of.netns.name.as_str()), &name, Some(&sends));
}

/// In a node's namespace or in the host's. It asks once and fails where nobody answers (`-1`); with a lease it goes on in the
/// background. `sends` is an option in the words of dhcp-options(5).
pub(super) fn ask(script: &mut Script, netns: Option<&str>, name: &IfName, sends: Option<&str>) {
    let files = files(netns, name);
    script.line(&format!("cat > {files}.conf <<'END'"));
    script.line("option classless-routes code 121 = array of unsigned integer 8;");
    if let Some(sends) = sends {
        script.line(&format!("send {sends};"));
    }
    script.line("request subnet-mask, broadcast-address, routers, classless-routes;");
    script.line("END");
    let inside = netns.map(|netns| format!("ip netns exec {} ", quoted(netns))).unwrap_or_default();
    script.line(&format!("{inside}dhclient -v -1 -cf {files}.conf -lf {files}.leases -pf {files}.pid {name}"));
}

/// What runs is nslab's own holder, which carries its verb and its interface on its command line.
pub(super) fn stop(script: &mut Script, of: &DhcpClient) {
    let Interface { netns, name } = of.interface();
    let quoted_netns = quoted(of.netns.name.as_str());
    script.line(&format!("for pid in $(ip netns pids {quoted_netns}); do"));
    script.line(&format!(
        "    if grep -qz '^__lease$' /proc/$pid/cmdline && grep -qz '^{name}=' /proc/$pid/cmdline; then kill $pid; fi"
    ));
    script.line("done");
    script.ip(&netns, &format!("address flush dev {name} dynamic scope global"));
}

/// Where dhclient keeps what is of this interface.
fn files(netns: Option<&str>, name: &IfName) -> String {
    quoted(&format!("/run/dhclient-{}-{name}", netns.unwrap_or("host")))
}
