//! What a keeper does: it waits for the command to end, and then sees to it that the machine reaches its gateway.

use super::Keeper;
use crate::Error;
use crate::host::{self, SeenGateway};
use crate::lab::Options;
use crate::model::{Uplink, UplinkAddress};
use crate::observed::{ObservedUplink, OvsView};
use crate::plan;
use crate::state::{LabState, StateError};
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

/// How a lab is when no command changes it.
enum Settled {
    /// It has an uplink.
    Attached(Box<Uplink>),
    /// It has none, or none any more.
    Parted,
    /// It has no directory.
    Gone,
}

impl Keeper {
    /// Watches over the uplink until there is none.
    pub(super) async fn watch_over(&self) {
        self.sight.lock().await.pid = std::process::id();
        // Before the lab's lock is had, which whoever attaches holds. Where it can't be read now, it is then.
        if let Ok(state) = LabState::read(&self.nslab.root().lab(&self.lab)) {
            self.remember(&state).await;
        }
        let uplink = match Box::pin(self.wait_for_command()).await {
            Settled::Attached(uplink) => *uplink,
            Settled::Parted => return,
            Settled::Gone => return self.part_by_memory().await,
        };
        if uplink.address == UplinkAddress::Dhcp {
            self.lease.want();
        }
        let (mut asked, mut broken) = (None::<Instant>, None::<Instant>);
        while !host::is_gone(&self.directory) {
            if self.is_overdue() {
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
        self.part_by_memory().await;
    }

    /// Waits until no command changes the lab any more, and says how it is then. What fails meanwhile may work later.
    async fn wait_for_command(&self) -> Settled {
        loop {
            match Box::pin(self.settle()).await {
                Ok(settled) => return settled,
                Err(Error::State(StateError::Busy { .. })) => {}
                Err(error) => {
                    self.sight.lock().await.trouble = Some(crate::error::chain(&error));
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// How the lab is once its lock is had. What a command that was stopped left half-done is undone.
    async fn settle(&self) -> Result<Settled, Error> {
        let Some(locked) = self.nslab.root().lock_lab(&self.lab, || {}).await? else { return Ok(Settled::Gone) };
        let state = locked.read()?;
        if host::is_gone(&self.directory) {
            return Ok(Settled::Gone); // an empty journal is what was read then, perhaps
        }
        self.remember(&state).await;
        let has_uplink = state.made().resources.uplink.is_some();
        match (state.record.and_then(|record| record.made.resources.uplink), state.pending) {
            (Some(uplink), None) => return Ok(Settled::Attached(Box::new(uplink))),
            (_, Some(_)) if has_uplink => {
                // Under the same lock: whoever has it next may have brought the lab up again.
                self.ends.store(true, Ordering::Relaxed);
                self.lease.forgo();
                self.nslab.part_locked(&locked, &Options::default()).await?;
            }
            // Started anew by who watches over it after all was given back: its socket is one too many.
            _ => self.files.remove()?,
        }
        Ok(Settled::Parted)
    }

    /// Whether nobody has confirmed in time.
    fn is_overdue(&self) -> bool {
        self.files.confirm_by_ms().is_some_and(|by| host::boot_ms() >= by)
    }

    /// Ends whoever holds the lab once nobody has confirmed in time: a command that was stopped (Ctrl-Z) would hold it for as
    /// long as it is, and what it did could not be undone.
    pub(super) async fn make_way(&self) {
        loop {
            if self.is_overdue()
                && let Err(error) = self.nslab.host().end_holder(&self.nslab.root().lab(&self.lab).lock()).await
            {
                self.sight.lock().await.trouble = Some(crate::error::chain(&error));
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Keeps in mind what of a lab is its uplink's.
    async fn remember(&self, state: &LabState) {
        let (parts, _) = state.made().parted();
        *self.memory.lock().await = parts.resources.uplink.is_some().then_some(parts);
    }

    /// Gives everything back, again and again until it is.
    async fn part(&self) {
        self.ends.store(true, Ordering::Relaxed);
        self.lease.forgo();
        loop {
            match self.nslab.part_uplink(&self.lab, &Options::default()).await {
                Ok(_) => return,
                Err(_) if host::is_gone(&self.directory) => return self.part_by_memory().await,
                Err(error) => self.sight.lock().await.trouble = Some(crate::error::chain(&error)),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// The same where somebody has removed the lab's directory. After an orderly end of the lab there is nothing to give back.
    async fn part_by_memory(&self) {
        let Some(parts) = self.memory.lock().await.clone() else { return };
        self.ends.store(true, Ordering::Relaxed);
        self.lease.forgo();
        while self.nslab.part_without_journal(&self.lab, &parts).await.is_err() {
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
