//! Which lab and which node are meant.

use super::args::Global;
use crate::Error;
use crate::model::{ContainerName, LabName, NodeName};
use crate::state::StateRoot;
use std::path::PathBuf;

/// The lab that is meant: the named one, that of `--lab` or `NSLAB_LAB`, or the only one that is up.
pub(super) fn lab(root: &StateRoot, global: &Global, named: Option<LabName>) -> Result<LabName, Error> {
    if let Some(lab) = named.or_else(|| global.lab.clone()) {
        return Ok(lab);
    }
    let mut up = root.lab_names()?;
    match up.len() {
        0 => Err(Error::NoLab),
        1 => Ok(up.remove(0)),
        _ => Err(Error::WhichLab { up }),
    }
}

/// The lab and the node that `NODE` or `LAB/NODE` mean.
pub(super) fn node(root: &StateRoot, global: &Global, text: &str) -> Result<(LabName, NodeName), Error> {
    let (lab_text, node_text) = match text.split_once('/') {
        Some((lab, node)) => (Some(lab), node),
        None => (None, text),
    };
    let wrong =
        |error: crate::model::NameError| Error::Usage(format!("{text:?} is neither NODE nor LAB/NODE: {error}"));
    let named = lab_text.map(LabName::try_from).transpose().map_err(wrong)?;
    let node = NodeName::try_from(node_text).map_err(wrong)?;
    Ok((lab(root, global, named)?, node))
}

/// A container, by whom it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Called {
    /// The node of a lab.
    Node(LabName, NodeName),
    /// No lab.
    Alone(ContainerName),
}

impl std::fmt::Display for Called {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Node(lab, node) => write!(f, "{lab}/{node}"),
            Self::Alone(name) => name.fmt(f),
        }
    }
}

impl Called {
    /// The directory of what is written down of it.
    pub(super) fn record(&self, root: &StateRoot) -> PathBuf {
        match self {
            Self::Node(lab, node) => root.lab(lab).container(node),
            Self::Alone(name) => root.launched(name),
        }
    }
}

/// The container that `NODE`, `LAB/NODE` or the `NAME` of one of no lab means; a node of this name comes first.
pub(super) fn container(root: &StateRoot, global: &Global, text: &str) -> Result<Called, Error> {
    let found = node(root, global, text).map(|(lab, node)| Called::Node(lab, node));
    let alone = ContainerName::try_from(text).ok().filter(|name| root.launched(name).exists()).map(Called::Alone);
    match (found, alone) {
        (Ok(node), _) if node.record(root).exists() => Ok(node),
        (_, Some(alone)) => Ok(alone),
        (found, None) => found,
    }
}

/// The lab and the link that `LINK` or `LAB/LINK` mean.
pub(super) fn link(root: &StateRoot, global: &Global, text: &str) -> Result<(LabName, String), Error> {
    let (named, link) = match text.split_once('/') {
        Some((lab, link)) => (Some(lab), link),
        None => (None, text),
    };
    let wrong =
        |error: crate::model::NameError| Error::Usage(format!("{text:?} is neither LINK nor LAB/LINK: {error}"));
    let named = named.map(LabName::try_from).transpose().map_err(wrong)?;
    Ok((lab(root, global, named)?, link.to_owned()))
}

/// The lab that all of these links are of, and they; all of them where there are none.
pub(super) fn links(root: &StateRoot, global: &Global, texts: &[String]) -> Result<(LabName, Vec<String>), Error> {
    let Some((first, rest)) = texts.split_first() else { return Ok((lab(root, global, None)?, Vec::new())) };
    let (of, first) = link(root, global, first)?;
    let mut links = vec![first];
    for text in rest {
        let (other, link) = link(root, global, text)?;
        if other != of {
            return Err(Error::Usage(format!(
                "the links are of two labs, {of} and {other}: reset those of one at a time"
            )));
        }
        links.push(link);
    }
    Ok((of, links))
}
