//! [`Host`]'s links: bridges, veth pairs, what is set of them, their addresses and routes.

use super::error::NetlinkContext;
use super::facade::Host;
use super::netlink::{self, Connection, LinkSettings, PeerNetns};
use super::{HostError, netns, sysctl};
use crate::model::qdisc::Qdiscs;
use crate::model::{
    Address, Bridge, IfName, Interface, MacAddress, Mtu, NetnsName, PortFwdMask, PortVlans, Route, Veth,
};
use std::fs::File;
use std::os::fd::AsFd;

impl Host {
    /// Makes a bridge and sets it up; of one that is there, sets what differs. Another interface of that name is
    /// replaced.
    ///
    /// # Errors
    /// When there is no such namespace, or what the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn ensure_bridge(&self, bridge: &Bridge) -> Result<(), HostError> {
        let job_bridge = bridge.clone();
        let job = move |c: &mut Connection| {
            netlink::ensure_bridge(c, &job_bridge).when("make the bridge", &job_bridge.interface)
        };
        self.connected(&bridge.interface.netns, job).await
    }

    /// Makes a veth pair, both ends up; of one that is there, sets what differs. Other interfaces of those names, half
    /// pairs among them, are replaced.
    ///
    /// # Errors
    /// When there is no such namespace or bridge, or what the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn ensure_veth(&self, veth: &Veth) -> Result<(), HostError> {
        let veth = veth.clone();
        let _alone = self.making_link.lock().await;
        self.job(move || ensure_veth(&veth)).await
    }

    /// Removes an interface (a veth's other end goes with it). That the interface, or its namespace, isn't there is
    /// fine.
    ///
    /// # Errors
    /// What the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn remove_link(&self, interface: &Interface) -> Result<(), HostError> {
        self.remove_links(&interface.netns, std::slice::from_ref(&interface.name)).await
    }

    /// Removes interfaces of one namespace in one go, which takes hardly longer than one. That some of them, or the
    /// namespace, aren't there is fine.
    ///
    /// # Errors
    /// What the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn remove_links(&self, netns: &NetnsName, names: &[IfName]) -> Result<(), HostError> {
        let (object, names) = (netns.clone(), names.to_vec());
        let job = move |c: &mut Connection| {
            netlink::remove_links(c, &names).when("remove", format_args!("{} from {object}", listed(&names)))
        };
        absent_netns_is_fine(self.connected(netns, job).await)
    }

    /// Changes attributes of an interface, all but checksums in one message; `None` leaves one as it is, `Some(None)` as
    /// its master takes it out of its bridge.
    ///
    /// # Errors
    /// When there is no such interface or bridge, or what the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn set_link(
        &self,
        interface: &Interface,
        mac: Option<MacAddress>,
        mtu: Option<Mtu>,
        up: Option<bool>,
        master: Option<Option<&IfName>>,
        software_checksums: Option<bool>,
    ) -> Result<(), HostError> {
        let (interface, master) = (interface.clone(), master.map(Option::<&IfName>::cloned));
        let netns = interface.netns.clone();
        let job = move |c: &mut Connection| {
            let master = master.as_ref().map(Option::as_ref);
            let settings = LinkSettings { mac, mtu, up, master, ..LinkSettings::default() };
            netlink::set_link(c, &interface.name, settings).when("change", &interface)?;
            software_checksums.map_or(Ok(()), |software| {
                netlink::set_software_checksums(interface.name.as_str(), software)
                    .when("change the checksum offload of", &interface)
            })
        };
        self.connected(&netns, job).await
    }

    /// Sets a bridge port's VLANs in place of those it has.
    ///
    /// # Errors
    /// When there is no such port, its bridge does not keep VLANs apart, or what else the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn set_port_vlans(&self, port: &PortVlans) -> Result<(), HostError> {
        let job_port = port.clone();
        let job =
            move |c: &mut Connection| netlink::set_port_vlans(c, &job_port).when("set the VLANs of", &job_port.port);
        self.connected(&port.port.netns, job).await
    }

    /// Gives an interface these queueing disciplines in place of those it has. To have none, it, or its namespace, need
    /// not be there.
    ///
    /// # Errors
    /// When there is no such interface, or what the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn set_qdiscs(&self, qdiscs: &Qdiscs) -> Result<(), HostError> {
        let job_qdiscs = qdiscs.clone();
        let job = move || {
            netlink::set_qdiscs(&job_qdiscs).when("set the conditions of what leaves by", &job_qdiscs.interface)
        };
        let done = self.inside(&qdiscs.interface.netns, job).await;
        if qdiscs.shaping.is_none() { absent_netns_is_fine(done) } else { done }
    }

    /// Sets which link-local frames a bridge's port lets in to be forwarded.
    ///
    /// # Errors
    /// When there is no such port, or what else the kernel refuses: MAC pause frames.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn set_port_fwd_mask(&self, wanted: &PortFwdMask) -> Result<(), HostError> {
        let job_wanted = wanted.clone();
        let job = move |c: &mut Connection| {
            netlink::set_port_fwd_mask(c, &job_wanted).when("set what link-local frames pass", &job_wanted.port)
        };
        self.connected(&wanted.port.netns, job).await
    }

    /// Gives an interface an address.
    ///
    /// # Errors
    /// When there is no such interface, or what the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn ensure_address(&self, address: &Address) -> Result<(), HostError> {
        let Address { interface, address: network } = address.clone();
        let job_address = address.clone();
        let job = move |c: &mut Connection| {
            netlink::ensure_address(c, &job_address)
                .when("add the address", format_args!("{network} to {}", job_address.interface))
        };
        self.connected(&interface.netns, job).await
    }

    /// Takes an address from an interface. That the address, the interface or the namespace isn't there is fine.
    ///
    /// # Errors
    /// What the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn remove_address(&self, address: &Address) -> Result<(), HostError> {
        let Address { interface, address: network } = address.clone();
        let job_address = address.clone();
        let job = move |c: &mut Connection| {
            netlink::remove_address(c, &job_address)
                .when("remove the address", format_args!("{network} from {}", job_address.interface))
        };
        absent_netns_is_fine(self.connected(&interface.netns, job).await)
    }

    /// Adds a route.
    ///
    /// # Errors
    /// [`HostError::is_exists`] where there is another route to the same place with the same metric; when there is no
    /// such interface, the next hop is in none of its subnets, or what else the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn ensure_route(&self, route: &Route) -> Result<(), HostError> {
        let job_route = route.clone();
        let job =
            move |c: &mut Connection| netlink::ensure_route(c, &job_route).when("add the route", shown(&job_route));
        self.connected(&route.netns, job).await
    }

    /// Removes a route. That the route, its interface or the namespace isn't there is fine.
    ///
    /// # Errors
    /// What the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn remove_route(&self, route: &Route) -> Result<(), HostError> {
        let job_route = route.clone();
        let job =
            move |c: &mut Connection| netlink::remove_route(c, &job_route).when("remove the route", shown(&job_route));
        absent_netns_is_fine(self.connected(&route.netns, job).await)
    }
}

