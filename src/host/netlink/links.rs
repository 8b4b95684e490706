//! Interfaces of any kind: finding, changing and removing them.

use super::connection::{Connection, Request};
use super::errno::{Forgive, NetlinkError};
use crate::model::{IfName, MacAddress, Mtu};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage};
use nix::errno::Errno;
use rtnetlink::{LinkMessageBuilder, LinkUnspec};

/// The name of the loopback interface, and its index in every namespace (LOOPBACK_IFINDEX, net/flow.h).
pub(crate) const LOOPBACK: &str = "lo";
const LOOPBACK_INDEX: u32 = 1;

/// The group (IFLA_GROUP) that interfaces are put in to be removed together: "nsla" in ASCII. Nobody else's are in it
/// in a namespace that is nslab's own.
const REMOVAL_GROUP: u32 = 0x6e73_6c61;

/// What is to be changed of an interface; `None` leaves a thing as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LinkSettings<'a> {
    /// Its MAC address.
    pub(crate) mac: Option<MacAddress>,
    /// Its MTU.
    pub(crate) mtu: Option<Mtu>,
    /// Whether it is up.
    pub(crate) up: Option<bool>,
    /// The bridge that it is a port of, or none.
    pub(crate) master: Option<Option<&'a IfName>>,
    /// Its alias.
    pub(crate) alias: Option<&'a str>,
}

/// What this module's callers compare of an interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) kind: Option<InfoKind>,
    pub(super) mac: Vec<u8>,
    pub(super) mtu_bytes: u32,
    pub(super) up: bool,
    pub(super) carrier: bool,
    /// How often it was put on its link, or taken from it (IFLA_CARRIER_CHANGES).
    pub(super) carrier_changes: u32,
    /// Whether somebody has set it to take in what is for others (IFF_PROMISC); what the kernel does by itself is not told.
    pub(super) promiscuous: bool,
    pub(super) master_index: Option<u32>,
    /// IFLA_LINK: of a veth, the other end's index.
    pub(super) peer_index: Option<u32>,
    /// IFLA_LINK_NETNSID: the number by which this namespace knows the other end's; `None` where it is this one.
    pub(super) peer_netns_id: Option<i32>,
    pub(super) alias: Option<String>,
    pub(super) info: Vec<LinkInfo>,
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Self {
        let mut link = Self {
            index: message.header.index,
            up: message.header.flags.contains(LinkFlags::Up),
            carrier: message.header.flags.contains(LinkFlags::LowerUp),
            promiscuous: message.header.flags.contains(LinkFlags::Promisc),
            ..Self::default()
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::Address(mac) => link.mac = mac,
                LinkAttribute::Mtu(mtu) => link.mtu_bytes = mtu,
                LinkAttribute::CarrierChanges(changes) => link.carrier_changes = changes,
                LinkAttribute::Controller(index) => link.master_index = Some(index),
                LinkAttribute::Link(index) => link.peer_index = Some(index),
                LinkAttribute::LinkNetNsId(id) => link.peer_netns_id = Some(id),
                LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
                LinkAttribute::LinkInfo(info) => {
                    link.kind =
                        info.iter().find_map(|i| if let LinkInfo::Kind(k) = i { Some(k.clone()) } else { None });
                    link.info = info;
                }
                _ => {}
            }
        }
        link
    }
}

/// The index of an interface of the calling thread's namespace. An ioctl (netdevice(7)) that takes no lock, where
/// RTM_GETLINK would queue up behind every change that is being made to any namespace.
pub(crate) fn index_of(name: &str) -> Result<u32, NetlinkError> {
    nix::net::if_::if_nametoindex(name).map_err(NetlinkError::refused)
}

/// The names of all interfaces but `lo`, in alphabetical order.
pub(crate) fn names(connection: &mut Connection) -> Result<Vec<String>, NetlinkError> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    let mut names = Vec::new();
    for answer in connection.dump(&RouteNetlinkMessage::GetLink(message))? {
        let RouteNetlinkMessage::NewLink(message) = answer else { continue };
        let name = |attribute| if let LinkAttribute::IfName(name) = attribute { Some(name) } else { None };
        names.extend(message.attributes.into_iter().find_map(name).filter(|name| name != LOOPBACK));
    }
    names.sort();
    Ok(names)
}

/// The name of an interface of the calling thread's namespace.
pub(super) fn name_of(index: u32) -> Option<String> {
    let name = nix::net::if_::if_indextoname(index).ok()?;
    Some(name.to_string_lossy().into_owned())
}

