//! DHCP clients as commands: dhclient(8) for nslab's own holder of leases.

use super::shell::{Script, quoted};
use crate::model::{DhcpClient, Interface};

/// It asks once and fails where nobody answers (`-1`); with a lease it goes on in the background.
pub(super) fn start(script: &mut Script, of: &DhcpClient) {
    let Interface { netns: _, name } = of.interface();
    let (netns, files) = (quoted(of.netns.name.as_str()), files(of));
    script.line(&format!("cat > {files}.conf <<'END'"));
    script.line("option classless-routes code 121 = array of unsigned integer 8;");
    script.line(&format!("send host-name \"{}\";", of.leased.host_name));
    script.line("request subnet-mask, broadcast-address, routers, classless-routes;");
    script.line("END");
    script.line(&format!(
        "ip netns exec {netns} dhclient -v -1 -cf {files}.conf -lf {files}.leases -pf {files}.pid {name}"
    ));
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
fn files(of: &DhcpClient) -> String {
    quoted(&format!("/run/dhclient-{}-{}", of.netns.name, of.leased.interface))
}
