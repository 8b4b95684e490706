//! `check` and `ping`.

use super::args::{CheckArguments, Global, PingArguments, ProbeArgument};
use super::progress::Bar;
use super::{render_check, select};
use crate::Error;
use crate::check::{self, CheckOptions, Protocol};
use crate::host;
use crate::lab::{Lab, Nslab};
use crate::model::LabName;
use std::net::IpAddr;
use std::process::ExitCode;

/// What both return when something does not hold.
const DOES_NOT_HOLD: u8 = 1;

pub(super) async fn check(nslab: &Nslab, global: &Global, arguments: &CheckArguments) -> Result<ExitCode, Error> {
    require_root()?;
    raise_open_files_limit();
    let lab = open(nslab, &select::lab(nslab.root(), global, arguments.lab.clone())?)?;
    let bar = Bar::new(global, "check");
    let options = CheckOptions {
        protocols: match arguments.probe {
            ProbeArgument::Icmp => vec![Protocol::Icmp],
            ProbeArgument::Tcp => vec![Protocol::Tcp],
            ProbeArgument::Both => vec![Protocol::Icmp, Protocol::Tcp],
        },
        timeout: arguments.timeout,
        progress: bar.callback(),
    };
    let report = lab.check(&options).await;
    drop(bar);
    let report = report?;
    if let Some(file) = &arguments.junit {
        std::fs::write(file, check::junit(&report))
            .map_err(|source| Error::Io { action: format!("write {}", file.display()), source })?;
    }
    render_check::check(global, &report);
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::from(DOES_NOT_HOLD) })
}

/// A check of many nodes holds a socket or two in each. It runs no commands, which would inherit the limit.
fn raise_open_files_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Where it can't be raised, a check says which socket it could not open.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

fn require_root() -> Result<(), Error> {
    if host::is_privileged() { Ok(()) } else { Err(Error::NotRoot) }
}

fn open(nslab: &Nslab, name: &LabName) -> Result<Lab, Error> {
    Lab::open(nslab, name)
}

pub(super) async fn ping(nslab: &Nslab, global: &Global, arguments: &PingArguments) -> Result<ExitCode, Error> {
    require_root()?;
    let (lab, source) = select::node(nslab.root(), global, &arguments.source)?;
    let lab = open(nslab, &lab)?;
    let spec = &lab.spec_with_leases().await?;
    let node = |name: &str| {
        spec.nodes.iter().find(|node| node.name.as_str() == name).ok_or_else(|| Error::NoSuchNode {
            lab: spec.name.clone(),
            node: name.to_owned(),
            nodes: spec.nodes.iter().map(|node| node.name.clone()).collect(),
        })
    };
    let from = node(source.as_str())?;
    let address = if let Ok(address) = arguments.destination.parse::<IpAddr>() {
        address
    } else {
        // LAB/NODE on both sides is how people write it who have several labs up; pings don't cross labs.
        let name = arguments.destination.strip_prefix(&format!("{}/", spec.name)).unwrap_or(&arguments.destination);
        let to = node(name)?;
        let families: &[bool] = if arguments.ipv6 { &[true] } else { &[false, true] };
        families.iter().find_map(|ipv6| check::destination(from, to, *ipv6)).ok_or_else(|| {
            Error::Usage(format!(
                "{} and {} have no {}addresses to reach each other by",
                from.name,
                to.name,
                if arguments.ipv6 { "IPv6 " } else { "" }
            ))
        })?
    };
    let netns = nslab.host().open_netns(&nslab.netns_of(&spec.name, &from.name)?).await?;
    render_check::ping_begins(global, &arguments.destination, address);
    let summary = check::ping(
        nslab.host().pool(),
        &netns,
        address,
        arguments.count,
        arguments.interval,
        arguments.timeout,
        |reply| render_check::ping_reply(global, address, reply),
    )
    .await?;
    render_check::ping_ends(global, &arguments.destination, &summary);
    Ok(if summary.received > 0 { ExitCode::SUCCESS } else { ExitCode::from(DOES_NOT_HOLD) })
}
