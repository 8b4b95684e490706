//! Why a lab can't be planned: each reason found before anything is touched, all of a kind at once.

use crate::desired::BackendError;
use crate::desired::nat::NatError;
use crate::model::ovs::{OvsParent, OvsRowId, OvsTable};
use crate::model::{Holder, IfName, Interface, PinName, UplinkAddress};
use ipnetwork::IpNetwork;
use std::net::IpAddr;
use std::path::PathBuf;

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Things are in the way that nslab did not make.
    #[error("nslab did not make these, so it won't touch them:{}", list(.0))]
    NotOurs(Vec<NotOurs>),
    /// Namespaces of the lab are there, and the caller may not look into them.
    #[error("can't look into the lab's namespaces ({}): run nslab as root", names(.0))]
    NeedsRoot(Vec<PinName>),
    /// The lab has, or is to have, something in the database of Open vSwitch, and that can't be looked at.
    #[error("can't look at the lab's switches in Open vSwitch: {0}")]
    OvsUnreachable(String),
    /// Switches can't be what their topology says.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The lab has VLANs and the kernel's bridges do not keep VLANs apart.
    #[error(
        "this kernel's bridges can't keep VLANs apart, which {} must: use a kernel with CONFIG_BRIDGE_VLAN_FILTERING, \
         or take the VLANs out of the topology",
        names(.0)
    )]
    NoVlanFiltering(Vec<IfName>),
    /// The lab has bridges that are to snoop on multicast and the kernel's don't.
    #[error(
        "this kernel's bridges send multicast to everybody, and {} must not (`mcast_snooping`): use a kernel with \
         CONFIG_BRIDGE_IGMP_SNOOPING, or Open vSwitch (`backend: ovs`), or take it out of the topology",
        names(.0)
    )]
    NoMcastSnooping(Vec<IfName>),
    /// The lab has IPv6 addresses and the kernel knows nothing of them.
    #[error(
        "this kernel has no IPv6, of which {} are addresses: boot it without `ipv6.disable=1`, or take them out of the \
         topology",
        names(.0)
    )]
    NoIpv6(Vec<IpNetwork>),
    /// Links have conditions that the kernel can't make.
    #[error(
        "this kernel has no network emulator (netem), which what leaves by {} needs: load it (`modprobe sch_netem`), use \
         a kernel with CONFIG_NET_SCH_NETEM, or take delay, jitter, loss, duplicate, corrupt and reorder out (a rate and \
         its queue work without it)",
        names(.0)
    )]
    NoNetem(Vec<Interface>),
    /// Links have rates that the kernel can't hold.
    #[error(
        "this kernel has no token bucket filter (tbf), which what leaves by {} needs: load it (`modprobe sch_tbf`), use a \
         kernel with CONFIG_NET_SCH_TBF, or take the rate out",
        names(.0)
    )]
    NoTbf(Vec<Interface>),
    /// Who manages the NIC can't let go of it.
    #[error("{}", cant_let_go(.nic, .holders))]
    Held {
        /// The NIC.
        nic: IfName,
        /// Who can't.
        holders: Vec<Holder>,
    },
    /// The lab has another uplink: of two at once, the journal could not say what the machine had on each.
    #[error(
        "the lab's uplink is {nic} by way of {onto}, with `--address {}`: give that back first (`nslab uplink detach`), \
         another can come then",
        address.as_str()
    )]
    AnotherUplink {
        /// The NIC that it has.
        nic: IfName,
        /// What becomes of the machine's address.
        address: UplinkAddress,
        /// Where that is.
        onto: IfName,
    },
    /// The machine's own address was to stay behind, and with it the way to its gateway.
    #[error(
        "the machine reaches its gateway {gateway} by {nic}: with no address there it would be cut off; use `keep` or \
         `dhcp` in place of `none`"
    )]
    CutsOff {
        /// The NIC.
        nic: IfName,
        /// The gateway.
        gateway: IpAddr,
    },
    /// The lab's uplink by NAT can't be.
    #[error(transparent)]
    Nat(#[from] NatError),
    /// There is no program to make rules with.
    #[error(
        "an uplink by NAT needs nft(8), which is not there: install the package nftables (on Debian: `apt-get install \
         nftables`)"
    )]
    NoNft,
}

impl PlanError {
    /// Whether the reason is something that the machine does not have.
    pub fn is_lacking(&self) -> bool {
        match self {
            Self::NeedsRoot(_)
            | Self::NoVlanFiltering(_)
            | Self::NoIpv6(_)
            | Self::NoNetem(_)
            | Self::NoTbf(_)
            | Self::NoMcastSnooping(_)
            | Self::OvsUnreachable(_)
            | Self::NoNft => true,
            Self::Nat(error) => error.is_lacking(),
            Self::Backend(error) => matches!(error, BackendError::NoOvs { .. }),
            Self::NotOurs(_) | Self::Held { .. } | Self::AnotherUplink { .. } | Self::CutsOff { .. } => false,
        }
    }

