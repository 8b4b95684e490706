//! Names of kernel parameters that belong to a network namespace.

use super::IfName;
use serde::{Deserialize, Serialize};

/// The name of a network sysctl, `net.…`, with dots between its parts; a dot inside a part is written `/`, as
/// sysctl(8) does it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SysctlKey(String);

/// Why a text can't be a sysctl of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SysctlKeyError {
    /// Only `net.` sysctls belong to a network namespace; others would change the machine.
    #[error("`{0}` is not of the `net.` family: only those belong to a node, others would change the whole machine")]
    NotNet(String),
    /// An empty part, `..`, a NUL or white space.
    #[error("`{0}` is no sysctl name: write it as `net.ipv4.ip_forward`")]
    Form(String),
}

impl SysctlKey {
    /// A parameter of IPv6 on an interface; `None` where it has no such name.
    pub fn of_ipv6(interface: &IfName, parameter: &str) -> Option<Self> {
        Self::of_interface("ipv6", interface, parameter)
    }

    /// As [`SysctlKey::of_ipv6`], of IPv4.
    pub fn of_ipv4(interface: &IfName, parameter: &str) -> Option<Self> {
        Self::of_interface("ipv4", interface, parameter)
    }

    fn of_interface(family: &str, interface: &IfName, parameter: &str) -> Option<Self> {
        // A dot in a name would be a separator.
        Self::try_from(format!("net.{family}.conf.{}.{parameter}", interface.as_str().replace('.', "/"))).ok()
    }

    /// The parameter by which forwarding IPv4 is switched on or off for all interfaces at once, of a parameter that does so
    /// for one.
    pub fn of_all_interfaces(&self) -> Option<Self> {
        let is_forwarding = self.0.starts_with("net.ipv4.conf.") && self.0.ends_with(".forwarding");
        if is_forwarding { Self::try_from("net.ipv4.conf.all.forwarding".to_owned()).ok() } else { None }
    }

    /// The name as sysctl(8) writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path below /proc/sys.
    pub fn relative_path(&self) -> String {
        self.0
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                c => c,
            })
            .collect()
    }

    /// The interface that the parameter belongs to, where it belongs to one: it exists only as long as that does.
    pub fn interface(&self) -> Option<IfName> {
        let parts: Vec<&str> = self.0.split('.').collect();
        match parts.as_slice() {
            ["net", "ipv4" | "ipv6" | "mpls", "conf" | "neigh", name, ..] => {
                IfName::try_from(name.replace('/', ".")).ok()
            }
            _ => None,
        }
    }
}

impl TryFrom<String> for SysctlKey {
    type Error = SysctlKeyError;
    fn try_from(text: String) -> Result<Self, SysctlKeyError> {
        if text.chars().any(|c| c.is_whitespace() || c == '\0')
            || text.split('.').any(|p| p.is_empty() || p.contains("//"))
        {
            return Err(SysctlKeyError::Form(text));
        }
        if !text.starts_with("net.") {
            return Err(SysctlKeyError::NotNet(text));
        }
        Ok(Self(text))
    }
}

impl std::str::FromStr for SysctlKey {
    type Err = SysctlKeyError;
    fn from_str(text: &str) -> Result<Self, SysctlKeyError> {
        Self::try_from(text.to_owned())
    }
}

impl From<SysctlKey> for String {
    fn from(key: SysctlKey) -> String {
        key.0
    }
}

impl std::fmt::Display for SysctlKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_knows_its_file_and_its_interface() {
        let key: SysctlKey = "net.ipv4.conf.eth0/10.rp_filter".parse().unwrap();
        assert_eq!(key.relative_path(), "net/ipv4/conf/eth0.10/rp_filter");
        assert_eq!(key.interface().unwrap().as_str(), "eth0.10");
        assert_eq!("net.ipv4.conf.all.rp_filter".parse::<SysctlKey>().unwrap().interface(), None);
        assert_eq!("net.ipv4.ip_forward".parse::<SysctlKey>().unwrap().interface(), None);
    }

    #[test]
    fn a_key_stays_inside_the_namespace() {
        assert!(matches!("kernel.hostname".parse::<SysctlKey>(), Err(SysctlKeyError::NotNet(_))));
        for bad in ["net..x", "net.//.//.x", "net.a b", ""] {
            assert!(bad.parse::<SysctlKey>().is_err(), "{bad}");
        }
    }
}
