//! `cp`: files into a container, and out of it.

use super::args::Global;
use super::args_container::CopyArguments;
use super::select::{self, Called};
use crate::Error;
use crate::lab::not_running;
use crate::launcher::{self, Outside, Record};
use crate::model::Shown;
use crate::state::StateRoot;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

/// One of the two things that a copy has to do with.
#[derive(Debug, PartialEq, Eq)]
enum End<'a> {
    Outside(Outside<'a>),
    Inside { container: &'a str, path: &'a Path },
}

/// Runs in a process with one thread: it makes another one that goes into the container.
pub(super) fn copy(global: &Global, arguments: &CopyArguments) -> Result<ExitCode, Error> {
    let left_out = match (end(&arguments.source), end(&arguments.target)) {
        (End::Inside { container, path }, End::Outside(to)) => {
            launcher::copy_out(&running(global, container)?, path, to)?
        }
        (End::Outside(from), End::Inside { container, path }) => {
            launcher::copy_in(&running(global, container)?, path, from)?
        }
        (End::Outside(_), End::Outside(_)) => {
            let text = "neither of the two is in a container: write NAME:PATH, or use cp(1)";
            return Err(Error::Usage(text.to_owned()));
        }
        (End::Inside { .. }, End::Inside { .. }) => {
            let text = "both are in containers: `nslab cp ONE:PATH - | nslab cp - OTHER:DIRECTORY` copies between two";
            return Err(Error::Usage(text.to_owned()));
        }
    };
    for what in left_out {
        tracing::warn!("left out {}", Shown(what));
    }
    Ok(ExitCode::SUCCESS)
}

/// `NAME:PATH` is in a container, unless it begins like a path.
fn end(text: &OsStr) -> End<'_> {
    let path = || Outside::Path(Path::new(text));
    let bytes = text.as_bytes();
    if bytes == b"-" {
        return End::Outside(Outside::Archive);
    }
    if bytes.starts_with(b"/") || bytes.starts_with(b".") {
        return End::Outside(path());
    }
    let colon = bytes.iter().position(|byte| *byte == b':');
    let split =
        colon.and_then(|at| Some((std::str::from_utf8(&bytes[..at]).ok()?, OsStr::from_bytes(&bytes[at + 1..]))));
    match split {
        Some((container, path)) => End::Inside { container, path: Path::new(path) },
        None => End::Outside(path()),
    }
}

/// The record of a container that runs.
fn running(global: &Global, container: &str) -> Result<Record, Error> {
    let root = StateRoot::new(&global.state_dir)?;
    let called = select::container(&root, global, container)?;
    match Record::read(&called.record(&root))? {
        Some(record) if record.is_alive() => Ok(record),
        Some(_) => Err(Error::Usage(not_running(called))),
        None => Err(match called {
            Called::Node(lab, node) => match super::exec::why_not(&root, &lab, &node) {
                // There is such a node.
                Error::Usage(_) => Error::Usage(format!(
                    "{lab}/{node} is no container: its files are the machine's own, for which there is cp(1)"
                )),
                other => other,
            },
            Called::Alone(_) => Error::Usage(not_running(called)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_container_is_told_from_what_is_not() {
        let inside = |container, path| End::Inside { container, path: Path::new(path) };
        let outside = |path| End::Outside(Outside::Path(Path::new(path)));
        for (text, expected) in [
            ("zion:/etc/hosts", inside("zion", "/etc/hosts")),
            ("matrix/zion:etc", inside("matrix/zion", "etc")),
            ("zion:", inside("zion", "")),
            ("zion:/a:b", inside("zion", "/a:b")),
            ("./a:b", outside("./a:b")),
            ("/a:b", outside("/a:b")),
            ("file", outside("file")),
            ("-", End::Outside(Outside::Archive)),
        ] {
            assert_eq!(end(OsStr::new(text)), expected, "{text}");
        }
    }
}
