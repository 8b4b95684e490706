//! How a lab is joined to the machine's network, as its keeper sees it.

use super::Nslab;
use super::context::require_privilege;
use crate::Error;
use crate::host::{self, Asked, KeeperFiles, LeaseState, SeenLease, Sight};
use crate::model::{LabName, NicAddress, Uplink};
use crate::report::{UplinkEnd, UplinkGateway, UplinkLease, UplinkStatus};
use crate::spec;
use ipnetwork::IpNetwork;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long a keeper may take to have a first look. While another command changes the lab, it has none.
const FIRST_LOOK: Duration = Duration::from_secs(3);

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
        let sight = sight(&files, &uplink).await;
        let on_onto = there.onto.map(|onto| onto.addresses).unwrap_or_default();
        let addresses = on_onto.iter().map(ToString::to_string).collect();
        let keeper = sight.as_ref().map(|sight| sight.pid);
        let Sight { pid: _, gateways, lease, lease_six, trouble } = sight.unwrap_or_default();
        let running_out = running_out(&uplink, &on_onto, lease_six.as_ref());
        let Uplink { nic, address, onto, .. } = uplink;
        let gateways = gateways.into_iter().map(|seen| UplinkGateway { address: seen.address, answers: seen.answers });
        Ok(UplinkStatus {
            lab: lab.clone(),
            carrier: there.nic.as_ref().and_then(|_| host::carrier(&nic.name)),
            nic: Some(nic.name),
            switch,
            onto: onto.to_string(),
            address: address.as_str().to_owned(),
            addresses,
            running_out,
            gateways: gateways.collect(),
            lease: lease.map(lease_report),
            lease_six: lease_six.map(lease_report),
            confirm_left_s,
            keeper,
            trouble,
        })
    }
}

/// What the keeper sees. One that has just been started is waited for until it has asked the gateways.
async fn sight(files: &KeeperFiles, uplink: &Uplink) -> Option<Sight> {
    let asks = uplink.nic.gateways.iter().any(|gateway| gateway.answers.is_some());
    let begun = Instant::now();
    loop {
        let sight = host::ask(files, Asked::Sight).await.ok()?;
        if !asks || !sight.gateways.is_empty() || begun.elapsed() >= FIRST_LOOK {
            return Some(sight);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is still there of what nobody prolongs.
fn running_out(uplink: &Uplink, there: &BTreeSet<IpNetwork>, held: Option<&SeenLease>) -> Vec<UplinkEnd> {
    let elapsed_s = host::boot_ms().saturating_sub(uplink.nic.seen_at_ms) / 1000;
    let elapsed_s = u32::try_from(elapsed_s).unwrap_or(u32::MAX);
    let left = |address: &NicAddress| {
        let left = address.lifetime?.after(elapsed_s)?;
        Some(UplinkEnd { address: address.address.to_string(), ends_in_s: left.valid_s })
    };
    let held = held.and_then(|held| held.address.as_ref());
    let is_left = |address: &&NicAddress| {
        there.contains(&address.address) && held.is_none_or(|held| *held != address.address.to_string())
    };
    uplink.running_out().filter(is_left).filter_map(left).collect()
}

fn nothing(lab: &LabName) -> UplinkStatus {
    UplinkStatus {
        lab: lab.clone(),
        nic: None,
        switch: String::new(),
        onto: String::new(),
        address: String::new(),
        addresses: Vec::new(),
        running_out: Vec::new(),
        carrier: None,
        gateways: Vec::new(),
        lease: None,
        lease_six: None,
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
