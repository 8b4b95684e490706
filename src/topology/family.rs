//! Generated topologies by Mininet's shorthand: `single,4`, `linear,4,2`, `tree,2,3`, `torus,3,3`, `mesh,4`.
//!
//! Shapes, defaults and names are those of Mininet (mininet/topo.py and mininet/topolib.py of 2.3), so that its
//! exercises can be followed. The result is a topology's text.

use std::fmt::Write;

/// The most nodes, and the most links: what is left to do then is measured in seconds.
const MAX: u64 = 10_000;

/// The most ports of a Linux bridge (see `spec`).
const MAX_PORTS: u64 = 1023;

/// A shape and its parameters, which are in range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Hosts on one switch.
    Single {
        /// How many hosts.
        hosts: u64,
    },
    /// Switches in a row, with hosts on each.
    Linear {
        /// How many switches.
        switches: u64,
        /// How many hosts on each.
        hosts: u64,
    },
    /// Switches as a tree, with the hosts as its leaves.
    Tree {
        /// How many switches are above a leaf.
        depth: u64,
        /// How many branches each switch has.
        fanout: u64,
    },
    /// Switches in a grid whose edges are joined, with a host on each.
    Torus {
        /// How many rows.
        x: u64,
        /// How many columns.
        y: u64,
    },
    /// Hosts joined pairwise without any switch.
    Mesh {
        /// How many hosts.
        hosts: u64,
    },
}

/// Why a shorthand is none of a family.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FamilyError {
    /// Too few or too many parameters, or not numbers.
    #[error("`{text}` has not the parameters of `{family}`: write it as {form}")]
    Form {
        /// What was written.
        text: String,
        /// The family.
        family: &'static str,
        /// How it is written.
        form: &'static str,
    },
    /// A parameter is too small.
    #[error("`{text}` is too small: {what} must be {least} at least")]
    TooSmall {
        /// What was written.
        text: String,
        /// Which parameter.
        what: &'static str,
        /// The least.
        least: u64,
    },
    /// The lab would be too big.
    #[error("`{text}` would have {what}, and {max} is the most: choose smaller numbers")]
    TooBig {
        /// What was written.
        text: String,
        /// What there would be too many of.
        what: &'static str,
        /// The most.
        max: u64,
    },
}

/// A family's shorthand, an example of it, and a line on it.
pub(super) struct About {
    name: &'static str,
    /// How it is written.
    pub(super) form: &'static str,
    /// What it is.
    pub(super) description: &'static str,
}

/// All families.
pub(super) const ALL: [About; 5] = [
    About { name: "single", form: "single,HOSTS", description: "Hosts on one switch, as in single,4" },
    About {
        name: "linear",
        form: "linear,SWITCHES[,HOSTS]",
        description: "Switches in a row with hosts on each, as in linear,4 or linear,4,2",
    },
    About {
        name: "tree",
        form: "tree,DEPTH[,FANOUT]",
        description: "A tree of switches with hosts as leaves, as in tree,2,3",
    },
    About {
        name: "torus",
        form: "torus,X,Y",
        description: "A grid of switches joined at its edges (STP), a host each, as in torus,3,3",
    },
    About { name: "mesh", form: "mesh,HOSTS", description: "Hosts joined pairwise without a switch, as in mesh,4" },
];

