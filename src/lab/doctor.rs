//! Looks for what the machine lacks, and for what is left lying about.

use super::{Nslab, left_by_containers, leftovers};
use crate::Error;
use crate::host;
use crate::observed::OvsState;
use crate::report::{DoctorReport, Finding, Verdict};
use std::path::Path;

/// Looks at everything that labs need. Touches nothing but namespaces without a name, which go when it ends.
///
/// # Errors
/// When the state directory can't be read.
pub async fn doctor(nslab: &Nslab) -> Result<DoctorReport, Error> {
    let mut findings = vec![root()];
    if host::is_privileged() {
        findings.push(namespaces(nslab).await);
        findings.extend(bridges(nslab).await);
        findings.extend(conditions(nslab).await);
    }
    findings.push(open_vswitch(nslab).await);
    findings.push(docker());
    findings.push(nft());
    if host::is_privileged() {
        findings.extend(left_behind(nslab).await?);
    }
    Ok(DoctorReport { findings })
}

fn finding(what: &str, verdict: Verdict, detail: impl Into<String>, remedy: Option<&str>) -> Finding {
    Finding { what: what.into(), verdict, detail: detail.into(), remedy: remedy.map(Into::into) }
}

fn root() -> Finding {
    if host::is_privileged() {
        finding("root", Verdict::Ok, "CAP_NET_ADMIN and CAP_SYS_ADMIN are there", None)
    } else {
        finding(
            "root",
            Verdict::Bad,
            "CAP_NET_ADMIN and CAP_SYS_ADMIN are missing, so nothing else was looked at",
            Some("run `sudo nslab doctor`; in a container, give it both capabilities"),
        )
    }
}

async fn namespaces(nslab: &Nslab) -> Finding {
    match nslab.host().probe_namespaces().await {
        Ok(()) => finding("network namespaces", Verdict::Ok, "can be made", None),
        Err(error) => finding(
            "network namespaces",
            Verdict::Bad,
            reason(&error),
            Some("the kernel needs CONFIG_NET_NS; sysctl user.max_net_namespaces must not be 0"),
        ),
    }
}

/// What the kernel's bridges can do.
async fn bridges(nslab: &Nslab) -> Vec<Finding> {
    const WHAT: &str = "Linux bridge";
    let kernel = match nslab.host().probe_bridges().await {
        Ok(kernel) => kernel,
        Err(error) => {
            let remedy = "`modprobe bridge veth`; the kernel needs CONFIG_BRIDGE and CONFIG_VETH";
            return vec![finding(WHAT, Verdict::Bad, reason(&error), Some(remedy))];
        }
    };
    vec![
        finding(WHAT, Verdict::Ok, "can be made", None),
        feature(
            "bridge VLAN filtering",
            kernel.vlan_filtering,
            "the kernel has none: topologies with VLANs will be refused",
            "use a kernel with CONFIG_BRIDGE_VLAN_FILTERING, as Debian's, Ubuntu's and Fedora's are",
        ),
        feature(
            "bridge multicast snooping",
            kernel.mcast_snooping,
            "the kernel has none: topologies with `mcast_snooping: true` on Linux bridges will be refused",
            "use a kernel with CONFIG_BRIDGE_IGMP_SNOOPING, as Debian's, Ubuntu's and Fedora's are",
        ),
    ]
}

/// Something that most kernels have and not all.
fn feature(what: &str, works: Option<bool>, without: &str, remedy: &str) -> Finding {
    match works {
        Some(false) => finding(what, Verdict::Warning, without, Some(remedy)),
        Some(true) | None => finding(what, Verdict::Ok, "works", None),
    }
}

/// What the kernel has for links' conditions.
async fn conditions(nslab: &Nslab) -> Vec<Finding> {
    let kinds = match nslab.host().probe_qdiscs().await {
        Ok(kinds) => kinds,
        Err(error) => return vec![finding("link conditions", Verdict::Warning, reason(&error), None)],
    };
    vec![
        feature(
            "network emulator (netem)",
            Some(kinds.netem),
            "the kernel has none: links that delay, lose or damage frames will be refused",
            "`modprobe sch_netem`, or use a kernel with CONFIG_NET_SCH_NETEM, as Debian's, Ubuntu's and Fedora's are",
        ),
        feature(
            "token bucket filter (tbf)",
            Some(kinds.tbf),
            "the kernel has none: links with a rate will be refused",
            "`modprobe sch_tbf`, or use a kernel with CONFIG_NET_SCH_TBF, as Debian's, Ubuntu's and Fedora's are",
        ),
    ]
}

