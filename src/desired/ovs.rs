//! The rows of the Open vSwitch switches: a bridge with its own port, and a port for each link.

use super::backends::{Backends, SwitchBackend};
use super::{forwarding, ovs_settings, ports};
use crate::model::ovs::{
    Datapath, EXTERNAL_IDS, MARK_BOOT, MARK_ID, MARK_INSTANCE, MARK_LAB, OvsColumn, OvsColumns, OvsParent, OvsRow,
    OvsRowId, OvsRows, OvsScalar, OvsSet, OvsTable,
};
use crate::model::{Identity, IfName, LabName, MacAddress, Mtu, NativeVlan, Nic, SwitchName, VlanMode};
use crate::spec::{Limit, Spec, Switch};

/// The shortest that Open vSwitch takes (lib/stp.c); it raises what is less without a word.
const LEAST_FORWARD_DELAY_S: u8 = 4;

/// The rows of a lab's switches; `None` where no switch is one of Open vSwitch.
///
/// The internal port of the switch that `uplink` is at has that NIC's MAC address, by which the network knows the machine, and
/// its MTU.
pub(super) fn rows(
    spec: &Spec,
    identity: &Identity,
    backends: &Backends,
    ports: &[OvsPortPlan],
    uplink: Option<(&SwitchName, &Nic)>,
) -> Option<OvsRows> {
    let mut rows = Vec::new();
    let marks = Marks { lab: &spec.name, identity };
    for switch in &spec.switches {
        if let Some(SwitchBackend::Ovs(datapath)) = backends.of.get(&switch.name) {
            let at_uplink = uplink.filter(|(at, _)| **at == switch.name);
            let own = || (own_mac(spec, &switch.name), switch.mtu);
            let to_host = at_uplink.map_or_else(own, |(_, nic)| (nic.mac, nic.mtu));
            bridge(&marks, switch, *datapath, to_host, &mut rows);
            ovs_settings::rows(&marks, switch, ports, &mut rows);
        }
    }
    for plan in ports {
        port(&marks, plan, &mut rows);
    }
    if rows.is_empty() {
        return None;
    }
    Some(OvsRows { server: backends.server.clone(), lab: spec.name.clone(), rows })
}

/// The MAC address of a switch that no NIC of the machine's is a port of.
pub(super) fn own_mac(spec: &Spec, switch: &SwitchName) -> MacAddress {
    MacAddress::derived_from(&format!("{}/{switch}", spec.name))
}

/// The rows that make a NIC of the machine's a port of a switch. Open vSwitch is to leave its queueing alone.
pub(super) fn uplink_rows(
    spec: &Spec,
    identity: &Identity,
    backends: &Backends,
    switch: &SwitchName,
    nic: &IfName,
) -> OvsRows {
    let marks = Marks { lab: &spec.name, identity };
    let id = format!("{switch}/uplink:{nic}"); // no port of the lab's has a colon in its name
    let bridge = OvsRowId { table: OvsTable::Bridge, id: switch.to_string() };
    let named = || Columns::new().one("name", nic.as_str());
    let port = marks.row(OvsTable::Port, &id, hangs_from(bridge, "ports"), named());
    let columns = named().one("type", "");
    let interface = marks.row(OvsTable::Interface, &id, hangs_from(port.id.clone(), "interfaces"), columns);
    let queueing = ovs_settings::no_qos(&marks, &port.id);
    OvsRows { server: backends.server.clone(), lab: spec.name.clone(), rows: vec![port, interface, queueing] }
}

/// A port of a switch.
pub(super) struct OvsPortPlan {
    /// The link that it is an end of, by its place in [`Spec::links`]; `None` for the one to the host.
    pub(super) link: Option<usize>,
    /// The switch.
    pub(super) switch: SwitchName,
    /// What the port is called inside the lab.
    pub(super) port: IfName,
    /// What its frames go through.
    pub(super) kind: PortKind,
    /// What it does with VLAN tags.
    pub(super) vlan: Option<VlanMode>,
    /// How fast frames may go through it.
    pub(super) limits: PortLimits,
}

impl OvsPortPlan {
    /// Its row.
    pub(super) fn row_id(&self) -> OvsRowId {
        OvsRowId { table: OvsTable::Port, id: format!("{}/{}", self.switch, self.port) }
    }
}

/// How fast frames may go through a port.
pub(super) struct PortLimits {
    /// Into the switch: what is above is dropped.
    pub(super) ingress: Option<Limit>,
    /// Out of it.
    pub(super) egress: Egress,
}

/// What happens to what leaves by a port.
pub(super) enum Egress {
    /// Nothing.
    Free,
    /// Open vSwitch has what is above the limit wait.
    Limited(Limit),
    /// The port's device has conditions, which Open vSwitch is to leave alone.
    Shaped,
}

/// What a port's frames go through.
pub(super) enum PortKind {
    /// A device of the host's, of the port's own name there.
    Device,
    /// Another switch's port, by its name inside the lab.
    Patch(IfName),
}

/// What all rows of a lab are marked with.
pub(super) struct Marks<'a> {
    lab: &'a LabName,
    identity: &'a Identity,
}

