//! Linux bridges (net/bridge).

use super::connection::Connection;
use super::errno::NetlinkError;
use super::links::{self, Link};
use crate::model::{Bridge, GroupFwdMask, Mtu, PortFwdMask, Stp};
use crate::observed::Kernel;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{BridgeStpState, InfoBridge, InfoData, InfoKind, LinkInfo};
use nix::errno::Errno;
use rtnetlink::{LinkBridge, LinkBridgePort, LinkMessageBuilder, LinkUnspec};

/// The kernel counts a bridge's times in USER_HZ, hundredths of a second (jiffies_to_clock_t).
const USER_HZ: u32 = 100;

/// The VLAN of untagged frames at new ports where nothing else is said (br_vlan_init, net/bridge/br_vlan.c).
const KERNEL_DEFAULT_PVID: u16 = 1;

/// What a bridge is set to, as far as nslab sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BridgeSettings {
    pub(super) stp: Option<Stp>,
    pub(super) vlan_filtering: bool,
    /// `None` where the kernel's bridges can't.
    pub(super) mcast_snooping: Option<bool>,
    pub(super) group_fwd_mask: GroupFwdMask,
}

/// Reads a bridge's settings out of what the kernel says of an interface.
pub(super) fn settings_in(info: &[LinkInfo]) -> BridgeSettings {
    let mut stp = Stp { priority: 0, forward_delay_s: 0, hello_time_s: 0, max_age_s: 0 };
    let (mut runs_stp, mut vlan_filtering, mut mcast_snooping) = (false, false, None);
    let mut group_fwd_mask = GroupFwdMask::default();
    let seconds = |time: u32| u8::try_from((time + USER_HZ / 2) / USER_HZ).unwrap_or(u8::MAX);
    let data = info.iter().find_map(|i| if let LinkInfo::Data(InfoData::Bridge(data)) = i { Some(data) } else { None });
    for attribute in data.into_iter().flatten() {
        match attribute {
            InfoBridge::StpState(state) => runs_stp = *state != BridgeStpState::Disabled,
            InfoBridge::Priority(priority) => stp.priority = *priority,
            InfoBridge::ForwardDelay(time) => stp.forward_delay_s = seconds(*time),
            InfoBridge::HelloTime(time) => stp.hello_time_s = seconds(*time),
            InfoBridge::MaxAge(time) => stp.max_age_s = seconds(*time),
            InfoBridge::VlanFiltering(on) => vlan_filtering = *on,
            InfoBridge::MulticastSnooping(on) => mcast_snooping = Some(*on),
            InfoBridge::GroupFwdMask(bits) => group_fwd_mask = (*bits).into(),
            _ => {}
        }
    }
    BridgeSettings { stp: runs_stp.then_some(stp), vlan_filtering, mcast_snooping, group_fwd_mask }
}

/// Makes a bridge, or sets what differs of the one that is there. Something else of that name is replaced.
pub(crate) fn ensure(connection: &mut Connection, bridge: &Bridge) -> Result<(), NetlinkError> {
    let name = bridge.interface.name.as_str();
    match create(connection, bridge) {
        Err(error) if error.is(&[Errno::EEXIST]) => {}
        result => return result,
    }
    match links::find(connection, name)? {
        Some(link) if link.kind == Some(InfoKind::Bridge) => adjust(connection, bridge, &link),
        _ => {
            links::remove(connection, name)?;
            create(connection, bridge)
        }
    }
}

fn create(connection: &mut Connection, bridge: &Bridge) -> Result<(), NetlinkError> {
    let mut builder = LinkBridge::new(bridge.interface.name.as_str())
        .address(bridge.mac.octets().to_vec())
        .mtu(other_mtu(bridge.mtu));
    if let Some(stp) = bridge.stp {
        builder = with_stp(builder, stp);
    }
    if bridge.vlan_filtering {
        builder = builder.vlan_filtering(true).vlan_default_pvid(0); // a port's VLANs are those that it is given
    }
    if !bridge.snoops() {
        builder = builder.mcast_snooping(false); // a new bridge does, where the kernel can
    }
    if !bridge.group_fwd_mask.is_empty() {
        builder = builder.group_fwd_mask(bridge.group_fwd_mask.bits());
    }
    connection.execute(RouteNetlinkMessage::NewLink(builder.build()), NLM_F_CREATE | NLM_F_EXCL)?;
    let finish = LinkUnspec::new_with_name(bridge.interface.name.as_str()).mtu(bridge.mtu.bytes()).up().build();
    connection.execute(RouteNetlinkMessage::SetLink(finish), 0)
}

