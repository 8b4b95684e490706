//! The machine itself: that it is what these tests are about.

use crate::support::ThrowAwayHost;
use crate::support::run::{ok, sh};

#[test]
fn it_is_a_stock_machine() {
    assert_eq!(std::fs::read_to_string("/proc/1/comm").unwrap(), "systemd\n");
    assert!(sh("uname -r").contains("-cloud-"), "{}", sh("uname -r"));
    assert_eq!(sh("stat -f -c %T /sys/fs/cgroup"), "cgroup2fs\n");
}

#[test]
fn the_doctor_finds_nothing_missing() {
    ThrowAwayHost::run(|_| {
        let doctor = ok(&["doctor"]);
        assert!(!doctor.contains("bad "), "{doctor}");
        assert!(doctor.contains("VLAN filtering"), "{doctor}");
    });
}
