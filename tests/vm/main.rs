//! What a stock kernel makes different: openvswitch.ko, VLANs on bridges, systemd as the first process. Run by
//! `scripts/vm-test` in a virtual machine, which is slow: so nothing here is timed, and no lab is large.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that fails says where, and what it did")]
#![allow(clippy::unused_self, reason = "`host.sh` says where it is run")]

mod conditions;
mod datapath;
mod frames;
mod launch;
mod limit;
mod machine;
mod networkd;
mod pinged;
mod top;
mod topologies;
mod uplink;
mod vlans;
mod walks;

// The launcher's tests, which find cgroup version 2 here, systemd and another kernel. Those are left out to which these make no
// difference (logs, paths, commands), and what is of version 1 alone finds nothing to do.
#[path = "../real/launch_cgroup.rs"]
mod launch_cgroup;
#[path = "../real/launch_detached_cgroup.rs"]
mod launch_detached_cgroup;
#[path = "../real/launch_escapes.rs"]
mod launch_escapes;
#[path = "../real/launch.rs"]
mod launch_namespaces;
#[path = "../real/launch_rights.rs"]
mod launch_rights;
#[path = "../real/launch_root.rs"]
mod launch_root;
#[path = "../real/launch_terminal.rs"]
mod launch_terminal;

// Disks in memory, and mounts across namespaces.
#[path = "../real/volume.rs"]
mod volume;

#[expect(dead_code, unused_imports, unused_macros, reason = "the other tests use the rest")]
#[path = "../real/support/mod.rs"]
mod support;
