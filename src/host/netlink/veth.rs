//! Veth pairs (veth(4)) between two namespaces.

use super::connection::Connection;
use super::errno::NetlinkError;
use super::ethtool;
use super::links::{self, Link, LinkSettings};
use crate::model::{Veth, VethEnd};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use nix::errno::Errno;
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth};
use std::os::fd::{AsRawFd, BorrowedFd};

/// The namespace of a veth's end `b`, seen from a job in that of `a`.
pub(crate) struct PeerNetns<'a> {
    /// The namespace.
    pub(crate) fd: BorrowedFd<'a>,
    /// Whether it is that of `a` too.
    pub(crate) is_same: bool,
}

/// Makes a pair in one message from the namespace of `a`, which the calling thread is in.
///
/// What the message can't do is left to [`finish`]: the kernel ignores the peer's IFLA_MASTER, refuses to set up
/// (ENOTCONN, veth_open in drivers/net/veth.c) a peer that it configures before it joins the two, and ignores
/// IFLA_IFALIAS of what is new.
///
/// # Errors
/// EEXIST where either name is taken.
pub(crate) fn create(connection: &mut Connection, veth: &Veth, b_netns: &PeerNetns<'_>) -> Result<(), NetlinkError> {
    let message = pair(veth, b_netns)?;
    connection.execute(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
}

fn pair(veth: &Veth, b_netns: &PeerNetns<'_>) -> Result<netlink_packet_route::link::LinkMessage, NetlinkError> {
    let peer = LinkUnspec::new_with_name(veth.b.interface.name.as_str()).setns_by_fd(b_netns.fd.as_raw_fd());
    let peer =
        links::with_settings(peer, LinkSettings { up: None, master: None, alias: None, ..settings_of(&veth.b) })?
            .build();
    let builder = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
        .name(veth.a.interface.name.as_str())
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)));
    Ok(links::with_settings(builder, LinkSettings { alias: None, ..settings_of(&veth.a) })?.build())
}

/// What a new end is to be. It has no master yet, so that having none needs no setting.
fn settings_of(end: &VethEnd) -> LinkSettings<'_> {
    let VethEnd { interface: _, mac, mtu, master, mark, software_checksums: _, ignores_routers: _, up } = end;
    let (master, alias) = (master.as_ref().map(Some), mark.as_deref());
    LinkSettings { mac: Some(*mac), mtu: Some(*mtu), up: Some(*up), master, alias }
}

/// Gives end `a` of a new pair what the message that made it could not. The calling thread is in its namespace.
pub(crate) fn finish(connection: &mut Connection, end: &VethEnd) -> Result<(), NetlinkError> {
    let alias = end.mark.as_deref();
    links::set(connection, &end.interface.name, LinkSettings { alias, ..LinkSettings::default() })?;
    finish_checksums(end)
}

/// Sets end `b` of a new pair up, where it is to be, and gives it what else the message that made it could not. The calling thread is in
/// its namespace.
pub(crate) fn finish_peer(connection: &mut Connection, end: &VethEnd) -> Result<(), NetlinkError> {
    links::set(connection, &end.interface.name, LinkSettings { mac: None, mtu: None, ..settings_of(end) })?;
    finish_checksums(end)
}

fn finish_checksums(end: &VethEnd) -> Result<(), NetlinkError> {
    if !end.software_checksums {
        return Ok(()); // a new veth leaves them to its card
    }
    ethtool::set_software_checksums(end.interface.name.as_str(), true)
}

/// What the two ends' names stand for at present.
pub(crate) struct Ends {
    a: Option<Link>,
    b: Option<Link>,
    /// By what number the namespace of `a` knows that of `b`; `None` where they are one.
    b_netns_id: Option<i32>,
}

/// Looks both names up.
pub(crate) fn look(
    in_a: &mut Connection,
    in_b: &mut Connection,
    veth: &Veth,
    b_netns: &PeerNetns<'_>,
) -> Result<Ends, NetlinkError> {
    Ok(Ends {
        a: links::find(in_a, veth.a.interface.name.as_str())?,
        b: links::find(in_b, veth.b.interface.name.as_str())?,
        b_netns_id: if b_netns.is_same { None } else { Some(netns_id(in_a, b_netns.fd)?) },
    })
}

impl Ends {
    /// Whether the two are one pair.
    pub(crate) fn are_a_pair(&self) -> bool {
        let (Some(a), Some(b)) = (&self.a, &self.b) else { return false };
        let veths = a.kind == Some(InfoKind::Veth) && b.kind == Some(InfoKind::Veth);
        veths && a.peer_index == Some(b.index) && b.peer_index == Some(a.index) && a.peer_netns_id == self.b_netns_id
    }

    /// Brings the attributes of end `a` in order. The calling thread is in its namespace.
    pub(crate) fn adjust_a(&self, connection: &mut Connection, end: &VethEnd) -> Result<(), NetlinkError> {
        adjust(connection, end, self.a.as_ref())
    }

    /// Brings the attributes of end `b` in order. The calling thread is in its namespace.
    pub(crate) fn adjust_b(&self, connection: &mut Connection, end: &VethEnd) -> Result<(), NetlinkError> {
        adjust(connection, end, self.b.as_ref())
    }
}

fn adjust(connection: &mut Connection, end: &VethEnd, link: Option<&Link>) -> Result<(), NetlinkError> {
    let Some(link) = link else { return Err(NetlinkError::refused(Errno::ENODEV)) };
    let master_index = end.master.as_ref().map(|master| links::index_of(master.as_str())).transpose()?;
    let settings = LinkSettings {
        mac: (link.mac != end.mac.octets()).then_some(end.mac),
        mtu: (link.mtu_bytes != end.mtu.bytes()).then_some(end.mtu),
        up: (link.up != end.up).then_some(end.up),
        master: (link.master_index != master_index).then_some(end.master.as_ref()),
        alias: end.mark.as_deref().filter(|mark| link.alias.as_deref() != Some(mark)),
    };
    links::set(connection, &end.interface.name, settings)?;
    finish_checksums(end)
}

/// The number by which the connection's namespace knows another (RTM_GETNSID); -1 where it doesn't.
fn netns_id(connection: &mut Connection, netns: BorrowedFd<'_>) -> Result<i32, NetlinkError> {
    let mut message = NsidMessage::default();
    // A file descriptor is never negative.
    message.attributes.push(NsidAttribute::Fd(netns.as_raw_fd().cast_unsigned()));
    match connection.get(RouteNetlinkMessage::GetNsId(message))? {
        RouteNetlinkMessage::NewNsId(answer) => answer
            .attributes
            .iter()
            .find_map(|a| if let NsidAttribute::Id(id) = a { Some(*id) } else { None })
            .ok_or(NetlinkError::Incomplete("the namespace's number")),
        _ => Err(NetlinkError::Incomplete("the namespace's number")),
    }
}