    /// Whether what was asked for makes no sense on this machine.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Nat(error) if !error.is_lacking())
    }
}

/// Something that stands where the lab wants to be, and is somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// A namespace without the lab's mark, or with it but unknown to the lab's journal.
    #[error(
        "the network namespace {netns}{}: {}remove it (`ip netns delete {netns}`) or give the lab another name",
        of_whom(.lab.as_deref()),
        if .lab.is_some() { "use that one's `--state-dir`, " } else { "" }
    )]
    Netns {
        /// Its name.
        netns: PinName,
        /// The lab that its mark is of, where it has one: another state directory's, or a script's.
        lab: Option<String>,
    },
    /// A file in /run/netns that is no namespace.
    #[error("the file /run/netns/{netns}, which is no namespace: remove it or give the lab another name")]
    PinFile {
        /// Its name.
        netns: PinName,
    },
    /// Something at /etc/netns/NAME.
    #[error(
        "/etc/netns/{netns}{}: move it away or give the lab another name",
        .target.as_ref().map(|target| format!(", which points to {}", target.display())).unwrap_or_default()
    )]
    NameDirectory {
        /// The namespace that it is for.
        netns: PinName,
        /// Where it points, if it is a symbolic link.
        target: Option<PathBuf>,
    },
    /// A row of Open vSwitch with the lab's mark that another state directory's lab of the same name made.
    #[error(
        "the row `{0}` in the database of Open vSwitch, made by nslab with another state directory: use that \
         `--state-dir`, or give the lab another name"
    )]
    OvsRow(OvsRowId),
    /// A bridge or port of a name that the lab needs in Open vSwitch.
    #[error(
        "the {} {name} of Open vSwitch: remove it (`ovs-vsctl {} {name}`) or give the lab another name",
        if *.table == OvsTable::Bridge { "bridge" } else { "port" },
        if *.table == OvsTable::Bridge { "del-br" } else { "del-port" }
    )]
    OvsName {
        /// Which of the two.
        table: OvsTable,
        /// Its name.
        name: String,
    },
    /// A row that stands in Open vSwitch where the lab's row of its sort would.
    #[error(
        "the row in the column `{}` of {} in the database of Open vSwitch: clear it (see `ovs-vsctl clear`), or take the \
         setting out of the topology",
        .0.column,
        .0.row.as_ref().map(ToString::to_string).unwrap_or_default()
    )]
    OvsPlace(Box<OvsParent>),
    /// An interface of a name that the lab needs, in the host's namespace.
    #[error("the interface {0}: remove it (`ip link delete {0}`) or give the lab another name")]
    HostLink(IfName),
    /// An interface of a name that the lab needs, inside one of its namespaces.
    #[error(
        "the interface {} inside the lab's namespace {}: remove it (`ip -n {} link delete {}`)",
        .0.name, .0.netns, .0.netns, .0.name
    )]
    Link(Interface),
    /// A table of the host's packet filter.
    #[error("the table {0} of nftables: remove it (`nft delete table inet {0}`) or give the lab another name")]
    NatTable(String),
    /// Traffic control that somebody set up where a link is to have conditions.
    #[error(
        "the queueing discipline {kind} of {interface}: remove it ({}), or take the conditions out of the topology",
        removal(interface)
    )]
    Qdisc {
        /// The interface.
        interface: Interface,
        /// What it is.
        kind: String,
    },
}

fn cant_let_go(nic: &IfName, holders: &[Holder]) -> String {
    let each = |holder: &Holder| {
        format!("{holder} manages {nic} and other NICs, and can't let go of the one: {}", holder.advice(nic))
    };
    holders.iter().map(each).collect::<Vec<_>>().join("; ")
}

fn removal(Interface { netns, name }: &Interface) -> String {
    let of = netns.pinned().map(|netns| format!("-n {netns} ")).unwrap_or_default();
    format!("`tc {of}qdisc delete dev {name} root`")
}

fn of_whom(lab: Option<&str>) -> String {
    lab.map(|lab| format!(", which another lab {lab} made")).unwrap_or_default()
}

fn list(all: &[NotOurs]) -> String {
    use std::fmt::Write as _;
    all.iter().fold(String::new(), |mut lines, one| {
        let _ = write!(lines, "\n  - {one}"); // writing to a String does not fail
        lines
    })
}

/// The first few names and how many more there are.
fn names(all: &[impl std::fmt::Display]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = all.iter().take(SHOWN).map(ToString::to_string).collect();
    match all.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
