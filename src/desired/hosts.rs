//! The hosts(5) files by which nodes resolve one another's names, and which node reads which.
//!
//! A node with addresses in several subnets has several lines; those in a subnet that the reader is in too come first,
//! for they are the ones it surely reaches. So what a file says depends on the reader's subnets alone, and nodes in
//! the same ones share a file: one in all for a thousand nodes on a switch. A node that takes an address by DHCP has a
//! directory of its own: its name servers' names are written there too.

use super::nat::Resolver;
use super::{dhcp, nodes::network_of};
use crate::model::{HostsFile, NameDirectory, PinName, hash};
use crate::spec::{Node, Spec};
use ipnetwork::IpNetwork;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

/// The longest name of a file's directory that is spelt out, in bytes; `NAME_MAX` is 255, but people read these.
const MAX_DIRECTORY_BYTES: usize = 64;

const LOCALHOST: &str = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";

/// What is added to the name of a directory whose readers have the subnets of others, but no resolver.
const NO_RESOLVER: &str = ",no-resolver";

/// The most lines of all files together that are written for the sake of the order: where no two nodes share their
/// subnets, each has a file with every name of the lab, which for a ring of a thousand would be two million.
const MAX_LINES: usize = 200_000;

/// The files in directories below `root`, and each node's link to its own.
///
/// Nodes with a resolver and nodes without don't share one: in the directories of those without is no resolv.conf.
pub(super) fn files(spec: &Spec, root: &Path, resolver: Option<&Resolver<'_>>) -> (Vec<HostsFile>, Vec<NameDirectory>) {
    let mut readers: Vec<BTreeSet<IpNetwork>> = spec.nodes.iter().map(subnets).collect();
    let addresses = spec.nodes.iter().flat_map(|node| &node.interfaces).flat_map(|i| &i.addresses).count();
    if readers.iter().collect::<BTreeSet<_>>().len() * addresses > MAX_LINES {
        // One file for all, in the topology's order. The resolver sorts by what it can reach, if by nothing finer.
        readers.fill(BTreeSet::new());
    }
    let resolv_conf =
        |node: &Node| resolver.filter(|resolver| resolver.nodes.contains(&node.name)).map(|resolver| resolver.content);
    let with_resolver: BTreeSet<BTreeSet<IpNetwork>> = spec
        .nodes
        .iter()
        .zip(&readers)
        .filter(|(node, _)| resolv_conf(node).is_some())
        .map(|(_, subnets)| subnets.clone())
        .collect();
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    let mut links = Vec::with_capacity(spec.nodes.len());
    for (node, subnets) in spec.nodes.iter().zip(readers) {
        // Named after the subnets, not the content: a further node then changes a file, not everybody's link.
        let leased = dhcp::has_client(node);
        let resolv_conf = resolv_conf(node).map(str::to_owned).filter(|_| !leased);
        let apart = if resolv_conf.is_none() && with_resolver.contains(&subnets) { NO_RESOLVER } else { "" };
        let directory = if leased { format!("node-{}", node.name) } else { name(&subnets) + apart };
        let directory = root.join(directory);
        links.push(NameDirectory { netns: PinName::of_node(&spec.name, &node.name), directory: directory.clone() });
        if seen.insert(directory.clone()) {
            files.push(HostsFile { directory, content: content(spec, &subnets), resolv_conf, leased });
        }
    }
    (files, links)
}

fn subnets(node: &Node) -> BTreeSet<IpNetwork> {
    node.interfaces.iter().flat_map(|interface| &interface.addresses).map(|&address| network_of(address)).collect()
}

/// `10.0.0.0-24`, several joined by commas; a hash where that gets long.
fn name(subnets: &BTreeSet<IpNetwork>) -> String {
    let spelt: Vec<String> = subnets.iter().map(|s| format!("{}-{}", s.ip(), s.prefix())).collect();
    match spelt.join(",") {
        none if none.is_empty() => "any-subnet".to_owned(),
        long if long.len() > MAX_DIRECTORY_BYTES => format!("{:016x}", hash::stable(&long)),
        short => short,
    }
}

