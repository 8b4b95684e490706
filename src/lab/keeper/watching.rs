//! What a keeper does: it waits for the command to end, and then sees to it that the machine reaches its gateway.

use super::Keeper;
use crate::Error;
use crate::host::{self, SeenGateway};
use crate::lab::Options;
use crate::model::{Uplink, UplinkAddress};
use crate::observed::{ObservedUplink, OvsView};
use crate::plan;
use crate::state::StateError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often it looks.
const PERIOD: Duration = Duration::from_millis(500);

/// How often it asks the gateways.
const ASKING: Duration = Duration::from_secs(2);

/// How long something may be wrong with the uplink before it is repaired: whoever did it may be at it.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long until what could not be given back is tried again.
const AGAIN: Duration = Duration::from_secs(3);

impl Keeper {
    /// Watches over the uplink until there is none.
    ///
    /// # Errors
    /// When the lab's journal can't be read.
    pub(super) async fn watch_over(&self) -> Result<(), Error> {
        self.sight.lock().await.pid = std::process::id();
        let Some(uplink) = self.wait_for_command().await? else { return Ok(()) };
        if uplink.address == UplinkAddress::Dhcp {
            self.lease.want();
        }
        let (mut asked, mut broken) = (None::<Instant>, None::<Instant>);
        while self.directory.exists() {
            if self.files.confirm_by_ms().is_some_and(|by| host::boot_ms() >= by) {
                return self.part().await;
            }
            if asked.is_none_or(|asked| asked.elapsed() >= ASKING) {
                self.ask_gateways(&uplink).await;
                asked = Some(Instant::now());
            }
            match self.trouble(&uplink).await {
                None => broken = None,
                Some(trouble) => {
                    self.sight.lock().await.trouble = Some(trouble);
                    if broken.get_or_insert_with(Instant::now).elapsed() >= PATIENCE {
                        if !self.repair().await {
                            return self.part().await;
                        }
                        broken = None;
                    }
                }
            }
            tokio::time::sleep(PERIOD).await;
        }
        Ok(())
    }

    /// The uplink, once no command changes the lab any more; `None` where there is none then. What a command that was
    /// stopped left half-done is undone.
    async fn wait_for_command(&self) -> Result<Option<Uplink>, Error> {
        loop {
            let locked = match self.nslab.root().lock_lab(&self.lab, || {}).await {
                Ok(Some(locked)) => locked,
                Ok(None) => return Ok(None),
                Err(StateError::Busy { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let state = locked.read()?;
            let has_uplink = state.made().resources.uplink.is_some();
            match (state.record.and_then(|record| record.made.resources.uplink), state.pending) {
                (Some(uplink), None) => return Ok(Some(uplink)),
                (_, Some(_)) if has_uplink => {
                    // Under the same lock: whoever has it next may have brought the lab up again.
                    self.ends.store(true, Ordering::Relaxed);
                    self.lease.forgo();
                    match self.nslab.part_locked(&locked, &Options::default()).await {
                        Ok(_) => return Ok(None),
                        Err(error) => self.sight.lock().await.trouble = Some(crate::error::chain(&error)),
                    }
                    drop(locked);
                    tokio::time::sleep(AGAIN).await;
                }
                _ => {
                    // Started anew by who watches over it after all was given back: its socket is one too many.
                    self.files.remove()?;
                    return Ok(None);
                }
            }
        }
    }

    /// Gives everything back, again and again until it is.
    async fn part(&self) -> Result<(), Error> {
        self.ends.store(true, Ordering::Relaxed);
        self.lease.forgo();
        loop {
            match self.nslab.part_uplink(&self.lab, &Options::default()).await {
                Ok(_) => return Ok(()),
                Err(_) if !self.directory.exists() => return Ok(()),
                Err(error) => self.sight.lock().await.trouble = Some(crate::error::chain(&error)),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Brings the lab to what it should be; says whether that worked, or somebody else is at it.
    async fn repair(&self) -> bool {
        match self.nslab.edit(&self.lab, &Options::default(), |_| Ok(())).await {
            // Whoever has the lab for two minutes is at it.
            Ok(_) | Err(Error::State(StateError::Busy { .. })) => true,
            Err(_) => false,
        }
    }

    /// What is wrong with the parts of the uplink, if anything.
    async fn trouble(&self, uplink: &Uplink) -> Option<String> {
        let there = self.nslab.host().observe_uplink(uplink).await.ok()?;
        let ObservedUplink { nic, .. } = &there;
        if nic.is_none() {
            self.sight.lock().await.trouble = Some(format!("{} is gone", uplink.nic.name));
            return None; // nothing to be done until it is back
        }
        let trouble = if plan::is_attached(uplink, &there) {
            self.trouble_with_switch(uplink).await
        } else {
            Some(format!("{} is not the port that it should be", uplink.nic.name))
        };
        if trouble.is_none() {
            self.sight.lock().await.trouble = None;
        }
        trouble
    }

    /// What is wrong with Open vSwitch, where the NIC is a port of one. Not asked for while all gateways answer: then frames
    /// go through it, and its database has no use for somebody who looks twice a second.
    async fn trouble_with_switch(&self, uplink: &Uplink) -> Option<String> {
        let ovs = uplink.ovs()?;
        let answer = {
            let gateways = &self.sight.lock().await.gateways;
            !gateways.is_empty() && gateways.iter().all(|gateway| gateway.answers)
        };
        if answer {
            return None;
        }
        let nic = &uplink.nic.name;
        match self.nslab.host().observe_ovs(&ovs.rows.server, &ovs.rows.lab).await {
            OvsView::NotAsked => None,
            OvsView::Unreachable(why) => Some(format!("the switch that {nic} is a port of can't be asked: {why}")),
            OvsView::Seen(seen) if !seen.switch_lives => {
                Some(format!("ovs-vswitchd is gone, whose switch {nic} is a port of"))
            }
            view @ OvsView::Seen(_) => {
                (!plan::is_plugged(ovs, &view)).then(|| format!("{nic} is not the port that it should be"))
            }
        }
    }

    async fn ask_gateways(&self, uplink: &Uplink) {
        let mut seen = Vec::new();
        for gateway in uplink.nic.gateways.iter().filter(|gateway| gateway.answers.is_some()) {
            let answers = self.nslab.host().gateway_answers(gateway, &uplink.onto).await;
            seen.push(SeenGateway { address: gateway.address, answers });
        }
        self.sight.lock().await.gateways = seen;
    }
}