/// Any MTU but this one. A bridge takes on the smallest of its ports' MTUs until its own has been *changed*
/// (BROPT_MTU_SET_BY_USER); being made with one does not count, nor does being set to the one it has.
fn other_mtu(mtu: Mtu) -> u32 {
    if mtu == Mtu::ETHERNET { Mtu::IPV6_MINIMUM.bytes() } else { Mtu::ETHERNET.bytes() }
}

fn adjust(connection: &mut Connection, bridge: &Bridge, link: &Link) -> Result<(), NetlinkError> {
    let name = bridge.interface.name.as_str();
    let now = settings_in(&link.info);
    let wanted = BridgeSettings {
        stp: bridge.stp,
        vlan_filtering: bridge.vlan_filtering,
        mcast_snooping: now.mcast_snooping.map(|_| bridge.snoops()),
        group_fwd_mask: bridge.group_fwd_mask,
    };
    if now != wanted {
        let mut builder = LinkBridge::new(name);
        if now.stp != wanted.stp {
            builder = match wanted.stp {
                Some(stp) => with_stp(builder, stp),
                None => builder.stp_state(BridgeStpState::Disabled),
            };
        }
        if now.vlan_filtering != wanted.vlan_filtering {
            let pvid = if wanted.vlan_filtering { 0 } else { KERNEL_DEFAULT_PVID };
            builder = builder.vlan_filtering(wanted.vlan_filtering).vlan_default_pvid(pvid);
        }
        if let Some(snoops) = wanted.mcast_snooping.filter(|_| now.mcast_snooping != wanted.mcast_snooping) {
            builder = builder.mcast_snooping(snoops);
        }
        if now.group_fwd_mask != wanted.group_fwd_mask {
            builder = builder.group_fwd_mask(wanted.group_fwd_mask.bits());
        }
        // RTM_SETLINK ignores IFLA_LINKINFO of a bridge; RTM_NEWLINK without NLM_F_CREATE changes what is there.
        connection.execute(RouteNetlinkMessage::NewLink(builder.build()), 0)?;
    }
    let mut builder = LinkUnspec::new_with_name(name).up();
    if link.mac != bridge.mac.octets() {
        builder = builder.address(bridge.mac.octets().to_vec());
    }
    if link.mtu_bytes != bridge.mtu.bytes() {
        builder = builder.mtu(bridge.mtu.bytes());
    }
    connection.execute(RouteNetlinkMessage::SetLink(builder.build()), 0)
}

fn with_stp(builder: LinkMessageBuilder<LinkBridge>, stp: Stp) -> LinkMessageBuilder<LinkBridge> {
    let Stp { priority, forward_delay_s, hello_time_s, max_age_s } = stp;
    builder
        .forward_delay(u32::from(forward_delay_s) * USER_HZ)
        .hello_time(u32::from(hello_time_s) * USER_HZ)
        .max_age(u32::from(max_age_s) * USER_HZ)
        .priority(priority)
        .stp_state(BridgeStpState::KernelStp)
}

/// Sets which link-local frames a port lets in. The calling thread is in its namespace.
pub(crate) fn set_port_fwd_mask(connection: &mut Connection, wanted: &PortFwdMask) -> Result<(), NetlinkError> {
    let index = links::index_of(wanted.port.name.as_str())?;
    let message = LinkBridgePort::new(index).group_fwd_mask(wanted.mask.bits()).build();
    // As with a bridge, RTM_SETLINK would ignore it.
    connection.execute(RouteNetlinkMessage::NewLink(message), 0)
}

/// What the kernel's bridges can do. Makes one in the calling thread's namespace to find out: a kernel that can't do a
/// thing takes its attribute without a word, and has none to show.
pub(crate) fn probe(connection: &mut Connection) -> Result<Kernel, NetlinkError> {
    const PROBE: &str = "probe";
    let mut make = |builder: LinkMessageBuilder<LinkBridge>| {
        connection.execute(RouteNetlinkMessage::NewLink(builder.build()), NLM_F_CREATE | NLM_F_EXCL)
    };
    match make(LinkBridge::new(PROBE).vlan_filtering(true)) {
        // Newer kernels refuse to hear of VLANs where older ones ignore it.
        Err(error) if error.is(&[Errno::EOPNOTSUPP]) => make(LinkBridge::new(PROBE))?,
        result => result?,
    }
    let link = links::find(connection, PROBE)?.ok_or(NetlinkError::Incomplete("the bridge just made"))?;
    let settings = settings_in(&link.info);
    Ok(Kernel {
        vlan_filtering: Some(settings.vlan_filtering),
        mcast_snooping: Some(settings.mcast_snooping.is_some()),
        ..Kernel::default()
    })
}
