//! The JSON Schema of the format, for editors: made from the raw types, with a pattern for each kind of small text.

use super::ovs::{Collector, ConnectionMethod, DatapathId};
use super::raw::RawTopology;
use super::raw_container::{BindText, Capabilities, Hostname, InsidePath, Rootfs, UserText, Variable};
use super::raw_volume::{Filesystem, MountText, VolumeName};
use super::values::{All, Destination, Endpoint, InterfaceAddress, Milliseconds, NumberText, ShortRoute, Subnet, Via};
use crate::model::container::{Cpus, IoRate, MemorySize};
use crate::model::{
    AddressMode, ByteSize, IfName, ImageName, LabName, LinkLocal, MacAddress, Mtu, NodeName, Percent, Rate, Span,
    SwitchName, SysctlKey, VlanId,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// The JSON Schema (draft 2020-12) that every topology obeys. It says less than [`super::parse()`] holds a text to.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(RawTopology).to_value()
}

macro_rules! schema_of {
    ($($type:ty = $name:literal: $schema:tt)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

schema_of! {
    LabName = "LabName": {
        "description": "A lab's name.",
        "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
    }
    // As for every text, YAML lets a number stand for one: `1` is a good name for a node.
    NodeName = "NodeName": {
        "description": "A node's name.",
        "type": ["string", "number"], "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", "not": { "const": "fabric" },
    }
    ImageName = "ImageName": {
        "description": "An image's name.",
        "type": ["string", "number"], "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", "examples": ["debian"],
    }
    SwitchName = "SwitchName": {
        "description": "A switch's name: an interface name.",
        "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$", "not": { "enum": ["lo", "all", "default"] },
    }
    IfName = "InterfaceName": {
        "description": "An interface's name.",
        "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$", "not": { "enum": ["lo", "all", "default"] },
    }
    SysctlKey = "SysctlKey": {
        "description": "A kernel parameter of the network stack.",
        "type": "string", "pattern": "^net\\.\\S+$", "examples": ["net.ipv4.conf.all.rp_filter"],
    }
    LinkLocal = "LinkLocal": {
        "description": "A protocol between neighbours.",
        "type": "string", "enum": ["lacp", "lldp", "stp"],
    }
    AddressMode = "UplinkAddress": {
        "description": "What becomes of the machine's own address.",
        "type": "string", "enum": ["auto", "dhcp", "keep", "none"],
    }
    MacAddress = "MacAddress": {
        "description": "A unicast MAC address.",
        "type": "string", "pattern": "^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$", "examples": ["02:00:00:00:00:01"],
    }
    Mtu = "Mtu": {
        "description": "An MTU in bytes; at least 1280 where IPv6 is used.",
        "type": "integer", "minimum": 68, "maximum": 65535,
    }
    VlanId = "VlanId": { "description": "A VLAN id.", "type": "integer", "minimum": 1, "maximum": 4094 }
    Subnet = "Subnet": {
        "description": "A subnet.",
        "type": "string", "pattern": "^[0-9A-Fa-f.:]+/[0-9]{1,3}$", "examples": ["10.0.0.0/24", "fd00::/64"],
    }
    InterfaceAddress = "InterfaceAddress": {
        "description": "An address; without a prefix length it has that of the subnet it lies in. `slaac`: what it makes of router advertisements. `dhcp`: what a DHCP server gives it.",
        "type": "string", "pattern": "^(slaac|dhcp|[0-9A-Fa-f.:]+(/[0-9]{1,3})?)$",
        "examples": ["10.0.0.5/24", "10.0.0.5", "fd00::5/64", "slaac", "dhcp"],
    }
    Via = "NextHop": {
        "description": "An address, or a node that has one in a subnet of this node.",
        "type": ["string", "number"], "examples": ["10.0.0.254", "r1"],
    }
    Destination = "Destination": {
        "description": "A network, or `default`.",
        "type": "string", "pattern": "^(default|[0-9A-Fa-f.:]+(/[0-9]{1,3})?)$", "examples": ["10.2.0.0/24", "default"],
    }
    ShortRoute = "ShortRoute": {
        "description": "A route as `ip route` writes it.",
        "type": "string", "pattern": "^\\s*\\S+(\\s+(via|dev|metric)\\s+\\S+)+\\s*$", "examples": ["10.2.0.0/24 via 10.0.0.254"],
    }
    Endpoint = "Endpoint": {
        "description": "A switch, a node, or a node with the name of its interface.",
        "type": ["string", "number"], "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}(:[A-Za-z0-9][A-Za-z0-9._-]{0,14})?$",
        "examples": ["br0", "net1", "net1:eth0"],
    }
    Percent = "Percent": {
        "description": "A share of a whole.",
        "type": "string", "pattern": "^[0-9]+(\\.[0-9]{1,4})? *%$", "examples": ["1%", "0.1%"],
    }
    Span = "Span": {
        "description": "A time.",
        "type": "string", "pattern": "^[0-9]+ *(ns|us|ms|s)$", "examples": ["500us", "20ms", "1s"],
    }
    Rate = "Rate": {
        "description": "A rate in bits per second.",
        "type": "string", "pattern": "^0*[1-9][0-9]* *([KkMmGg]?[Bb][Ii][Tt])$", "examples": ["500kbit", "10mbit", "1gbit"],
    }
    ByteSize = "Size": {
        "description": "An amount of data in bytes, by powers of 1024.",
        "type": "string", "pattern": "^0*[1-9][0-9]* *([KkMmGg]?[Bb])$", "examples": ["1500b", "64kb", "1mb"],
    }
    DatapathId = "DatapathId": {
        "description": "16 hexadecimal digits, not all zero.",
        "type": ["string", "number"], "pattern": "^[0-9A-Fa-f]{16}$", "examples": ["0000000000000001"],
    }
    ConnectionMethod = "ConnectionMethod": {
        "description": "Where an OpenFlow controller is, or where the switch waits for one.",
        "type": "string", "pattern": "^p?(tcp|ssl):\\S+$", "examples": ["tcp:127.0.0.1:6653", "ptcp:6654"],
    }
    Collector = "Collector": {
        "description": "An address and a UDP port.",
        "type": "string", "pattern": "^\\S+:[0-9]{1,5}$", "examples": ["127.0.0.1:2055", "[fd00::1]:2055"],
    }
    Milliseconds = "Duration": {
        "description": "A span of time.",
        "type": "string", "pattern": "^[0-9]+ *(ms|s)$", "examples": ["20ms", "2s"],
    }
    Rootfs = "Rootfs": {
        "description": "A directory, absolute or from the topology's file on; or `host`: the machine's own root, with a layer for what is written.",
        "type": "string", "minLength": 1, "examples": ["/opt/container/rootfs", "./rootfs", "host"],
    }
    Hostname = "Hostname": {
        "description": "A host name.",
        "type": ["string", "number"], "minLength": 1, "maxLength": 64,
    }
    Variable = "Variable": {
        "description": "The name of a variable.",
        "type": "string", "pattern": "^[^=\\x00]+$", "examples": ["LANG"],
    }
    InsidePath = "InsidePath": {
        "description": "An absolute path in the container.",
        "type": "string", "pattern": "^/", "examples": ["/srv/data"],
    }
    BindText = "Bind": {
        "description": "A file or directory of the machine's, from the topology's file on; and its absolute path in the container.",
        "type": "string", "pattern": "^[^:]+:/[^:]*(:(ro|rw))?$", "examples": ["./www:/srv/www:ro"],
    }
    Filesystem = "Filesystem": {
        "description": "A file system for which there is a mkfs.NAME.",
        "type": "string", "pattern": "^[a-z0-9]+$", "examples": ["ext4"],
    }
    VolumeName = "VolumeName": {
        "description": "A volume's name.",
        "type": "string", "pattern": "^[A-Za-z0-9_-]{1,32}$", "examples": ["shared"],
    }
    MountText = "MountText": {
        "description": "A volume, and where it is in the container.",
        "type": "string", "pattern": "^[^:]+:/[^:]*(:(ro|rw))?$", "examples": ["shared:/shared:ro"],
    }
    UserText = "User": {
        "description": "The number of a user, and of a group; the same one without.",
        "type": ["string", "integer"], "pattern": "^[0-9]+(:[0-9]+)?$", "examples": ["1000:1000", 1000],
    }
    Capabilities = "Capability": {
        "description": "A capability (capabilities(7)), with or without CAP_, or `all`.",
        "type": "string", "pattern": "^[A-Za-z_]+$", "examples": ["NET_ADMIN", "all"],
    }
    MemorySize = "MemorySize": {
        "description": "An amount of memory, by powers of 1024.",
        "type": ["string", "integer"], "pattern": "^[0-9]+ *([KkMmGgTt]?([Ii]?[Bb])?)$", "examples": ["100M", "2G"],
    }
    Cpus = "Cpus": {
        "description": "A share of processors' time, from 0.01 on.",
        "type": ["string", "number"], "pattern": "^([0-9]+(\\.[0-9]{0,3})?|\\.[0-9]{1,3})$", "examples": ["0.5", 2],
    }
    IoRate = "IoRate": {
        "description": "How fast a disk is read or written, in bytes a second, by powers of 1024.",
        "type": ["string", "integer"], "minimum": 1024,
        "pattern": "^[0-9]+ *([KkMmGgTt]?([Ii]?[Bb])?)(/s)?$", "examples": ["10MB/s"],
    }
    NumberText = "Number": { "type": "number" }
    All = "All": { "description": "Every node there is.", "const": "all" }
}
