//! What a container may do, as programs like amicontained report it from inside.

use crate::support::ThrowAwayHost;
use crate::support::run::{ok, sh};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const PROBE: &str = include_str!("launch_report/probe.py");

/// The report on a container by default. Docker's is the same, but for the time namespace, which it shares.
const REPORT: &str = "\
namespaces of its own: cgroup ipc mnt net pid time uts
namespaces of its caller's: user
capabilities: chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot
  mknod audit_write setfcap
no new privileges: 1
filter of system calls: 2
supplementary groups: none
refused system calls: _sysctl acct add_key afs_syscall bpf clock_settime create_module delete_module
  fanotify_init finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy getpmsg init_module
  io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl
  lookup_dcookie mbind migrate_pages mount mount_setattr move_mount move_pages nfsservctl open_by_handle_at
  open_tree perf_event_open pidfd_getfd pivot_root process_madvise putpmsg query_module quotactl quotactl_fd
  reboot request_key security set_mempolicy set_mempolicy_home_node setdomainname sethostname setns
  settimeofday swapoff swapon sysfs syslog tuxcall umount2 unshare uselib userfaultfd ustat vserver
";

/// What a program prints in a container of the machine's own root.
fn inside(host: &ThrowAwayHost, options: &[&str], command: &[&str]) -> String {
    let probe = host.scratch().join("probe.py");
    std::fs::write(&probe, PROBE).unwrap();
    let bind = format!("{}:/mnt:ro", host.scratch().display());
    ok(&[&["launch", "--rootfs", "host", "--bind", &bind], options, &["--"], command].concat())
}

/// The system calls and what is answered.
fn answers(host: &ThrowAwayHost, options: &[&str]) -> BTreeMap<String, String> {
    let said = inside(host, options, &["python3", "/mnt/probe.py"]);
    said.lines().map(|line| line.split_once(' ').unwrap()).map(|(name, answer)| (name.into(), answer.into())).collect()
}

/// A line of a report, broken where it gets long.
fn line(report: &mut String, head: &str, words: &[&str]) {
    let mut line = format!("{head}:");
    for word in words {
        if line.len() + word.len() > 110 {
            writeln!(report, "{line}").unwrap();
            " ".clone_into(&mut line);
        }
        write!(line, " {word}").unwrap();
    }
    writeln!(report, "{line}").unwrap();
}

fn report(host: &ThrowAwayHost, options: &[&str]) -> String {
    let mut report = String::new();
    let links = "for ns in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$ns; done";
    let (own, theirs) = (sh(links), inside(host, options, &["sh", "-c", links]));
    let of = |is_own: bool| -> Vec<&str> {
        let both = own.lines().zip(theirs.lines()).filter(|(outside, there)| (outside != there) == is_own);
        both.map(|(link, _)| link.split(':').next().unwrap()).collect()
    };
    line(&mut report, "namespaces of its own", &of(true));
    line(&mut report, "namespaces of its caller's", &of(false));

    let status = inside(host, options, &["cat", "/proc/self/status"]);
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t")).unwrap().trim();
    let bits = u64::from_str_radix(field("CapEff"), 16).unwrap();
    assert_eq!(field("CapEff"), field("CapBnd"));
    let known = nslab::model::container::Capability::ALL.iter().filter(|one| bits >> one.number() & 1 == 1);
    let names: Vec<String> = known.map(|one| one.name().to_lowercase()).collect();
    line(&mut report, "capabilities", &names.iter().map(String::as_str).collect::<Vec<_>>());
    line(&mut report, "no new privileges", &[field("NoNewPrivs")]);
    line(&mut report, "filter of system calls", &[field("Seccomp")]);
    let groups = field("Groups");
    line(&mut report, "supplementary groups", &[if groups.is_empty() { "none" } else { groups }]);

    // Refused is what fails otherwise where all is allowed: some calls are refused by their arguments.
    let (here, allowed) = (answers(host, options), answers(host, &["--privileged"]));
    let refused = here.iter().filter(|(name, answer)| *answer == "1" && allowed.get(*name) != Some(*answer));
    line(&mut report, "refused system calls", &refused.map(|(name, _)| name.as_str()).collect::<Vec<_>>());
    report
}

#[test]
fn a_container_reports_of_itself_what_one_of_docker_would() {
    ThrowAwayHost::run(|host| assert_eq!(report(host, &[]), REPORT));
}

#[test]
fn one_that_may_do_all_reports_that() {
    ThrowAwayHost::run(|host| {
        let told = report(host, &["--privileged"]);
        assert!(told.contains("filter of system calls: 0\n") && told.ends_with("refused system calls:\n"), "{told}");
    });
}
