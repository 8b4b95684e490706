//! Masquerading as commands: nft(8).

use super::shell::{Script, quoted};
use crate::model::nat::{DOCKER_TABLE, DOCKER_USER, ForwardPass, IpFamily, NatChain, NatRule, NatTable};

/// All at once: who reads the rules sees the old ones or the new ones.
pub(super) fn set_table(script: &mut Script, table: &NatTable) {
    let NatTable { name, interface: _, nic: _, subnets: _, mark } = table;
    script.line("nft -f - <<'END'");
    script.line(&format!("add table inet {name}"));
    script.line(&format!("delete table inet {name}"));
    script.line(&format!("table inet {name} {{"));
    for chain in NatChain::ALL {
        let (kind, priority) = match chain {
            NatChain::Forward => ("filter", "filter"),
            NatChain::Postrouting => ("nat", "srcnat"),
        };
        script.line(&format!("    chain {} {{", chain.as_str()));
        script.line(&format!("        type {kind} hook {} priority {priority}; policy accept;", chain.as_str()));
        for rule in table.rules(chain) {
            script.line(&format!("        {} comment \"{mark}\"", words(table, rule)));
        }
        script.line("    }");
    }
    script.line("}");
    script.line("END");
}

fn words(table: &NatTable, rule: NatRule) -> String {
    let (own, nic) = (&table.interface, table.nic.as_ref().unwrap_or(&table.interface));
    match rule {
        NatRule::DropElsewhere => format!("iifname \"{own}\" oifname != \"{own}\" oifname != \"{nic}\" drop"),
        NatRule::DropUnasked => format!("iifname != \"{own}\" oifname \"{own}\" ct state new drop"),
        NatRule::Masquerade(subnet) => {
            format!("{} saddr {subnet} oifname != \"{own}\" masquerade", IpFamily::of(subnet).as_str())
        }
    }
}

pub(super) fn remove_table(script: &mut Script, table: &NatTable) {
    script.line(&format!("nft delete table inet {}", quoted(&table.name)));
}

pub(super) fn add_pass(script: &mut Script, ForwardPass { family, interface, mark }: &ForwardPass) {
    for way in ["iifname", "oifname"] {
        script.line(&format!(
            "nft insert rule {} {DOCKER_TABLE} {DOCKER_USER} {way} {interface} counter accept comment {}",
            family.as_str(),
            quoted(&format!("\"{mark}\""))
        ));
    }
}

/// Rules go by their numbers (`nft --handle`).
pub(super) fn remove_pass(script: &mut Script, ForwardPass { family, interface: _, mark }: &ForwardPass) {
    let chain = format!("{} {DOCKER_TABLE} {DOCKER_USER}", family.as_str());
    script.line(&format!(
        "nft -a list chain {chain} | grep -F {} | sed 's/.*# handle //' |",
        quoted(&format!("\"{mark}\""))
    ));
    script.line(&format!("while read -r handle; do nft delete rule {chain} handle \"$handle\"; done"));
}
