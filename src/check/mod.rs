//! Whether the nodes of a lab reach each other: what to probe (pure), how, and what came of it.

mod icmp;
mod icmp_message;
mod junit;
mod ping;
mod report;
mod rounds;
mod run;
mod tcp;
mod what;

pub use junit::junit;
pub use ping::{PingReply, PingSummary, ping};
pub use report::{CheckReport, Found, ProbeReport};
pub use run::{CheckError, CheckOptions, run};
pub use what::{Expected, Probe, Protocol, destination, probes};
