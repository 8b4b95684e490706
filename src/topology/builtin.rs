//! The topologies that are embedded in the binary.

/// A topology that comes with nslab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Builtin {
    /// What it is called on the command line, and the lab's name.
    pub(super) name: &'static str,
    /// Its text.
    pub(super) text: &'static str,
}

macro_rules! builtin {
    ($($name:literal)*) => {
        [$(Builtin { name: $name, text: include_str!(concat!("../../topologies/", $name, ".yaml")) }),*]
    };
}

/// All of them, the simplest first.
pub(super) const ALL: [Builtin; 6] = builtin! { "two-node" "three-tier" "dumbbell" "ring" "vlan" "slaac" };

impl Builtin {
    pub(super) fn find(name: &str) -> Option<Self> {
        ALL.into_iter().find(|builtin| builtin.name == name)
    }

    /// What its `description` says, which stands in a line of its own.
    pub(super) fn description(&self) -> &'static str {
        self.text.lines().find_map(|line| line.strip_prefix("description: ")).unwrap_or_default()
    }
}