/// The interface of this name.
pub(super) fn find(connection: &mut Connection, name: &str) -> Result<Option<Link>, NetlinkError> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    match connection.get(RouteNetlinkMessage::GetLink(message)) {
        Ok(RouteNetlinkMessage::NewLink(link)) => Ok(Some(link.into())),
        Ok(_) => Err(NetlinkError::Incomplete("the interface")),
        Err(error) if error.is(&[Errno::ENODEV]) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The MTU of the interface of this name.
///
/// # Errors
/// ENODEV where there is none.
pub(crate) fn mtu_bytes(connection: &mut Connection, name: &str) -> Result<u32, NetlinkError> {
    let link = find(connection, name)?.ok_or_else(|| NetlinkError::refused(Errno::ENODEV))?;
    Ok(link.mtu_bytes)
}

/// Where the interface of this name is there, up, and on its link (IFF_LOWER_UP): how often that has changed.
pub(crate) fn carrier_changes(connection: &mut Connection, name: &str) -> Result<Option<u32>, NetlinkError> {
    let link = find(connection, name)?.filter(|link| link.up && link.carrier);
    Ok(link.map(|link| link.carrier_changes))
}

/// Sets `lo` up and gives it an alias, both at once.
pub(crate) fn mark_loopback(connection: &mut Connection, mark: &str) -> Result<(), NetlinkError> {
    let message = LinkUnspec::new_with_index(LOOPBACK_INDEX).up().alias(mark).build();
    connection.execute(RouteNetlinkMessage::SetLink(message), 0)
}

/// Sets `lo` up.
pub(crate) fn set_loopback_up(connection: &mut Connection) -> Result<(), NetlinkError> {
    let message = LinkUnspec::new_with_index(LOOPBACK_INDEX).up().build();
    connection.execute(RouteNetlinkMessage::SetLink(message), 0)
}

/// The alias of `lo`, and whether it is up.
pub(crate) fn loopback(connection: &mut Connection) -> Result<(Option<String>, bool), NetlinkError> {
    let lo = find(connection, LOOPBACK)?.ok_or(NetlinkError::Incomplete("the loopback interface"))?;
    Ok((lo.alias, lo.up))
}

/// Gives an interface an alias (IFLA_IFALIAS).
pub(crate) fn set_alias(connection: &mut Connection, name: &IfName, alias: &str) -> Result<(), NetlinkError> {
    set(connection, name, LinkSettings { alias: Some(alias), ..LinkSettings::default() })
}

/// Has an interface take in what is for others, or not any more.
pub(crate) fn set_promiscuous(connection: &mut Connection, name: &IfName, is: bool) -> Result<(), NetlinkError> {
    let message = LinkUnspec::new_with_name(name.as_str()).promiscuous(is).build();
    connection.execute(RouteNetlinkMessage::SetLink(message), 0)
}

/// Changes attributes of an interface of the calling thread's namespace, in one message.
pub(crate) fn set(connection: &mut Connection, name: &IfName, settings: LinkSettings<'_>) -> Result<(), NetlinkError> {
    if settings == LinkSettings::default() {
        return Ok(());
    }
    let message = with_settings(LinkUnspec::new_with_name(name.as_str()), settings)?.build();
    connection.execute(RouteNetlinkMessage::SetLink(message), 0)
}

/// Writes settings into a message. A master must be in the calling thread's namespace.
pub(super) fn with_settings<T>(
    mut builder: LinkMessageBuilder<T>,
    settings: LinkSettings<'_>,
) -> Result<LinkMessageBuilder<T>, NetlinkError> {
    let LinkSettings { mac, mtu, up, master, alias } = settings;
    if let Some(mac) = mac {
        builder = builder.address(mac.octets().to_vec());
    }
    if let Some(mtu) = mtu {
        builder = builder.mtu(mtu.bytes());
    }
    if let Some(alias) = alias {
        builder = builder.alias(alias);
    }
    match up {
        Some(true) => builder = builder.up(),
        Some(false) => builder = builder.down(),
        None => {}
    }
    match master {
        Some(Some(master)) => builder = builder.controller(index_of(master.as_str())?),
        Some(None) => builder = builder.nocontroller(),
        None => {}
    }
    Ok(builder)
}

/// Removes an interface, where there is one of this name.
pub(crate) fn remove(connection: &mut Connection, name: &str) -> Result<(), NetlinkError> {
    let message = LinkUnspec::new_with_name(name).build();
    connection.execute(RouteNetlinkMessage::DelLink(message), 0).forgive(&[Errno::ENODEV])
}

/// Removes interfaces, those of them that are there, all in one go. Each removal waits for every processor to have
/// stopped using the interface (synchronize_net in the kernel), some ten milliseconds; removed as a group
/// (rtnl_group_dellink) they wait once.
pub(crate) fn remove_all(connection: &mut Connection, names: &[IfName]) -> Result<(), NetlinkError> {
    if let [name] = names {
        return remove(connection, name.as_str());
    }
    let requests: Vec<Request> = names
        .iter()
        .map(|name| LinkUnspec::new_with_name(name.as_str()).link_group(REMOVAL_GROUP).build())
        .map(|message| (RouteNetlinkMessage::SetLink(message), 0))
        .collect();
    for result in connection.execute_all(requests)? {
        result.forgive(&[Errno::ENODEV])?;
    }
    let group = LinkMessageBuilder::<LinkUnspec>::new().link_group(REMOVAL_GROUP).build();
    connection.execute(RouteNetlinkMessage::DelLink(group), 0).forgive(&[Errno::ENODEV])
}
