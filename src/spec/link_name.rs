//! Which link is meant, and which of its ways. Pure.

use super::{Link, LinkEnd, Spec};
use crate::model::LabName;
use std::collections::HashMap;

/// A link, and those of its ways that are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkWay {
    /// The link, by its place in [`Spec::links`].
    pub link: usize,
    /// The end that sends, 0 or 1; `None` for both ways.
    pub from: Option<usize>,
}

/// A text that names no link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkNameError {
    /// No such link.
    #[error("{lab} has no link `{text}`; there {}", are(links))]
    Unknown {
        /// The lab.
        lab: LabName,
        /// What was asked for.
        text: String,
        /// The links that it has.
        links: Vec<String>,
    },
    /// Several.
    #[error("`{text}` may be {}: write one of them", links.join(" or "))]
    Ambiguous {
        /// What was asked for.
        text: String,
        /// What it may mean.
        links: Vec<String>,
    },
    /// What leaves an end does not go to it.
    #[error("what leaves by `{text}` does not go there: name the link as A--B, or leave out --towards")]
    Contradiction {
        /// What was asked for.
        text: String,
    },
    /// No such end.
    #[error("the link {link} does not lead to `{end}`: name one of its ends")]
    End {
        /// The link.
        link: String,
        /// What was asked for.
        end: String,
    },
}

/// How many links a message lists.
const LISTED: usize = 12;

fn are(links: &[String]) -> String {
    match links {
        [] => "is none".to_owned(),
        [one] => format!("is {one}"),
        some if some.len() > LISTED => format!("are {}, … ({} in all)", some[..LISTED].join(", "), some.len()),
        some => format!("are {}", some.join(", ")),
    }
}

impl std::fmt::Display for LinkEnd {
    /// As a topology names it: `net1:eth0`, `br0`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Node { node, interface } => write!(f, "{node}:{interface}"),
            Self::Switch(switch) => write!(f, "{switch}"),
        }
    }
}

impl Spec {
    /// The links' names, in their order: the two ends with `--` between them, and a number behind the second and further
    /// links between the same two switches, as their ports have it.
    pub fn link_names(&self) -> Vec<String> {
        let mut parallel: HashMap<[&LinkEnd; 2], u32> = HashMap::new();
        let name = |link: &'_ Link, count: u32| {
            let [a, b] = &link.ends;
            if count > 1 { format!("{a}--{b}-{count}") } else { format!("{a}--{b}") }
        };
        let mut names = Vec::with_capacity(self.links.len());
        for link in &self.links {
            let [a, b] = &link.ends;
            let in_order = if a.to_string() < b.to_string() { [a, b] } else { [b, a] };
            let count = parallel.entry(in_order).or_default();
            *count += 1;
            names.push(name(link, *count));
        }
        names
    }
}

/// Finds what is meant: `A--B` is a link and both its ways, `NODE:INTERFACE` what leaves by that interface. `towards`,
/// one of the ends, leaves the way to it alone.
///
/// # Errors
/// When there is no such link, or several, or it has no such end.
pub fn find_link(spec: &Spec, text: &str, towards: Option<&str>) -> Result<LinkWay, LinkNameError> {
    let names = spec.link_names();
    let mut found: Vec<LinkWay> = Vec::new();
    for (number, link) in spec.links.iter().enumerate() {
        // What joins two switches is named by its whole name: others may join them too.
        let is_trunk = link.ends.iter().all(|end| matches!(end, LinkEnd::Switch(_)));
        if names[number] == text || is_named(link, text) && !(is_trunk && names.iter().any(|name| name == text)) {
            found.push(LinkWay { link: number, from: None });
        }
        let from = link.ends.iter().position(|end| matches!(end, LinkEnd::Node { .. }) && end.to_string() == text);
        found.extend(from.map(|from| LinkWay { link: number, from: Some(from) }));
    }
    let way = match found.as_slice() {
        [one] => *one,
        [] => {
            return Err(LinkNameError::Unknown { lab: spec.name.clone(), text: text.to_owned(), links: names });
        }
        several => {
            let links = several.iter().map(|way| names[way.link].clone()).collect();
            return Err(LinkNameError::Ambiguous { text: text.to_owned(), links });
        }
    };
    let Some(towards) = towards else { return Ok(way) };
    let ends = &spec.links[way.link].ends;
    match ends.iter().position(|end| is_end(end, towards)) {
        Some(to) if way.from == Some(to) => Err(LinkNameError::Contradiction { text: text.to_owned() }),
        Some(to) => Ok(LinkWay { from: Some(1 - to), ..way }),
        None => Err(LinkNameError::End { link: names[way.link].clone(), end: towards.to_owned() }),
    }
}

