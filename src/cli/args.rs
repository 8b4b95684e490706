//! The command line as types. Parsing only: nothing here looks at the machine.

use super::args_container::{Containers, CopyArguments, KillArguments, LogsArguments};
use super::args_image::ImageVerb;
use super::args_launch::LaunchArguments;
use super::args_limit::LimitArguments;
use super::args_link::LinkVerb;
use super::args_top::TopArguments;
use super::args_uplink::UplinkVerb;
use super::args_volume::VolumeVerb;
use crate::host::ovsdb::Target;
use crate::model::{ContainerName, LabName};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Virtual-network labs on one Linux machine: made in a blink, gone without a trace.
#[derive(Debug, Parser)]
#[command(name = "nslab", version, max_term_width = 100, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The same where the verb is `launch`, as a command of its own: the others need not be made for it, which takes longer than the
/// container.
#[derive(Debug, Parser)]
struct LaunchOnly {
    #[command(flatten)]
    global: Global,
    #[command(flatten)]
    launch: LaunchArguments,
}

impl Arguments {
    /// The command line of the process; where there is something wrong with it, this says so and ends the process.
    pub(crate) fn of_process() -> Self {
        // Whatever is to be said of it, is said by who knows all verbs.
        Self::of_launch(std::env::args_os().skip(1)).unwrap_or_else(Self::parse)
    }

    /// The same of these words, where they are a `launch` and there is nothing wrong with them.
    fn of_launch(words: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut words = words.peekable();
        if words.peek()? != "launch" {
            return None;
        }
        let LaunchOnly { global, launch } = LaunchOnly::try_parse_from(words).ok()?;
        Some(Self { global, verb: Verb::Launch(Box::new(launch)) })
    }
}

const EXAMPLES: &str = "\
Examples:
  nslab up two-node                 two hosts on a switch
  nslab exec net1 -- ping -c3 net2  a command in one of them
  nslab check                       does everything reach everything?
  nslab plan --shell two-node       the same lab as a shell script
  nslab down                        all of it gone

Exit codes: 0 done; 1 it failed, or a check did not hold; 2 bad usage or bad topology; 3 the machine lacks
something; 4 undo was incomplete. exec, shell and launch: the command's own; 125, 126, 127 as env(1).";

/// What every verb takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The lab that is meant, where several are up
    #[arg(long, global = true, env = "NSLAB_LAB", value_name = "NAME")]
    pub(crate) lab: Option<LabName>,
    /// Where nslab keeps what it knows of its labs
    #[arg(long, global = true, env = "NSLAB_STATE_DIR", value_name = "DIR", default_value = "/run/nslab")]
    pub(crate) state_dir: PathBuf,
    /// Where images are kept; /var/lib/nslab/images for root without
    #[arg(long, global = true, env = "NSLAB_IMAGE_DIR", value_name = "DIR")]
    pub(crate) image_dir: Option<PathBuf>,
    /// Where Open vSwitch's database is: unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT
    #[arg(long, global = true, env = "NSLAB_OVSDB", value_name = "TARGET", value_parser = ovsdb_target)]
    pub(crate) ovsdb: Option<String>,
    /// For ssl: the certificates of the authority that signed the server's
    #[arg(
        long,
        global = true,
        env = "NSLAB_OVSDB_CA",
        value_name = "FILE",
        hide_short_help = true,
        requires = "ovsdb"
    )]
    pub(crate) ovsdb_ca: Option<PathBuf>,
    /// For ssl: our own certificate
    #[arg(long, global = true, env = "NSLAB_OVSDB_CERTIFICATE", value_name = "FILE", hide_short_help = true)]
    pub(crate) ovsdb_certificate: Option<PathBuf>,
    /// For ssl: our own private key
    #[arg(long, global = true, env = "NSLAB_OVSDB_KEY", value_name = "FILE", hide_short_help = true)]
    pub(crate) ovsdb_key: Option<PathBuf>,
    /// Print results as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say more on standard error; twice: everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say nothing but errors on standard error
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Bring a lab up, or a running one to what its topology says now
    Up(UpArguments),
    /// Take labs down: the one that is up, the named ones, or all
    Down(DownArguments),
    /// Show what `up` would do, without doing it
    Plan(PlanArguments),
    /// Check a topology without a machine to run it on
    Validate(TopologyArgument),
    /// Print the JSON Schema of topologies, for editors
    Schema,
    /// List the built-in topologies, or print one
    Topologies {
        /// Print this one's text: a name, or a family with numbers such as tree,2,3
        #[arg(long, value_name = "NAME")]
        show: Option<String>,
    },
    /// List the labs
    Ls,
    /// Show a lab: its nodes, switches, links, and what is not as it should be
    Show {
        /// The lab
        #[arg(id = "which", value_name = "LAB")]
        lab: Option<LabName>,
        /// Print its changes as they come, until Ctrl-C or the lab is gone
        #[arg(short, long)]
        watch: bool,
    },
    /// Show links, or have them delay, lose and slow down frames, go down and up
    Link {
        #[command(subcommand)]
        verb: LinkVerb,
    },
    /// Join a lab to the machine's real network, and part them again
    Uplink {
        #[command(subcommand)]
        verb: UplinkVerb,
    },
    /// Run a command in a node, or in all of them
    Exec(ExecArguments),
    /// Open a shell in a node
    Shell {
        /// The node: NODE or LAB/NODE
        node: String,
    },
    /// Run a command as a container: in namespaces, with a root, rights and limits of its own
    Launch(Box<LaunchArguments>),
    /// List containers: the nodes that are some, and those of no lab
    Ps {
        /// The lab; all of them without
        #[arg(id = "which", value_name = "LAB")]
        lab: Option<LabName>,
    },
    /// Show what nodes and containers use, as it changes
    Top(TopArguments),
    /// Start containers that have ended
    Start(Containers),
    /// Stop containers: SIGTERM, and SIGKILL after ten seconds
    Stop(Containers),
    /// Stop containers and start them again
    Restart(Containers),
    /// Show what a container may use, or change that while it runs
    Limit(LimitArguments),
    /// Send the commands of containers a signal
    Kill(KillArguments),
    /// Print what a container has printed
    Logs(LogsArguments),
    /// Join the terminal of a container, or watch what it prints; Ctrl-P Ctrl-Q leaves
    Attach {
        /// The container: NODE, LAB/NODE, or the name of one of no lab
        #[arg(value_name = "NAME")]
        container: String,
    },
    /// Copy files into a container, or out of it
    Cp(CopyArguments),
    /// Mount the volumes of a lab in containers that run, and unmount them
    Volume {
        #[command(subcommand)]
        verb: VolumeVerb,
    },
    /// End and forget containers of no lab (`launch --detach`)
    Rm {
        /// The containers
        #[arg(value_name = "NAME", required = true)]
        names: Vec<ContainerName>,
    },
    /// Make, list and remove the images that containers stand on
    Image {
        #[command(subcommand)]
        verb: ImageVerb,
    },
    /// Ping from one node to another
    Ping(PingArguments),
    /// Check that the nodes reach each other as the topology expects
    Check(CheckArguments),
    /// Look for what the machine lacks, and for what is left lying about
    Doctor,
    /// Remove what labs left behind that are no more, or that were stopped half-way
    Gc,
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TopologyArgument {
    /// A built-in topology (see `nslab topologies`), a file, or - for standard input
    pub(crate) topology: String,
}

