//! What each switch is made of: what its topology asks for, of what the machine has.

use super::forwarding;
use crate::model::SwitchName;
use crate::model::ovs::{Datapath, OvsRows, OvsTable, OvsdbServer};
use crate::observed::OvsState;
use crate::spec::{Backend, Spec};
use std::collections::BTreeMap;

/// What a switch is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwitchBackend {
    /// A Linux bridge in the lab's fabric.
    Linux,
    /// An Open vSwitch bridge.
    Ovs(Datapath),
}

/// What all of a lab's switches are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backends {
    /// Each switch's.
    pub of: BTreeMap<SwitchName, SwitchBackend>,
    /// The database that the Open vSwitch ones are in.
    pub server: OvsdbServer,
    /// What was chosen where the topology leaves it open, and why; what is good to know about it.
    pub notes: Vec<String>,
}

impl Backends {
    /// Whether a switch is a Linux bridge.
    pub(super) fn is_linux(&self, switch: &SwitchName) -> bool {
        self.of.get(switch) == Some(&SwitchBackend::Linux)
    }

    /// Whether a switch's frames go through ovs-vswitchd.
    pub(super) fn is_netdev(&self, switch: &SwitchName) -> bool {
        self.of.get(switch) == Some(&SwitchBackend::Ovs(Datapath::Netdev))
    }

    /// Whether there is a switch of Open vSwitch.
    pub fn has_ovs(&self) -> bool {
        self.of.values().any(|backend| matches!(backend, SwitchBackend::Ovs(_)))
    }

    /// Whether there is a Linux bridge.
    pub(super) fn has_linux(&self) -> bool {
        self.of.values().any(|backend| *backend == SwitchBackend::Linux)
    }
}

/// Why switches can't be what their topology says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// Open vSwitch is asked for, and can't be used.
    #[error(
        "{} Open vSwitch, and {why}: install and start it (on Debian: `apt-get install openvswitch-switch`), or say \
         where it is with `--ovsdb`{}",
        asking(switches),
        if *is_up { "" } else { ", or take a Linux bridge with `backend: linux`" }
    )]
    NoOvs {
        /// The switches.
        switches: Vec<SwitchName>,
        /// Why it can't.
        why: String,
        /// Whether they are Open vSwitch bridges already.
        is_up: bool,
    },
    /// The lab is in one database, and another was named.
    #[error(
        "the lab's switches are in the database at {there}, and --ovsdb says {wanted}: take the lab down before it moves"
    )]
    Moved {
        /// Where it is.
        there: String,
        /// Where it is to be.
        wanted: String,
    },
}

fn asking(switches: &[SwitchName]) -> String {
    match switches {
        [one] => format!("{one} is to be a switch of"),
        [first, second] => format!("{first} and {second} are to be switches of"),
        [first, ..] => format!("{first} and {} more are to be switches of", switches.len() - 1),
        [] => "there are to be switches of".to_owned(),
    }
}

/// Whether any switch could be one of Open vSwitch, so that it has to be known what there is of that.
pub fn asks_for_ovs(spec: &Spec, made: Option<&OvsRows>) -> bool {
    made.is_some() || spec.switches.iter().any(|switch| switch.backend != Backend::Linux)
}

/// Ports from which on the user-space datapath is slow to talk to (one thread polls them all): 1 ms a round at a hundred.
const MANY_PORTS: usize = 100;

/// What each switch is made of. One of a running lab stays what it is where its topology leaves that open.
///
/// # Errors
/// When a switch is to be, or is, one of Open vSwitch, and that can't be used.
pub fn choose(
    spec: &Spec,
    ovs: &OvsState,
    server: OvsdbServer,
    made: Option<&OvsRows>,
    made_linux: impl Fn(&SwitchName) -> bool,
) -> Result<Backends, BackendError> {
    if let Some(there) = made.filter(|made| made.server != server) {
        return Err(BackendError::Moved { there: there.server.target.clone(), wanted: server.target.clone() });
    }
    let made_ovs = |name: &SwitchName| {
        let mut rows = made.into_iter().flat_map(|made| &made.rows);
        rows.any(|row| row.id.table == OvsTable::Bridge && row.id.id == name.as_str())
    };
    let (mut of, mut missing, mut is_up, mut open) = (BTreeMap::new(), Vec::new(), false, Vec::new());
    for switch in &spec.switches {
        let wants_ovs = match switch.backend {
            Backend::Linux => false,
            Backend::Ovs => true,
            Backend::Auto if made_ovs(&switch.name) => true,
            Backend::Auto if made_linux(&switch.name) => false,
            Backend::Auto => {
                open.push(&switch.name);
                matches!(ovs, OvsState::Alive { .. })
            }
        };
        let backend = match (wants_ovs, ovs) {
            (false, _) => SwitchBackend::Linux,
            (true, OvsState::Alive { datapath, .. }) => SwitchBackend::Ovs(*datapath),
            (true, OvsState::Absent(_)) => {
                is_up |= made_ovs(&switch.name);
                missing.push(switch.name.clone());
                continue;
            }
        };
        of.insert(switch.name.clone(), backend);
    }
    if let OvsState::Absent(why) = ovs
        && !missing.is_empty()
    {
        return Err(BackendError::NoOvs { switches: missing, why: why.clone(), is_up });
    }
    let notes = notes(spec, &of, &open, ovs);
    Ok(Backends { of, server, notes })
}

