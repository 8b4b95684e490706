//! Holding a lease of DHCPv6 (RFC 8415): an address that a server lends to who has a certain DUID and IAID.
//!
//! Asking, waiting and sending again is mozim's, which does not hear a refusal: where the server that gave a lease does not
//! prolong it until T2, all are asked for one anew. A server gives the same client the same address again, so this is what
//! REBIND is for, and a server that knows nothing of the lease gives another.

use super::carrier::Carrier;
use super::clock;
use super::error::DhcpError;
use super::kernel;
use crate::model::{ClientId, IfName};
use mozim::{
    DhcpV6Client, DhcpV6Config, DhcpV6Duid, DhcpV6DuidEnterpriseNumber, DhcpV6DuidLinkLayerAddr,
    DhcpV6DuidLinkLayerAddrPlusTime, DhcpV6DuidUuid, DhcpV6Lease, DhcpV6Mode, DhcpV6State,
};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// How often it is looked whether the interface has a link-local address to ask from.
const LOOK: Duration = Duration::from_millis(100);

/// What a server lends, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease6 {
    /// The address.
    pub(crate) address: Ipv6Addr,
    /// How long it is to be used for new connections.
    pub(crate) preferred_s: u32,
    /// How long it lasts.
    pub(crate) valid_s: u32,
    /// The name servers.
    pub(crate) dns_servers: Vec<Ipv6Addr>,
    /// Where names without dots are looked for.
    pub(crate) search_domains: Vec<String>,
    /// The time servers, where they are given by address.
    pub(crate) ntp_servers: Vec<IpAddr>,
    /// When it was given, by CLOCK_BOOTTIME.
    begins_at_ms: u64,
}

impl Lease6 {
    fn new(given: &DhcpV6Lease) -> Self {
        Self {
            address: given.address,
            preferred_s: given.preferred_time_sec,
            valid_s: given.valid_time_sec,
            dns_servers: given.dns_srvs.clone(),
            search_domains: given.domain_list.clone(),
            ntp_servers: given.ntp_srvs.iter().filter_map(|server| server.parse().ok()).collect(),
            begins_at_ms: clock::now_ms(),
        }
    }

    /// When it ends, by CLOCK_BOOTTIME.
    pub(crate) fn ends_at_ms(&self) -> u64 {
        match self.valid_s {
            u32::MAX => u64::MAX,
            valid_s => self.begins_at_ms.saturating_add(u64::from(valid_s) * 1000),
        }
    }
}

/// What becomes of a lease of DHCPv6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lease6Event {
    /// There is a lease, the first one or one that was asked for anew, and it is on the interface.
    Obtained(Lease6),
    /// The server has prolonged it.
    Renewed(Lease6),
    /// The server does not; all are asked.
    Unanswered(Lease6),
}

/// Takes a lease for an interface, a bridge that is on its link by this port, as the client with this identifier, puts it on the interface, and holds it. Needs what
/// `hold` needs. An address that is not prolonged is the kernel's to end.
///
/// # Errors
/// [`DhcpError::NoInterface`] where the interface is not there, or not any more; when mozim can't do with what there is, or
/// the kernel refuses the address.
///
/// # Cancel safety
/// The interface keeps the address until the lease ends.
pub(crate) async fn hold_six(
    interface: &IfName,
    port: &IfName,
    client_id: &ClientId,
    mut on_event: impl FnMut(Lease6Event) + Send,
) -> Result<Infallible, DhcpError> {
    let mut carrier = Carrier::watch(interface, Some(port))?;
    loop {
        tokio::select! {
            result = hold_on(interface, client_id, &mut on_event) => return result,
            returned = carrier.returned() => returned?,
        }
    }
}

async fn hold_on(
    interface: &IfName,
    client_id: &ClientId,
    on_event: &mut (impl FnMut(Lease6Event) + Send),
) -> Result<Infallible, DhcpError> {
    let failed = |source| DhcpError::Client { interface: interface.clone(), source };
    loop {
        let mut client = DhcpV6Client::init(config(interface, client_id).await?, None).await.map_err(failed)?;
        let mut is_first = true;
        let mut held = None;
        loop {
            match client.run().await.map_err(failed)? {
                DhcpV6State::Done(given) => {
                    let lease = Lease6::new(&given);
                    kernel::apply_six(interface, &lease)?;
                    held = Some(lease.clone());
                    let is_new = std::mem::replace(&mut is_first, false);
                    on_event(if is_new { Lease6Event::Obtained(lease) } else { Lease6Event::Renewed(lease) });
                }
                DhcpV6State::Rebind => break,
                _ => {} // on its way
            }
        }
        held.map(Lease6Event::Unanswered).into_iter().for_each(&mut *on_event);
    }
}

/// Waits until the interface has an address to ask from.
async fn config(interface: &IfName, client_id: &ClientId) -> Result<DhcpV6Config, DhcpError> {
    let from = loop {
        if let Some(from) = kernel::link_local(interface)? {
            break from;
        }
        tokio::time::sleep(LOOK).await;
    };
    let mut config = DhcpV6Config::new(interface.as_str(), DhcpV6Mode::NonTemporaryAddresses);
    config.set_iface_index(kernel::index_of(interface)?).set_link_local_ip(from);
    if let Some((iaid, duid)) = client_id.of_six() {
        config.set_iaid(iaid).set_duid(read_duid(duid));
    }
    Ok(config)
}

/// A DUID as mozim reads it in answers: it compares what it has read.
fn read_duid(bytes: &[u8]) -> DhcpV6Duid {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let hardware = || Some(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?));
    let read = || {
        Some(match bytes.get(..2)? {
            [0, 1] => {
                let mut duid = DhcpV6DuidLinkLayerAddrPlusTime::new(hardware()?, bytes.get(8..)?);
                duid.time = number(4)?;
                DhcpV6Duid::LinkLayerAddressPlusTime(duid)
            }
            [0, 2] => DhcpV6Duid::EnterpriseNumber(DhcpV6DuidEnterpriseNumber::new(number(2)?, bytes.get(6..)?)),
            [0, 3] => DhcpV6Duid::LinkLayerAddress(DhcpV6DuidLinkLayerAddr::new(hardware()?, bytes.get(4..)?)),
            [0, 4] => {
                let uuid = u128::from_be_bytes(bytes.get(2..)?.try_into().ok()?);
                DhcpV6Duid::UUID(DhcpV6DuidUuid::new(uuid))
            }
            _ => return None,
        })
    };
    read().unwrap_or_else(|| DhcpV6Duid::Raw(bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duid_is_read_by_its_type() {
        let of_networkd = read_duid(&[0, 2, 0, 0, 0xab, 0x11, 7, 8]);
        assert!(matches!(of_networkd, DhcpV6Duid::EnterpriseNumber(duid)
            if duid.enterprise_number == 43793 && duid.identifier == [7, 8]));
        let with_time = read_duid(&[0, 1, 0, 1, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1]);
        assert!(matches!(with_time, DhcpV6Duid::LinkLayerAddressPlusTime(duid)
            if duid.time == 9 && duid.link_layer_address == [2, 0, 0, 0, 0, 1]));
        assert!(matches!(read_duid(&[0, 4, 1]), DhcpV6Duid::Raw(bytes) if bytes == [0, 4, 1]));
    }
}
