//! Joining a lab that is up to the machine's real network, and parting them again: an `up` to the topology that it has, with
//! another `uplink`.

use super::context::{condition, report, require_place};
use super::{Nslab, Options};
use crate::Error;
use crate::apply;
use crate::host::KeeperFiles;
use crate::model::{AddressMode, IfName, LabName, SwitchName};
use crate::plan::Made;
use crate::report::{LabCondition, UpReport};
use crate::spec::{NatUplink, NicUplink, Spec, Uplink, uplink_switch};
use crate::state::LockedLab;
use std::time::Instant;

/// How a lab is to be joined to the machine's real network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UplinkWish {
    /// A NIC becomes a port of a switch.
    Nic {
        /// The NIC.
        nic: IfName,
        /// What becomes of the machine's address.
        address: AddressMode,
        /// Within how many seconds somebody has to confirm, or everything is undone.
        confirm_s: Option<u32>,
    },
    /// The machine forwards the lab's packets under its own address.
    Nat {
        /// The NIC that they leave by; whichever the machine's routes say without one.
        nic: Option<IfName>,
    },
}

impl Nslab {
    /// Gives a lab that is up an uplink at a switch, the only one where none is named; it replaces one that it has, until
    /// the lab is brought up anew.
    ///
    /// # Errors
    /// When there is no such lab or switch, it is half-made, or what [`Nslab::up`] says.
    ///
    /// # Cancel safety
    /// As [`Nslab::up`].
    pub async fn attach_uplink(
        &self,
        lab: &LabName,
        switch: Option<&SwitchName>,
        wish: &UplinkWish,
        options: &Options,
    ) -> Result<UpReport, Error> {
        self.edit(lab, options, |spec| {
            let wished = uplink(spec, switch, wish)?;
            refuse_to_confirm_again(lab, spec.uplink.as_ref(), &wished)?;
            spec.uplink = Some(wished);
            Ok(())
        })
        .await
    }
}

impl Nslab {
    /// Gives the machine's NIC and address back, or ends the masquerading. Where the lab is up and nothing is the matter with it
    /// that is an `up` to the topology that it has, without the uplink; otherwise what there is of the uplink goes, and
    /// nothing else is touched.
    ///
    /// # Errors
    /// When there is no such lab, or something is left.
    ///
    /// # Cancel safety
    /// As [`Nslab::up`].
    pub async fn detach_uplink(&self, lab: &LabName, options: &Options) -> Result<UpReport, Error> {
        let is_up = condition(&self.state(lab)?) == LabCondition::Up;
        if is_up {
            let without = |spec: &mut Spec| {
                spec.uplink = None;
                Ok(())
            };
            match self.edit(lab, options, without).await {
                Err(error) => {
                    tracing::warn!("{}; giving back what there is of the uplink", crate::error::chain(&error));
                }
                report => return report,
            }
        }
        self.part_uplink(lab, options).await
    }

    /// As [`Nslab::detach_uplink`], by the journal alone.
    pub(super) async fn part_uplink(&self, lab: &LabName, options: &Options) -> Result<UpReport, Error> {
        require_place()?;
        let locked = self.lock_existing(lab, options).await?;
        self.part_locked(&locked, options).await
    }

    /// As [`Nslab::part_uplink`], of a lab that is locked already.
    pub(super) async fn part_locked(&self, locked: &LockedLab, options: &Options) -> Result<UpReport, Error> {
        let started = Instant::now();
        let spec = locked.read()?.spec().cloned();
        let outcome = apply::part(&self.context(options), locked).await?;
        Ok(report(locked.name(), spec.as_ref(), outcome, started))
    }

    /// As [`Nslab::part_uplink`], of a lab whose directory is gone.
    pub(super) async fn part_without_journal(&self, lab: &LabName, parts: &Made) -> Result<(), Error> {
        let context = self.context(&Options::default());
        Ok(apply::part_without_journal(&context, &self.root().lab(lab), lab, parts).await?)
    }

    /// Keeps an uplink that was to be confirmed; says whether there was anything to confirm.
    ///
    /// # Errors
    /// When there is no such lab, or it can't be noted.
    pub fn confirm_uplink(&self, lab: &LabName) -> Result<bool, Error> {
        require_place()?;
        self.state(lab)?;
        let path = KeeperFiles::of(self.root().lab(lab).directory()).unconfirmed();
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(Error::Io { action: format!("remove {}", path.display()), source }),
        }
    }
}

/// What was attached and confirmed is not to be undone for want of a second confirmation; that nothing would be, is said.
fn refuse_to_confirm_again(lab: &LabName, there: Option<&Uplink>, wished: &Uplink) -> Result<(), Error> {
    match (there, wished) {
        (Some(Uplink::Nic(there)), Uplink::Nic(wished)) if there.nic == wished.nic && wished.confirm_s.is_some() => {
            Err(Error::Usage(format!(
                "{} is {lab}'s uplink already, so `--confirm` would undo nothing: leave it out, or give the NIC back \
                 first (`nslab uplink detach`)",
                wished.nic
            )))
        }
        _ => Ok(()),
    }
}

fn uplink(spec: &Spec, switch: Option<&SwitchName>, wish: &UplinkWish) -> Result<Uplink, Error> {
    let switches: Vec<_> = spec.switches.iter().map(|switch| &switch.name).collect();
    let switch = uplink_switch(switch, &switches).map_err(|error| Error::Usage(error.to_string()))?;
    Ok(match wish.clone() {
        UplinkWish::Nic { nic, address, confirm_s } => Uplink::Nic(NicUplink { nic, switch, address, confirm_s }),
        UplinkWish::Nat { nic } => Uplink::Nat(NatUplink { switch, nic }),
    })
}
