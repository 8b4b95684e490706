//! `nslab __init`: nslab's executable started anew, with one thread and nothing but the work that it was handed.

use super::command::ENTRY;
use super::enter::{self, Entry};
use super::failure::{During, Failure, Step};
use super::handshake::Ended;
use super::launch::{Launch, Output};
use super::outside::{self, Served};
use super::record::Running;
use super::seal::{self, Guard};
use super::{remover, sys};
use crate::directory::REMOVER;
use crate::{fault, process};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// The hidden verb that starts a container, the number of the open file that says which, and that of the executable's own, where it
/// is still open.
const VERB: &str = "__init";

/// The hidden verb that runs another command in one, which the environment says ([`ENTRY`]).
const ENTER: &str = "__enter";

/// What is answered, as JSON on standard output, where a container is started that nobody waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Its command runs.
    Started(Running),
    /// It does not, and nothing is left of it but its record.
    Failed(Failure),
}

/// Becomes the launcher, where the process was started as one; returns the code to exit with.
pub fn become_init() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let verb = arguments.next()?;
    if verb != ENTER && verb != VERB && verb != REMOVER {
        return None;
    }
    if let Err(failure) = begin() {
        return Some(ExitCode::from(tell_failure("the launcher", &failure)));
    }
    if verb == ENTER {
        return Some(ExitCode::from(enter()));
    }
    if verb == REMOVER {
        let removed = close_inherited(None)
            .during(|| Step::of("close what was inherited"))
            .and_then(|()| remover::run(arguments.next().unwrap_or_default().as_ref()));
        let failed = |failure: Failure| tell_failure("the remover", &failure);
        return Some(ExitCode::from(removed.map_or_else(failed, |()| 0)));
    }
    let mut number = || arguments.next()?.to_str()?.parse::<RawFd>().ok();
    let (file, executable) = (number().unwrap_or(libc::STDIN_FILENO), number());
    Some(ExitCode::from(match read(file, executable) {
        Err(failure) => tell_failure("the launcher", &failure),
        Ok((launch, executable)) => serve(&launch, executable),
    }))
}

/// What every launcher begins with.
fn begin() -> Result<(), Failure> {
    // Where there is none at all, what needs it says so.
    if process::shows_others() {
        let tell = "tell processes by their numbers, because /proc does not show those of this PID namespace (mount it, by \
                    `mount -t proc proc /proc`)";
        return Err(Step::of(tell).failed()(nix::errno::Errno::ESRCH));
    }
    sys::default_sigchld().during(|| Step::of("hear of children that end"))
}

/// What is to be launched, and the executable where it is still open.
fn read(number: RawFd, executable: Option<RawFd>) -> Result<(Launch, Option<OwnedFd>), Failure> {
    let listen = || Step::of("read what is to be launched");
    let close = || Step::of("close what was inherited");
    let mut text = Vec::new();
    let path = format!("/proc/self/fd/{number}");
    File::open(path).and_then(|mut file| file.read_to_end(&mut text)).during(listen)?;
    // Nothing of what is open already was opened by this process: nobody else holds the file by its number.
    let executable = executable.filter(|number| *number > libc::STDERR_FILENO && is_open(*number)).map(sys::own);
    if let Some(executable) = &executable {
        seal::close_on_execution(executable)?;
    }
    close_inherited(executable.as_ref().map(AsRawFd::as_raw_fd)).during(close)?;
    let launch = serde_json::from_slice(&text).map_err(|_| nix::errno::Errno::EBADMSG).during(listen)?;
    Ok((launch, executable))
}

fn is_open(number: RawFd) -> bool {
    Path::new("/proc/self/fd").join(number.to_string()).is_symlink()
}

/// Nothing is open yet but what the caller had: no container is to find it, not even in its process 1.
fn close_inherited(kept: Option<RawFd>) -> std::io::Result<()> {
    match sys::close_all_but(kept.as_slice()) {
        Err(nix::errno::Errno::ENOSYS) => {} // before 5.9
        result => return Ok(result?),
    }
    let first = libc::STDERR_FILENO + 1;
    let number = |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<i32>().ok();
    let open: Vec<i32> =
        std::fs::read_dir("/proc/self/fd")?.filter_map(number).filter(|fd| *fd >= first && kept != Some(*fd)).collect();
    for file in open {
        let _ = nix::unistd::close(file); // the directory that was just read is closed already
    }
    Ok(())
}

fn serve(launch: &Launch, executable: Option<OwnedFd>) -> u8 {
    served(launch, Guard::Sealed(executable))
}

fn served(launch: &Launch, guard: Guard) -> u8 {
    let served = outside::serve(launch, guard);
    if let Output::Detached { .. } = launch.output {
        let answer = match served {
            Ok(Served::Started(running)) => Answer::Started(running),
            Ok(Served::Ended(_)) => return 0,
            Err(failure) => Answer::Failed(failure),
        };
        let text = serde_json::to_string(&answer).unwrap_or_default();
        let _ = write!(std::io::stdout(), "{text}"); // where nobody reads it, nobody waits
        return 0;
    }
    match served {
        Ok(Served::Ended(ended)) => ended.code(),
        Ok(Served::Started(_)) => Ended::Code(0).code(),
        Err(failure) => tell_failure(&launch.name, &failure),
    }
}