impl Family {
    /// Reads a shorthand; `None` where the text does not begin with a family's name.
    pub(super) fn parse(text: &str) -> Option<Result<Self, FamilyError>> {
        let mut words = text.split(',');
        let name = words.next()?;
        let about = ALL.iter().find(|about| about.name == name)?;
        let numbers: Option<Vec<u64>> =
            words.map(|w| w.parse().ok().filter(|_| w.bytes().all(|b| b.is_ascii_digit()))).collect();
        // What is left out is as in Mininet.
        let family = match (name, numbers.as_deref()) {
            ("single", Some([])) => Self::Single { hosts: 2 },
            ("single", Some(&[hosts])) => Self::Single { hosts },
            ("linear", Some([])) => Self::Linear { switches: 2, hosts: 1 },
            ("linear", Some(&[switches])) => Self::Linear { switches, hosts: 1 },
            ("linear", Some(&[switches, hosts])) => Self::Linear { switches, hosts },
            ("tree", Some([])) => Self::Tree { depth: 1, fanout: 2 },
            ("tree", Some(&[depth])) => Self::Tree { depth, fanout: 2 },
            ("tree", Some(&[depth, fanout])) => Self::Tree { depth, fanout },
            ("torus", Some(&[x, y])) => Self::Torus { x, y },
            ("mesh", Some(&[hosts])) => Self::Mesh { hosts },
            _ => {
                let About { name: family, form, .. } = *about;
                return Some(Err(FamilyError::Form { text: text.to_owned(), family, form }));
            }
        };
        Some(family.check(text).map(|()| family))
    }

    fn check(self, text: &str) -> Result<(), FamilyError> {
        let at_least = |what, number: u64, least| {
            if number < least { Err(FamilyError::TooSmall { text: text.to_owned(), what, least }) } else { Ok(()) }
        };
        let at_most = |what, number: u64, max| {
            if number > max { Err(FamilyError::TooBig { text: text.to_owned(), what, max }) } else { Ok(()) }
        };
        match self {
            Self::Single { hosts } => {
                at_least("the number of hosts", hosts, 1)?;
                at_most("too many ports on its switch", hosts, MAX_PORTS)
            }
            Self::Linear { switches, hosts } => {
                at_least("the number of switches", switches, 1)?;
                at_least("the number of hosts", hosts, 1)?;
                at_most("too many ports on each switch", hosts, MAX_PORTS - 2)?;
                at_most("too many nodes", switches.saturating_mul(hosts), MAX)
            }
            Self::Tree { depth, fanout } => {
                at_least("the depth", depth, 1)?;
                at_least("the fanout", fanout, 1)?;
                at_most("too many ports on each switch", fanout, MAX_PORTS - 1)?;
                // A fanout of 1 makes no more hosts, but switches in a row.
                at_most("too many switches in a row", depth, 64)?;
                let hosts = u32::try_from(depth).map_or(u64::MAX, |depth| fanout.saturating_pow(depth));
                at_most("too many nodes", hosts, MAX)
            }
            Self::Torus { x, y } => {
                at_least("each side", x.min(y), 3)?;
                at_most("too many nodes", x.saturating_mul(y), MAX)
            }
            Self::Mesh { hosts } => {
                at_least("the number of hosts", hosts, 2)?;
                at_most("too many links", hosts.saturating_mul(hosts - 1) / 2, MAX)
            }
        }
    }

    /// The lab's name: the shorthand with its parameters, dashes for commas.
    pub(super) fn name(self) -> String {
        match self {
            Self::Single { hosts } => format!("single-{hosts}"),
            Self::Linear { switches, hosts: 1 } => format!("linear-{switches}"),
            Self::Linear { switches, hosts } => format!("linear-{switches}-{hosts}"),
            Self::Tree { depth, fanout } => format!("tree-{depth}-{fanout}"),
            Self::Torus { x, y } => format!("torus-{x}-{y}"),
            Self::Mesh { hosts } => format!("mesh-{hosts}"),
        }
    }

