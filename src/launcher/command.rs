//! Executing the command: its environment, its directory, where its program is found.

use super::failure::{During, Failure, Step};
use crate::model::container::{Container, Root, User};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// Where programs are, for those who say nothing else; as Docker and runc have it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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

    /// Becomes the command.
    ///
    /// # Errors
    /// Always when it returns: that of the program that was found, or that there is none.
    pub(super) fn execute(&self) -> Failure {
        match self.try_execute() {
            Ok(never) => match never {},
            Err(failure) => failure,
        }
    }

    fn try_execute(&self) -> Result<Infallible, Failure> {
        let program = self.words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        let refused = || Step::Execute { program: program.clone() };
        if program.contains('/') {
            let name = CString::new(program.as_bytes()).map_err(|_| Errno::EINVAL).during(refused)?;
            return nix::unistd::execve(&name, &self.words, &self.environment).during(refused);
        }
        if program.is_empty() {
            return Err(refused().failed()(Errno::ENOENT));
        }
        // As execvp(3) does it, but for a file that is no program: that one gives to the shell, whatever it is.
        let mut answer = Errno::ENOENT;
        for directory in self.path.split(':') {
            let file = Path::new(if directory.is_empty() { "." } else { directory }).join(&program);
            let Ok(name) = CString::new(file.into_os_string().into_vec()) else { continue };
            match nix::unistd::execve(&name, &self.words, &self.environment) {
                Ok(never) => match never {},
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(Errno::EACCES) => answer = Errno::EACCES,
                Err(errno) => return Err(refused().failed()(errno)),
            }
        }
        Err(refused().failed()(answer))
    }
}

fn environment(container: &Container, has_terminal: bool) -> BTreeMap<OsString, OsString> {
    let mut variables: BTreeMap<OsString, OsString> = BTreeMap::new();
    if container.environment.inherited {
        variables.extend(std::env::vars_os().filter(|(name, _)| name != super::init::ENTRY));
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
    nix::unistd::chdir(directory).during(|| Step::Open { path: directory.to_owned() })
}