impl Marks<'_> {
    pub(super) fn row(&self, table: OvsTable, id: &str, parent: OvsParent, columns: Columns) -> OvsRow {
        let Identity { instance, boot } = self.identity;
        let mut columns = columns.0;
        let instance = instance.as_ref().map(|instance| (MARK_INSTANCE, instance.as_str()));
        let all = [(MARK_LAB, self.lab.as_str()), (MARK_ID, id), (MARK_BOOT, boot)];
        for (key, value) in all.into_iter().chain(instance) {
            let column = OvsColumn { name: EXTERNAL_IDS.to_owned(), key: Some(key.to_owned()) };
            columns.insert(column, OvsSet::from([value.into()]));
        }
        OvsRow { id: OvsRowId { table, id: id.to_owned() }, parent, columns }
    }

    fn host_name(&self, name: &IfName) -> String {
        ports::host_name(self.lab, name).to_string()
    }
}

/// Columns in the making. What is not set is set to nothing all the same: it is the topology's to say.
pub(super) struct Columns(OvsColumns);

impl Columns {
    pub(super) fn new() -> Self {
        Self(OvsColumns::new())
    }

    pub(super) fn one(self, column: &str, value: impl Into<OvsScalar>) -> Self {
        self.all(column, [value])
    }

    pub(super) fn all<T: Into<OvsScalar>>(mut self, column: &str, values: impl IntoIterator<Item = T>) -> Self {
        self.0.insert(column.into(), values.into_iter().map(Into::into).collect());
        self
    }

    pub(super) fn text(self, column: &str, value: Option<impl ToString>) -> Self {
        self.all(column, value.map(|value| value.to_string()))
    }
}

pub(super) fn hangs_from(row: OvsRowId, column: &str) -> OvsParent {
    OvsParent { row: Some(row), column: column.to_owned(), key: None }
}

/// `to_host` are the MAC address and the MTU of its internal port.
fn bridge(marks: &Marks<'_>, switch: &Switch, datapath: Datapath, to_host: (MacAddress, Mtu), rows: &mut Vec<OvsRow>) {
    let (id, name) = (switch.name.as_str(), marks.host_name(&IfName::from(&switch.name)));
    let stp = switch.stp;
    let columns = Columns::new()
        .one("name", name.as_str())
        .one("datapath_type", datapath.as_str())
        .one("stp_enable", stp.is_some())
        .one("other_config:hwaddr", to_host.0.to_string())
        .text("other_config:stp-priority", stp.map(|stp| stp.priority))
        .text("other_config:stp-hello-time", stp.map(|stp| stp.hello_time_s))
        .text("other_config:stp-max-age", stp.map(|stp| stp.max_age_s))
        .text("other_config:stp-forward-delay", stp.map(|stp| stp.forward_delay_s.max(LEAST_FORWARD_DELAY_S)))
        .text("other_config:forward-bpdu", forwarding::forwards_bpdu(switch).then_some(true))
        .one("mcast_snooping_enable", switch.mcast_snooping.unwrap_or(false));
    let columns = ovs_settings::of_bridge(columns, &switch.ovs);
    let parent = OvsParent { row: None, column: "bridges".to_owned(), key: None };
    let row = marks.row(OvsTable::Bridge, id, parent, columns);
    // Every bridge has a port of its own name, the way into the host's network stack.
    let port =
        marks.row(OvsTable::Port, id, hangs_from(row.id.clone(), "ports"), Columns::new().one("name", name.as_str()));
    let columns =
        Columns::new().one("name", name).one("type", "internal").one("mtu_request", i64::from(to_host.1.bytes()));
    let interface = marks.row(OvsTable::Interface, id, hangs_from(port.id.clone(), "interfaces"), columns);
    rows.extend([row, port, interface]);
}

fn port(marks: &Marks<'_>, plan: &OvsPortPlan, rows: &mut Vec<OvsRow>) {
    let OvsPortPlan { link: _, switch, port, kind, vlan, limits } = plan;
    let (OvsRowId { id, .. }, name) = (plan.row_id(), marks.host_name(port));
    let (mode, tag, trunks) = match vlan {
        None => (None, None, Vec::new()),
        Some(VlanMode::Access(vlan)) => (Some("access"), Some(*vlan), Vec::new()),
        Some(VlanMode::Trunk { tagged, native }) => {
            let mode = match native {
                None => "trunk",
                Some(NativeVlan { is_tagged: false, .. }) => "native-untagged",
                Some(NativeVlan { is_tagged: true, .. }) => "native-tagged",
            };
            (Some(mode), native.map(|native| native.id), tagged.iter().copied().collect())
        }
    };
    let columns = Columns::new()
        .one("name", name.as_str())
        .all("vlan_mode", mode)
        .all("tag", tag.map(|vlan| i64::from(vlan.get())))
        .all("trunks", trunks.into_iter().map(|vlan| i64::from(vlan.get())));
    let bridge = OvsRowId { table: OvsTable::Bridge, id: switch.to_string() };
    let row = marks.row(OvsTable::Port, &id, hangs_from(bridge, "ports"), columns);
    let (r#type, peer) = match kind {
        PortKind::Device => ("", None),
        PortKind::Patch(peer) => ("patch", Some(marks.host_name(peer))),
    };
    let columns = Columns::new().one("name", name).one("type", r#type).text("options:peer", peer);
    let columns = ovs_settings::policing(columns, limits.ingress);
    let interface = marks.row(OvsTable::Interface, &id, hangs_from(row.id.clone(), "interfaces"), columns);
    let qos = match limits.egress {
        Egress::Free => Vec::new(),
        Egress::Limited(limit) => ovs_settings::qos(marks, &row.id, limit).into(),
        Egress::Shaped => vec![ovs_settings::no_qos(marks, &row.id)],
    };
    rows.extend([row, interface]);
    rows.extend(qos);
}
