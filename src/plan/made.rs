//! Joining what two journal entries say nslab made: after a stopped command either may be what is there.

use super::Made;
use crate::desired::Resources;
use crate::model::ovs::{OvsRow, OvsRows, OvsSet, OvsTable};
use crate::model::{DhcpClient, NetnsName, Sysctl, Uplink, Veth};

impl Made {
    /// All that is in `self` or in `later`. Where both have the same thing with other attributes, `later` says which;
    /// a sysctl's previous value is the earliest known, because later ones may be nslab's own.
    #[must_use]
    pub fn union(self, later: Made) -> Made {
        let Made { resources, previous_sysctls, executed } = later;
        Made {
            resources: self.resources.union(resources),
            previous_sysctls: merge(previous_sysctls, self.previous_sysctls, |s: &Sysctl| {
                (s.netns.clone(), s.key.clone())
            }),
            executed: merge(self.executed, executed, Clone::clone),
        }
    }
}

impl Made {
    /// What is of an uplink by a NIC, and the rest.
    pub fn parted(self) -> (Made, Made) {
        let Made { mut resources, previous_sysctls, executed } = self;
        let mut of_uplink = Resources { uplink: resources.uplink.take(), ..Resources::default() };
        of_uplink.host_bridge = resources.host_bridge.take();
        if let Some(bridge) = &of_uplink.host_bridge {
            // The trunk is what leads there.
            let leads_there = |veth: &Veth| {
                [&veth.a, &veth.b]
                    .iter()
                    .any(|end| end.interface.netns == NetnsName::Host && end.master.as_ref() == Some(&bridge.name))
            };
            (of_uplink.veths, resources.veths) = resources.veths.into_iter().partition(leads_there);
        }
        let ends = of_uplink.veths.iter().flat_map(|veth| [&veth.a, &veth.b]).map(|end| &end.interface);
        let ends: Vec<_> = ends.filter(|end| end.netns == NetnsName::Host).map(|end| end.name.clone()).collect();
        resources.sysctls.retain(|sysctl| {
            sysctl.netns != NetnsName::Host || sysctl.key.interface().is_none_or(|interface| !ends.contains(&interface))
        });
        if let Some(uplink) = &of_uplink.uplink {
            resources.ovs = resources.ovs.map(|rows| without_nics(rows, uplink));
        }
        let parts = Made { resources: of_uplink, ..Made::default() };
        (parts, Made { resources, previous_sysctls, executed })
    }
}

impl Resources {
    /// All that is in `self` or in `later`, `later`'s attributes where both have the same thing.
    #[must_use]
    pub fn union(self, later: Resources) -> Resources {
        let Resources {
            netns,
            sysctls,
            bridges,
            veths,
            port_vlans,
            qdiscs,
            port_fwd_masks,
            addresses,
            advertisers,
            autoconfigured,
            remembered,
            dhcp_clients,
            routes,
            hosts_files,
            name_directories,
            containers,
            groups,
            volumes,
            execs,
            host_bridge,
            uplink,
            ovs,
            nat_tables,
            forward_passes,
        } = later;
        Resources {
            netns: merge(self.netns, netns, |n| n.name.clone()),
            sysctls: merge(self.sysctls, sysctls, |s| (s.netns.clone(), s.key.clone())),
            bridges: merge(self.bridges, bridges, |b| b.interface.clone()),
            veths: merge(self.veths, veths, |v| (v.a.interface.clone(), v.b.interface.clone())),
            port_vlans: merge(self.port_vlans, port_vlans, |p| p.port.clone()),
            qdiscs: merge(self.qdiscs, qdiscs, |q| q.interface.clone()),
            port_fwd_masks: merge(self.port_fwd_masks, port_fwd_masks, |p| p.port.clone()),
            addresses: merge(self.addresses, addresses, Clone::clone),
            advertisers: merge(self.advertisers, advertisers, |a| a.netns.name.clone()),
            // What an interface has may be of before a change or of after it.
            autoconfigured: merge(self.autoconfigured, autoconfigured, Clone::clone),
            remembered: merge(self.remembered, remembered, Clone::clone),
            dhcp_clients: merge(self.dhcp_clients, dhcp_clients, DhcpClient::interface),
            routes: merge(self.routes, routes, Clone::clone),
            hosts_files: merge(self.hosts_files, hosts_files, |h| h.directory.clone()),
            // Where it points says whose the link is, so both targets count as made until the change is through.
            name_directories: merge(self.name_directories, name_directories, Clone::clone),
            containers: merge(self.containers, containers, |c| c.directory.clone()),
            groups: merge(self.groups, groups, |g| g.cgroup.clone()),
            // One that is to be another may be there as both.
            volumes: merge(self.volumes, volumes, Clone::clone),
            execs: merge(self.execs, execs, Clone::clone),
            // There is never another; what the NIC was is what it was first.
            host_bridge: host_bridge.or(self.host_bridge),
            uplink: self.uplink.or(uplink),
            ovs: union_of_rows(self.ovs, ovs),
            nat_tables: merge(self.nat_tables, nat_tables, |t| t.name.clone()),
            // A rule of before a change may still be there with its own comment.
            forward_passes: merge(self.forward_passes, forward_passes, Clone::clone),
        }
    }
}

