//! [`Host`]'s rules: made, replaced and removed, a transaction each.

use super::{list, tell};
use crate::host::{Host, HostError};
use crate::model::IfName;
use crate::model::nat::{
    DOCKER_TABLE, DOCKER_USER, FORWARD_PASS_RULES, ForwardPass, IpFamily, NatChain, NatRule, NatTable,
};
use ipnetwork::IpNetwork;
use nftables::batch::Batch;
use nftables::expr::{CT, Expression, Meta, MetaKey, NamedExpression, Payload, PayloadField, Prefix};
use nftables::schema::{Chain, NfCmd, NfListObject, Rule, Table};
use nftables::stmt::{Counter, Match, Operator, Statement};
use nftables::types::{NfChainPolicy, NfChainType, NfFamily, NfHook};

/// Where filters and masquerading usually are among those of a hook (NF_IP_PRI_FILTER, NF_IP_PRI_NAT_SRC).
const FILTER_PRIORITY: i32 = 0;
const SOURCE_NAT_PRIORITY: i32 = 100;

impl Host {
    /// Makes a table in place of one of its name, which must not be somebody else's.
    ///
    /// # Errors
    /// When nft(8) can't be run, or the kernel refuses: then nothing is changed.
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn set_nat_table(&self, table: &NatTable) -> Result<(), HostError> {
        let table = table.clone();
        self.job(move || {
            let mut batch = Batch::new();
            // Made first, so that there is one to be deleted.
            batch.add(bare(&table.name));
            batch.delete(bare(&table.name));
            batch.add(bare(&table.name));
            for chain in NatChain::ALL {
                batch.add(NfListObject::Chain(base_chain(&table, chain)));
                for rule in table.rules(chain) {
                    batch.add(NfListObject::Rule(rule_of(&table, chain, rule)));
                }
            }
            tell(&format!("set the table {} of nftables", table.name), &batch.to_nftables())
        })
        .await
    }

    /// Removes a table, where it is there.
    ///
    /// # Errors
    /// As [`Host::set_nat_table`].
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn remove_nat_table(&self, name: &str) -> Result<(), HostError> {
        let name = name.to_owned();
        self.job(move || {
            let mut batch = Batch::new();
            batch.add(bare(&name));
            batch.delete(bare(&name));
            tell(&format!("remove the table {name} of nftables"), &batch.to_nftables())
        })
        .await
    }

    /// Lets a lab's packets pass before Docker drops them, whatever rules follow: in place of rules that were to do so. That
    /// Docker has no such chain is fine.
    ///
    /// # Errors
    /// As [`Host::set_nat_table`].
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn ensure_forward_pass(&self, pass: &ForwardPass) -> Result<(), HostError> {
        let pass = pass.clone();
        self.job(move || {
            let chains = list::chains()?;
            if !chains.iter().any(|chain| chain.docker_user() == Some(pass.family)) {
                return Ok(());
            }
            let rules = list::docker_user_rules(&chains, pass.family)?;
            let ours = || rules.iter().filter(|rule| rule.comment.as_deref() == Some(&pass.mark));
            if ours().count() == FORWARD_PASS_RULES {
                return Ok(());
            }
            let mut batch = Batch::new();
            ours().for_each(|rule| batch.delete(by_handle(pass.family, rule.handle)));
            for key in [MetaKey::Iifname, MetaKey::Oifname] {
                // As iptables writes them, which has to be able to read the chain.
                let said = [
                    matches(meta(key), Operator::EQ, text(pass.interface.as_str())),
                    Statement::Counter(Counter::Anonymous(None)),
                    Statement::Accept(None),
                ];
                let comment = Some(pass.mark.clone().into());
                let rule = Rule { expr: said.to_vec().into(), comment, ..docker_rule(pass.family) };
                batch.add_cmd(NfCmd::Insert(NfListObject::Rule(rule)));
            }
            tell(&format!("let {} pass in {DOCKER_USER}", pass.interface), &batch.to_nftables())
        })
        .await
    }