    /// The topology.
    pub(super) fn text(self) -> String {
        let mut lab = Lab::default();
        let description = match self {
            Self::Single { hosts } => {
                lab.switch("s1");
                for h in 1..=hosts {
                    lab.host(format!("h{h}"), "s1");
                }
                format!("{hosts} hosts on one switch")
            }
            Self::Linear { switches, hosts } => {
                lab.linear(switches, hosts);
                format!("{switches} switches in a row, hosts on each: {hosts}")
            }
            Self::Tree { depth, fanout } => {
                lab.tree(depth, fanout);
                format!("A tree of switches, {depth} deep, {fanout} branches each, with hosts as leaves")
            }
            Self::Torus { x, y } => {
                lab.torus(x, y);
                format!("{x} by {y} switches in a grid joined at its edges, a host on each")
            }
            Self::Mesh { hosts } => {
                lab.mesh(hosts);
                format!("{hosts} hosts, each joined to every other by a link of its own")
            }
        };
        let stp = matches!(self, Self::Torus { .. });
        lab.text(&self.name(), &description, stp)
    }
}

/// What a topology consists of, as it is generated.
#[derive(Default)]
struct Lab {
    switches: Vec<String>,
    hosts: Vec<String>,
    links: Vec<String>,
}

impl Lab {
    fn switch(&mut self, name: impl Into<String>) {
        self.switches.push(name.into());
    }

    fn host(&mut self, name: String, switch: &str) {
        self.links.push(format!("[{name}, {switch}]"));
        self.hosts.push(name);
    }

    fn linear(&mut self, switches: u64, hosts: u64) {
        for s in 1..=switches {
            let switch = format!("s{s}");
            for h in 1..=hosts {
                let name = if hosts == 1 { format!("h{s}") } else { format!("h{h}s{s}") };
                self.host(name, &switch);
            }
            if s > 1 {
                self.links.push(format!("[{switch}, s{}]", s - 1));
            }
            self.switch(switch);
        }
    }

    /// Depth first, as Mininet numbers them; returns the name of the subtree's root.
    fn tree(&mut self, depth: u64, fanout: u64) -> String {
        if depth == 0 {
            let name = format!("h{}", self.hosts.len() + 1);
            self.hosts.push(name.clone());
            return name;
        }
        let switch = format!("s{}", self.switches.len() + 1);
        self.switch(switch.clone());
        for _ in 0..fanout {
            let child = self.tree(depth - 1, fanout);
            self.links.push(format!("[{child}, {switch}]"));
        }
        switch
    }

    fn torus(&mut self, x: u64, y: u64) {
        for i in 1..=x {
            for j in 1..=y {
                let switch = format!("s{i}x{j}");
                self.host(format!("h{i}x{j}"), &switch);
                self.switch(switch);
            }
        }
        for i in 1..=x {
            for j in 1..=y {
                self.links.push(format!("[s{i}x{j}, s{i}x{}]", j % y + 1));
                self.links.push(format!("[s{i}x{j}, s{}x{j}]", i % x + 1));
            }
        }
    }

    fn mesh(&mut self, hosts: u64) {
        for h in 1..=hosts {
            self.hosts.push(format!("h{h}"));
        }
        let mut pair = 0_u32;
        for a in 1..=hosts {
            for b in a + 1..=hosts {
                // A /31 (RFC 3021) for each pair, one after the other from 10.0.0.0 on.
                let network = std::net::Ipv4Addr::from(0x0a00_0000 + 2 * pair);
                self.links.push(format!("{{endpoints: [h{a}, h{b}], subnets: [{network}/31]}}"));
                pair += 1;
            }
        }
    }

