//! Nodes that take their address by DHCP, of real servers: dnsmasq, and udhcpd, which lends for seconds.

use crate::crash::{killed_anywhere_then_down, killed_anywhere_then_up, putting_back_killed_anywhere_then_up_or_down};
use crate::failure::{changing_up_that_fails_anywhere_puts_the_lab_back, up_that_fails_anywhere_leaves_nothing};
use crate::interrupt::a_changing_up_interrupted_anywhere_puts_the_lab_back;
use crate::support::run::{fails, json, ok, sh, text, write};
use crate::support::walk::walks;
use crate::support::{ThrowAwayHost, nslab, wait_until};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

walks!(
    leased,
    |host| WalkedLab::leased(host),
    killed_anywhere_then_down,
    killed_anywhere_then_up,
    putting_back_killed_anywhere_then_up_or_down,
    up_that_fails_anywhere_leaves_nothing,
    changing_up_that_fails_anywhere_puts_the_lab_back,
    a_changing_up_interrupted_anywhere_puts_the_lab_back
);

const PATIENCE: Duration = Duration::from_secs(10);

/// A lab in which one node is the server; `SCRATCH` is for what dnsmasq keeps.
const SERVED: &str = "
name: lab
nodes:
  srv:
    interfaces: {eth0: {addresses: [10.9.0.1/24]}}
    exec:
      - >-
        dnsmasq -C /dev/null --port=0 --interface=eth0 --bind-interfaces --no-ping
        --dhcp-leasefile=SCRATCH/leases --pid-file=SCRATCH/pid --dhcp-range=10.9.0.50,10.9.0.60,2m
        --dhcp-option=option:router,10.9.0.1 --dhcp-option=option:dns-server,10.9.0.53
        --dhcp-option=option:domain-search,lab.example --dhcp-option=option:mtu,1400
        --dhcp-option=tag:far,option:classless-static-route,10.77.0.0/16,10.9.0.7
        --dhcp-host=02:00:00:00:00:02,set:far,10.9.0.52
  h1: {interfaces: {eth0: {address: dhcp}}, exec: ['ip -o -4 address show dev eth0 > SCRATCH/seen']}
  h2: {interfaces: {eth0: {addresses: [dhcp], mac: '02:00:00:00:00:02'}}}
switches: {lan: }
links: [[srv, lan], [h1, lan], [h2, lan]]
";

fn served(host: &ThrowAwayHost) -> String {
    write(host, "lab.yaml", &SERVED.replace("SCRATCH", host.scratch().to_str().unwrap()))
}

/// The IPv4 address that an interface has by a lease, with its prefix length.
fn leased(netns: &str) -> Option<String> {
    let shown = sh(&format!("ip -n {netns} -o -4 address show dev eth0 dynamic"));
    let mut all = shown.lines().map(|line| line.split_whitespace().nth(3).unwrap().to_owned());
    let first = all.next();
    assert_eq!(all.next(), None, "{netns} has more than one");
    first
}

/// How long the address is still its, in seconds.
fn left_s(netns: &str) -> u64 {
    let shown = sh(&format!("ip -n {netns} -4 address show dev eth0 dynamic"));
    let lifetime = shown.split("valid_lft ").nth(1).unwrap();
    lifetime.split("sec").next().unwrap().parse().unwrap()
}

fn routes(netns: &str) -> Vec<String> {
    sh(&format!("ip -n {netns} -4 route show")).lines().map(|line| line.trim_end().to_owned()).collect()
}

/// The process that holds a lease.
fn holder(netns: &str) -> Option<i32> {
    let pids = sh(&format!(
        "for p in $(ip netns pids {netns}); do grep -lqz '^__lease$' /proc/$p/cmdline && echo $p; done; true"
    ));
    let mut pids = pids.lines().map(|pid| pid.parse().unwrap());
    let first = pids.next();
    assert_eq!(pids.next(), None, "one is enough");
    first
}

