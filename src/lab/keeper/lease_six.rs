//! The lease of DHCPv6 that a keeper holds beside that of DHCPv4, where it knows under which name.

use super::Keeper;
use crate::host::dhcp::{self, Lease6, Lease6Event};
use crate::host::{LeaseState, SeenLease};
use crate::model::Uplink;
use std::net::IpAddr;

/// Holds it for ever; what can't be is told.
pub(super) async fn hold(keeper: &Keeper, uplink: &Uplink) {
    if let Some(client_id) = uplink.client_of_six() {
        let (tell_event, mut events) = tokio::sync::mpsc::unbounded_channel();
        keeper.sight.lock().await.lease_six = Some(asked(uplink));
        let holding = dhcp::hold_six(&uplink.onto, &uplink.nic.name, client_id, move |event| {
            let _ = tell_event.send(event); // it is listened to for as long as this is polled
        });
        let telling = async {
            while let Some(event) = events.recv().await {
                told(keeper, &event).await;
            }
            std::future::pending::<()>().await;
        };
        let error = tokio::select! {
            result = holding => match result {
                Err(error) => error,
            },
            () = telling => unreachable!("it waits for ever"),
        };
        if let Some(seen) = &mut keeper.sight.lock().await.lease_six {
            seen.state = LeaseState::Failed(crate::error::chain(&error));
        }
    }
    std::future::pending::<()>().await;
}

fn asked(uplink: &Uplink) -> SeenLease {
    SeenLease {
        interface: uplink.onto.clone(),
        address: None,
        routers: Vec::new(),
        dns_servers: Vec::new(),
        search_domains: Vec::new(),
        ntp_servers: Vec::new(),
        mtu_bytes: None,
        ends_at_ms: 0,
        renewals: 0,
        state: LeaseState::Asked,
    }
}

async fn told(keeper: &Keeper, event: &Lease6Event) {
    let (Lease6Event::Obtained(lease) | Lease6Event::Renewed(lease) | Lease6Event::Unanswered(lease)) = event;
    let Lease6 { address, dns_servers, search_domains, ntp_servers, .. } = lease;
    if let Some(seen) = &mut keeper.sight.lock().await.lease_six {
        seen.address = Some(format!("{address}/128"));
        seen.dns_servers = dns_servers.iter().map(|server| IpAddr::from(*server)).collect();
        seen.search_domains.clone_from(search_domains);
        seen.ntp_servers.clone_from(ntp_servers);
        seen.ends_at_ms = lease.ends_at_ms();
        seen.renewals += u32::from(matches!(event, Lease6Event::Renewed(_)));
        seen.state = match event {
            Lease6Event::Unanswered(_) => LeaseState::Unanswered,
            Lease6Event::Obtained(_) | Lease6Event::Renewed(_) => LeaseState::Held,
        };
    }
}