    /// Removes the rules with this mark from the chain that Docker leaves to the user.
    ///
    /// # Errors
    /// As [`Host::set_nat_table`].
    ///
    /// # Cancel safety
    /// A call that was begun is finished in the background.
    pub async fn remove_forward_pass(&self, family: IpFamily, mark: &str) -> Result<(), HostError> {
        let mark = mark.to_owned();
        self.job(move || {
            let mut batch = Batch::new();
            let rules = list::docker_user_rules(&list::chains()?, family)?;
            let mut ours = rules.iter().filter(|rule| rule.comment.as_deref() == Some(&mark)).peekable();
            if ours.peek().is_none() {
                return Ok(());
            }
            ours.for_each(|rule| batch.delete(by_handle(family, rule.handle)));
            tell(&format!("remove rules from {DOCKER_USER}"), &batch.to_nftables())
        })
        .await
    }
}

fn bare(name: &str) -> NfListObject<'static> {
    NfListObject::Table(Table { family: NfFamily::INet, name: name.to_owned().into(), handle: None })
}

fn base_chain(table: &NatTable, chain: NatChain) -> Chain<'static> {
    let (kind, hook, priority) = match chain {
        NatChain::Forward => (NfChainType::Filter, NfHook::Forward, FILTER_PRIORITY),
        NatChain::Postrouting => (NfChainType::NAT, NfHook::Postrouting, SOURCE_NAT_PRIORITY),
    };
    Chain {
        family: NfFamily::INet,
        table: table.name.clone().into(),
        name: chain.as_str().into(),
        newname: None,
        handle: None,
        _type: Some(kind),
        hook: Some(hook),
        prio: Some(priority),
        dev: None,
        policy: Some(NfChainPolicy::Accept),
    }
}

fn rule_of(table: &NatTable, chain: NatChain, rule: NatRule) -> Rule<'static> {
    let comes_in = |operator, name: &IfName| matches(meta(MetaKey::Iifname), operator, text(name.as_str()));
    let goes_out = |operator, name: &IfName| matches(meta(MetaKey::Oifname), operator, text(name.as_str()));
    let own = &table.interface;
    let said = match rule {
        NatRule::DropElsewhere => vec![
            comes_in(Operator::EQ, own),
            goes_out(Operator::NEQ, own),
            goes_out(Operator::NEQ, table.nic.as_ref().unwrap_or(own)),
            Statement::Drop(None),
        ],
        NatRule::DropUnasked => {
            let state = Expression::Named(NamedExpression::CT(CT { key: "state".into(), family: None, dir: None }));
            vec![
                comes_in(Operator::NEQ, own),
                goes_out(Operator::EQ, own),
                matches(state, Operator::IN, text("new")),
                Statement::Drop(None),
            ]
        }
        NatRule::Masquerade(subnet) => {
            vec![comes_from(subnet), goes_out(Operator::NEQ, own), Statement::Masquerade(None)]
        }
    };
    Rule {
        family: NfFamily::INet,
        table: table.name.clone().into(),
        chain: chain.as_str().into(),
        expr: said.into(),
        comment: Some(table.mark.clone().into()),
        ..Rule::default()
    }
}

fn docker_rule(family: IpFamily) -> Rule<'static> {
    let family = match family {
        IpFamily::Ip => NfFamily::IP,
        IpFamily::Ip6 => NfFamily::IP6,
    };
    Rule { family, table: DOCKER_TABLE.into(), chain: DOCKER_USER.into(), ..Rule::default() }
}

fn by_handle(family: IpFamily, handle: u32) -> NfListObject<'static> {
    NfListObject::Rule(Rule { handle: Some(handle), ..docker_rule(family) })
}

fn meta(key: MetaKey) -> Expression<'static> {
    Expression::Named(NamedExpression::Meta(Meta { key }))
}

fn text(text: &str) -> Expression<'static> {
    Expression::String(text.to_owned().into())
}

fn matches(left: Expression<'static>, op: Operator, right: Expression<'static>) -> Statement<'static> {
    Statement::Match(Match { left, right, op })
}

fn comes_from(subnet: IpNetwork) -> Statement<'static> {
    let field = PayloadField { protocol: IpFamily::of(subnet).as_str().into(), field: "saddr".into() };
    let address = text(&subnet.network().to_string());
    let prefix = Prefix { addr: Box::new(address), len: u32::from(subnet.prefix()) };
    matches(
        Expression::Named(NamedExpression::Payload(Payload::PayloadField(field))),
        Operator::EQ,
        Expression::Named(NamedExpression::Prefix(prefix)),
    )
}