#[test]
fn nodes_take_their_addresses_from_a_server_in_the_lab() {
    ThrowAwayHost::run(|host| {
        let file = served(host);
        let plan = ok(&["plan", &file]);
        assert!(plan.contains("let lab-h1:eth0 take an address by DHCP"), "{plan}");
        ok(&["up", &file]);
        let h1 = leased("lab-h1").unwrap();
        assert_eq!(leased("lab-h2").as_deref(), Some("10.9.0.52/24"));
        let ip = h1.replace("/24", "");
        assert_eq!(
            routes("lab-h1"),
            [
                format!("default via 10.9.0.1 dev eth0 proto dhcp src {ip} mtu 1400"),
                format!("10.9.0.0/24 dev eth0 proto dhcp scope link src {ip} mtu 1400"),
            ]
        );
        // Classless routes make the router count no more (RFC 3442).
        assert_eq!(
            routes("lab-h2"),
            [
                "10.9.0.0/24 dev eth0 proto dhcp scope link src 10.9.0.52 mtu 1400",
                "10.77.0.0/16 via 10.9.0.7 dev eth0 proto dhcp src 10.9.0.52 mtu 1400",
            ]
        );
        // Its own command saw the address, and the server knows its name.
        let seen = std::fs::read_to_string(host.scratch().join("seen")).unwrap();
        assert!(seen.contains(&h1), "{seen}");
        let known = std::fs::read_to_string(host.scratch().join("leases")).unwrap();
        assert!(known.contains(&format!("{ip} h1 ")), "{known}");

        let resolver = "search lab.example\nnameserver 10.9.0.53\n";
        assert_eq!(ok(&["exec", "h1", "--", "cat", "/etc/resolv.conf"]), resolver);
        assert_eq!(sh("ip netns exec lab-h2 cat /etc/resolv.conf"), resolver);
        let machines = std::fs::read_to_string("/etc/resolv.conf").unwrap();
        assert_eq!(sh("ip netns exec lab-srv cat /etc/resolv.conf"), machines);

        ok(&["ping", "-c1", "h1", "h2"]);
        let check = json(&["--json", "check"]);
        assert!(check["probes"].as_array().unwrap().len() >= 6, "{check}");
        let shown = ok(&["show"]);
        assert!(shown.contains(&h1) && shown.contains("proto dhcp"), "{shown}");
        assert!(shown.contains("everything is as it should be"), "{shown}");
        assert!(ok(&["plan", &file]).contains("nothing to do"));
        // Nobody is told that a process of nslab's own was ended.
        let down = ok(&["down"]);
        assert!(!down.contains("nslab-lease"), "{down}");
    });
}

#[test]
fn a_holder_has_nothing_that_it_does_not_need() {
    ThrowAwayHost::run(|host| {
        ok(&["up", &served(host)]);
        let pid = holder("lab-h1").unwrap();
        let status = sh(&format!("cat /proc/{pid}/status"));
        // CAP_NET_BIND_SERVICE, CAP_NET_ADMIN and CAP_NET_RAW.
        for line in ["CapPrm:\t0000000000003400", "CapEff:\t0000000000003400", "NoNewPrivs:\t1"] {
            assert!(status.contains(line), "{status}");
        }
        assert_eq!(sh(&format!("ps -o sid= -p {pid}")).trim(), pid.to_string());
        assert_eq!(sh(&format!("readlink /proc/{pid}/cwd; readlink /proc/{pid}/fd/1")), "/\n/dev/null\n");
        ok(&["down"]);
    });
}

#[test]
fn a_killed_holder_is_missed_and_started_again() {
    ThrowAwayHost::run(|host| {
        let file = served(host);
        ok(&["up", &file]);
        let address = leased("lab-h1");
        sh(&format!("kill -KILL {}", holder("lab-h1").unwrap()));
        wait_until("it is gone", PATIENCE, || holder("lab-h1").is_none());
        // The address stays: the kernel has it for as long as the server lent it.
        assert_eq!(leased("lab-h1"), address);
        assert!(left_s("lab-h1") > 60);
        let drift = json(&["--json", "show"])["drift"].clone();
        assert_eq!(drift, serde_json::json!(["let lab-h1:eth0 take an address by DHCP"]));
        ok(&["up", &file]);
        assert_eq!(leased("lab-h1"), address);
        assert!(holder("lab-h1").is_some());
        assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]));
        ok(&["down"]);
    });
}

#[test]
fn a_holder_ends_with_its_interface_and_with_its_nodes_name() {
    ThrowAwayHost::run(|host| {
        let file = served(host);
        ok(&["up", &file]);
        sh("ip -n lab-h1 link delete eth0");
        wait_until("the holder of h1 is gone", PATIENCE, || holder("lab-h1").is_none());
        let h2 = holder("lab-h2").unwrap();
        sh("ip netns delete lab-h2");
        wait_until("the holder of h2 is gone", PATIENCE, || !std::path::Path::new(&format!("/proc/{h2}")).exists());
        ok(&["up", &file]);
        assert!(leased("lab-h1").is_some());
        assert_eq!(leased("lab-h2").as_deref(), Some("10.9.0.52/24"));
        ok(&["down"]);
    });
}