fn notes(spec: &Spec, of: &BTreeMap<SwitchName, SwitchBackend>, open: &[&SwitchName], ovs: &OvsState) -> Vec<String> {
    let mut notes = Vec::new();
    if !open.is_empty() {
        let (are, a) = if open.len() == 1 { ("the switch is", "a ") } else { ("the switches are", "") };
        let plural = if open.len() == 1 { "" } else { "s" };
        notes.push(match ovs {
            OvsState::Alive { version, datapath } => {
                let version = if version.is_empty() { String::new() } else { format!(" {version}") };
                let datapath = datapath.as_str();
                format!("{are} {a}bridge{plural} of Open vSwitch{version}, which is here ({datapath} datapath)")
            }

            OvsState::Absent(why) => format!("{are} {a}Linux bridge{plural}: {why}"),
        });
    }
    let on_netdev = |name: &SwitchName| of.get(name) == Some(&SwitchBackend::Ovs(Datapath::Netdev));
    let ports = spec
        .links
        .iter()
        .flat_map(|link| &link.ends)
        .filter(|end| matches!(end, crate::spec::LinkEnd::Switch(switch) if on_netdev(switch)))
        .count();
    if ports >= MANY_PORTS {
        notes.push(format!(
            "{ports} ports on Open vSwitch's user-space datapath, which one thread polls: expect milliseconds and \
             megabits (openvswitch.ko, or `backend: linux`, is faster)"
        ));
        let has_ipv6 = spec
            .nodes
            .iter()
            .flat_map(|node| &node.interfaces)
            .flat_map(|i| &i.addresses)
            .any(ipnetwork::IpNetwork::is_ipv6);
        if has_ipv6 {
            notes.push(
                "IPv6 on so many ports of the user-space datapath: neighbour discovery floods all of them, and may \
                 saturate it"
                    .to_owned(),
            );
        }
    }
    let waits = |switch: &&crate::spec::Switch| {
        let is_ovs = matches!(of.get(&switch.name), Some(SwitchBackend::Ovs(_)));
        is_ovs && !switch.ovs.controllers.is_empty() && switch.ovs.fail_mode != Some(crate::spec::FailMode::Secure)
    };
    if spec.switches.iter().any(|switch| waits(&switch)) {
        notes.push(
            "a switch with a `controller` passes nothing on until that tells it to, or has not answered for 15 s"
                .to_owned(),
        );
    }
    let policed = |link: &&crate::spec::Link| {
        let is_netdev = |end: &crate::spec::LinkEnd| matches!(end, crate::spec::LinkEnd::Switch(s) if on_netdev(s));
        link.ingress_policing.is_some() && link.ends.iter().any(is_netdev)
    };
    if spec.links.iter().any(|link| policed(&link)) {
        notes.push(
            "`ingress_policing` is set, and does nothing on the user-space datapath, which takes frames before the \
             kernel polices them: it needs openvswitch.ko"
                .to_owned(),
        );
    }
    notes.extend(forwarding::notes(spec, of));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::samples::{single, two_node};
    use crate::spec::Limit;

    const NETDEV: OvsState = OvsState::Alive { version: String::new(), datapath: Datapath::Netdev };
    const SYSTEM: OvsState = OvsState::Alive { version: String::new(), datapath: Datapath::System };

    fn told(spec: &Spec, ovs: &OvsState) -> Vec<String> {
        let server = OvsdbServer { target: "unix:/run/openvswitch/db.sock".into(), tls: None };
        choose(spec, ovs, server, None, |_| false).unwrap().notes
    }

    #[track_caller]
    fn holds(notes: &[String], wanted: &[&str]) {
        assert_eq!(notes.len(), wanted.len(), "{notes:?}");
        for (note, wanted) in notes.iter().zip(wanted) {
            assert!(note.contains(wanted), "{note}");
        }
    }

    #[test]
    fn what_is_chosen_and_what_is_slow_is_told() {
        let absent = OvsState::Absent("no OVSDB server is at unix:/nowhere".into());
        holds(&told(&two_node(), &absent), &["the switch is a Linux bridge: no OVSDB server is at unix:/nowhere"]);
        holds(
            &told(&two_node(), &NETDEV),
            &["the switch is a bridge of Open vSwitch, which is here (netdev datapath)"],
        );

        let mut many = single("many", "h", MANY_PORTS);
        many.switches[0].backend = Backend::Ovs;
        holds(&told(&many, &NETDEV), &["100 ports on Open vSwitch's user-space datapath"]);
        holds(&told(&many, &SYSTEM), &[]);
        many.nodes[7].interfaces[0].addresses.push("fd00::7/64".parse().unwrap());
        holds(&told(&many, &NETDEV), &["100 ports on", "IPv6 on so many ports of the user-space datapath"]);
        holds(&told(&many, &SYSTEM), &[]);
    }

    #[test]
    fn settings_that_do_less_than_they_say_are_told() {
        let mut spec = two_node();
        spec.switches[0].backend = Backend::Ovs;
        let limit = Limit { rate: "1mbit".to_owned().try_into().unwrap(), burst: None };
        spec.links[0].ingress_policing = Some(limit);
        holds(&told(&spec, &NETDEV), &["`ingress_policing` is set, and does nothing"]);
        holds(&told(&spec, &SYSTEM), &[]);
        spec.switches[0].ovs.controllers.insert("tcp:127.0.0.1:6653".to_owned().try_into().unwrap());
        holds(&told(&spec, &SYSTEM), &["passes nothing on until that tells it to"]);
        spec.switches[0].ovs.fail_mode = Some(crate::spec::FailMode::Secure);
        holds(&told(&spec, &SYSTEM), &[]);
    }
}
