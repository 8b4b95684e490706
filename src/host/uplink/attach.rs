//! Moving the machine's address from a NIC to a bridge, and back.

use super::error::NicError;
use super::meter::Meter;
use super::reach;
use crate::fault;
use crate::host::HostError;
use crate::host::advertiser::solicit;
use crate::host::dhcp::now_ms;
use crate::host::error::{FileContext, NetlinkContext};
use crate::host::facade::Host;
use crate::host::netlink::{self, Connection, Master, Move, SeenNic};
use crate::model::{Answer, DEAF, IfName, NetnsName, NicAddress, NicRoute, Uplink, UplinkAddress};
use ipnetwork::IpNetwork;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a gateway that answered before may take to answer again.
const GATEWAY: Duration = Duration::from_secs(10);

/// How long a router may take to advertise itself when it is asked: it waits up to half a second, and three between two times
/// (RFC 4861, section 6.2.6).
const ROUTER: Duration = Duration::from_secs(4);

impl Host {
    /// Makes a NIC the port that it is to be, and moves the machine's address along; what was moved already stays. Waits until
    /// the gateways answer that answered before, and says how long the first of them did not meanwhile.
    ///
    /// # Errors
    /// [`NicError::GatewaySilent`]; when there is no such NIC or bridge, or what the kernel refuses.
    ///
    /// # Cancel safety
    /// What was begun is finished in the background.
    pub async fn attach_uplink(&self, of: &Uplink) -> Result<Option<Duration>, HostError> {
        let meter = (of.address != UplinkAddress::None).then(|| measured(of)).flatten().map(Meter::start);
        let job_of = of.clone();
        self.connected(&NetnsName::Host, move |connection| attach(connection, &job_of)).await?;
        if of.address == UplinkAddress::None {
            return Ok(None);
        }
        ask_routers(&of.onto);
        for gateway in &of.nic.gateways {
            let Some(to) = gateway.answers else { continue };
            if !reach::answers_within(self, gateway.address, to, &of.onto, GATEWAY).await {
                return Err(NicError::GatewaySilent {
                    gateway: gateway.address,
                    nic: of.nic.name.clone(),
                    onto: of.onto.clone(),
                    seconds: GATEWAY.as_secs(),
                }
                .into());
            }
        }
        Ok(match meter {
            Some(meter) => meter.finish().await,
            None => None,
        })
    }

    /// Gives a NIC back, and the machine's address to it, with what is left of its lifetime. What is given back already
    /// stays; that there is no such NIC any more is fine, and so is that its port's bridge isn't there.
    ///
    /// # Errors
    /// What the kernel refuses.
    ///
    /// # Cancel safety
    /// What was begun is finished in the background.
    pub async fn detach_uplink(&self, of: &Uplink) -> Result<Option<Duration>, HostError> {
        let meter = measured(of).map(Meter::start);
        let job_of = of.clone();
        let is_there = self.connected(&NetnsName::Host, move |connection| detach(connection, &job_of)).await?;
        if !is_there {
            return Ok(None);
        }
        ask_routers(&of.nic.name);
        // To a port of openvswitch.ko nothing comes in by itself: until it is none any more, it is the switch's own port by
        // which the machine hears answers, and nobody would be heard by the NIC however long it is waited.
        if of.ovs().is_none_or(|ovs| ovs.copies) {
            self.let_advertised_come_back(of).await?;
            // What the machine has is its own again, whether somebody answers or not.
            for gateway in &of.nic.gateways {
                if let Some(to) = gateway.answers {
                    reach::answers_within(self, gateway.address, to, &of.nic.name, GATEWAY).await;
                }
            }
        }
        Ok(match meter {
            Some(meter) => meter.finish().await,
            None => None,
        })
    }
}

