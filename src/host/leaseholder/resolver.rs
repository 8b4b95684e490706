//! A lease's name servers as a node's resolv.conf(5).

use crate::host::HostError;
use crate::host::dhcp::Lease;
use crate::host::names;
use std::fmt::Write as _;
use std::path::Path;

/// Writes the name servers into a node's directory; where there are none, the node has those of the machine.
///
/// # Errors
/// When it can't be written.
pub(super) fn write(directory: &Path, lease: &Lease) -> Result<(), HostError> {
    match content(lease) {
        Some(content) => names::write_resolver(directory, &content),
        None => remove(directory),
    }
}

/// Removes what was written.
///
/// # Errors
/// When it can't be removed.
pub(super) fn remove(directory: &Path) -> Result<(), HostError> {
    names::remove_resolver(directory)
}

fn content(lease: &Lease) -> Option<String> {
    if lease.dns_servers.is_empty() {
        return None;
    }
    let mut content = String::new();
    // What a server says is not to become a line of its own.
    let is_name = |name: &&String| name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    let domains: Vec<&str> = lease.search_domains.iter().filter(is_name).map(String::as_str).collect();
    // Writing to a String does not fail.
    if !domains.is_empty() {
        let _ = writeln!(content, "search {}", domains.join(" "));
    }
    for server in &lease.dns_servers {
        let _ = writeln!(content, "nameserver {server}");
    }
    Some(content)
}
