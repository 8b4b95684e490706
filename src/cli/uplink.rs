//! `uplink attach`, `nat`, `status`, `confirm`, `detach`.

use super::args::Global;
use super::args_uplink::UplinkVerb;
use super::progress::watched;
use super::{render_steps, render_uplink, select};
use crate::Error;
use crate::lab::{Nslab, UplinkWish};
use std::process::ExitCode;

pub(super) async fn uplink(nslab: &Nslab, global: &Global, verb: &UplinkVerb) -> Result<ExitCode, Error> {
    let lab = select::lab(nslab.root(), global, None)?;
    match verb {
        UplinkVerb::Attach { nic, switch, address, confirm } => {
            let wish = UplinkWish::Nic { nic: nic.clone(), address: *address, confirm_s: *confirm };
            let (bar, options) = watched(global, "uplink")?;
            let result = nslab.attach_uplink(&lab, switch.as_ref(), &wish, &options).await;
            drop(bar);
            render_steps::up(global, &result?);
        }
        UplinkVerb::Nat { nic, switch } => {
            let (bar, options) = watched(global, "uplink")?;
            let wish = UplinkWish::Nat { nic: nic.clone() };
            let result = nslab.attach_uplink(&lab, switch.as_ref(), &wish, &options).await;
            drop(bar);
            render_steps::up(global, &result?);
        }
        UplinkVerb::Detach => {
            let (bar, options) = watched(global, "uplink")?;
            let result = nslab.detach_uplink(&lab, &options).await;
            drop(bar);
            render_steps::up(global, &result?);
        }
        UplinkVerb::Status => render_uplink::status(global, &nslab.uplink_status(&lab).await?),
        UplinkVerb::Confirm => render_uplink::confirmed(global, &lab, nslab.confirm_uplink(&lab)?),
    }
    Ok(ExitCode::SUCCESS)
}
