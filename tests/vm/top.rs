//! `nslab top` where cgroups are of version 2, and systemd's.

use crate::networkd::alone;
use crate::support::run::{json, ok, sh};
use crate::support::wait_until;
use serde_json::Value;
use std::time::Duration;

const SOON: Duration = Duration::from_mins(2);

const LAB: &str = "
name: matrix
nodes:
  busy:
    container:
      rootfs: /var/tmp/busy
      command: [sh, -c, 'while :; do dd if=/dev/zero of=/written bs=64k count=64 conv=fsync; done']
      limits: {memory: 100M}
  calm: {container: {rootfs: host, command: [sleep, '5502']}}
";

fn of(name: &str) -> Value {
    let told = json(&["top", "--once", "--json"]);
    told["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).cloned().unwrap()
}

#[test]
fn a_busy_container_is_seen_to_work_and_to_write() {
    let _alone = alone();
    // On the machine's disk: /tmp is none, and what is written in the machine's own root is in a layer that is none either.
    sh("mkdir -p /var/tmp/busy/bin /var/tmp/busy/dev /var/tmp/busy/proc /var/tmp/busy/sys; cd /var/tmp/busy/bin
        cp /bin/busybox .; ln -s busybox sh; ln -s busybox dd");
    let file = std::env::temp_dir().join("top.yaml");
    std::fs::write(&file, LAB).unwrap();
    ok(&["up", file.to_str().unwrap()]);
    let is_busy =
        |node: &Value| node["cpu_percent"].as_f64() > Some(1.0) && node["io_written_bytes_per_s"].as_u64() > Some(0);
    let mut told = Value::Null;
    wait_until("it works and writes", SOON, || {
        told = of("busy");
        is_busy(&told)
    });
    let busy = told;
    assert_eq!((&busy["memory_limit_bytes"], &busy["state"]), (&(100 << 20).into(), &"running".into()), "{busy}");
    assert!(busy["memory_bytes"].as_u64() > Some(0) && busy["pids"].as_u64() >= Some(2), "{busy}");
    // It is the cgroup that tells of it: systemd has it counted there.
    let scope = "/sys/fs/cgroup/nslab.slice/nslab-matrix.slice/nslab-matrix-busy.scope";
    assert!(sh(&format!("cat {scope}/io.stat")).contains("wbytes="));
    let calm = of("calm");
    assert!(calm["cpu_percent"].as_f64() < busy["cpu_percent"].as_f64(), "{calm}");
    assert_eq!((&calm["io_written_bytes_per_s"], &calm["memory_limit_bytes"]), (&0.into(), &Value::Null), "{calm}");
    ok(&["down"]);
    sh("rm -r /var/tmp/busy");
}
