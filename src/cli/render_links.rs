//! `link show`: links as a table.

use super::args::Global;
use super::render::{json, table, text};
use super::render_lab::link_state;
use super::render_watch::time;
use crate::report::{LinkReport, SetBy};
use serde::Serialize;

/// All links.
pub(super) fn links(global: &Global, reports: &[LinkReport]) {
    if global.json { json(&reports) } else { text(&rows(reports.iter())) }
}

/// A link that was set up or down by turns.
pub(super) fn turned(global: &Global, link: &str, up: bool) {
    #[derive(Serialize)]
    struct Turned<'a> {
        link: &'a str,
        up: bool,
    }
    if global.json {
        json(&Turned { link, up });
    } else {
        text(&format!("{} {link} {}\n", time(), if up { "up" } else { "down" }));
    }
}

/// Links as a table, each way a row.
pub(super) fn rows<'a>(links: impl Iterator<Item = &'a LinkReport>) -> String {
    let mut rows = Vec::new();
    for LinkReport { link, state, at_run_time: _, ways } in links {
        for (number, way) in ways.iter().enumerate() {
            let first = number == 0;
            let only_first = |text: &str| if first { text.to_owned() } else { String::new() };
            rows.push(vec![
                only_first(link),
                only_first(link_state(*state)),
                format!("to {}", way.to),
                way.conditions.clone().unwrap_or_else(|| "-".to_owned()),
                match way.set_by {
                    SetBy::Topology => "topology",
                    SetBy::Link => "nslab link",
                    SetBy::SomebodyElse => "somebody else",
                }
                .to_owned(),
            ]);
        }
    }
    table(&["LINK", "STATE", "WAY", "CONDITIONS", "SET BY"], &rows)
}