fn absent_netns_is_fine(result: Result<(), HostError>) -> Result<(), HostError> {
    match result {
        Err(HostError::NoNetns(_)) => Ok(()),
        result => result,
    }
}

fn listed(names: &[IfName]) -> String {
    names.iter().map(IfName::as_str).collect::<Vec<_>>().join(", ")
}

fn shown(route: &Route) -> String {
    let Route { netns, to, via, dev, metric } = route;
    let metric = metric.map(|metric| format!(" metric {metric}")).unwrap_or_default();
    format!("{to} via {via} dev {dev}{metric} in {netns}")
}

/// Runs on a thread of the pool.
fn ensure_veth(veth: &Veth) -> Result<(), HostError> {
    let (a_netns, b_netns) = (&veth.a.interface.netns, &veth.b.interface.netns);
    let (a_file, b_file) = (netns::open(a_netns)?, netns::open(b_netns)?);
    let peer = PeerNetns { fd: b_file.as_fd(), is_same: a_netns == b_netns };
    let object = || format!("{} and {}", veth.a.interface, veth.b.interface);
    let connect_b = || connect(b_netns, &b_file);

    let mut in_a = connect(a_netns, &a_file)?;
    match netlink::create_veth(&mut in_a, veth, &peer) {
        Err(error) if error.is(&[nix::errno::Errno::EEXIST]) => {}
        result => {
            result.when("make the veth pair", object())?;
            return finish_veth(veth, &mut in_a, connect_b);
        }
    }

    let mut in_b = connect_b()?;
    let ends = netlink::look_at_veth(&mut in_a, &mut in_b, veth, &peer).when("look at", object())?;
    if ends.are_a_pair() {
        ends.adjust_b(&mut in_b, &veth.b).when("change", &veth.b.interface)?;
        netns::enter(a_netns, &a_file)?;
        return ends.adjust_a(&mut in_a, &veth.a).when("change", &veth.a.interface);
    }
    netlink::remove_link(&mut in_b, veth.b.interface.name.as_str()).when("remove", &veth.b.interface)?;
    netlink::remove_link(&mut in_a, veth.a.interface.name.as_str()).when("remove", &veth.a.interface)?;
    netns::enter(a_netns, &a_file)?;
    netlink::create_veth(&mut in_a, veth, &peer).when("make the veth pair", object())?;
    finish_veth(veth, &mut in_a, connect_b)
}

/// Called in the namespace of end `a`.
fn finish_veth(
    veth: &Veth,
    in_a: &mut Connection,
    connect_b: impl FnOnce() -> Result<Connection, HostError>,
) -> Result<(), HostError> {
    netlink::finish_veth(in_a, &veth.a).when("change", &veth.a.interface)?;
    let mut in_b = connect_b()?;
    if veth.b.ignores_routers {
        sysctl::ignore_routers(&veth.b.interface)?;
    }
    netlink::finish_veth_peer(&mut in_b, &veth.b).when("change", &veth.b.interface)
}

/// Takes the calling thread into a namespace and opens a socket there. The socket stays there when the thread goes on.
fn connect(name: &NetnsName, file: &File) -> Result<Connection, HostError> {
    netns::enter(name, file)?;
    Connection::open().when("look into", name)
}
