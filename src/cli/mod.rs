//! The command line: arguments in, one library call, a report out.

mod args;
mod args_container;
mod args_image;
mod args_launch;
mod args_limit;
mod args_link;
mod args_top;
mod args_uplink;
mod args_volume;
mod care;
mod check;
mod container;
mod copy;
mod exec;
mod exec_all;
mod image;
mod inspect;
mod launch;
mod limit;
mod link;
mod progress;
mod render;
mod render_check;
mod render_image;
mod render_lab;
mod render_links;
mod render_steps;
mod render_uplink;
mod render_watch;
mod select;
mod signals;
mod top;
mod up;
mod uplink;
mod volume;
mod watch;

use crate::Error;
use crate::apply::OvsdbOptions;
use crate::host::ovsdb::Target;
use crate::lab::Nslab;
use crate::model::ovs::{OvsdbServer, OvsdbTls};
use crate::state::StateRoot;
use args::{Arguments, Global, Verb};
use std::path::PathBuf;
use std::process::ExitCode;

/// What is to be logged, for those who want to know more than the options say.
const LOG: &str = "NSLAB_LOG";

/// What is returned where something is left that was to go.
const LEFT: u8 = 4;

/// What to exit with where all, or not all, has gone that was to go.
fn all_gone(is_all: bool) -> ExitCode {
    if is_all { ExitCode::SUCCESS } else { ExitCode::from(LEFT) }
}

/// Runs the command line of the process, and says what to exit with.
pub fn main() -> ExitCode {
    let Arguments { global, verb } = Arguments::of_process();
    // One that becomes a container's command tells its steps itself, and starts sooner where nobody has asked for a log.
    let becomes_launcher = matches!(&verb, Verb::Launch(arguments) if !arguments.detach);
    if !becomes_launcher || global.verbose > 0 || std::env::var_os(LOG).is_some() {
        log_to_standard_error(&global);
    }
    let result = match verb {
        // These become the command, or need nothing of the machine: no runtime, no thread.
        Verb::Exec(arguments) if !arguments.all => return exec::exec(&global, &arguments),
        Verb::Shell { node } => return exec::shell(&global, &node),
        Verb::Launch(arguments) if !arguments.detach => return launch::launch(&global, *arguments),
        Verb::Logs(arguments) => container::logs(&global, &arguments),
        Verb::Attach { container } => container::attach(&global, &container),
        Verb::Cp(arguments) => copy::copy(&global, &arguments),
        Verb::Volume { verb } => volume::volume(&global, verb),
        Verb::Validate(argument) => inspect::validate(&global, &argument),
        Verb::Schema => Ok(inspect::schema()),
        Verb::Topologies { show } => inspect::topologies(&global, show.as_deref()),
        Verb::Completions { shell } => Ok(inspect::completions(shell)),
        verb => with_runtime(&global, verb),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            render::error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn with_runtime(global: &Global, verb: Verb) -> Result<ExitCode, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::Io { action: "start the runtime".into(), source })?;
    runtime.block_on(async {
        let nslab = Nslab::new(StateRoot::new(&global.state_dir)?).with_ovsdb(ovsdb(global)?);
        // Where nothing says where images are, there are none: whoever wants one says so.
        let nslab = image::store(global).map_or_else(|_| nslab.clone(), |store| nslab.clone().with_images(store));
        match verb {
            Verb::Up(arguments) => up::up(&nslab, global, &arguments).await,
            Verb::Down(arguments) => up::down(&nslab, global, &arguments).await,
            Verb::Plan(arguments) => up::plan(&nslab, global, &arguments).await,
            Verb::Ls => inspect::ls(&nslab, global),
            Verb::Show { lab, watch: false } => inspect::show(&nslab, global, lab).await,
            Verb::Show { lab, watch: true } => watch::watch(&nslab, global, lab).await,
            Verb::Exec(arguments) => Ok(exec_all::exec_all(&nslab, global, &arguments).await),
            Verb::Ping(arguments) => check::ping(&nslab, global, &arguments).await,
            Verb::Check(arguments) => check::check(&nslab, global, &arguments).await,
            Verb::Uplink { verb } => uplink::uplink(&nslab, global, &verb).await,
            Verb::Link { verb } => link::link(&nslab, global, &verb).await,
            Verb::Ps { lab } => container::ps(&nslab, global, lab),
            Verb::Top(arguments) => top::top(&nslab, global, &arguments).await,
            Verb::Start(all) => container::change(&nslab, global, &all, container::Change::Start).await,
            Verb::Stop(all) => container::change(&nslab, global, &all, container::Change::Stop).await,
            Verb::Restart(all) => container::change(&nslab, global, &all, container::Change::Restart).await,
            Verb::Limit(arguments) => limit::limit(&nslab, global, &arguments).await,
            Verb::Kill(arguments) => container::kill(&nslab, global, &arguments).await,
            Verb::Image { verb } => image::image(global, verb).await,
            Verb::Doctor => care::doctor(&nslab, global).await,
            Verb::Gc => care::gc(&nslab, global).await,
            Verb::Launch(arguments) => Ok(launch::detach(&nslab, global, *arguments).await),
            Verb::Rm { names } => container::remove(&nslab, &names).await,
            Verb::Shell { .. }
            | Verb::Logs(_)
            | Verb::Attach { .. }
            | Verb::Cp(_)
            | Verb::Volume { .. }
            | Verb::Validate(_)
            | Verb::Schema
            | Verb::Topologies { .. }
            | Verb::Completions { .. } => unreachable!("handled without a runtime"),
        }
    })
}

/// Where Open vSwitch's database is: where the command line says, else in Open vSwitch's own run directory.
fn ovsdb(global: &Global) -> Result<OvsdbOptions, Error> {
    let files = (&global.ovsdb_ca, &global.ovsdb_certificate, &global.ovsdb_key);
    let tls = match files {
        (Some(ca), Some(certificate), Some(private_key)) => {
            Some(OvsdbTls { ca: ca.clone(), certificate: certificate.clone(), private_key: private_key.clone() })
        }
        (None, None, None) => None,
        _ => {
            let text = "--ovsdb-ca, --ovsdb-certificate and --ovsdb-key go together: give all three";
            return Err(Error::Usage(text.to_owned()));
        }
    };
    let run_directory = std::env::var_os("OVS_RUNDIR").map(PathBuf::from);
    let default = OvsdbServer { target: Target::local(run_directory).to_string(), tls: None };
    let named = global.ovsdb.clone().map(|target| OvsdbServer { target, tls });
    Ok(OvsdbOptions { named, default })
}

fn log_to_standard_error(global: &Global) {
    use tracing_subscriber::filter::EnvFilter;
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "nslab=debug,warn",
        (false, _) => "trace",
    };
    let filter = EnvFilter::try_from_env(LOG).unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(render::colours(&std::io::stderr()))
        .without_time()
        .with_target(false)
        .init();
}
