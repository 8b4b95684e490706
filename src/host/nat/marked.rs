//! The rules of any lab: what `doctor` and `gc` look at.

use super::list;
use crate::host::{Host, HostError};
use crate::model::instance_of_mark;
use crate::model::nat::{IpFamily, NAT_TABLE_PREFIX, boot_of_mark};
use crate::model::{Instance, lab_of_mark};
use std::collections::BTreeSet;

/// Rules of one lab in one place, by what they are marked with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MarkedRules {
    /// The table that they are all of, or the family whose chain of Docker's they are in.
    place: Place,
    /// Their mark.
    mark: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Table(String),
    DockerUser(IpFamily),
}

impl MarkedRules {
    /// Which of the labs of its name they are of; a script's has none.
    pub fn instance(&self) -> Option<Instance> {
        instance_of_mark(&self.mark)
    }

    /// The start of the boot that they were made in.
    pub fn boot(&self) -> Option<&str> {
        boot_of_mark(&self.mark)
    }

    /// The command that removes them.
    pub fn removal(&self) -> String {
        match &self.place {
            Place::Table(name) => format!("nft delete table inet {name}"),
            Place::DockerUser(family) => {
                let family = family.as_str();
                format!("nft -a list chain {family} filter DOCKER-USER, and `nft delete rule` by their handles")
            }
        }
    }
}

impl std::fmt::Display for MarkedRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lab = lab_of_mark(&self.mark).unwrap_or_default();
        match &self.place {
            Place::Table(name) => write!(f, "the table {name} of nftables, of a lab {lab}"),
            Place::DockerUser(family) => write!(f, "rules in DOCKER-USER ({}), of a lab {lab}", family.in_words()),
        }
    }
}

impl Host {
    /// The rules of all labs; none where there is no nft(8).
    ///
    /// # Errors
    /// When nft can't be run, or refuses to tell.
    pub async fn marked_rules(&self) -> Result<Vec<MarkedRules>, HostError> {
        if !super::has_nft() {
            return Ok(Vec::new());
        }
        self.job(|| {
            let chains = list::chains()?;
            let mut found = BTreeSet::new();
            let mut add = |place: Place, rules: Vec<list::Rule>| {
                let marks = rules.into_iter().filter_map(|rule| rule.comment).filter(|mark| mark.starts_with("nslab:"));
                found.extend(marks.map(|mark| MarkedRules { place: place.clone(), mark }));
            };
            let tables = chains.iter().filter(|c| c.family == "inet" && c.table.starts_with(NAT_TABLE_PREFIX));
            for table in tables.map(|chain| &chain.table).collect::<BTreeSet<_>>() {
                add(Place::Table(table.clone()), list::rules_of_table(table)?);
            }
            for family in IpFamily::ALL {
                add(Place::DockerUser(family), list::docker_user_rules(&chains, family)?);
            }
            Ok(found.into_iter().collect())
        })
        .await
    }

    /// Removes the rules of a lab that is no more.
    ///
    /// # Errors
    /// When nft can't be run, or the kernel refuses.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn remove_marked_rules(&self, rules: &MarkedRules) -> Result<(), HostError> {
        match &rules.place {
            Place::Table(name) => self.remove_nat_table(name).await,
            Place::DockerUser(family) => self.remove_forward_pass(*family, &rules.mark).await,
        }
    }
}