#[test]
fn what_took_its_address_by_dhcp_can_have_one_of_its_own_again() {
    ThrowAwayHost::run(|host| {
        let file = served(host);
        ok(&["up", &file]);
        let text = std::fs::read_to_string(&file).unwrap();
        let given = text.replace("{address: dhcp}", "{addresses: [10.9.0.9/24]}");
        let given = write(host, "given.yaml", &given);
        // Of a killed one the address would stay as well.
        sh(&format!("kill -KILL {}", holder("lab-h1").unwrap()));
        wait_until("it is gone", PATIENCE, || holder("lab-h1").is_none());
        ok(&["up", &given]);
        assert_eq!((leased("lab-h1"), holder("lab-h1")), (None, None));
        assert_eq!(routes("lab-h1"), ["10.9.0.0/24 dev eth0 proto kernel scope link src 10.9.0.9"]);
        let machines = std::fs::read_to_string("/etc/resolv.conf").unwrap();
        assert_eq!(sh("ip netns exec lab-h1 cat /etc/resolv.conf"), machines);
        ok(&["up", &file]);
        assert!(leased("lab-h1").is_some() && holder("lab-h1").is_some());
        assert!(ok(&["plan", &file]).contains("nothing to do"));
        ok(&["down"]);
    });
}

#[test]
fn a_link_that_is_down_takes_the_lease_along_and_brings_it_back() {
    ThrowAwayHost::run(|host| {
        ok(&["up", &served(host)]);
        let address = leased("lab-h1");
        ok(&["link", "set", "h1:eth0", "--down"]);
        assert_eq!((leased("lab-h1"), holder("lab-h1")), (None, None));
        ok(&["link", "set", "h1:eth0", "--up"]);
        assert_eq!(leased("lab-h1"), address);
        assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]));
        ok(&["down"]);
    });
}

#[test]
fn a_lease_is_asked_for_again_when_its_interface_is_on_its_link_again() {
    ThrowAwayHost::run(|host| {
        let file = served(host);
        ok(&["up", &file]);
        let (address, before) = (leased("lab-h1"), routes("lab-h1"));
        // The kernel takes the routes, and leaves the address.
        sh("ip -n lab-h1 link set dev eth0 down");
        assert_eq!((leased("lab-h1"), routes("lab-h1")), (address.clone(), Vec::new()));
        sh("ip -n lab-h1 link set dev eth0 up");
        wait_until("the routes are there again", PATIENCE, || routes("lab-h1") == before);
        assert_eq!(leased("lab-h1"), address);
        // So it is where nslab itself sets it up again.
        sh("ip -n lab-h1 link set dev eth0 down");
        ok(&["up", &file]);
        wait_until("the routes are there again", PATIENCE, || routes("lab-h1") == before);
        ok(&["down"]);
    });
}

#[test]
fn where_no_server_answers_nothing_is_left() {
    ThrowAwayHost::run(|host| {
        let file = served(host);
        let silent = std::fs::read_to_string(&file).unwrap().replace("dnsmasq -C", "true dnsmasq -C");
        let silent = write(host, "silent.yaml", &silent);
        let begin = Instant::now();
        let said = fails(&["up", &silent], 1);
        assert!(
            said.contains("lab-h1:eth0 takes no address by DHCP: no DHCP server gave eth0 a lease within 20 s"),
            "{said}"
        );
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
        host.assert_as_it_was("after it failed");

        // A lab that runs is put back.
        let one = std::fs::read_to_string(&file).unwrap().replace("{address: dhcp}", "{}");
        let one = write(host, "one.yaml", &one);
        ok(&["up", &one]);
        sh(&format!("kill $(cat {}/pid)", host.scratch().display()));
        fails(&["up", &file], 1);
        assert_eq!((leased("lab-h1"), holder("lab-h1")), (None, None));
        assert_eq!(leased("lab-h2").as_deref(), Some("10.9.0.52/24"));
        assert!(ok(&["plan", &one]).contains("nothing to do"));
        ok(&["down"]);
    });
}

#[test]
fn waiting_for_a_server_can_be_interrupted() {
    ThrowAwayHost::run(|host| {
        let file = served(host);
        let silent = std::fs::read_to_string(&file).unwrap().replace("dnsmasq -C", "true dnsmasq -C");
        let silent = write(host, "silent.yaml", &silent);
        let up = nslab(["up", &silent]).stderr(std::process::Stdio::piped()).spawn().unwrap();
        wait_until("it waits", PATIENCE, || {
            std::path::Path::new("/run/netns/lab-h1").exists() && holder("lab-h1").is_some()
        });
        let begin = Instant::now();
        sh(&format!("kill -INT {}", up.id()));
        let output = up.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    });
}

