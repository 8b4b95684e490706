//! A message about a queueing discipline: struct tcmsg (linux/rtnetlink.h) and its attributes.
//!
//! netlink-packet-route reads and writes the options of a few disciplines, and netem and TBF are not among them: theirs
//! begin with a structure or hold tables, which it can't carry. So the options here are bytes, and netem's and TBF's own.

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable, NlasIterator,
};

const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;

/// struct tcmsg.
const HEADER_BYTES: usize = 20;

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;

/// Without NLA_F_NESTED and NLA_F_NET_BYTEORDER (linux/netlink.h).
const KIND_MASK: u16 = !(3 << 14);

/// TC_H_ROOT (linux/pkt_sched.h): the parent of what stands right at the interface.
pub(super) const ROOT: u32 = u32::MAX;

/// What is to become of a queueing discipline, or what one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    New,
    Delete,
    Get,
}

/// A queueing discipline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QdiscMessage {
    pub(super) verb: Verb,
    /// Of which interface; 0 asks for those of all.
    pub(super) interface_index: u32,
    /// Its own number, the major part in the upper 16 bits; 0 for the kernel's own.
    pub(super) handle: u32,
    /// What it hangs from: [`ROOT`], or a class of another discipline.
    pub(super) parent: u32,
    /// What it is, empty where that says nothing.
    pub(super) kind: String,
    /// Its options, as the discipline itself reads and writes them.
    pub(super) options: Vec<u8>,
}

impl QdiscMessage {
    /// Asks for all that the namespace's interfaces have.
    pub(super) fn get_all() -> Self {
        let (kind, options) = (String::new(), Vec::new());
        Self { verb: Verb::Get, interface_index: 0, handle: 0, parent: 0, kind, options }
    }

    fn attributes(&self) -> Vec<DefaultNla> {
        let mut attributes = Vec::new();
        if !self.kind.is_empty() {
            attributes.push(DefaultNla::new(TCA_KIND, [self.kind.as_bytes(), &[0]].concat()));
        }
        if !self.options.is_empty() {
            attributes.push(DefaultNla::new(TCA_OPTIONS, self.options.clone()));
        }
        attributes
    }
}

impl NetlinkSerializable for QdiscMessage {
    fn message_type(&self) -> u16 {
        match self.verb {
            Verb::New => RTM_NEWQDISC,
            Verb::Delete => RTM_DELQDISC,
            Verb::Get => RTM_GETQDISC,
        }
    }

    fn buffer_len(&self) -> usize {
        HEADER_BYTES + self.attributes().as_slice().buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (header, attributes) = buffer.split_at_mut(HEADER_BYTES);
        // tcm_family and its padding, tcm_ifindex, tcm_handle, tcm_parent, tcm_info.
        let words = [0, self.interface_index, self.handle, self.parent, 0];
        for (field, word) in header.chunks_exact_mut(4).zip(words) {
            field.copy_from_slice(&word.to_ne_bytes());
        }
        self.attributes().as_slice().emit(attributes);
    }
}

impl NetlinkDeserializable for QdiscMessage {
    type Error = DecodeError;
    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let verb = match header.message_type {
            RTM_NEWQDISC => Verb::New,
            RTM_DELQDISC => Verb::Delete,
            RTM_GETQDISC => Verb::Get,
            other => return Err(format!("a message of type {other} is not about a queueing discipline").into()),
        };
        let (Some(interface_index), Some(handle), Some(parent), Some(attributes)) =
            (word(payload, 4), word(payload, 8), word(payload, 12), payload.get(HEADER_BYTES..))
        else {
            return Err("a message about a queueing discipline is too short".to_owned().into());
        };
        let (mut kind, mut options) = (String::new(), Vec::new());
        for attribute in NlasIterator::new(attributes) {
            let attribute = attribute?;
            match attribute.kind() {
                TCA_KIND => String::from_utf8_lossy(attribute.value()).trim_end_matches('\0').clone_into(&mut kind),
                TCA_OPTIONS => options = attribute.value().to_vec(),
                _ => {}
            }
        }
        Ok(Self { verb, interface_index, handle, parent, kind, options })
    }
}

/// The 32 bits at a place of a structure.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|field| field.try_into().ok()).map(u32::from_ne_bytes)
}

/// An attribute that holds 32-bit numbers.
pub(super) fn words(kind: u16, words: &[u32]) -> DefaultNla {
    DefaultNla::new(kind, words.iter().flat_map(|word| word.to_ne_bytes()).collect())
}

/// Attributes as bytes.
pub(super) fn bytes_of(attributes: &[DefaultNla]) -> Vec<u8> {
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    bytes
}

/// The attributes in some bytes: what each is called, and what it holds.
pub(super) fn attributes_in(bytes: &[u8]) -> Result<Vec<(u16, Vec<u8>)>, DecodeError> {
    NlasIterator::new(bytes).map(|attribute| attribute.map(|a| (a.kind() & KIND_MASK, a.value().to_vec()))).collect()
}
