//! Whether there is an Open vSwitch that labs can use.

use super::{DATABASE, OvsError, connect};
use crate::host::Host;
use crate::host::ovsdb::{Client, OvsdbError, Transaction};
use crate::model::ovs::{Datapath, OvsdbServer};
use crate::observed::OvsState;

/// The lock that ovs-vswitchd holds for as long as it is connected to its database (vswitchd/bridge.c, bridge_init).
const SWITCH_LOCK: &str = "ovs_vswitchd";

/// The family of messages by which ovs-vswitchd talks to the kernel's datapath; there as long as openvswitch.ko is.
const KERNEL_DATAPATH: &str = "ovs_datapath";

/// Whether ovs-vswitchd is connected to the database: then its lock is not to be had.
pub(super) async fn switch_lives(client: &Client) -> Result<bool, OvsError> {
    let is_free = client.lock(SWITCH_LOCK).await?;
    client.unlock(SWITCH_LOCK).await?;
    Ok(!is_free)
}

impl Host {
    /// What there is of Open vSwitch. Changes nothing.
    ///
    /// # Errors
    /// None: what can't be seen is [`OvsState::Absent`], with the reason.
    pub async fn ovs_state(&self, server: &OvsdbServer) -> OvsState {
        self.look_for_ovs(server).await.unwrap_or_else(|error| OvsState::Absent(why(server, &error)))
    }

    async fn look_for_ovs(&self, server: &OvsdbServer) -> Result<OvsState, OvsError> {
        let client = connect(server).await?;
        let mut transaction = Transaction::new(DATABASE);
        transaction.select(DATABASE, vec![], &["ovs_version", "datapath_types"]);
        let results = client.transact(&transaction).await?;
        let Some(row) = results[0].rows.first() else {
            return Ok(OvsState::Absent(format!("the database at {} is empty: ovs-vswitchd never ran", server.target)));
        };
        if !switch_lives(&client).await? {
            let why = format!("ovs-vswitchd is not connected to the database at {}", server.target);
            return Ok(OvsState::Absent(why));
        }
        let version = row.get::<Option<String>>("ovs_version")?.unwrap_or_default();
        let knows_system = row.get::<Vec<String>>("datapath_types")?.iter().any(|name| name == "system");
        let is_local = server.target.starts_with("unix:");
        let datapath = if knows_system && is_local && self.has_kernel_datapath().await {
            Datapath::System
        } else {
            Datapath::Netdev
        };
        Ok(OvsState::Alive { version, datapath })
    }

    async fn has_kernel_datapath(&self) -> bool {
        // Where the kernel won't even say, it is not there.
        self.job(|| Ok(crate::host::netlink::has_generic_family(KERNEL_DATAPATH).unwrap_or(false)))
            .await
            .unwrap_or(false)
    }
}

/// Why Open vSwitch can't be used, in words that go behind "and" or a colon.
fn why(server: &OvsdbServer, error: &OvsError) -> String {
    let target = &server.target;
    match error {
        OvsError::Database(error) if error.is_absent() => format!("no OVSDB server is at {target}"),
        OvsError::Database(error) if error.is_forbidden() => {
            format!("the OVSDB server at {target} is not for this user")
        }
        OvsError::Database(error @ OvsdbError::Connect { source, .. }) => format!("{error} ({source})"),
        OvsError::Database(error) => error.to_string(),
        other => other.to_string(),
    }
}
