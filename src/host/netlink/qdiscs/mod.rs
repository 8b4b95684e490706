//! The queueing disciplines of interfaces (tc(8)), as far as a link's conditions are made of them.

mod distribution;
mod message;
mod netem;
mod tbf;

use super::connection::{Connection, Request};
use super::errno::{Forgive, NetlinkError};
use super::links;
use crate::model::conditions::Impairments;
use crate::model::qdisc::{Netem, Numbers, Qdiscs, Shaping, Tbf};
use crate::observed::{ObservedShaping, QdiscKinds};
use message::{QdiscMessage, ROOT, Verb};
use netlink_packet_core::{DecodeError, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use nix::errno::Errno;
use std::collections::BTreeMap;

/// The nanoseconds of one tick of the packet scheduler (PSCHED_SHIFT, net/pkt_sched.h).
const TICK_NS: u64 = 64;

/// The loopback interface, which every namespace has.
const LOOPBACK_INDEX: u32 = 1;

/// A discipline that is to stand somewhere.
struct Placed {
    parent: u32,
    handle: u32,
    kind: &'static str,
    options: Vec<u8>,
}

/// What makes up a shaping, from the interface inwards.
fn placed(shaping: &Shaping) -> Vec<Placed> {
    let numbers = shaping.numbers();
    let [netem_handle, tbf_handle] = [numbers.netem, numbers.tbf].map(|major| u32::from(major) << 16);
    let netem = shaping.netem.map(|netem| Placed {
        parent: ROOT,
        handle: netem_handle,
        kind: netem::KIND,
        options: netem::options(&netem),
    });
    let tbf = shaping.tbf.map(|tbf| Placed {
        // Netem has one class.
        parent: if shaping.netem.is_some() { netem_handle | 1 } else { ROOT },
        handle: tbf_handle,
        kind: tbf::KIND,
        options: tbf::options(&tbf),
    });
    netem.into_iter().chain(tbf).collect()
}

/// Gives an interface these disciplines in place of those it has. What only changes its numbers keeps its packets.
/// The calling thread is in its namespace.
pub(crate) fn change(qdiscs: &Qdiscs) -> Result<(), NetlinkError> {
    let Qdiscs { interface, shaping } = qdiscs;
    let mut connection = Connection::<QdiscMessage>::open_routing()?;
    let index = match links::index_of(interface.name.as_str()) {
        Err(error) if shaping.is_none() && error.is(&[Errno::ENODEV]) => return Ok(()),
        index => index?,
    };
    let remove = |connection: &mut Connection<QdiscMessage>| {
        // There may be none but the kernel's own.
        connection.execute(message(Verb::Delete, index, ROOT, 0), 0).forgive(&[Errno::ENOENT])
    };
    if shaping.is_none() {
        return remove(&mut connection);
    }
    let requests: Vec<Request<QdiscMessage>> = placed(shaping)
        .into_iter()
        .map(|Placed { parent, handle, kind, options }| {
            let message = message(Verb::New, index, parent, handle);
            let message = QdiscMessage { kind: kind.to_owned(), options, ..message };
            (message, NLM_F_CREATE | NLM_F_REPLACE)
        })
        .collect();
    let mut results = connection.execute_all(requests.clone())?;
    if let (Some(Err(error)), true) = (results.first(), shaping.netem.is_some())
        && error.is(&[Errno::EINVAL])
    {
        // A netem that doubles frames is not put in the place of another one (check_netem_in_tree, net/sched/sch_netem.c).
        remove(&mut connection)?;
        results = connection.execute_all(requests)?;
    }
    results.into_iter().collect()
}

fn message(verb: Verb, interface_index: u32, parent: u32, handle: u32) -> QdiscMessage {
    QdiscMessage { verb, interface_index, handle, parent, kind: String::new(), options: Vec::new() }
}

/// What each interface of the namespace has, by its index; those that have the kernel's own are left out.
pub(super) fn dump(connection: &mut Connection) -> Result<BTreeMap<u32, ObservedShaping>, NetlinkError> {
    let all = connection.speaking().dump(&QdiscMessage::get_all())?;
    let mut by_interface: BTreeMap<u32, Vec<QdiscMessage>> = BTreeMap::new();
    for message in all.into_iter().filter(|message| message.verb == Verb::New) {
        by_interface.entry(message.interface_index).or_default().push(message);
    }
    let mut observed = BTreeMap::new();
    for (index, disciplines) in by_interface {
        if let Some(shaping) = shaping_in(&disciplines).map_err(NetlinkError::Decode)? {
            observed.insert(index, shaping);
        }
    }
    Ok(observed)
}

/// What an interface's disciplines are to nslab; `None` where they are the kernel's own, which have no number.
fn shaping_in(all: &[QdiscMessage]) -> Result<Option<ObservedShaping>, DecodeError> {
    let Some(root) = all.iter().find(|message| message.parent == ROOT && message.handle != 0) else { return Ok(None) };
    let below: Vec<&QdiscMessage> = all.iter().filter(|message| message.parent >> 16 == root.handle >> 16).collect();
    let shaping = match (root.kind.as_str(), below.as_slice()) {
        (tbf::KIND, []) => tbf::read(&root.options)?.map(|tbf| Shaping { netem: None, tbf: Some(tbf) }),
        (netem::KIND, []) => read_netem(root)?.map(|netem| Shaping { netem: Some(netem), tbf: None }),
        (netem::KIND, [second]) if second.kind == tbf::KIND => {
            let parts = read_netem(root)?.zip(tbf::read(&second.options)?);
            parts.map(|(netem, tbf)| Shaping { netem: Some(netem), tbf: Some(tbf) })
        }
        _ => None,
    };
    Ok(Some(shaping.map_or_else(|| ObservedShaping::Other(root.kind.clone()), ObservedShaping::Known)))
}

fn read_netem(message: &QdiscMessage) -> Result<Option<Netem>, DecodeError> {
    let number = u16::try_from(message.handle >> 16).unwrap_or(0);
    netem::read(&message.options, Numbers::distribution_of(number))
}

/// Which of the two the kernel has. Tried out on the loopback interface of the calling thread's namespace, which must be
/// one that nobody uses.
pub(crate) fn probe() -> Result<QdiscKinds, NetlinkError> {
    let mut connection = Connection::<QdiscMessage>::open_routing()?;
    let mut has = |kind: &str, options: Vec<u8>| {
        let new = QdiscMessage { kind: kind.to_owned(), options, ..message(Verb::New, LOOPBACK_INDEX, ROOT, 0) };
        match connection.execute(new, NLM_F_CREATE | NLM_F_EXCL) {
            Err(error) if error.is(&[Errno::ENOENT]) => return Ok(false),
            result => result?,
        }
        connection.execute(message(Verb::Delete, LOOPBACK_INDEX, ROOT, 0), 0)?;
        Ok::<_, NetlinkError>(true)
    };
    let netem_options = netem::options(&Netem { impairments: Impairments::default(), limit_packets: 1 });
    let tbf_options = tbf::options(&Tbf { rate_bytes_per_s: 125_000, burst_kib: 2, limit_bytes: 2048 });
    Ok(QdiscKinds { netem: has(netem::KIND, netem_options)?, tbf: has(tbf::KIND, tbf_options)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the kernel would tell of a shaping.
    fn told(shaping: &Shaping) -> Vec<QdiscMessage> {
        placed(shaping)
            .into_iter()
            .map(|Placed { parent, handle, kind, options }| QdiscMessage {
                kind: kind.to_owned(),
                options,
                ..message(Verb::New, 2, parent, handle)
            })
            .collect()
    }

    proptest! {
        #[test]
        fn what_is_set_is_what_is_read_back(
            netem in prop::option::of(netem::tests::any_netem()),
            tbf in prop::option::of(tbf::tests::any_tbf()),
        ) {
            let shaping = Shaping { netem, tbf };
            let known = (!shaping.is_none()).then_some(ObservedShaping::Known(shaping));
            prop_assert_eq!(shaping_in(&told(&shaping)).unwrap(), known);
        }
    }

    #[test]
    fn what_nslab_does_not_know_is_told_by_its_kind() {
        let of =
            |kind: &str, parent, handle| QdiscMessage { kind: kind.into(), ..message(Verb::New, 2, parent, handle) };
        assert_eq!(shaping_in(&[of("noqueue", ROOT, 0)]).unwrap(), None);
        let htb = [of("htb", ROOT, 1 << 16), of("netem", 1 << 16 | 5, 5 << 16)];
        assert_eq!(shaping_in(&htb).unwrap(), Some(ObservedShaping::Other("htb".into())));
        // What polices what comes in hangs elsewhere.
        assert_eq!(shaping_in(&[of("ingress", 0xffff_fff1, 0xffff << 16)]).unwrap(), None);
    }
}
