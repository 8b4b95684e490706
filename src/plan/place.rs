//! Where an operation works: what is done in one place is done in order, places are worked on at once.

use super::{LinkChange, Op};
use crate::model::{NetnsName, PinName};

/// Where an operation works.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The lab's files.
    Files,
    /// A network namespace.
    Netns(NetnsName),
    /// Several network namespaces, to be removed.
    Namespaces,
    /// The database of Open vSwitch.
    Ovsdb,
}

impl Op {
    /// Where the operation works. A veth pair counts for its node's namespace: the many ports of one switch then don't
    /// wait for one another.
    pub fn place(&self) -> Place {
        let pinned = |name: &PinName| Place::Netns(NetnsName::Pinned(name.clone()));
        let netns = |name: &NetnsName| Place::Netns(name.clone());
        match self {
            Op::AddNetns(netns) => pinned(&netns.name),
            Op::DeleteNetns(_) => Place::Namespaces,
            Op::SetLoopbackUp(name) => pinned(name),
            Op::DeleteLinks(name, _) => netns(name),
            Op::SetSysctl(sysctl) => netns(&sysctl.netns),
            Op::SetBridge(bridge) => netns(&bridge.interface.netns),
            Op::AddVeth(veth) if veth.b.interface.netns == NetnsName::Host => netns(&veth.a.interface.netns),
            Op::AddVeth(veth) => netns(&veth.b.interface.netns),
            Op::DeleteLink(interface) | Op::SetLink(LinkChange { interface, .. }) => netns(&interface.netns),
            Op::SetPortVlans(vlans) => netns(&vlans.port.netns),
            Op::SetQdiscs(qdiscs) => netns(&qdiscs.interface.netns),
            Op::SetPortFwdMask(mask) => netns(&mask.port.netns),
            Op::AddAddress(address) | Op::DeleteAddress(address) => netns(&address.interface.netns),
            Op::StartAdvertiser(of) | Op::StopAdvertiser(of) => pinned(&of.netns.name),
            Op::Autoconfigure(of) | Op::Deconfigure(of) => netns(&of.interface.netns),
            Op::StartDhcpClient(of) | Op::StopDhcpClient(of) => pinned(&of.netns.name),
            Op::AddRoute(route) | Op::DeleteRoute(route) => netns(&route.netns),
            Op::WriteHosts(_)
            | Op::RemoveHosts(_)
            | Op::SetGroup(_)
            | Op::RemoveGroup(_)
            | Op::AddVolume(_)
            | Op::RemoveVolume(_) => Place::Files,
            Op::AddNameDirectory(directory) | Op::RemoveNameDirectory(directory) => pinned(&directory.netns),
            Op::SetHostBridge(_)
            | Op::RemoveHostBridge(_)
            | Op::StartKeeper(_)
            | Op::StopKeeper(_)
            | Op::ReleaseNic(_)
            | Op::TakeBackNic(_)
            | Op::AttachUplink(_)
            | Op::TakeLease(_)
            | Op::DetachUplink(_) => Place::Netns(NetnsName::Host),
            Op::ChangeOvs(_) => Place::Ovsdb,
            Op::SetNatTable(_) | Op::RemoveNatTable(_) | Op::AddForwardPass(_) | Op::RemoveForwardPass(_) => {
                netns(&NetnsName::Host)
            }
            Op::StartContainer(of) | Op::StopContainer(of) | Op::LimitContainer(of) => pinned(&of.netns.name),
            Op::Run(exec) | Op::EndRun(exec) => pinned(&exec.netns),
        }
    }
}