fn enter() -> u8 {
    let understand = || Step::of("understand which container is to be entered");
    let text = std::env::var(ENTRY).unwrap_or_default();
    let entry = serde_json::from_str(&text).map_err(|_| nix::errno::Errno::EBADMSG).during(understand);
    let entry: Result<Entry, _> =
        entry.and_then(|entry| close_inherited(None).during(|| Step::of("close what was inherited")).map(|()| entry));
    match entry.and_then(|entry| enter::run(&entry)) {
        Ok(ended) => ended.code(),
        Err(failure) => tell_failure("the container", &failure),
    }
}

/// The command that runs another one in a container, as a child of the calling process.
///
/// # Errors
/// When nslab's own executable can't be had.
pub fn entering(entry: &Entry) -> Result<Sealed, Failure> {
    let mut sealed = Sealed::new(ENTER)?;
    sealed.command.env(ENTRY, written(entry)?);
    Ok(sealed)
}

/// The command that starts a container that nobody waits for, in the namespaces that it is started in: what it is to read on
/// its standard input is the text that comes along, and what it writes to its standard output is an [`Answer`].
///
/// # Errors
/// When nslab's own executable can't be had.
pub fn starting(launch: &Launch) -> Result<(Sealed, String), Failure> {
    Ok((Sealed::new(VERB)?, written(launch)?))
}

/// What the launcher gets of nslab's own environment: where systemd is to be asked for a cgroup, and what a terminal is.
const INHERITED: [&str; 5] = ["PATH", "TERM", "DBUS_SYSTEM_BUS_ADDRESS", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"];

/// What a launcher is to have of the calling process's environment where its container does not inherit that.
pub fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    INHERITED.into_iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
}

/// A command that executes nslab such that nobody can write to its file, and the file itself.
#[derive(Debug)]
pub struct Sealed {
    /// The command.
    pub command: Command,
    /// What it executes: to be kept until it is started.
    pub executable: OwnedFd,
}

impl Sealed {
    fn new(verb: &str) -> Result<Self, Failure> {
        let executable = seal::executable()?;
        let mut command = Command::new(format!("/proc/self/fd/{}", executable.as_raw_fd()));
        command.arg0("nslab").arg(verb);
        Ok(Self { command, executable })
    }
}

/// Becomes another command in a container in place of the calling process, which has one thread; returns only where that
/// fails.
pub fn become_entrant(entry: &Entry) -> Failure {
    match written(entry).and_then(|text| Ok((text, seal::executable()?))) {
        Ok((text, executable)) => {
            let environment = std::env::vars_os().chain([(ENTRY.into(), text.into())]).collect();
            seal::execute(&executable, &[ENTER.to_owned()], environment)
        }
        Err(failure) => failure,
    }
}

fn written(what: &impl Serialize) -> Result<String, Failure> {
    let hand_over = || Step::of("hand over what is to be launched");
    serde_json::to_string(what).map_err(|_| nix::errno::Errno::EINVAL).during(hand_over)
}

fn tell_failure(name: &str, failure: &Failure) -> u8 {
    let _ = writeln!(std::io::stderr(), "nslab: {name}: {failure}: {}", failure.source.desc());
    failure.exit_code()
}

/// Becomes a launcher of this in place of the calling process, which has one thread and nothing open that it still wants;
/// returns the code to exit with.
///
/// # Errors
/// When it can't become one.
pub fn become_launcher(launch: &Launch) -> Result<ExitCode, Failure> {
    begin()?;
    close_inherited(None).during(|| Step::of("close what was inherited"))?;
    match Guard::without_execution(launch) {
        Some(guard) => Ok(ExitCode::from(served(launch, guard))),
        None => Err(execute_launcher(launch)),
    }
}

/// Executes nslab anew for that; returns only where that fails.
fn execute_launcher(launch: &Launch) -> Failure {
    let hand_over = || Step::of("hand over what is to be launched");
    let file = written(launch).and_then(|text| {
        // Not closed on execution: that is what it is for.
        let mut file = File::from(memfd_create("launch", MFdFlags::empty()).during(hand_over)?);
        file.write_all(text.as_bytes()).and_then(|()| file.rewind()).during(hand_over)?;
        let executable = seal::executable()?;
        Ok((file, seal::stay_open(&executable)?, executable))
    });
    match file {
        Ok((file, number, executable)) => {
            let arguments = [VERB.to_owned(), file.as_raw_fd().to_string(), number.to_string()];
            let inherited = launch.container.environment.inherited;
            let environment: Vec<_> = if inherited {
                std::env::vars_os().collect()
            } else {
                environment().chain(fault::variables()).collect()
            };
            seal::execute(&executable, &arguments, environment)
        }
        Err(failure) => failure,
    }
}
