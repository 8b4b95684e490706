//! Every test that needs root: a real kernel, a throw-away host each, the command line as a user meets it.
//!
//! One executable, because linking takes longer than running, and because the VM is handed just this one.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that fails says where, and what it did")]
#![allow(clippy::unused_self, reason = "`host.sh` says where it is run")]

mod check;
mod cli;
mod container;
mod container_crash;
mod container_many;
mod crash;
mod dhcp;
mod exec;
mod failure;
mod frames;
mod image;
mod image_container;
mod image_layers;
mod inspect;
mod interrupt;
mod ipv6;
mod launch;
mod launch_cgroup;
mod launch_crash;
mod launch_detached;
mod launch_detached_cgroup;
mod launch_escapes;
mod launch_log;
mod launch_paths;
mod launch_process_1;
mod launch_record;
mod launch_report;
mod launch_rights;
mod launch_root;
mod launch_root_lacks;
mod launch_rootless;
mod launch_terminal;
mod library;
mod limit;
mod limit_io;
mod limit_lab;
mod links;
mod managers;
mod names;
mod nat;
mod ovs;
mod ovs_daemons;
mod ovs_settings;
mod ovsdb;
mod place;
mod plan;
mod plan_container;
mod plan_uplink;
mod show;
mod state;
mod support;
mod throw_away_host;
mod uplink;
mod uplink_confirm;
mod uplink_crash;
mod uplink_crash_ovs;
mod uplink_dhcp;
mod uplink_dhcp6;
mod uplink_dhcp_nodes;
mod uplink_failure;
mod uplink_identity;
mod uplink_keeper;
mod uplink_lockout;
mod uplink_ovs;
mod uplink_ovs_address;
mod uplink_ovs_daemons;
mod uplink_ra;
mod uplink_routes;
mod volume;
mod volume_copy;
mod watch;