#[derive(Debug, Args)]
pub(crate) struct UpArguments {
    #[command(flatten)]
    pub(crate) topology: TopologyArgument,
}

#[derive(Debug, Args)]
pub(crate) struct DownArguments {
    /// The labs
    #[arg(value_name = "LAB")]
    pub(crate) labs: Vec<LabName>,
    /// All labs
    #[arg(long, conflicts_with = "labs")]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    pub(crate) topology: TopologyArgument,
    /// Print the steps as a shell script of ip, bridge and sysctl commands
    #[arg(long, conflicts_with = "json")]
    pub(crate) shell: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExecArguments {
    /// The node: NODE or LAB/NODE
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) node: Option<String>,
    /// In every node at once, each line of output headed by the node's name
    #[arg(long)]
    pub(crate) all: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct PingArguments {
    /// The node that asks: NODE or LAB/NODE
    pub(crate) source: String,
    /// The node that is asked, or an address
    pub(crate) destination: String,
    /// How many requests are sent
    #[arg(short, long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) count: u16,
    /// The time between two requests
    #[arg(short, long, default_value = "1s", value_parser = duration)]
    pub(crate) interval: Duration,
    /// How long an answer is waited for
    #[arg(short = 'W', long, default_value = "1s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Use IPv6
    #[arg(short = '6')]
    pub(crate) ipv6: bool,
}

/// What is sent to see whether a node is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProbeArgument {
    /// ICMP echo alone
    Icmp,
    /// TCP alone
    Tcp,
    /// Both
    Both,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// The lab
    #[arg(id = "which", value_name = "LAB")]
    pub(crate) lab: Option<LabName>,
    /// What is sent
    #[arg(long, value_enum, default_value = "both")]
    pub(crate) probe: ProbeArgument,
    /// How long an answer is waited for
    #[arg(short = 'W', long, default_value = "1s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Write the result as JUnit XML too
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

/// A target as it is written, once it is known to be one.
fn ovsdb_target(text: &str) -> Result<String, String> {
    text.parse::<Target>().map(|target| target.to_string()).map_err(|error| error.to_string())
}

/// `20ms`, `1.5s`, `2m`, or a number of seconds as ping(8) takes it.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, seconds) = if let Some(number) = text.strip_suffix("ms") {
        (number, 0.001)
    } else if let Some(number) = text.strip_suffix('s') {
        (number, 1.0)
    } else if let Some(number) = text.strip_suffix('m') {
        (number, 60.0)
    } else {
        (text, 1.0)
    };
    let wrong = || "write a time as 20ms, 1.5s or 2m".to_owned();
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_launch_is_understood_as_it_is_among_all_verbs() {
        let lines = [
            "launch true",
            "launch -n -u -i -m -p -N net1 -H zion chroot /opt/container/rootfs /bin/bash",
            "launch -U -M 0,1000,1 true",
            "launch -U -M '0 1000 1' true",
            "launch --rootfs /r --memory 100M --pids 64 --cap-drop all --env A=B -- sh -c --json",
            "launch --json -vv --state-dir /s --lab two true",
            "launch -q -v true",
            "launch --ovsdb-ca /c true",
            "launch --image debian --name one --detach --keep",
            "launch --keep true",
            "launch",
            "launch --help",
            "launch --version",
            "launch --no-such true",
            "--json launch true",
            "exec net1 true",
        ];
        for line in lines {
            let words = || line.split(' ').map(OsString::from);
            let all = Arguments::try_parse_from(std::iter::once("nslab".into()).chain(words()));
            let alone = Arguments::of_launch(words());
            let is_launch = line.starts_with("launch");
            assert_eq!(alone.is_some(), all.is_ok() && is_launch, "{line}: {alone:?}, {all:?}");
            if let (Some(alone), Ok(all)) = (alone, all) {
                assert_eq!(format!("{alone:?}"), format!("{all:?}"), "{line}");
            }
        }
    }

    #[test]
    fn times_are_read_with_and_without_unit() {
        assert_eq!(duration("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(duration("0.2"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        for bad in ["", "s", "-1s", "1h", "x", "nan", "inf"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