/// Whether `A--B` names the link, in either order. Names may have dashes of their own.
fn is_named(link: &Link, text: &str) -> bool {
    let [x, y] = &link.ends;
    text.match_indices("--").any(|(at, dashes)| {
        let (a, b) = (&text[..at], &text[at + dashes.len()..]);
        is_end(x, a) && is_end(y, b) || is_end(x, b) && is_end(y, a)
    })
}

/// Whether a text names an end: `net1:eth0` or `net1`, `br0`.
fn is_end(end: &LinkEnd, text: &str) -> bool {
    end.to_string() == text || matches!(end, LinkEnd::Node { node, .. } if node.as_str() == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::samples::{link, node, spec, switch};

    fn lab() -> Spec {
        let mut spec = spec("lab");
        spec.switches = vec![switch("br0"), switch("br1")];
        spec.nodes = vec![node("a"), node("b"), node("a--b")];
        for (one, other) in [("a", "br0"), ("b", "br0"), ("a", "b"), ("a", "br1"), ("a", "br1"), ("a--b", "br0")] {
            link(&mut spec, (one, &[]), (other, &[]));
        }
        spec
    }

    #[test]
    fn a_link_has_several_names() {
        let find = |text: &str, towards| find_link(&lab(), text, towards).map(|way| (way.link, way.from));
        for text in ["a--br0", "br0--a", "a:eth0--br0", "br0--a:eth0"] {
            assert_eq!(find(text, None), Ok((0, None)), "{text}");
        }
        assert_eq!(find("a--b", None), Ok((2, None)));
        assert_eq!(find("a--b--br0", None), Ok((5, None)));
        assert_eq!(find("a:eth0", None), Ok((0, Some(0))));
        assert_eq!(find("b:eth1", None), Ok((2, Some(1))));
        assert_eq!(find("a--br0", Some("br0")), Ok((0, Some(0))));
        assert_eq!(find("a--br0", Some("a")), Ok((0, Some(1))));
        assert_eq!(find("a:eth0", Some("br0")), Ok((0, Some(0))));
    }

    #[test]
    fn links_between_the_same_switches_have_a_number() {
        let mut spec = lab();
        for (one, other) in [("br0", "br1"), ("br1", "br0"), ("br0", "br1")] {
            link(&mut spec, (one, &[]), (other, &[]));
        }
        assert_eq!(spec.link_names()[6..], ["br0--br1", "br1--br0-2", "br0--br1-3"]);
        let find = |text: &str| find_link(&spec, text, None).map(|way| way.link);
        assert_eq!((find("br0--br1"), find("br1--br0-2"), find("br0--br1-3")), (Ok(6), Ok(7), Ok(8)));
        assert!(find("br1--br0").unwrap_err().to_string().contains("br0--br1 or br1--br0-2 or br0--br1-3"));
    }

    #[test]
    fn what_names_no_link_or_several_is_told() {
        let says = |text: &str, towards| find_link(&lab(), text, towards).unwrap_err().to_string();
        assert_eq!(says("a--br1", None), "`a--br1` may be a:eth2--br1 or a:eth3--br1: write one of them");
        assert!(says("b--br1", None).starts_with("lab has no link `b--br1`; there are a:eth0--br0, b:eth0--br0, "));
        assert!(says("br0", None).starts_with("lab has no link `br0`"));
        assert!(says("a:eth0", Some("a")).starts_with("what leaves by `a:eth0` does not go there"));
        assert_eq!(says("a--br0", Some("b")), "the link a:eth0--br0 does not lead to `b`: name one of its ends");
    }
}