impl Host {
    /// Has the routers of a lease count alone, once there is one: the default routes of IPv4 that moved along go.
    ///
    /// # Errors
    /// When the bridge isn't there, or what the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn leave_routes_to_lease(&self, of: &Uplink) -> Result<(), HostError> {
        let of = of.clone();
        self.connected(&NetnsName::Host, move |connection| {
            let moved = netlink::link_index(of.onto.as_str())
                .and_then(|onto| netlink::drop_moved_defaults(connection, &of.nic.routes, of.nic.index, onto));
            moved.when("take former routes from", &of.onto)
        })
        .await
    }
}

impl Host {
    /// Waits for the kernel's own routes by routers that advertise themselves, in whose place copies are. Where a router does not
    /// speak, they stay for as long as it had said.
    async fn let_advertised_come_back(&self, of: &Uplink) -> Result<(), HostError> {
        if !of.nic.routes.iter().any(|route| route.is_advertised) {
            return Ok(());
        }
        let started = Instant::now();
        while started.elapsed() < ROUTER {
            let job_of = of.clone();
            let dropped = self.connected(&NetnsName::Host, move |connection| {
                let nic = &job_of.nic;
                netlink::link_index(nic.name.as_str())
                    .and_then(|index| netlink::drop_copies(connection, &nic.routes, nic.index, index))
                    .when("take copied routes from", &nic.name)
            });
            if dropped.await? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// The gateway by whose silence the gap is measured.
fn measured(of: &Uplink) -> Option<IpAddr> {
    let mut answering = of.nic.gateways.iter().filter(|gateway| gateway.answers == Some(Answer::Echo));
    answering.find(|gateway| gateway.address.is_ipv4()).map(|gateway| gateway.address)
}

/// Asks the gateways of a link to advertise themselves, so that their routes are not waited for. Where that can't be said yet,
/// the kernel says it.
fn ask_routers(on: &IfName) {
    if let Ok(index) = nix::net::if_::if_nametoindex(on.as_str()) {
        let _ = solicit(index, None);
    }
}

/// Who looks whose a NIC is and takes it then holds this: two labs may want the same one. It is of the NIC itself (the directory
/// of its parameters), and so the same for labs of every state directory, and no other lock of nslab's; `None` where the NIC is
/// gone, which nobody can take then. Who is no part of nslab may hold it, too, and is not waited for any longer than nslab needs.
fn hold(nic: &IfName) -> Result<Option<Flock<File>>, HostError> {
    const PATIENCE: Duration = Duration::from_secs(5);
    const AGAIN: Duration = Duration::from_millis(20);
    let path = Path::new("/proc/sys/net/ipv4/conf").join(nic.as_str());
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.on_file("open", &path)?,
    };
    let started = Instant::now();
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((again, Errno::EWOULDBLOCK)) if started.elapsed() < PATIENCE => file = again,
            locked => return locked.map(Some).map_err(|(_, errno)| errno.into()).on_file("lock", &path),
        }
        std::thread::sleep(AGAIN);
    }
}

/// The bridge that a NIC is a port of, where that is not the one that it is to be a port of.
fn others_bridge<'a>(of: &Uplink, on_nic: &'a SeenNic) -> Option<&'a String> {
    on_nic.master.as_ref().filter(|master| of.master().is_some_and(|own| own.as_str() != master.as_str()))
}

