//! By what means switches forward link-local frames, and what they forward beyond what is asked of them.
//!
//! A Linux bridge (`br_handle_frame`, net/bridge/br_input.c) goes by two masks, its own and that of the port by which a
//! frame comes in. In its own the kernel takes neither STP nor LACP, in a port's it takes both. Frames of a spanning tree
//! need no mask: a bridge that runs none always forwards them, so that whoever runs one sees the loops through it.
//!
//! Open vSwitch (`other_config:forward-bpdu`) forwards all link-local frames or none, but for those of a spanning tree
//! that it runs itself.

use super::backends::SwitchBackend;
use crate::model::{GroupFwdMask, LinkLocal, SwitchName};
use crate::spec::{Spec, Switch};
use std::collections::BTreeMap;

/// The mask of a switch's Linux bridge.
pub(super) fn of_bridge(switch: &Switch) -> GroupFwdMask {
    switch.forward.iter().copied().filter(|protocol| *protocol == LinkLocal::Lldp).collect()
}

/// The mask of each port of a switch's Linux bridge.
pub(super) fn of_port(switch: &Switch) -> GroupFwdMask {
    switch.forward.iter().copied().filter(|protocol| *protocol == LinkLocal::Lacp).collect()
}

/// Whether a bridge of Open vSwitch forwards what is link-local.
pub(super) fn forwards_bpdu(switch: &Switch) -> bool {
    !switch.forward.is_empty()
}

/// What switches forward although `forward` leaves it out; those that say nothing of it are what such switches always are.
pub(super) fn notes(spec: &Spec, of: &BTreeMap<SwitchName, SwitchBackend>) -> Vec<String> {
    let mut notes = Vec::new();
    for switch in spec.switches.iter().filter(|switch| !switch.forward.is_empty()) {
        let runs_tree = switch.stp.is_some() || switch.ovs.rstp.is_some();
        let (passes, why): (&[LinkLocal], _) = match of.get(&switch.name) {
            Some(SwitchBackend::Ovs(_)) => (&LinkLocal::ALL, "Open vSwitch forwards all link-local frames or none"),
            Some(SwitchBackend::Linux) => {
                (&[LinkLocal::Stp], "a Linux bridge without a spanning tree of its own always does")
            }
            None => continue,
        };
        let is_less = |p: &LinkLocal| switch.forward.contains(p) || runs_tree && *p == LinkLocal::Stp;
        let more: Vec<&str> =
            passes.iter().filter(|protocol| !is_less(protocol)).map(|protocol| protocol.as_str()).collect();
        if !more.is_empty() {
            notes.push(format!(
                "{} forwards {} too, which `forward` leaves out: {why}",
                switch.name,
                more.join(" and ")
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::samples::two_node;
    use crate::model::Stp;
    use crate::model::ovs::Datapath;

    fn told(forward: &[LinkLocal], stp: Option<Stp>, backend: SwitchBackend) -> String {
        let mut spec = two_node();
        let switch = &mut spec.switches[0];
        (switch.forward, switch.stp) = (forward.iter().copied().collect(), stp);
        let of = BTreeMap::from([(switch.name.clone(), backend)]);
        notes(&spec, &of).join("\n")
    }

    #[test]
    fn what_is_forwarded_beyond_what_is_asked_is_told() {
        use LinkLocal::{Lacp, Lldp, Stp as Tree};
        let ovs = || SwitchBackend::Ovs(Datapath::Netdev);
        assert_eq!(told(&[], None, ovs()), "");
        assert!(told(&[Lldp], None, ovs()).starts_with("br0 forwards lacp and stp too"));
        assert!(told(&[Lldp], Some(Stp::default()), ovs()).starts_with("br0 forwards lacp too"));
        assert_eq!(told(&[Lacp, Lldp, Tree], None, ovs()), "");
        assert_eq!(told(&[], None, SwitchBackend::Linux), "");
        assert!(told(&[Lldp], None, SwitchBackend::Linux).starts_with("br0 forwards stp too"));
        assert_eq!(told(&[Lldp], Some(Stp::default()), SwitchBackend::Linux), "");
        assert_eq!(told(&[Lacp, Tree], None, SwitchBackend::Linux), "");
    }

    #[test]
    fn each_mask_has_what_the_kernel_takes_in_it() {
        let mut switch = two_node().switches.remove(0);
        switch.forward = LinkLocal::ALL.into();
        assert_eq!((of_bridge(&switch).bits(), of_port(&switch).bits()), (0x4000, 0x4));
    }
}
