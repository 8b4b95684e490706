//! What is printed without touching anything: topologies, the schema, completions, the doctor.

use crate::support::ThrowAwayHost;
use crate::support::run::{fails, json, ok, sh, write};

#[test]
fn topologies_are_listed_printed_and_valid() {
    ThrowAwayHost::run(|host| {
        let list = ok(&["topologies"]);
        for name in
            ["two-node", "three-tier", "dumbbell", "ring", "vlan", "slaac", "single", "linear", "tree", "torus", "mesh"]
        {
            assert!(list.lines().any(|line| line.starts_with(name)), "{name} is missing in:\n{list}");
        }
        for name in ["two-node", "three-tier", "dumbbell", "ring", "vlan", "slaac", "tree,2,2"] {
            let text = ok(&["topologies", "--show", name]);
            let file = write(host, "shown.yaml", &text);
            assert!(ok(&["validate", &file]).contains(" is valid: "));
            // The same by standard input.
            let nslab = env!("CARGO_BIN_EXE_nslab");
            assert!(sh(&format!("{nslab} topologies --show {name} | {nslab} validate -")).contains(" is valid: "));
        }
        assert_eq!(json(&["--json", "validate", "two-node"])["nodes"].as_array().unwrap().len(), 2);
        let bad = write(host, "bad.yaml", "name: x\nnodes: {a: {gatway: b}}\n");
        assert!(fails(&["validate", &bad], 2).contains("bad.yaml:2:13: unknown key `gatway`: did you mean `gateway`?"));
        let schema = json(&["schema"]);
        assert!(schema["properties"]["nodes"].is_object(), "{schema}");
        for shell in ["bash", "zsh", "fish"] {
            assert!(ok(&["completions", shell]).contains("two-node") || ok(&["completions", shell]).contains("nslab"));
        }
    });
}

#[test]
fn the_doctor_says_what_to_do() {
    ThrowAwayHost::run(|_| {
        let doctor = ok(&["doctor"]);
        for what in ["root", "network namespaces", "Linux bridge", "bridge VLAN filtering", "Open vSwitch", "Docker"] {
            assert!(doctor.contains(what), "{what} is missing in:\n{doctor}");
        }
        // Everything that is not well comes with a remedy.
        sh("ip netns add stray && ip -n stray link set lo alias nslab:stray/a up");
        sh("mkdir -p /etc/netns && ln -s /run/nslab/labs/gone/etc/x /etc/netns/gone-a");
        let report = json(&["--json", "doctor"]);
        let findings = report["findings"].as_array().unwrap();
        for finding in findings.iter().filter(|finding| finding["verdict"] != "ok") {
            assert!(finding["remedy"].is_string(), "{finding}");
        }
        let has = |what: &str, remedy: &str| {
            findings.iter().any(|f| f["what"] == what && f["remedy"].as_str().is_some_and(|r| r.contains(remedy)))
        };
        assert!(has("unclaimed namespace", "ip netns delete stray"), "{report}");
        assert!(has("leftover", "nslab gc"), "{report}");
        ok(&["gc"]);
        sh("ip netns del stray; umount /run/netns; rmdir /run/netns /etc/netns");
    });
}