fn content(spec: &Spec, subnets: &BTreeSet<IpNetwork>) -> String {
    let mut near = LOCALHOST.to_owned();
    let mut far = String::new();
    for node in &spec.nodes {
        for &address in node.interfaces.iter().flat_map(|interface| &interface.addresses) {
            let lines = if subnets.contains(&network_of(address)) { &mut near } else { &mut far };
            // Writing to a String does not fail.
            let _ = writeln!(lines, "{} {}", address.ip(), node.name);
        }
    }
    near + &far
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::samples::{link, node, single, spec};

    #[test]
    fn nodes_on_a_switch_share_a_file() {
        let (files, links) = files(&single("lab", "h", 1000), Path::new("/run/nslab/labs/lab/etc"), None);
        assert_eq!((files.len(), links.len()), (1, 1000));
        assert_eq!(files[0].directory, Path::new("/run/nslab/labs/lab/etc/10.0.0.0-8"));
        assert_eq!(files[0].content.lines().count(), 1002);
    }

    #[test]
    fn the_reachable_address_comes_first() {
        let mut spec = spec("lab");
        spec.nodes = vec![node("a"), node("b"), node("c")];
        link(&mut spec, ("a", &["10.0.1.1/24"]), ("b", &["10.0.1.2/24"]));
        link(&mut spec, ("b", &["10.0.2.1/24"]), ("c", &["10.0.2.2/24"]));
        link(&mut spec, ("a", &["fd00:3::1/64"]), ("c", &["fd00:3::2/64"]));
        let (files, links) = files(&spec, Path::new("/etc-of-lab"), None);
        assert_eq!(files.len(), 3);
        let of_c = files.iter().find(|file| file.directory == links[2].directory).unwrap();
        assert_eq!(of_c.directory, Path::new("/etc-of-lab/10.0.2.0-24,fd00:3::-64"));
        assert_eq!(
            of_c.content,
            "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n\
             fd00:3::1 a\n10.0.2.1 b\n10.0.2.2 c\nfd00:3::2 c\n10.0.1.1 a\n10.0.1.2 b\n"
        );
    }

    #[test]
    fn who_asks_a_name_server_has_a_file_of_it_and_who_does_not_has_none() {
        let spec = single("lab", "h", 3);
        let all =
            Resolver { nodes: spec.nodes.iter().map(|node| &node.name).collect(), content: "nameserver 192.0.2.1\n" };
        let root = Path::new("/etc-of-lab");
        let (of_all, links) = files(&spec, root, Some(&all));
        assert_eq!((of_all.len(), of_all[0].resolv_conf.as_deref()), (1, Some(all.content)));
        assert_eq!(links, files(&spec, root, None).1, "the same directories");
        let one = Resolver { nodes: spec.nodes[1..].iter().map(|node| &node.name).collect(), ..all };
        let (of_some, links) = files(&spec, root, Some(&one));
        assert_eq!(links[0].directory, root.join("10.0.0.0-24,no-resolver"));
        let resolv_conf = |of: &NameDirectory| {
            of_some.iter().find(|file| file.directory == of.directory).unwrap().resolv_conf.as_deref()
        };
        assert_eq!([resolv_conf(&links[0]), resolv_conf(&links[1])], [None, Some(one.content)]);
    }

    #[test]
    fn where_no_two_nodes_are_alike_there_is_one_file_in_the_end() {
        let mut spec = spec("lab");
        spec.nodes = (0..600).map(|n| node(&format!("h{n}"))).collect();
        for n in 0..599_usize {
            let [a, b] = [1, 2].map(|host| format!("10.{}.{}.{host}/24", n / 256, n % 256));
            link(&mut spec, (&format!("h{n}"), &[&a]), (&format!("h{}", n + 1), &[&b]));
        }
        let (files, links) = files(&spec, Path::new("/etc-of-lab"), None);
        assert_eq!((files.len(), links.len()), (1, 600));
        assert_eq!(files[0].content.lines().count(), 2 + 2 * 599);
    }
}
