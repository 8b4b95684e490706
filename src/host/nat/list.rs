//! What nft(8) lists, as far as nslab looks at it: read leniently, for there are others' rules too, of whatever sort.

use super::ask;
use crate::host::{Host, HostError};
use crate::model::nat::{DOCKER_TABLE, DOCKER_USER, IpFamily, NatChain};
use crate::observed::nat::{NatView, ObservedNat, ObservedNatTable};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io;

/// A base chain, or one that others jump to.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Chain {
    pub(super) family: String,
    pub(super) table: String,
    pub(super) name: String,
    pub(super) hook: Option<String>,
    pub(super) policy: Option<String>,
}

/// A rule.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Rule {
    pub(super) chain: String,
    pub(super) handle: u32,
    pub(super) comment: Option<String>,
}

/// An object of a list; of those that are not looked at nothing is read.
#[derive(Debug, Default, Deserialize)]
struct Object {
    chain: Option<Chain>,
    rule: Option<Rule>,
}

#[derive(Deserialize)]
struct Document {
    nftables: Vec<Object>,
}

fn list(arguments: &[&str]) -> Result<Vec<Object>, HostError> {
    let text = ask(arguments)?;
    let document: Result<Document, serde_json::Error> = serde_json::from_str(&text);
    document.map(|document| document.nftables).map_err(|error| HostError::Nft {
        action: format!("read what `nft {}` says", arguments.join(" ")),
        said: "it is not what libnftables-json(5) says".to_owned(),
        source: io::Error::from(error),
    })
}

/// All chains of all tables.
pub(super) fn chains() -> Result<Vec<Chain>, HostError> {
    Ok(list(&["list", "chains"])?.into_iter().filter_map(|object| object.chain).collect())
}

/// The rules of a table that is there.
pub(super) fn rules_of_table(name: &str) -> Result<Vec<Rule>, HostError> {
    Ok(list(&["list", "table", "inet", name])?.into_iter().filter_map(|object| object.rule).collect())
}

impl Chain {
    /// The family whose chain of Docker's for the user's rules this is.
    pub(super) fn docker_user(&self) -> Option<IpFamily> {
        let is_it = self.table == DOCKER_TABLE && self.name == DOCKER_USER;
        IpFamily::ALL.into_iter().find(|family| is_it && self.family == family.as_str())
    }
}

/// The rules of Docker's chain for the user's, where there is one.
pub(super) fn docker_user_rules(chains: &[Chain], family: IpFamily) -> Result<Vec<Rule>, HostError> {
    if !chains.iter().any(|chain| chain.docker_user() == Some(family)) {
        return Ok(Vec::new());
    }
    let objects = list(&["list", "chain", family.as_str(), DOCKER_TABLE, DOCKER_USER])?;
    Ok(objects.into_iter().filter_map(|object| object.rule).collect())
}

impl Host {
    /// These tables of the lab's, and the rules in the chains that Docker leaves to the user.
    ///
    /// # Errors
    /// When nft(8) can't be run, or refuses to tell.
    pub async fn observe_nat(&self, tables: &BTreeSet<String>) -> Result<NatView, HostError> {
        if !super::has_nft() {
            return Ok(NatView::NoProgram);
        }
        let tables = tables.clone();
        self.job(move || Ok(NatView::Seen(observe(&tables)?))).await
    }
}

fn observe(tables: &BTreeSet<String>) -> Result<ObservedNat, HostError> {
    let chains = chains()?;
    let mut observed = ObservedNat::default();
    for name in tables {
        let mut of_table = chains.iter().filter(|chain| chain.family == "inet" && chain.table == *name).peekable();
        if of_table.peek().is_none() {
            continue;
        }
        let mut table = ObservedNatTable::default();
        for chain in of_table {
            match known(&chain.name) {
                Some(known) if chain.hook.as_deref() == Some(known.as_str()) => {
                    table.chains.insert(known, Vec::new());
                }
                _ => table.has_others = true,
            }
        }
        for rule in rules_of_table(name)? {
            if let Some(comments) = known(&rule.chain).and_then(|chain| table.chains.get_mut(&chain)) {
                comments.push(rule.comment);
            }
        }
        observed.tables.insert(name.clone(), table);
    }
    for family in IpFamily::ALL {
        let comments = docker_user_rules(&chains, family)?.into_iter().filter_map(|rule| rule.comment).collect();
        observed.passes.insert(family, comments);
    }
    Ok(observed)
}

fn known(chain: &str) -> Option<NatChain> {
    NatChain::ALL.into_iter().find(|known| known.as_str() == chain)
}
