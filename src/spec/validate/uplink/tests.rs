//! What can be wrong with an `uplink`, and what comes of one that is right.

use crate::model::AddressMode;
use crate::spec::{NatUplink, NicUplink, Uplink, parse};
use proptest::prelude::*;

/// The uplink of a topology with so many switches, or what is wrong with it, a line each. It stands on line 4.
fn uplink(switches: usize, text: &str) -> Result<Option<Uplink>, Vec<String>> {
    let switches = ["{}", "{br0: }", "{br0: , br1: }"][switches];
    let text = format!("name: x\nnodes: {{a: }}\nswitches: {switches}\nuplink: {text}");
    let errors = |errors: crate::spec::SpecErrors| errors.to_string().lines().map(str::to_owned).collect();
    parse(&text, "x.yaml").map(|spec| spec.uplink).map_err(errors)
}

/// So many switches, a text, and all that is wrong with it.
type Case = (usize, &'static str, &'static [&'static str]);

#[track_caller]
fn hold(cases: &[Case]) {
    for (switches, text, expected) in cases {
        let expected: Vec<String> = expected.iter().map(|error| format!("x.yaml:{error}")).collect();
        assert_eq!(uplink(*switches, text), Err(expected), "{text}");
    }
}

const NOTHING: &str = "4:9: an uplink has a NIC, or is by NAT: add `nic: eth0`, or write `uplink: nat`";

#[test]
fn what_is_no_uplink() {
    hold(&[
        (1, "NAT", &["4:9: `NAT` says nothing of an uplink: write `nat`, or for a NIC of this name `{nic: NAT}`"]),
        (1, "eth0", &["4:9: `eth0` says nothing of an uplink: write `nat`, or for a NIC of this name `{nic: eth0}`"]),
        (1, "true", &["4:9: `true` says nothing of an uplink: write `nat`, or for a NIC of this name `{nic: true}`"]),
        (1, "[nat]", &["4:9: found a list: write a text or a mapping (`key: value`)"]),
        (1, "{}", &[NOTHING]),
        (1, "{switch: br0}", &[NOTHING]),
        (1, "{address: keep}", &[NOTHING]),
        (1, "{nic: }", &[NOTHING]),
        (1, "{nat: }", &[NOTHING]),
        (1, "{nat: false, switch: br0}", &[NOTHING]),
        (1, "nat\nuplink: {nic: eth0}", &["5:1: `uplink` is already there on line 4: keep one of the two"]),
        (1, "{{nat: true}: 1}", &["4:10: this is not YAML: expected string scalar"]),
    ]);
}

/// One mistake is one error: what is only a consequence is not told.
#[test]
fn keys_that_are_wrong() {
    hold(&[
        (
            1,
            "{nick: eth0}",
            &["4:10: unknown key `nick`: did you mean `nic`? known here are nic, switch, address, nat"],
        ),
        (1, "{nta: true}", &["4:10: unknown key `nta`: did you mean `nat`? known here are nic, switch, address, nat"]),
        (
            1,
            "{nic: eth0, swich: br0}",
            &["4:21: unknown key `swich`: did you mean `switch`? known here are nic, switch, address, nat"],
        ),
        // That is of one command, not of the lab.
        (1, "{nic: eth0, confirm: 60}", &["4:21: unknown key `confirm`: known here are nic, switch, address, nat"]),
        (1, "{nic: eth0, nic: eth1}", &["4:21: `nic` is already there on line 4: keep one of the two"]),
        (1, "\n  nic: eth0\n  nic: eth1", &["6:3: `nic` is already there on line 5: keep one of the two"]),
    ]);
}

#[test]
fn values_that_are_wrong() {
    hold(&[
        (1, "{nic: [eth0]}", &["4:15: found a list: write a text"]),
        (1, "{nic: 'a b'}", &["4:15: `a b` has ' ' in it: use letters, digits, `-`, `_` and `.`"]),
        (1, "{nic: lo}", &["4:15: `lo` is a name the kernel keeps for itself: choose another"]),
        (1, "{nic: sixteen-bytes-it}", &["4:15: `sixteen-bytes-it` is 16 bytes long, 15 is the most: shorten it"]),
        (1, "{nic: eth0, switch: {br0: }}", &["4:29: found a mapping: write a text"]),
        (1, "{nat: yes}", &["4:15: found a text: write true or false"]),
        (1, "{nat: 1, switch: br0}", &["4:15: found a number: write true or false"]),
        (
            1,
            "{nic: eth0, address: dhpc}",
            &["4:30: `dhpc` can't stand here: did you mean `dhcp`? use auto or dhcp or keep or none"],
        ),
        (
            1,
            "{nic: eth0, address: 192.0.2.10/24}",
            &["4:30: `192.0.2.10/24` can't stand here: use auto or dhcp or keep or none"],
        ),
        (1, "{nic: eth0, address: [keep]}", &["4:30: found a list: write auto or dhcp or keep or none"]),
        (
            1,
            "{nat: true, address: keep}",
            &["4:30: with `nat` the machine's address stays where it is: remove `address`, or `nat`"],
        ),
    ]);
}

#[test]
fn switches_that_are_wrong() {
    const NONE: &str = "4:9: the lab has no switch that an uplink could be at: add one, and link nodes to it";
    const WHICH: &str = "4:9: say which switch the uplink is at: br0 or br1";
    hold(&[
        (0, "nat", &[NONE]),
        (0, "{nic: eth0}", &[NONE]),
        (2, "nat", &[WHICH]),
        (2, "{nic: eth0}", &[WHICH]),
        (2, "{nat: true, nic: eth0, switch: }", &[WHICH]),
        (1, "{nic: eth0, switch: br1}", &["4:29: there is no switch `br1`: there is br0"]),
        (2, "{nat: true, switch: a}", &["4:29: there is no switch `a`: there is br0, br1"]),
        // All at once.
        (
            2,
            "{nat: true, switch: br7, nic: 'x y', what: 1}",
            &[
                "4:29: there is no switch `br7`: there is br0, br1",
                "4:39: `x y` has ' ' in it: use letters, digits, `-`, `_` and `.`",
                "4:46: unknown key `what`: known here are nic, switch, address, nat",
            ],
        ),
    ]);
}

#[test]
fn what_an_uplink_says() {
    let nic = |nic: &str, switch: &str, address| {
        let (nic, switch) = (nic.parse().unwrap(), switch.parse().unwrap());
        Ok(Some(Uplink::Nic(NicUplink { nic, switch, address, confirm_s: None })))
    };
    let nat = |switch: &str, nic: Option<&str>| {
        let (nic, switch) = (nic.map(|nic| nic.parse().unwrap()), switch.parse().unwrap());
        Ok(Some(Uplink::Nat(NatUplink { switch, nic })))
    };
    assert_eq!(uplink(1, ""), Ok(None));
    assert_eq!(uplink(1, "nat"), nat("br0", None));
    assert_eq!(uplink(2, "{nat: true, switch: br1, nic: eth0}"), nat("br1", Some("eth0")));
    assert_eq!(uplink(1, "{nic: eth0}"), nic("eth0", "br0", AddressMode::Auto));
    assert_eq!(uplink(1, "{nic: eth0, nat: false, switch: , address: }"), nic("eth0", "br0", AddressMode::Auto));
    // A number is a name, as everywhere.
    assert_eq!(uplink(2, "{nic: 7, switch: br1, address: none}"), nic("7", "br1", AddressMode::None));
}

fn any_value() -> impl Strategy<Value = String> {
    let known =
        ["eth0", "br0", "br1", "br2", "nat", "true", "false", "auto", "keep", "dhcp", "none", "", "0", "1.5", "~"];
    let others = [
        "[]",
        "[nat]",
        "{}",
        "{nic: eth0}",
        "''",
        "'a b'",
        "*x",
        "&x y",
        "lo",
        "10.0.0.1/24",
        "\"\\u0000\"",
        "- -",
        "!!x y",
    ];
    prop_oneof![
        4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => prop::sample::select(others.to_vec()).prop_map(str::to_owned),
        1 => "[ -~]{0,20}",
    ]
}

fn any_text() -> impl Strategy<Value = String> {
    let keys = ["nic", "switch", "address", "nat", "Nic", "swtch", "confirm", "''", "nat ", "7"];
    let entry = (prop::sample::select(keys.to_vec()), any_value()).prop_map(|(key, value)| format!("{key}: {value}"));
    let entries = prop::collection::vec(entry, 0..5).boxed();
    prop_oneof![
        1 => any_value(),
        3 => entries.clone().prop_map(|entries| format!("{{{}}}", entries.join(", "))),
        2 => entries.prop_map(|entries| entries.iter().fold(String::new(), |text, entry| text + "\n  " + entry)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stands there: it is an uplink at a switch that there is, or each error says where and what to do.
    #[test]
    fn whatever_stands_there_is_taken_or_refused_with_a_place_and_a_remedy(switches in 0..3_usize, text in any_text()) {
        match uplink(switches, &text) {
            Ok(None) => {}
            Ok(Some(uplink)) => {
                let number = ["br0", "br1"].iter().position(|name| uplink.switch().as_str() == *name);
                prop_assert!(number.is_some_and(|number| number < switches), "{text} is {uplink:?}");
                prop_assert!(switches == 1 || text.contains("switch"), "{text} is {uplink:?}");
                if let Uplink::Nic(NicUplink { nic, .. }) = &uplink {
                    prop_assert!(text.contains("nic") && text.contains(nic.as_str()), "{text} is {uplink:?}");
                }
            }
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                for error in errors {
                    let mut parts = error.splitn(4, ':');
                    prop_assert_eq!(parts.next(), Some("x.yaml"), "{}", error);
                    let line: usize = parts.next().unwrap().parse().unwrap();
                    let column: usize = parts.next().unwrap().parse().unwrap();
                    prop_assert!((1..=9).contains(&line) && column > 0, "{error}");
                    prop_assert!(!parts.next().unwrap().trim().is_empty(), "{error}");
                }
            }
        }
    }
}
