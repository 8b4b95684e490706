//! What a topology says of Open vSwitch's own settings, as columns and as rows of their own (ovs-vswitchd.conf.db(5)).

use super::ovs::{Columns, Marks, OvsPortPlan, hangs_from};
use crate::model::ByteSize;
use crate::model::ovs::{OvsParent, OvsRow, OvsRowId, OvsTable};
use crate::spec::{FailMode, Ipfix, Limit, Mirror, NetFlow, OvsSettings, SFlow, Selection, Switch};

/// The columns of a bridge.
pub(super) fn of_bridge(columns: Columns, settings: &OvsSettings) -> Columns {
    let OvsSettings {
        rstp,
        fail_mode,
        controllers: _,
        protocols,
        datapath_id,
        mac_table_size,
        netflow: _,
        sflow: _,
        ipfix: _,
        mirrors: _,
    } = settings;
    columns
        .one("rstp_enable", rstp.is_some())
        .text("other_config:rstp-priority", rstp.and_then(|rstp| rstp.priority))
        .text("other_config:rstp-ageing-time", rstp.and_then(|rstp| rstp.ageing_time_s))
        .text("other_config:rstp-max-age", rstp.and_then(|rstp| rstp.max_age_s))
        .text("other_config:rstp-forward-delay", rstp.and_then(|rstp| rstp.forward_delay_s))
        .text("other_config:rstp-transmit-hold-count", rstp.and_then(|rstp| rstp.transmit_hold_count))
        .all("fail_mode", fail_mode.map(FailMode::as_str))
        .all("protocols", protocols.iter().map(|version| version.as_str()))
        .text("other_config:datapath-id", *datapath_id)
        .text("other_config:mac-table-size", *mac_table_size)
}

/// The rows that hang from a bridge beside its ports.
pub(super) fn rows(marks: &Marks<'_>, switch: &Switch, ports: &[OvsPortPlan], rows: &mut Vec<OvsRow>) {
    let bridge = OvsRowId { table: OvsTable::Bridge, id: switch.name.to_string() };
    let mut add = |table, id: &str, column: &str, columns| {
        rows.push(marks.row(table, id, hangs_from(bridge.clone(), column), columns));
    };
    let OvsSettings {
        rstp: _,
        fail_mode: _,
        controllers,
        protocols: _,
        datapath_id: _,
        mac_table_size: _,
        netflow,
        sflow,
        ipfix,
        mirrors,
    } = &switch.ovs;
    for controller in controllers {
        let id = format!("{}/{}", switch.name, controller.as_str());
        add(OvsTable::Controller, &id, "controller", Columns::new().one("target", controller.as_str()));
    }
    let whole = |number: Option<u32>| number.map(i64::from);
    if let Some(NetFlow { targets, active_timeout_s }) = netflow {
        let columns = Columns::new()
            .all("targets", targets.iter().map(ToString::to_string))
            // 0 stands for Open vSwitch's own choice.
            .one("active_timeout", whole(*active_timeout_s).unwrap_or_default());
        add(OvsTable::NetFlow, switch.name.as_str(), "netflow", columns);
    }
    if let Some(SFlow { targets, sampling, polling_s, header_bytes }) = sflow {
        let columns = Columns::new()
            .all("targets", targets.iter().map(ToString::to_string))
            .all("sampling", whole(*sampling))
            .all("polling", whole(*polling_s))
            .all("header", whole(*header_bytes));
        add(OvsTable::SFlow, switch.name.as_str(), "sflow", columns);
    }
    if let Some(Ipfix { targets, sampling, observation_domain, observation_point }) = ipfix {
        let columns = Columns::new()
            .all("targets", targets.iter().map(ToString::to_string))
            .all("sampling", whole(*sampling))
            .all("obs_domain_id", whole(*observation_domain))
            .all("obs_point_id", whole(*observation_point));
        add(OvsTable::Ipfix, switch.name.as_str(), "ipfix", columns);
    }
    let mine: Vec<&OvsPortPlan> = ports.iter().filter(|port| port.switch == switch.name).collect();
    for Mirror { select, output } in mirrors {
        let Some(output) = mine.iter().find(|port| port.link == Some(*output)) else { continue };
        let selected = match select {
            Selection::All => Vec::new(),
            Selection::Links(links) => {
                mine.iter().filter(|port| port.link.is_some_and(|link| links.contains(&link))).collect()
            }
        };
        let selected = || selected.iter().map(|port| port.row_id());
        let columns = Columns::new()
            .one("name", output.port.as_str())
            .one("select_all", *select == Selection::All)
            .all("select_src_port", selected())
            .all("select_dst_port", selected())
            .one("output_port", output.row_id());
        add(OvsTable::Mirror, &output.row_id().id, "mirrors", columns);
    }
}

/// The columns of an interface whose incoming frames are limited; the database counts in thousands of bits.
pub(super) fn policing(columns: Columns, limit: Option<Limit>) -> Columns {
    let thousands = |bits: u64| i64::try_from(bits.div_ceil(1000)).unwrap_or(i64::MAX);
    columns
        .one("ingress_policing_rate", limit.map_or(0, |limit| thousands(limit.rate.bits_per_second())))
        .one("ingress_policing_burst", limit.and_then(|limit| limit.burst).map_or(0, |burst| thousands(burst.bits())))
}

/// The row of a port whose device's queueing discipline is somebody else's: without it, Open vSwitch removes that.
pub(super) fn no_qos(marks: &Marks<'_>, port: &OvsRowId) -> OvsRow {
    let columns = Columns::new().one("type", "linux-noop").text("other_config:max-rate", None::<String>);
    marks.row(OvsTable::QoS, &port.id, hangs_from(port.clone(), "qos"), columns)
}

/// The rows of a port whose outgoing frames are limited: a hierarchical token bucket with one queue, which all go through.
pub(super) fn qos(marks: &Marks<'_>, port: &OvsRowId, limit: Limit) -> [OvsRow; 2] {
    let rate = limit.rate.bits_per_second();
    let columns = Columns::new().one("type", "linux-htb").text("other_config:max-rate", Some(rate));
    let qos = marks.row(OvsTable::QoS, &port.id, hangs_from(port.clone(), "qos"), columns);
    let columns = Columns::new()
        .text("other_config:max-rate", Some(rate))
        .text("other_config:burst", limit.burst.map(ByteSize::bits));
    let parent = OvsParent { row: Some(qos.id.clone()), column: "queues".to_owned(), key: Some(0) };
    let queue = marks.row(OvsTable::Queue, &port.id, parent, columns);
    [qos, queue]
}