async fn open_vswitch(nslab: &Nslab) -> Finding {
    const WHAT: &str = "Open vSwitch";
    match nslab.host().ovs_state(nslab.default_ovsdb()).await {
        OvsState::Alive { version, datapath } => {
            let detail = format!("version {version}, {} datapath", datapath.as_str());
            finding(WHAT, Verdict::Ok, detail, None)
        }
        // Nobody needs it: labs have Linux bridges then.
        OvsState::Absent(why) => {
            finding(WHAT, Verdict::Ok, format!("not here ({why}): switches are Linux bridges"), None)
        }
    }
}

/// Docker drops what the host forwards, and bridged frames too where br_netfilter shows them to iptables. A lab's
/// bridges are in a namespace of their own, whose tables are empty: said so, because people ask.
fn docker() -> Finding {
    const WHAT: &str = "Docker's FORWARD rule";
    if Path::new("/sys/class/net/docker0").exists() {
        finding(
            WHAT,
            Verdict::Ok,
            "Docker is here; labs switch in a namespace of their own, where its rule is not, and an uplink by NAT has rules in \
             DOCKER-USER",
            None,
        )
    } else {
        finding(WHAT, Verdict::Ok, "no Docker bridge here", None)
    }
}

/// What an uplink by NAT takes.
fn nft() -> Finding {
    const WHAT: &str = "nftables";
    if host::has_nft() {
        finding(WHAT, Verdict::Ok, "nft is here, so that labs can reach the world by NAT", None)
    } else {
        finding(
            WHAT,
            Verdict::Warning,
            "nft is not here: labs with `uplink: nat` will be refused",
            Some("install the package nftables (on Debian: `apt-get install nftables`)"),
        )
    }
}

async fn left_behind(nslab: &Nslab) -> Result<Vec<Finding>, Error> {
    let found = leftovers::find(nslab).await?;
    let mut findings = Vec::new();
    for lab in &found.half_made {
        findings.push(Finding {
            what: "half-made lab".into(),
            verdict: Verdict::Warning,
            detail: lab.to_string(),
            remedy: Some(format!("`nslab up` its topology again, or `nslab down {lab}`; `nslab gc` removes all such")),
        });
    }
    for lab in &found.half_changed {
        findings.push(Finding {
            what: "half-changed lab".into(),
            verdict: Verdict::Warning,
            detail: lab.to_string(),
            remedy: Some(format!("`nslab up` its topology again, or `nslab down {lab}`")),
        });
    }
    for link in &found.dangling {
        findings.push(finding(
            "leftover",
            Verdict::Warning,
            format!("{} leads to a lab that is no more", link.display()),
            Some("`nslab gc`"),
        ));
    }
    for rows in &found.rows {
        findings.push(finding(
            "leftover",
            Verdict::Warning,
            format!("{} rows in Open vSwitch's database of the lab {}, which is no more", rows.ids.len(), rows.lab),
            Some("`nslab gc`"),
        ));
    }
    for rows in &found.unclaimed_rows {
        findings.push(finding(
            "unclaimed rows",
            Verdict::Warning,
            format!(
                "{} rows in Open vSwitch's database of a lab {}, of which no lab here knows",
                rows.ids.len(),
                rows.lab
            ),
            Some("`ovs-vsctl del-br` its bridges, if nobody uses them: `ovs-vsctl list-br`"),
        ));
    }
    for rules in &found.rules {
        findings.push(finding("leftover", Verdict::Warning, format!("{rules}, which is no more"), Some("`nslab gc`")));
    }
    for rules in &found.unclaimed_rules {
        findings.push(finding(
            "unclaimed rules",
            Verdict::Warning,
            format!("{rules}, of which no lab here knows"),
            Some(&format!("unless a script of `nslab plan --shell` made them: `{}`", rules.removal())),
        ));
    }
    for name in &found.unclaimed {
        findings.push(Finding {
            what: "unclaimed namespace".into(),
            verdict: Verdict::Warning,
            detail: format!("{name} has nslab's mark, but no lab here knows of it"),
            remedy: Some(format!("unless a script of `nslab plan --shell` made it: `ip netns delete {name}`")),
        });
    }
    match left_by_containers::find(nslab) {
        Ok(all) => {
            let leftover = |what| finding("leftover", Verdict::Warning, what, Some("`nslab gc`"));
            findings.extend(all.into_iter().map(leftover));
        }
        Err(error) => findings.push(finding("leftovers", Verdict::Warning, reason(&error), None)),
    }
    if findings.is_empty() {
        findings.push(finding("leftovers", Verdict::Ok, "none", None));
    }
    Ok(findings)
}

fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
