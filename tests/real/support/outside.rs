//! What is outside of a test's host: a NIC of the host's, `eth0`, whose other end is at a router; and behind that, in a
//! network of its own, a host that answers pings and names, and knows nothing of any lab.
//!
//! ```text
//! host eth0 192.0.2.2 ─── 192.0.2.1 router 198.51.100.1 ─── 198.51.100.2 far
//!      2001:db8:2::2      2001:db8:2::1    2001:db8:9::1    2001:db8:9::2
//! ```

use super::run::sh;
use super::{ThrowAwayHost, wait_until};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What the far host is called by its own name server.
pub(crate) const FAR_NAME: &str = "www.example";
pub(crate) const FAR: &str = "198.51.100.2";
pub(crate) const FAR_V6: &str = "2001:db8:9::2";

/// Where the namespaces of router and far host are pinned: not where nslab's are.
const ROUTER: &str = "/run/outside-router";
const FAR_HOST: &str = "/run/outside-far";

const START: Duration = Duration::from_secs(10);

/// Everything outside. Dropping it takes the NIC along.
pub(crate) struct Outside {
    servers: Vec<Child>,
}

impl Outside {
    /// With the host's addresses, default routes and name server set by hand.
    pub(crate) fn start(host: &ThrowAwayHost) -> Self {
        let outside = Self::without_routes(host);
        sh("ip route add default via 192.0.2.1; ip -6 route add default via 2001:db8:2::1");
        outside
    }

    /// The same without default routes.
    pub(crate) fn without_routes(host: &ThrowAwayHost) -> Self {
        for place in [ROUTER, FAR_HOST] {
            sh(&format!("touch {place}; unshare --net={place} ip link set lo up"));
        }
        sh(&format!(
            "ip link add eth0 type veth peer name street; ip link set street netns {ROUTER}
             sysctl -qw net.ipv6.conf.eth0.accept_dad=0 # or the host would be another one a second later
             ip address add 192.0.2.2/24 dev eth0; ip address add 2001:db8:2::2/64 dev eth0 nodad; ip link set eth0 up
             router() {{ nsenter --net={ROUTER} \"$@\"; }}
             far() {{ nsenter --net={FAR_HOST} \"$@\"; }}
             router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
             router ip link add back type veth peer name eth0; router ip link set eth0 netns {FAR_HOST}
             router ip address add 192.0.2.1/24 dev street; router ip address add 2001:db8:2::1/64 dev street nodad
             router ip address add 198.51.100.1/24 dev back; router ip address add 2001:db8:9::1/64 dev back nodad
             router ip link set street up; router ip link set back up
             far ip address add {FAR}/24 dev eth0; far ip address add {FAR_V6}/64 dev eth0 nodad; far ip link set eth0 up
             far ip route add default via 198.51.100.1; far ip -6 route add default via 2001:db8:9::1
             echo nameserver {FAR} > /etc/resolv.conf"
        ));
        let mut outside = Self { servers: Vec::new() };
        let names = [
            format!("--address=/{FAR_NAME}/{FAR}"),
            format!("--address=/{FAR_NAME}/{FAR_V6}"),
            format!("--pid-file={}", host.scratch().join("dnsmasq.pid").display()),
        ];
        let options = ["--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--user=root"];
        let options: Vec<&str> = options.into_iter().chain(names.iter().map(String::as_str)).collect();
        outside.serve(FAR_HOST, "dnsmasq", &options);
        wait_until("the name server answers", START, || {
            let asked = ["--net=/run/outside-far", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/53"];
            Command::new("nsenter").args(asked).stderr(Stdio::null()).status().unwrap().success()
        });
        outside
    }

    /// Has the router advertise itself (radvd(8)), and waits until the host has its default route from that.
    pub(crate) fn advertise(&mut self, host: &ThrowAwayHost) {
        let file = host.scratch().join("radvd.conf");
        let text = "interface street { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; };\n";
        std::fs::write(&file, text).unwrap();
        let pid = host.scratch().join("radvd.pid");
        let options = ["-n", "-C", file.to_str().unwrap(), "-p", pid.to_str().unwrap()];
        self.serve(ROUTER, "radvd", &options);
        wait_until("the host has a default route from the router", START, has_advertised_route);
    }

    fn serve(&mut self, place: &str, program: &str, options: &[&str]) {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={place}")).arg(program).args(options);
        self.servers.push(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }
}

/// Whether the host has a default route that a router told it of.
pub(crate) fn has_advertised_route() -> bool {
    sh("ip -6 route show default").contains("proto ra")
}

impl Drop for Outside {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
        let _ = Command::new("sh")
            .args(["-c", &format!("ip link delete eth0; umount {ROUTER} {FAR_HOST}; rm -f {ROUTER} {FAR_HOST}")])
            .status();
    }
}
