//! Open vSwitch, as far as a lab has to do with it: whether it is there, what it has of a lab, and changing that. Over
//! its database; the protocol is `ovsdb`'s business.

mod change;
mod columns;
mod error;
mod observe;
mod state;
mod survey;
mod watch;

pub use error::OvsError;
pub use survey::MarkedRows;
pub use watch::OvsWatch;

use super::Host;
use super::ovsdb::{Client, ConnectOptions, Requirement, Target, TlsFiles};
use crate::model::ovs::{OvsdbServer, OvsdbTls};
use std::time::Duration;

/// The database.
const DATABASE: &str = "Open_vSwitch";

/// How long ovs-vswitchd may take to take over a change: this, and some for each row.
const TAKEOVER: Duration = Duration::from_secs(10);

/// What ovs-vswitchd may take for each row beyond that. A thousand ports, two thousand rows, take it two seconds; to be
/// taken away, 13.
const TAKEOVER_PER_ROW: Duration = Duration::from_millis(10);

/// How long ovs-vswitchd may take for what others had it do before: taking away a thousand ports takes it 13 s.
const BACKLOG: Duration = Duration::from_secs(25);

/// How long ovs-vswitchd is given to see that something is gone.
const SETTLE: Duration = Duration::from_secs(3);

/// How long the server may take to answer anything else.
const ANSWER: Duration = Duration::from_secs(30);

/// What nslab reads and writes in the database.
fn requirement() -> Requirement {
    const REMEDY: &str = "nslab needs Open vSwitch 2.8 or newer";
    Requirement::new(DATABASE, REMEDY)
        .table(DATABASE, &["bridges", "next_cfg", "cur_cfg", "ovs_version", "datapath_types"])
        .table(
            "Bridge",
            &[
                "name",
                "datapath_type",
                "datapath_id",
                "stp_enable",
                "rstp_enable",
                "mcast_snooping_enable",
                "ports",
                "mirrors",
                "netflow",
                "sflow",
                "ipfix",
                "controller",
                "protocols",
                "fail_mode",
                "other_config",
                "external_ids",
            ],
        )
        .table(
            "Port",
            &["name", "interfaces", "tag", "trunks", "vlan_mode", "qos", "status", "rstp_status", "external_ids"],
        )
        .table(
            "Interface",
            &[
                "name",
                "type",
                "options",
                "mtu_request",
                "ingress_policing_rate",
                "ingress_policing_burst",
                "ofport",
                "error",
                "link_state",
                "statistics",
                "external_ids",
            ],
        )
        .table("Controller", &["target", "external_ids"])
        .table("Mirror", &["name", "select_all", "select_src_port", "select_dst_port", "output_port", "external_ids"])
        .table("NetFlow", &["targets", "active_timeout", "external_ids"])
        .table("sFlow", &["targets", "sampling", "polling", "header", "external_ids"])
        .table("IPFIX", &["targets", "sampling", "obs_domain_id", "obs_point_id", "external_ids"])
        .table("QoS", &["type", "queues", "other_config", "external_ids"])
        .table("Queue", &["other_config", "external_ids"])
}

fn target(server: &OvsdbServer) -> Result<(Target, ConnectOptions), OvsError> {
    let tls = server.tls.as_ref().map(|OvsdbTls { ca, certificate, private_key }| TlsFiles {
        ca: ca.clone(),
        certificate: certificate.clone(),
        private_key: private_key.clone(),
    });
    let target = server.target.parse::<Target>().map_err(super::ovsdb::OvsdbError::from)?;
    Ok((target, ConnectOptions { tls, request_timeout: ANSWER, ..ConnectOptions::default() }))
}

async fn connect(server: &OvsdbServer) -> Result<Client, OvsError> {
    let (target, options) = target(server)?;
    Ok(Client::connect_to(&target, &options, &requirement()).await?.0)
}

impl Host {
    /// The address of this machine's boot (`/proc/sys/kernel/random/boot_id`): another one after each start.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn boot_id(&self) -> Result<String, super::HostError> {
        use super::error::FileContext;
        let path = std::path::Path::new("/proc/sys/kernel/random/boot_id");
        Ok(std::fs::read_to_string(path).on_file("read", path)?.trim_end().to_owned())
    }
}