    fn text(self, name: &str, description: &str, stp: bool) -> String {
        let mut text = format!("name: {name}\ndescription: \"{description}\"\n");
        let mut section = |title: &str, lines: &[String]| {
            if !lines.is_empty() {
                // Writing to a String can't fail.
                let _ = writeln!(text, "{title}:");
                for line in lines {
                    let _ = writeln!(text, "  {line}");
                }
            }
        };
        let switches = self.switches.iter().enumerate().map(|(index, name)| {
            // One subnet for all, at the first switch, as big as 10,000 hosts need.
            let subnets = if index == 0 { "subnets: [10.0.0.0/16]" } else { "" };
            let stp = if stp { "stp: true" } else { "" };
            let separator = if subnets.is_empty() || stp.is_empty() { "" } else { ", " };
            format!("{name}: {{{subnets}{separator}{stp}}}")
        });
        section("switches", &switches.collect::<Vec<_>>());
        section("nodes", &self.hosts.iter().map(|name| format!("{name}:")).collect::<Vec<_>>());
        section("links", &self.links.iter().map(|link| format!("- {link}")).collect::<Vec<_>>());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{LinkEnd, parse};

    fn text(shorthand: &str) -> String {
        Family::parse(shorthand).unwrap().unwrap().text()
    }

    #[test]
    fn shapes_are_those_of_mininet() {
        for (shorthand, name, switches, nodes, links) in [
            ("single,4", "single-4", 1, 4, 4),
            ("single", "single-2", 1, 2, 2),
            ("linear,4", "linear-4", 4, 4, 7),
            ("linear,3,2", "linear-3-2", 3, 6, 8),
            ("tree,2,3", "tree-2-3", 4, 9, 12),
            ("tree,2", "tree-2-2", 3, 4, 6),
            ("torus,3,3", "torus-3-3", 9, 9, 27),
            ("mesh,4", "mesh-4", 0, 4, 6),
        ] {
            let spec = parse(&text(shorthand), shorthand).unwrap();
            assert_eq!(spec.name.as_str(), name);
            assert_eq!((spec.switches.len(), spec.nodes.len(), spec.links.len()), (switches, nodes, links), "{name}");
        }
    }

    #[test]
    fn trees_are_numbered_depth_first() {
        let spec = parse(&text("tree,2,2"), "tree").unwrap();
        let name = |end: &LinkEnd| match end {
            LinkEnd::Node { node, .. } => node.to_string(),
            LinkEnd::Switch(switch) => switch.to_string(),
        };
        let links: Vec<String> =
            spec.links.iter().map(|l| format!("{}-{}", name(&l.ends[0]), name(&l.ends[1]))).collect();
        assert_eq!(links, ["h1-s2", "h2-s2", "s2-s1", "h3-s3", "h4-s3", "s3-s1"]);
    }

    #[test]
    fn the_biggest_still_fit() {
        for shorthand in ["single,1023", "linear,100,100", "tree,4,10", "torus,100,100", "mesh,141"] {
            assert!(parse(&text(shorthand), shorthand).is_ok(), "{shorthand}");
        }
    }

    #[test]
    fn a_mesh_has_a_subnet_for_each_link() {
        let spec = parse(&text("mesh,3"), "mesh").unwrap();
        let of = |node: usize| -> Vec<String> {
            spec.nodes[node].interfaces.iter().map(|i| i.addresses[0].to_string()).collect()
        };
        assert_eq!(of(0), ["10.0.0.0/31", "10.0.0.2/31"]);
        assert_eq!(of(1), ["10.0.0.1/31", "10.0.0.4/31"]);
    }

    #[test]
    fn wrong_parameters_are_told() {
        let error = |shorthand: &str| Family::parse(shorthand).unwrap().unwrap_err().to_string();
        assert_eq!(error("tree,x"), "`tree,x` has not the parameters of `tree`: write it as tree,DEPTH[,FANOUT]");
        assert_eq!(error("torus,3"), "`torus,3` has not the parameters of `torus`: write it as torus,X,Y");
        assert_eq!(error("torus,2,3"), "`torus,2,3` is too small: each side must be 3 at least");
        assert_eq!(error("mesh,+4"), "`mesh,+4` has not the parameters of `mesh`: write it as mesh,HOSTS");
        assert_eq!(
            error("single,5000"),
            "`single,5000` would have too many ports on its switch, and 1023 is the most: choose smaller numbers"
        );
        for too_big in ["tree,99,99", "linear,99999999999,9", "mesh,18446744073709551615", "tree,2,1000"] {
            assert!(error(too_big).contains("choose smaller numbers"), "{too_big}");
        }
        assert!(Family::parse("star,4").is_none());
    }
}