fn attach(connection: &mut Connection, of: &Uplink) -> Result<(), HostError> {
    let Uplink { nic, address, onto, .. } = of;
    let _held = hold(&nic.name)?;
    let (on_nic, on_onto) = (look(connection, &nic.name)?, look(connection, onto)?);
    if let Some(master) = on_nic.as_ref().and_then(|on_nic| others_bridge(of, on_nic)) {
        return Err(NicError::IsPort { nic: nic.name.clone(), master: master.clone() }.into());
    }
    take_over_sysctls(of);
    let moves = *address != UplinkAddress::None;
    let now = addresses_now(of, on_nic.as_ref(), on_onto.as_ref());
    let gateways: Vec<IpAddr> = nic.gateways.iter().map(|gateway| gateway.address).collect();
    let plan = Move {
        from: &nic.name,
        to: onto,
        addresses: if moves { &now } else { &[] },
        leaving: &nic.addresses,
        routes: if moves { &nic.routes } else { &[] },
        rules: if moves { &nic.rules } else { &[] },
        nic: &nic.name,
        told_index: nic.index,
        master: of.master().map_or(Master::Left, Master::Bridge),
        routers: &gateways,
    };
    fault::point(|| format!("before the machine's address moves to {onto}"));
    match netlink::move_nic(connection, &plan) {
        // netdev_rx_handler_register, net/core/dev.c
        Err(error) if error.is(&[Errno::EBUSY]) => return Err(NicError::Taken { nic: nic.name.clone() }.into()),
        result => result.when("move the machine's address to", onto)?,
    }
    fault::point(|| format!("after the machine's address moved to {onto}"));
    if of.ovs().is_some_and(|ovs| ovs.copies) {
        be_deaf(of);
        // ovs-vswitchd has done that, where it is not undone that it was given back.
        netlink::set_promiscuous(connection, &nic.name, true).when("set", &nic.name)?;
    }
    Ok(())
}

fn be_deaf(of: &Uplink) {
    for (path, value) in DEAF {
        set_sysctl(path, &of.nic.name, value);
    }
}

fn hear_again(of: &Uplink) {
    for (path, _) in DEAF {
        if let Some(value) = of.nic.sysctls.get(path) {
            set_sysctl(path, &of.nic.name, value);
        }
    }
}

/// Whether there is a NIC to give anything back to.
fn detach(connection: &mut Connection, of: &Uplink) -> Result<bool, HostError> {
    let Uplink { nic, onto, .. } = of;
    // Whoever holds it, and whatever is the matter with the file: the machine gets its address back.
    let _held = hold(&nic.name).ok();
    let Some(on_nic) = look(connection, &nic.name)? else { return Ok(false) };
    if of.ovs().is_some_and(|ovs| ovs.copies) {
        hear_again(of); // an interface that hears nothing of IPv6 takes no address of it
    }
    let on_onto = look(connection, onto)?;
    let has_come = |known: &NicAddress| {
        on_onto.iter().flat_map(|onto| &onto.addresses).any(|there| there.address == known.address)
    };
    if others_bridge(of, &on_nic).is_some() && !nic.addresses.iter().any(has_come) {
        return Ok(false); // another lab was quicker, and all is where that has put it
    }
    let is_port = of.master().is_some_and(|bridge| on_nic.master.as_deref() == Some(bridge.as_str()));
    let mut now = addresses_now(of, Some(&on_nic), on_onto.as_ref());
    let gateways: Vec<IpAddr> = nic.gateways.iter().map(|gateway| gateway.address).collect();
    let (mut leaving, mut routes) = (nic.addresses.clone(), nic.routes.clone());
    let another = on_onto.as_ref().map(|on_onto| another_lease(of, on_onto)).unwrap_or_default();
    if !another.is_empty() {
        // What is left of the former one goes along, as long as the kernel has it.
        let there = on_onto.iter().chain([&on_nic]).flat_map(|seen| &seen.addresses);
        let there: Vec<IpNetwork> = there.map(|there| there.address).collect();
        now.retain(|address| !address.is_leased() || there.contains(&address.address));
        now.extend(another.iter().cloned());
        leaving.extend(another.iter().cloned());
        routes.retain(NicRoute::is_ipv6);
    }
    let plan = Move {
        from: onto,
        to: &nic.name,
        addresses: &now,
        leaving: &leaving,
        routes: &routes,
        rules: &nic.rules,
        nic: &nic.name,
        told_index: nic.index,
        // Whatever else it was made a port of since is somebody's own doing.
        master: if is_port { Master::None } else { Master::Left },
        routers: &gateways,
    };
    fault::point(|| format!("before the machine's address moves to {}", nic.name));
    let give_back = |connection: &mut Connection, plan: &Move<'_>| {
        netlink::move_nic(connection, plan).when("give the machine's address back to", &nic.name)
    };
    give_back(connection, &plan)?;
    if let Some(on_onto) = on_onto.filter(|_| !another.is_empty()) {
        let routes: Vec<NicRoute> = on_onto.routes.into_iter().filter(|route| !route.is_ipv6()).collect();
        let plan = Move { routes: &routes, rules: &[], told_index: on_onto.index, master: Master::Left, ..plan };
        give_back(connection, &plan)?;
    }
    fault::point(|| format!("after the machine's address moved to {}", nic.name));
    if of.ovs().is_some_and(|ovs| ovs.copies) {
        // One that was killed has left it as it was, and its next one takes that for what is to stay.
        netlink::set_promiscuous(connection, &nic.name, nic.promiscuous).when("set", &nic.name)?;
    }
    Ok(true)
}

