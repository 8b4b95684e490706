//! What the machine has on a NIC, read whole, and moved whole to another interface in one go.

mod address;
mod advertised;
mod moving;
mod route;
mod rule;
mod words;

pub(crate) use advertised::drop_copies;
pub(crate) use moving::{Master, Move, carry_out};
pub(crate) use route::{drop_moved_defaults, gateways, has_next_hop_object};

use super::connection::Connection;
use super::errno::NetlinkError;
use super::links;
use crate::model::{IfName, MacAddress, Mtu, NicAddress, NicRoute, NicRule};

/// A NIC, as far as netlink tells.
pub(crate) struct Seen {
    pub(crate) index: u32,
    pub(crate) mac: Option<MacAddress>,
    pub(crate) mtu: Option<Mtu>,
    pub(crate) up: bool,
    pub(crate) promiscuous: bool,
    /// The name of what it is a port of.
    pub(crate) master: Option<String>,
    pub(crate) alias: Option<String>,
    pub(crate) addresses: Vec<NicAddress>,
    pub(crate) routes: Vec<NicRoute>,
    pub(crate) rules: Vec<NicRule>,
}

/// Reads what the machine has on an interface of the calling thread's namespace; `None` where there is no such.
pub(crate) fn look(connection: &mut Connection, name: &IfName) -> Result<Option<Seen>, NetlinkError> {
    let Some(link) = links::find(connection, name.as_str())? else { return Ok(None) };
    let addresses = address::of(connection, link.index, name, &link.mac)?;
    Ok(Some(Seen {
        index: link.index,
        mac: <[u8; 6]>::try_from(link.mac.as_slice()).ok().map(MacAddress::from),
        mtu: Mtu::try_from(link.mtu_bytes).ok(),
        up: link.up,
        promiscuous: link.promiscuous,
        master: link.master_index.map(|index| links::name_of(index).unwrap_or_else(|| format!("interface {index}"))),
        alias: link.alias,
        routes: route::of(connection, link.index, &addresses)?,
        addresses,
        rules: rule::of(connection, name)?,
    }))
}
