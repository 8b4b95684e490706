//! An Open vSwitch of a test's own: its database server, and its switch, inside the test's throw-away host.

use super::{ThrowAwayHost, must_succeed, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where Open vSwitch's sockets are in the host: nslab's and ovs-vsctl's default.
const RUN: &str = "/run/openvswitch";

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// How long a daemon may take to come up.
const START: Duration = Duration::from_secs(20);

/// An Open vSwitch. Dropping it ends its daemons and removes its files.
pub(crate) struct OpenVswitch {
    database: PathBuf,
    logs: PathBuf,
    server: Option<Child>,
    switch: Option<Child>,
}

impl OpenVswitch {
    /// A database server with an empty database of Open vSwitch's schema.
    pub(crate) fn database(host: &ThrowAwayHost) -> Self {
        Self::with_schema(host, SCHEMA)
    }

    /// A database server with an empty database of another schema.
    pub(crate) fn with_schema(host: &ThrowAwayHost, schema: &str) -> Self {
        Self::in_directory(host, schema, RUN.as_ref())
    }

    /// A whole Open vSwitch whose database is in a directory of its own.
    pub(crate) fn start_in(host: &ThrowAwayHost, directory: &Path) -> Self {
        let mut this = Self::in_directory(host, SCHEMA, directory);
        must_succeed("ovs-vsctl --no-wait init");
        this.start_switch();
        this
    }

    fn in_directory(host: &ThrowAwayHost, schema: &str, directory: &Path) -> Self {
        std::fs::create_dir(RUN).unwrap();
        let database = directory.join("conf.db");
        must_succeed(&format!("ovsdb-tool create {} {schema}", database.display()));
        let mut this = Self { database, logs: host.scratch().to_owned(), server: None, switch: None };
        this.start_server(&[]);
        this
    }

    /// A whole Open vSwitch.
    pub(crate) fn start(host: &ThrowAwayHost) -> Self {
        Self::start_in(host, RUN.as_ref())
    }

    /// The database's file.
    pub(crate) fn file(&self) -> &Path {
        &self.database
    }

    /// Starts the database server, with options more.
    pub(crate) fn start_server(&mut self, options: &[&str]) {
        let remote = format!("--remote=punix:{RUN}/db.sock");
        let control = format!("--unixctl={RUN}/ovsdb-server.ctl");
        let database = self.database.to_str().unwrap().to_owned();
        let mut arguments = vec![database.as_str(), &remote, &control];
        arguments.extend(options);
        self.server = Some(self.daemon("ovsdb-server", &arguments));
        wait_until("the database server answers", START, || {
            Command::new("ovsdb-client").args(["list-dbs"]).output().unwrap().status.success()
        });
    }

    /// Starts the switch.
    pub(crate) fn start_switch(&mut self) {
        let remote = format!("unix:{RUN}/db.sock");
        let control = format!("--unixctl={RUN}/ovs-vswitchd.ctl");
        self.switch = Some(self.daemon("ovs-vswitchd", &[&remote, &control]));
        wait_for_switch();
    }

    fn daemon(&self, program: &str, arguments: &[&str]) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(self.logs.join(program)).unwrap();
        Command::new(program)
            .args(arguments)
            .arg("-vsyslog:off")
            .env("OVS_RUNDIR", RUN)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{program} (package openvswitch-switch) can't be run: {error}"))
    }

    /// Ends the database server and starts it anew, with options more.
    pub(crate) fn restart_server(&mut self, options: &[&str]) {
        end(&mut self.server, Signal::SIGTERM);
        self.start_server(options);
        wait_for_switch();
    }

    /// Starts the database server anew, so that it is at a port of loopback too, over TLS. In the host's scratch directory
    /// are then the client's `me-cert.pem` and `me-privkey.pem`, the authority of both in `pki/switchca/cacert.pem`, and
    /// that of others in `other/`.
    pub(crate) fn serve_tls(&mut self, host: &ThrowAwayHost, port: u16) {
        let directory = host.scratch().display().to_string();
        must_succeed(&format!(
            "cd {directory}; pki='ovs-pki --dir={directory}/pki --log={directory}/log'; \
             $pki init; $pki req+sign db switch; $pki req+sign me switch; \
             ovs-pki --dir={directory}/other --log={directory}/log init"
        ));
        end(&mut self.server, Signal::SIGTERM);
        let options = [
            format!("--remote=pssl:{port}:127.0.0.1"),
            format!("--private-key={directory}/db-privkey.pem"),
            format!("--certificate={directory}/db-cert.pem"),
            format!("--ca-cert={directory}/pki/switchca/cacert.pem"),
        ];
        self.start_server(&options.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Kills the database server.
    pub(crate) fn kill_server(&mut self) {
        end(&mut self.server, Signal::SIGKILL);
        // What a kill leaves lying would be taken for a server.
        let _ = std::fs::remove_file(format!("{RUN}/db.sock"));
    }

    /// Kills the switch. Its taps stay, as they do when it crashes.
    pub(crate) fn kill_switch(&mut self) {
        end(&mut self.switch, Signal::SIGKILL);
    }

    /// Ends the switch in order. Its taps go.
    pub(crate) fn stop_switch(&mut self) {
        end(&mut self.switch, Signal::SIGTERM);
    }

    /// Stops the switch where it is, or lets it go on.
    pub(crate) fn hang_switch(&self, hangs: bool) {
        signal(self.switch.as_ref().unwrap(), if hangs { Signal::SIGSTOP } else { Signal::SIGCONT });
    }

    /// Stops the database server where it is, or lets it go on.
    pub(crate) fn hang_server(&self, hangs: bool) {
        signal(self.server.as_ref().unwrap(), if hangs { Signal::SIGSTOP } else { Signal::SIGCONT });
    }
}

impl Drop for OpenVswitch {
    fn drop(&mut self) {
        end(&mut self.switch, Signal::SIGTERM);
        end(&mut self.server, Signal::SIGTERM);
        let _ = std::fs::remove_dir_all(RUN);
    }
}

/// Waits until the switch has taken over its configuration.
pub(crate) fn wait_for_switch() {
    wait_until("the switch has taken over its configuration", START, || {
        let set = ["--timeout=1", "set", "Open_vSwitch", ".", "external_ids:started=yes"];
        Command::new("ovs-vsctl").args(set).output().unwrap().status.success()
    });
    must_succeed("ovs-vsctl remove Open_vSwitch . external_ids started");
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

fn end(child: &mut Option<Child>, how: Signal) {
    if let Some(mut child) = child.take() {
        // One that hangs has to go on to end; not where it is killed, or it would do something first.
        if how != Signal::SIGKILL {
            signal(&child, Signal::SIGCONT);
        }
        signal(&child, how);
        child.wait().unwrap();
    }
}
