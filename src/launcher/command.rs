//! Executing the command: its environment, its directory, where its program is found.

use super::failure::{During, Failure, Step};
use super::root;
use super::springboard::Springboard;
use crate::model::container::{Container, Root, User};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::stat::{FileStat, SFlag, stat};
use nix::unistd::{AccessFlags, access};
use rustix::fs::{Mode, OFlags};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Where programs are, for those who say nothing else; as Docker and runc have it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The variable that says which command is to be run in a container that runs: nobody but who started the process and root can
/// read it, and it is not handed on.
pub(super) const ENTRY: &str = "NSLAB_ENTRY";

/// The command as the kernel takes it.
#[derive(Debug)]
pub(super) struct Prepared {
    words: Vec<CString>,
    environment: Vec<CString>,
    path: String,
}

impl Prepared {
    /// From what is asked for and, where that says so, the calling process's environment.
    ///
    /// # Errors
    /// When there is no command, or a NUL in it.
    pub(super) fn new(container: &Container, has_terminal: bool) -> Result<Self, Failure> {
        let program = container.command.first().cloned().unwrap_or_default();
        let refused = || Step::Execute { program: program.clone() };
        let string = |text: Vec<u8>| CString::new(text).map_err(|_| Errno::EINVAL).during(refused);
        let variables = environment(container, has_terminal);
        let path = variables.get(&OsString::from("PATH")).and_then(|path| path.to_str()).unwrap_or(PATH).to_owned();
        let words = container.command.iter().map(|word| string(word.clone().into_bytes())).collect::<Result<_, _>>()?;
        let entries = variables.into_iter().map(|(mut entry, value)| {
            entry.push("=");
            entry.push(value);
            string(entry.into_vec())
        });
        Ok(Self { words, environment: entries.collect::<Result<_, _>>()?, path })
    }

    /// Becomes the command, by way of the springboard where one is given, which reports to this file. `mask` is what signals it is
    /// to have blocked: they are unblocked last, when there is nothing left of which half could be done.
    ///
    /// # Errors
    /// Always when it returns: that of the program that was found, or that there is none.
    pub(super) fn execute(&self, mask: &SigSet, springboard: Option<(&Springboard, BorrowedFd<'_>)>) -> Failure {
        let Self { words, environment, .. } = self;
        let path = match self.find() {
            Ok(path) => path,
            Err(errno) => return self.refused(errno),
        };
        if let Err(errno) = sigprocmask(SigmaskHow::SIG_SETMASK, Some(mask), None) {
            return Step::of("unblock signals").failed()(errno);
        }
        let executed = match springboard {
            None => nix::unistd::execve(&path, words, environment),
            Some((springboard, report)) => match springboard.execute(&path, words, environment, report) {
                // What is too long for the one is for the other.
                Err(errno) if errno != Errno::E2BIG => {
                    let step =
                        "run the program in memory that executes the command, which a security module may forbid";
                    return Step::of(step).failed()(errno);
                }
                executed => executed,
            },
        };
        match executed {
            Ok(never) => match never {},
            Err(errno) => self.refused(errno),
        }
    }

    /// The command could not be executed, for this reason.
    pub(super) fn refused(&self, errno: Errno) -> Failure {
        Step::Execute { program: self.program().into_owned() }.failed()(errno)
    }

    fn program(&self) -> Cow<'_, str> {
        self.words.first().map(|word| word.to_string_lossy()).unwrap_or_default()
    }

    /// Where the program is: as execvp(3) finds it.
    fn find(&self) -> Result<CString, Errno> {
        let word = self.words.first().filter(|word| !word.is_empty()).ok_or(Errno::ENOENT)?;
        if word.as_bytes().contains(&b'/') {
            return Ok(word.clone());
        }
        let program = Path::new(OsStr::from_bytes(word.as_bytes()));
        let mut answer = Errno::ENOENT;
        for directory in self.path.split(':') {
            let file = Path::new(if directory.is_empty() { "." } else { directory }).join(program);
            match (stat(&file), access(&file, AccessFlags::X_OK)) {
                (Err(Errno::ENOENT | Errno::ENOTDIR), _) => {}
                (Ok(found), Ok(())) if is_regular(&found) => {
                    return CString::new(file.into_os_string().into_vec()).map_err(|_| Errno::EINVAL);
                }
                (Ok(_) | Err(_), _) => answer = Errno::EACCES,
            }
        }
        Err(answer)
    }
}

fn is_regular(file: &FileStat) -> bool {
    SFlag::from_bits_truncate(file.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG
}

fn environment(container: &Container, has_terminal: bool) -> BTreeMap<OsString, OsString> {
    let mut variables: BTreeMap<OsString, OsString> = BTreeMap::new();
    if container.environment.inherited {
        variables.extend(std::env::vars_os().filter(|(name, _)| name != ENTRY));
    } else {
        let home = match container.user {
            User::Callers | User::Ids { uid: 0, .. } => "/root",
            User::Ids { .. } => "/",
        };
        variables.extend([("PATH".into(), PATH.into()), ("HOME".into(), home.into())]);
        if has_terminal {
            let terminal = std::env::var_os("TERM").unwrap_or_else(|| "xterm".into());
            variables.insert("TERM".into(), terminal);
        }
    }
    variables.extend(container.environment.variables.iter().map(|(name, value)| (name.into(), value.into())));
    variables
}

/// Goes to the directory that the command is to start in.
pub(super) fn enter_directory(container: &Container) -> Result<(), Failure> {
    let directory = match (&container.working_directory, &container.root) {
        (Some(directory), _) => directory.as_path(),
        (None, Root::Own(_)) => Path::new("/"),
        (None, Root::Callers) => return Ok(()),
    };
    let open = || Step::Open { path: directory.to_owned() };
    if container.root == Root::Callers {
        return nix::unistd::chdir(directory).during(open);
    }
    // Whoever made the root, or the image, may have named a file of /proc's that leads to what is open outside (CVE-2024-21626).
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).during(open)?;
    nix::unistd::fchdir(root::find(root.as_fd(), directory).during(open)?).during(open)
}
