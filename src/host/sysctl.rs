//! Kernel parameters of the network stack: files below /proc/sys/net, which show the namespace of the thread that
//! opens them (sysctl(8), Documentation/networking/ip-sysctl.rst).

use super::HostError;
use crate::model::{Interface, Sysctl, SysctlKey};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const SYSCTLS: &str = "/proc/sys";

/// Sets a parameter in the calling thread's namespace.
pub(super) fn set(sysctl: &Sysctl) -> Result<(), HostError> {
    let path = path_of(&sysctl.key);
    OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(sysctl.value.as_bytes())).map_err(
        |source| HostError::Sysctl {
            action: format!("write {:?} to", sysctl.value),
            key: sysctl.key.clone(),
            netns: sysctl.netns.to_string(),
            source,
        },
    )
}

/// Keeps an interface of the host's that is not up yet from taking advice of whoever is in the lab: a router there must not
/// become the machine's own. A kernel without IPv6 has nothing to be kept from.
pub(super) fn ignore_routers(interface: &Interface) -> Result<(), HostError> {
    let Some(key) = SysctlKey::of_ipv6(&interface.name, "accept_ra") else { return Ok(()) };
    if !path_of(&key).exists() {
        return Ok(());
    }
    set(&Sysctl { netns: interface.netns.clone(), key, value: "0".to_owned() })
}

/// The values that parameters have in the calling thread's namespace; those that don't exist there have none.
pub(super) fn read_all(keys: &[SysctlKey], netns: &str) -> Result<BTreeMap<SysctlKey, String>, HostError> {
    let mut values = BTreeMap::new();
    for key in keys {
        if let Some(value) = read(&path_of(key), key, netns)? {
            values.insert(key.clone(), value);
        }
    }
    Ok(values)
}

/// As [`read_all`], in a namespace just made: those of an interface that isn't there have its `default` entry's.
pub(super) fn read_pristine(keys: &[SysctlKey]) -> Result<BTreeMap<SysctlKey, String>, HostError> {
    const NETNS: &str = "a new namespace";
    let mut values = read_all(keys, NETNS)?;
    for key in keys {
        if let (false, Some(path)) = (values.contains_key(key), default_path_of(key))
            && let Some(value) = read(&path, key, NETNS)?
        {
            values.insert(key.clone(), value);
        }
    }
    Ok(values)
}

fn read(path: &Path, key: &SysctlKey, netns: &str) -> Result<Option<String>, HostError> {
    match fs::read_to_string(path) {
        Ok(value) => Ok(Some(value.trim_end_matches('\n').to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => {
            Err(HostError::Sysctl { action: "read".to_owned(), key: key.clone(), netns: netns.to_owned(), source })
        }
    }
}

fn path_of(key: &SysctlKey) -> PathBuf {
    Path::new(SYSCTLS).join(key.relative_path())
}

/// The file that new interfaces take this parameter over from: net/FAMILY/conf/default/PARAMETER.
fn default_path_of(key: &SysctlKey) -> Option<PathBuf> {
    let interface = key.interface()?;
    let parts = PathBuf::from(key.relative_path());
    let parts = parts.iter().enumerate().map(|(i, part)| match i {
        3 if part == interface.as_str() => "default".as_ref(),
        _ => part,
    });
    Some(Path::new(SYSCTLS).join(parts.collect::<PathBuf>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interfaces_parameter_comes_from_default() {
        let default = |key: &str| default_path_of(&key.parse().unwrap());
        let conf = default("net.ipv6.conf.eth0/10.accept_dad");
        assert_eq!(conf.as_deref(), Some(Path::new("/proc/sys/net/ipv6/conf/default/accept_dad")));
        assert_eq!(default("net.ipv4.ip_forward"), None);
        assert_eq!(default("net.ipv4.conf.all.rp_filter"), None);
    }
}