/// A lab's rows when its switch's internal port has its own MAC address and MTU again.
fn without_nics(mut rows: OvsRows, uplink: &Uplink) -> OvsRows {
    let Some(ovs) = uplink.ovs() else { return rows };
    for row in rows.rows.iter_mut().filter(|row| row.name() == Some(uplink.onto.as_str())) {
        let (column, own) = match row.id.table {
            OvsTable::Bridge => ("other_config:hwaddr", ovs.own_mac.to_string().into()),
            OvsTable::Interface => ("mtu_request", i64::from(ovs.own_mtu.bytes()).into()),
            _ => continue,
        };
        row.columns.insert(column.into(), OvsSet::from([own]));
    }
    rows
}

fn union_of_rows(earlier: Option<OvsRows>, later: Option<OvsRows>) -> Option<OvsRows> {
    match (earlier, later) {
        // One lab has one server: a plan with another is refused.
        (Some(earlier), Some(later)) => {
            let OvsRows { server, lab, rows } = later;
            Some(OvsRows { server, lab, rows: merge(earlier.rows, rows, |row: &OvsRow| row.id.clone()) })
        }
        (earlier, later) => later.or(earlier),
    }
}

/// `earlier` with `later`'s items in place of those with the same key, and the rest of `later` behind them.
fn merge<T, K: Ord>(earlier: Vec<T>, later: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut later: std::collections::BTreeMap<K, (usize, T)> =
        later.into_iter().enumerate().map(|(place, item)| (key(&item), (place, item))).collect();
    let mut all: Vec<T> = earlier
        .into_iter()
        .map(|item| match later.remove(&key(&item)) {
            Some((_, replacement)) => replacement,
            None => item,
        })
        .collect();
    let mut rest: Vec<(usize, T)> = later.into_values().collect();
    rest.sort_by_key(|(place, _)| *place);
    all.extend(rest.into_iter().map(|(_, item)| item));
    all
}

#[cfg(test)]
mod tests {
    use super::merge;
    use crate::desired::Resources;
    use crate::model::{NameDirectory, PinName};

    #[test]
    fn later_wins_and_order_is_kept() {
        let merged = merge(vec![("a", 1), ("b", 1)], vec![("d", 2), ("b", 2), ("c", 2)], |(key, _)| *key);
        assert_eq!(merged, [("a", 1), ("b", 2), ("d", 2), ("c", 2)]);
    }

    #[test]
    fn a_link_that_was_to_point_elsewhere_may_still_point_where_it_did() {
        let link = |to: &str| NameDirectory { netns: PinName::existing("lab-a"), directory: to.into() };
        let of = |to: &str| Resources { name_directories: vec![link(to)], ..Resources::default() };
        assert_eq!(of("old").union(of("new")).name_directories, [link("old"), link("new")]);
    }
}
