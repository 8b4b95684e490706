//! Names of labs, nodes, switches and interfaces, each checked against the rule of the place it ends up in.

use serde::{Deserialize, Serialize};

/// The longest lab, node or switch name, in bytes: two of them and a dash stay well below NAME_MAX (255), which
/// bounds a file in /run/netns, and one is a DNS label (RFC 1035 section 2.3.4), which a hosts file wants.
const MAX_LABEL_BYTES: usize = 63;

/// The longest interface name, in bytes: IFNAMSIZ less the terminating NUL (linux/if.h).
const MAX_INTERFACE_BYTES: usize = 15;

/// Why a text can't be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a name can't be empty")]
    Empty,
    /// The text has more bytes than the place it ends up in takes.
    #[error("`{name}` is {bytes} bytes long, {max} is the most: shorten it")]
    TooLong {
        /// The refused text.
        name: String,
        /// Its length in bytes.
        bytes: usize,
        /// The longest that is allowed, in bytes.
        max: usize,
    },
    /// The text starts with something other than an ASCII letter or digit.
    #[error("`{name}` must start with a letter or a digit")]
    Start {
        /// The refused text.
        name: String,
    },
    /// The text has a character that can't stand in such a name.
    #[error("`{name}` has {found:?} in it: use letters, digits, `-`, `_` and `.`")]
    Character {
        /// The refused text.
        name: String,
        /// The first character that is not allowed.
        found: char,
    },
    /// The kernel keeps this interface name for itself.
    #[error("`{name}` is a name the kernel keeps for itself: choose another")]
    Reserved {
        /// The refused text.
        name: String,
    },
}

fn check(text: &str, max: usize) -> Result<(), NameError> {
    let Some(first) = text.chars().next() else { return Err(NameError::Empty) };
    let name = || text.to_owned();
    if let Some(found) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
        return Err(NameError::Character { name: name(), found });
    }
    if !first.is_ascii_alphanumeric() {
        return Err(NameError::Start { name: name() });
    }
    if text.len() > max {
        return Err(NameError::TooLong { name: name(), bytes: text.len(), max });
    }
    Ok(())
}

fn check_label(text: &str) -> Result<(), NameError> {
    check(text, MAX_LABEL_BYTES)
}

fn check_interface(text: &str) -> Result<(), NameError> {
    check(text, MAX_INTERFACE_BYTES)?;
    // `lo` is in every namespace; `all` and `default` are directories in net.ipv4.conf (ip-sysctl.rst).
    if matches!(text, "lo" | "all" | "default") {
        return Err(NameError::Reserved { name: text.to_owned() });
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;
            fn try_from(text: &str) -> Result<Self, NameError> {
                $check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                $check(&text)?;
                Ok(Self(text))
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name! {
    /// A lab's name: the head of its namespaces' names.
    LabName, check_label
}
name! {
    /// A node's name: a host name inside the lab, the tail of its namespace's name.
    NodeName, check_label
}
name! {
    /// The name of a container that belongs to no lab.
    ContainerName, check_label
}
name! {
    /// The name of an image, from which containers get their root.
    ImageName, check_label
}
name! {
    /// A switch's name, which is also its bridge's: an interface name.
    SwitchName, check_interface
}
name! {
    /// A network interface's name (linux/if.h), other than `lo`.
    IfName, check_interface
}

impl From<&SwitchName> for IfName {
    /// A switch's bridge carries the switch's name; both obey the same rule.
    fn from(name: &SwitchName) -> Self {
        Self(name.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_where_the_kernel_ends_them() {
        assert!(IfName::try_from("a23456789012345").is_ok());
        assert!(matches!(IfName::try_from("a234567890123456"), Err(NameError::TooLong { bytes: 16, max: 15, .. })));
        assert!(matches!(IfName::try_from("all"), Err(NameError::Reserved { .. })));
        assert!(matches!(NodeName::try_from("../etc"), Err(NameError::Character { found: '/', .. })));
        assert!(matches!(NodeName::try_from(".."), Err(NameError::Start { .. })));
        assert!(matches!(NodeName::try_from(""), Err(NameError::Empty)));
    }
}