/// A server whose leases last 20 seconds, in a node's namespace.
struct Udhcpd {
    process: Child,
    log: std::path::PathBuf,
}

impl Udhcpd {
    /// Starts it in `lab-srv`, for addresses of 10.`subnet`.0.0/24.
    fn start(host: &ThrowAwayHost, subnet: u8) -> Self {
        let place = |what: &str| host.scratch().join(format!("udhcpd-{subnet}.{what}"));
        let (log, leases) = (place("log"), place("leases"));
        std::fs::write(&leases, "").unwrap();
        let configuration = format!(
            "start 10.{subnet}.0.50\nend 10.{subnet}.0.60\ninterface eth0\nmax_leases 5\nmin_lease 10\n\
             lease_file {}\npidfile {}\noption subnet 255.255.255.0\noption router 10.{subnet}.0.1\noption lease 20\n",
            leases.display(),
            place("pid").display()
        );
        let configuration = write(host, &format!("udhcpd-{subnet}.conf"), &configuration);
        let process = Command::new("ip")
            .args(["netns", "exec", "lab-srv", "busybox", "udhcpd", "-f", &configuration])
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let server = Self { process, log };
        wait_until("udhcpd runs", PATIENCE, || server.said("started") > 0);
        server
    }

    /// How often it has said so.
    fn said(&self, what: &str) -> usize {
        std::fs::read_to_string(&self.log).unwrap().matches(what).count()
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A server's node, with and without a client beside it.
const SRV: &str = "
name: lab
nodes: {srv: {interfaces: {eth0: {addresses: [10.9.0.1/24]}}}}
switches: {lan: }
links: [[srv, lan]]
";
const WITH_CLIENT: &str = "
name: lab
nodes: {srv: {interfaces: {eth0: {addresses: [10.9.0.1/24]}}}, h: {interfaces: {eth0: {address: dhcp}}}}
switches: {lan: }
links: [[srv, lan], [h, lan]]
";

/// Brings up a server and a client, with a lease of 20 seconds.
fn lend(host: &ThrowAwayHost) -> Udhcpd {
    ok(&["up", &write(host, "srv.yaml", SRV)]);
    let server = Udhcpd::start(host, 9);
    ok(&["up", &write(host, "lab.yaml", WITH_CLIENT)]);
    assert!(leased("lab-h").unwrap().starts_with("10.9.0."));
    server
}

/// All that has happened to the addresses of `lab-h` since, a line each.
struct Monitor(Child, std::path::PathBuf);

impl Monitor {
    fn start(host: &ThrowAwayHost) -> Self {
        let file = host.scratch().join("monitor");
        let out = std::fs::File::create(&file).unwrap();
        let monitor = Command::new("ip").args(["-n", "lab-h", "-o", "-4", "monitor", "address"]).stdout(out).spawn();
        Self(monitor.unwrap(), file)
    }

    /// The addresses given (`+`) and taken away (`-`), in order; that one was given again, or for longer, is not told.
    fn stop(mut self) -> Vec<String> {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        let heard = std::fs::read_to_string(self.1).unwrap();
        let mut all: Vec<String> = Vec::new();
        for line in heard.lines() {
            let address = line.split(" inet ").nth(1).unwrap().split(' ').next().unwrap();
            let sign = if line.starts_with("Deleted") { '-' } else { '+' };
            let event = format!("{sign}{address}");
            if all.iter().rfind(|before| before.ends_with(address)) != Some(&event) {
                all.push(event);
            }
        }
        all
    }
}

#[test]
fn a_lease_of_20_s_is_renewed_twice_and_expires_when_its_server_is_gone() {
    ThrowAwayHost::run(|host| {
        let server = lend(host);
        let address = leased("lab-h").unwrap();
        let monitor = Monitor::start(host);
        let first = server.said("sending ACK");
        wait_until("it was renewed twice", Duration::from_secs(30), || {
            // It says so before it does.
            server.said("sending ACK") >= first + 2 && left_s("lab-h") > 15
        });
        server.kill();
        let begin = Instant::now();
        assert_eq!(leased("lab-h"), Some(address.clone()));
        wait_until("it has expired", Duration::from_secs(25), || leased("lab-h").is_none());
        assert!(begin.elapsed() > Duration::from_secs(15), "{:?}", begin.elapsed());
        assert_eq!(routes("lab-h"), Vec::<String>::new());
        assert_eq!(monitor.stop(), [format!("+{address}"), format!("-{address}")]);
        // The client asks on, and has the same again once a server is back; nslab has nothing to do about it.
        assert!(holder("lab-h").is_some());
        let server = Udhcpd::start(host, 9);
        wait_until("it has one again", Duration::from_secs(30), || leased("lab-h").is_some());
        assert_eq!(leased("lab-h"), Some(address));
        assert_eq!(json(&["--json", "show"])["drift"], serde_json::json!([]));
        ok(&["down"]);
        server.kill();
    });
}

#[test]
fn a_killed_holder_leaves_the_address_until_the_lease_ends() {
    ThrowAwayHost::run(|host| {
        let server = lend(host);
        sh(&format!("kill -KILL {}", holder("lab-h").unwrap()));
        wait_until("it is gone", PATIENCE, || holder("lab-h").is_none());
        assert!(leased("lab-h").is_some());
        wait_until("the lease is over", Duration::from_secs(25), || leased("lab-h").is_none());
        assert_eq!(routes("lab-h"), Vec::<String>::new());
        ok(&["down"]);
        server.kill();
    });
}

#[test]
fn a_server_that_moves_takes_the_client_along() {
    ThrowAwayHost::run(|host| {
        let server = lend(host);
        let old = leased("lab-h").unwrap();
        let monitor = Monitor::start(host);
        // The same server for another subnet: it refuses the old address.
        server.kill();
        sh("ip -n lab-srv address delete 10.9.0.1/24 dev eth0; ip -n lab-srv address add 10.8.0.1/24 dev eth0");
        let server = Udhcpd::start(host, 8);
        let is_new = || sh("ip -n lab-h -4 address show dev eth0").contains(" 10.8.0.");
        wait_until("it has moved", Duration::from_secs(30), is_new);
        let new = leased("lab-h").unwrap();
        let ip = new.replace("/24", "");
        wait_until("the routes are the new ones", PATIENCE, || {
            routes("lab-h")
                == [
                    format!("default via 10.8.0.1 dev eth0 proto dhcp src {ip}"),
                    format!("10.8.0.0/24 dev eth0 proto dhcp scope link src {ip}"),
                ]
        });
        // It was refused, and so asked anew before the lease was over; until it had the new address, it kept the old one.
        assert_eq!(monitor.stop(), [format!("+{new}"), format!("-{old}")]);
        ok(&["down"]);
        server.kill();
    });
}

#[test]
fn a_former_lease_that_is_refused_is_replaced() {
    ThrowAwayHost::run(|host| {
        let file = served(host);
        ok(&["up", &file]);
        let old = leased("lab-h1").unwrap();
        sh(&format!("kill -KILL {}; kill $(cat {}/pid)", holder("lab-h1").unwrap(), host.scratch().display()));
        sh("ip -n lab-srv address add 10.8.0.1/24 dev eth0; ip -n lab-srv address delete 10.9.0.1/24 dev eth0");
        let scratch = host.scratch().display().to_string();
        sh(&format!(
            "ip netns exec lab-srv dnsmasq -C /dev/null --port=0 --interface=eth0 --bind-interfaces --no-ping \
             --dhcp-authoritative --dhcp-leasefile={scratch}/leases-8 --pid-file={scratch}/pid \
             --dhcp-range=10.8.0.50,10.8.0.60,2m --log-dhcp --log-facility={scratch}/log"
        ));
        ok(&["up", &file]);
        let new = leased("lab-h1").unwrap();
        assert!(old.starts_with("10.9.") && new.starts_with("10.8."), "{old} {new}");
        let log = std::fs::read_to_string(host.scratch().join("log")).unwrap();
        assert!(log.contains("DHCPNAK"), "{log}");
        assert!(routes("lab-h1").iter().all(|route| !route.contains("10.9.")));
        ok(&["down"]);
    });
}

#[test]
fn the_script_of_a_plan_takes_leases_with_dhclient() {
    ThrowAwayHost::run(|host| {
        let script = ok(&["plan", "--shell", &served(host)]);
        assert!(script.contains("dhclient -v -1"), "{script}");
        let script = write(host, "lab.sh", &script);
        sh(&format!("sh {script} 2> {}/said", host.scratch().display()));
        assert!(leased("lab-h1").is_some());
        assert_eq!(leased("lab-h2").as_deref(), Some("10.9.0.52/24"));
        sh(
            "for n in $(ip netns list | cut -d' ' -f1); do ip netns pids $n | xargs -r kill -KILL; ip netns delete $n; done",
        );
        sh(
            "rm -rf /etc/netns /run/dhclient-* ; rmdir /run/netns 2>/dev/null || { umount /run/netns; rmdir /run/netns; }",
        );
    });
}
