//! How a lab is joined to the machine's network, as its keeper sees it.

use super::Nslab;
use super::context::require_privilege;
use crate::Error;
use crate::host::{self, Asked, KeeperFiles, LeaseState, SeenLease, Sight};
use crate::model::{LabName, Uplink};
use crate::report::{UplinkGateway, UplinkLease, UplinkStatus};
use crate::spec;
use std::net::IpAddr;

impl Nslab {
    /// How a lab is joined to the machine's network by a NIC.
    ///
    /// # Errors
    /// When there is no such lab, or the machine can't be looked at.
    pub async fn uplink_status(&self, lab: &LabName) -> Result<UplinkStatus, Error> {
        require_privilege()?;
        let state = self.state(lab)?;
        let switch = match state.spec().and_then(|spec| spec.uplink.as_ref()) {
            Some(spec::Uplink::Nic(uplink)) => uplink.switch.to_string(),
            _ => String::new(),
        };
        let Some(uplink) = state.made().resources.uplink else { return Ok(nothing(lab)) };
        let there = self.host().observe_uplink(&uplink).await?;
        let files = KeeperFiles::of(self.root().lab(lab).directory());
        let confirm_left_s = files.confirm_by_ms().map(|by| by.saturating_sub(host::boot_ms()) / 1000);
        // Where nobody answers, that is what is told.
        let sight = host::ask(&files, Asked::Sight).await.ok();
        let Uplink { nic, address, onto, .. } = uplink;
        let addresses =
            there.onto.into_iter().flat_map(|onto| onto.addresses).map(|address| address.to_string()).collect();
        let keeper = sight.as_ref().map(|sight| sight.pid);
        let Sight { pid: _, gateways, lease, trouble } = sight.unwrap_or_default();
        let gateways = gateways.into_iter().map(|seen| UplinkGateway { address: seen.address, answers: seen.answers });
        Ok(UplinkStatus {
            lab: lab.clone(),
            carrier: there.nic.as_ref().and_then(|_| host::carrier(&nic.name)),
            nic: Some(nic.name),
            switch,
            onto: onto.to_string(),
            address: address.as_str().to_owned(),
            addresses,
            gateways: gateways.collect(),
            lease: lease.map(lease_report),
            confirm_left_s,
            keeper,
            trouble,
        })
    }
}

fn nothing(lab: &LabName) -> UplinkStatus {
    UplinkStatus {
        lab: lab.clone(),
        nic: None,
        switch: String::new(),
        onto: String::new(),
        address: String::new(),
        addresses: Vec::new(),
        carrier: None,
        gateways: Vec::new(),
        lease: None,
        confirm_left_s: None,
        keeper: None,
        trouble: None,
    }
}

fn lease_report(seen: SeenLease) -> UplinkLease {
    let SeenLease {
        interface: _,
        address,
        routers: _,
        dns_servers,
        search_domains,
        ntp_servers,
        mtu_bytes,
        ends_at_ms,
        renewals,
        state,
    } = seen;
    let words = |servers: &[IpAddr]| servers.iter().map(ToString::to_string).collect();
    let is_held = address.is_some();
    UplinkLease {
        address,
        state: match state {
            LeaseState::Asked => "asked for".to_owned(),
            LeaseState::Held => "held".to_owned(),
            LeaseState::Unanswered => "nobody prolongs it".to_owned(),
            LeaseState::Refused => "a server took it back".to_owned(),
            LeaseState::Expired => "over".to_owned(),
            LeaseState::Failed(why) => format!("not to be had: {why}"),
        },
        ends_in_s: is_held.then(|| ends_at_ms.saturating_sub(host::boot_ms()) / 1000),
        renewals,
        dns_servers: words(&dns_servers),
        search_domains,
        ntp_servers: words(&ntp_servers),
        mtu_bytes,
    }
}
