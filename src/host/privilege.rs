//! Whether the process may make and enter network namespaces.

/// CAP_NET_ADMIN and CAP_SYS_ADMIN (linux/capability.h): the one for links and addresses, the other for setns(2),
/// unshare(2) and mount(2).
const NEEDED: u64 = (1 << 12) | (1 << 21);

/// Whether the process has the capabilities that making a lab takes; root outside a container has.
pub fn is_privileged() -> bool {
    effective_capabilities().is_some_and(|effective| effective & NEEDED == NEEDED)
}

/// The CapEff line of proc_pid_status(5).
fn effective_capabilities() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}
