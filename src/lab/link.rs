//! Changing a link of a lab that is up: an `up` to the topology that it has, with that link behaving otherwise.

use super::{Nslab, Options};
use crate::Error;
use crate::model::LabName;
use crate::report::{LinkReport, UpReport};
use crate::spec::{ConditionsChange, Link, LinkBehaviour, LinkEnd, LinkWay, find_link};

/// What is to become of a link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkChange {
    /// What is to happen to its frames.
    pub conditions: ConditionsChange,
    /// Whether it is to be up, where that is to change.
    pub up: Option<bool>,
}

impl Nslab {
    /// The links of a lab as they are.
    ///
    /// # Errors
    /// As [`Nslab::show`].
    pub async fn links(&self, lab: &LabName) -> Result<Vec<LinkReport>, Error> {
        Ok(self.show(lab).await?.links)
    }

    /// Changes one link of a lab that is up, until it is changed again or the lab is brought up anew. `link` is `A--B`, or
    /// `NODE:INTERFACE` for what leaves by that interface; `towards` is the end that the frames go to whose conditions
    /// change, where the other way's are to stay.
    ///
    /// # Errors
    /// When there is no such lab or link, it is half-made, the conditions make no sense, or what [`Nslab::up`] says.
    ///
    /// # Cancel safety
    /// As [`Nslab::up`].
    pub async fn change_link(
        &self,
        lab: &LabName,
        link: &str,
        towards: Option<&str>,
        change: &LinkChange,
        options: &Options,
    ) -> Result<UpReport, Error> {
        if towards.is_some() && change.conditions.is_none() {
            return Err(Error::Usage("a link is up or down both ways: leave out --towards".to_owned()));
        }
        self.edit(lab, options, |spec| {
            let LinkWay { link, from } = find_link(spec, link, towards)?;
            let link = &mut spec.links[link];
            let now = changed(link, from, change)?;
            link.at_run_time = (now != link.behaviour).then_some(now);
            Ok(())
        })
        .await
    }

    /// Gives a link, or all of them, the topology's own behaviour back.
    ///
    /// # Errors
    /// As [`Nslab::change_link`].
    ///
    /// # Cancel safety
    /// As [`Nslab::up`].
    pub async fn reset_links(&self, lab: &LabName, links: &[String], options: &Options) -> Result<UpReport, Error> {
        self.edit(lab, options, |spec| {
            if links.is_empty() {
                spec.links.iter_mut().for_each(|link| link.at_run_time = None);
            }
            for text in links {
                let LinkWay { link, from: _ } = find_link(spec, text, None)?;
                spec.links[link].at_run_time = None;
            }
            Ok(())
        })
        .await
    }
}

/// How a link behaves once it is changed; `from` is the end that sends what the conditions are of.
fn changed(link: &Link, from: Option<usize>, change: &LinkChange) -> Result<LinkBehaviour, Error> {
    let LinkChange { conditions, up } = change;
    let mut now = link.current();
    now.up = up.unwrap_or(now.up);
    for (side, way) in now.conditions.iter_mut().enumerate().filter(|(side, _)| from.is_none_or(|from| from == *side)) {
        *way = conditions.apply(way).map_err(|problem| Error::Usage(problem.to_string()))?;
        if let (LinkEnd::Switch(switch), Some(_), false) = (&link.ends[side], link.egress_qos, way.is_none()) {
            return Err(Error::Usage(format!(
                "`egress_qos` shapes already what {switch} sends over {}: change that in the topology, or give \
                 conditions for the other way alone, with --towards {switch}",
                link.ends.each_ref().map(ToString::to_string).join("--")
            )));
        }
    }
    Ok(now)
}