/// The lease that came in the place of the one that the NIC had: the network has moved the machine meanwhile, and that is
/// where it is to be found.
fn another_lease(of: &Uplink, on_onto: &SeenNic) -> Vec<NicAddress> {
    let known: Vec<IpNetwork> = of.nic.addresses.iter().filter(|a| a.is_leased()).map(|a| a.address).collect();
    if of.address != UplinkAddress::Dhcp || known.is_empty() {
        return Vec::new();
    }
    let is_another = |there: &&NicAddress| there.is_leased() && !known.contains(&there.address);
    on_onto.addresses.iter().filter(is_another).cloned().collect()
}

fn look(connection: &mut Connection, name: &IfName) -> Result<Option<SeenNic>, HostError> {
    netlink::look_at_nic(connection, name).when("look at", name)
}

/// The addresses of the snapshot as they are by now: with the lifetime that they have wherever they are, and otherwise with
/// what time has left of it.
fn addresses_now(of: &Uplink, on_nic: Option<&SeenNic>, on_onto: Option<&SeenNic>) -> Vec<NicAddress> {
    let since = Duration::from_millis(now_ms().saturating_sub(of.nic.seen_at_ms));
    let elapsed_s = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
    let mut now = Vec::new();
    for known in &of.nic.addresses {
        let Some(lifetime) = known.lifetime else {
            now.push(known.clone());
            continue;
        };
        let seen = [on_onto, on_nic].into_iter().flatten().flat_map(|seen| &seen.addresses);
        let seen = seen.into_iter().find(|there| there.address == known.address);
        let left = match seen {
            Some(seen) => Some(seen.lifetime),
            None => lifetime.after(elapsed_s).map(Some),
        };
        if let Some(lifetime) = left {
            now.push(NicAddress { lifetime, ..known.clone() });
        }
    }
    now
}

/// The bridge is to behave as the NIC did. Where it was who manages the NIC that listened to routers, and not the kernel, the
/// kernel listens meanwhile: nobody else does, and what they have said ends.
fn take_over_sysctls(of: &Uplink) {
    for (path, value) in &of.nic.sysctls {
        set_sysctl(path, &of.onto, value);
    }
    // A switch's own port outlives the uplink, and with it would what it has heard.
    if of.ovs().is_none() && !of.holders.is_empty() && of.nic.routes.iter().any(|route| route.is_advertised) {
        for (path, value) in HEARING {
            set_sysctl(path, &of.onto, value);
        }
    }
}

/// To hear routers, even where the machine forwards, and to have addresses by what they say.
const HEARING: [(&str, &str); 2] = [("net/ipv6/conf/*/accept_ra", "2"), ("net/ipv6/conf/*/autoconf", "1")];

/// Sets a parameter that differs. What the kernel does not take is not worth losing the machine for.
fn set_sysctl(path: &str, interface: &IfName, value: &str) {
    let file = Path::new("/proc/sys").join(path.replace('*', interface.as_str()));
    let is_so = std::fs::read_to_string(&file).is_ok_and(|now| now.trim_end() == value);
    if !is_so {
        let _ = std::fs::write(&file, value);
    }
}
