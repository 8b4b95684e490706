//! Generic netlink (Documentation/userspace-api/netlink/intro.rst): families of messages, known by their names, with
//! numbers that the kernel gives out as it starts.

use super::connection::Connection;
use super::errno::NetlinkError;
use netlink_packet_core::{DecodeError, DefaultNla, Emitable, Nla, NlasIterator, Parseable, ParseableParametrized};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};
use nix::errno::Errno;

/// NLA_F_NESTED (linux/netlink.h).
const NESTED: u16 = 1 << 15;

/// Without NLA_F_NESTED and NLA_F_NET_BYTEORDER.
const KIND_MASK: u16 = !(3 << 14);

/// The number of a family; `None` where the kernel does not have it.
pub(super) fn family_id(name: &str) -> Result<Option<u16>, NetlinkError> {
    let payload = GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas: vec![GenlCtrlAttrs::FamilyName(name.to_owned())] };
    let mut message = GenlMessage::from_payload(payload);
    message.finalize();
    match Connection::<GenlMessage<GenlCtrl>>::open_generic()?.get(message) {
        Ok(answer) => Ok(answer.payload.nlas.iter().find_map(|attribute| match attribute {
            GenlCtrlAttrs::FamilyId(id) => Some(*id),
            _ => None,
        })),
        Err(error) if error.is(&[Errno::ENOENT]) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the kernel has a family.
pub(crate) fn has_family(name: &str) -> Result<bool, NetlinkError> {
    family_id(name).map(|id| id.is_some())
}

/// A message of any family: a command, and attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plain {
    pub(super) command: u8,
    pub(super) attributes: Vec<DefaultNla>,
}

impl Plain {
    /// The message, for the family of this number.
    pub(super) fn for_family(self, id: u16) -> GenlMessage<Self> {
        let mut message = GenlMessage::from_payload(self);
        message.set_resolved_family_id(id);
        message.finalize();
        message
    }
}

impl GenlFamily for Plain {
    fn family_name() -> &'static str {
        "" // the number says it
    }

    fn command(&self) -> u8 {
        self.command
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Plain {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Plain {
    fn parse_with_param(bytes: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        let attributes = NlasIterator::new(bytes).map(|nla| DefaultNla::parse(&nla?)).collect::<Result<_, _>>()?;
        Ok(Self { command: header.cmd, attributes })
    }
}

/// An attribute made of attributes.
pub(super) fn nested(kind: u16, inside: &[DefaultNla]) -> DefaultNla {
    let mut bytes = vec![0; inside.buffer_len()];
    inside.emit(&mut bytes);
    DefaultNla::new(kind | NESTED, bytes)
}

/// An attribute that is a text.
pub(super) fn text(kind: u16, text: &str) -> DefaultNla {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    DefaultNla::new(kind, bytes)
}

/// An attribute that is a number.
pub(super) fn number(kind: u16, number: u32) -> DefaultNla {
    DefaultNla::new(kind, number.to_ne_bytes().to_vec())
}

/// The attributes of a kind that are inside these.
pub(super) fn within(attributes: &[DefaultNla], kind: u16) -> Vec<DefaultNla> {
    // One that can't be read ends its list, as it would for the kernel.
    let inside = |attribute: &DefaultNla| -> Vec<DefaultNla> {
        NlasIterator::new(value_of(attribute).as_slice()).map_while(|nla| DefaultNla::parse(&nla.ok()?).ok()).collect()
    };
    attributes.iter().filter(|attribute| attribute.kind() & KIND_MASK == kind).flat_map(inside).collect()
}

/// The value of an attribute.
pub(super) fn value_of(attribute: &DefaultNla) -> Vec<u8> {
    let mut bytes = vec![0; attribute.value_len()];
    attribute.emit_value(&mut bytes);
    bytes
}
