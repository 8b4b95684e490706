//! The routing part of the kernel over netlink: rtnetlink's messages on sockets of our own, inside the job of a
//! thread that stepped into a namespace. `connection` says why.

mod addresses;
mod bridge;
mod collect;
mod connection;
mod errno;
mod ethtool;
mod generic;
pub(crate) mod lease;
mod links;
mod listen;
mod neighbours;
mod nic;
mod qdiscs;
mod routes;
mod sentinel;
mod sockets;
mod survey;
mod traffic;
mod veth;
mod vlans;

pub use errno::NetlinkError;

pub(crate) use addresses::{ensure as ensure_address, remove as remove_address};
pub(crate) use bridge::{ensure as ensure_bridge, probe as probe_bridges, set_port_fwd_mask};
pub(crate) use collect::observe;
pub(crate) use connection::Connection;
pub(crate) use ethtool::set_software_checksums;
pub(crate) use generic::has_family as has_generic_family;
pub(crate) use links::{
    LinkSettings, carrier_changes, index_of as link_index, loopback, mark_loopback, mtu_bytes as link_mtu_bytes,
    names as link_names, remove as remove_link, remove_all as remove_links, set as set_link, set_alias,
    set_loopback_up, set_promiscuous,
};
pub(crate) use listen::{Hearing, Listener, listen};
pub(crate) use neighbours::{
    Neighbour, forget as forget_neighbours, is_reached as is_reached_neighbour, resolved as resolved_neighbours,
};
pub(crate) use nic::{
    Master, Move, Seen as SeenNic, carry_out as move_nic, drop_copies, drop_moved_defaults, gateways as gateways_of,
    has_next_hop_object, look as look_at_nic,
};
pub(crate) use qdiscs::{change as set_qdiscs, probe as probe_qdiscs};
pub(crate) use routes::{
    ensure as ensure_route, remove as remove_route, remove_advertised as remove_advertised_routes,
};
pub(crate) use sentinel::plant;
pub(crate) use sockets::destroy_tcp;
pub(crate) use survey::survey;
pub(crate) use traffic::traffic;
pub(crate) use veth::{
    PeerNetns, create as create_veth, finish as finish_veth, finish_peer as finish_veth_peer, look as look_at_veth,
};
pub(crate) use vlans::set as set_port_vlans;
