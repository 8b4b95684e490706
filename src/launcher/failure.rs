//! What can fail on the way to a running container, in words and with the kernel's answer.
//!
//! It crosses from process to process, so it can be written and read.

use crate::model::Shown;
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("can't {}{}", Shown(step), Shown(in_parentheses(besides)))]
pub struct Failure {
    /// What was to be done.
    pub step: Step,
    /// The kernel's answer.
    #[source]
    #[serde(with = "errno")]
    pub source: Errno,
    /// What could not be taken back when it had failed, each in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub besides: Vec<String>,
}

fn in_parentheses(besides: &[String]) -> String {
    if besides.is_empty() { String::new() } else { format!(" (besides, {})", besides.join("; ")) }
}

/// One thing that has to be done for a container to run. Its text goes on after "can't".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// mount(2), or what has taken its place.
    #[error("mount {what} at {}", at.display())]
    Mount {
        /// What: a file system, or a path of the machine's.
        what: String,
        /// Where in the container.
        at: PathBuf,
    },
    /// A file or directory is to be there.
    #[error("open {}", path.display())]
    Open {
        /// Its path.
        path: PathBuf,
    },
    /// A file or directory is to be made.
    #[error("make {}", path.display())]
    Make {
        /// Its path.
        path: PathBuf,
    },
    /// A program is to be executed.
    #[error("run `{program}`")]
    Execute {
        /// Its name or path.
        program: String,
    },
    /// Users or groups of a user namespace are to be numbered.
    #[error("write the map `{records}` ({file}) of the user namespace")]
    Map {
        /// `uid_map` or `gid_map`.
        file: String,
        /// What was to be written.
        records: String,
    },
    /// Anything that every process may do, or root.
    #[error("{what}")]
    Do {
        /// In words.
        what: String,
    },
}

impl Step {
    /// The step's failure.
    pub fn failed(self) -> impl FnOnce(Errno) -> Failure {
        |source| Failure { step: self, source, besides: Vec::new() }
    }

    /// A step in words.
    pub fn of(what: impl Into<String>) -> Self {
        Self::Do { what: what.into() }
    }
}

impl Failure {
    /// The same failure, after something was taken back, or could not be: what failed first is what is told.
    #[must_use]
    pub fn after<T>(self, taken_back: Result<T, Self>) -> Self {
        match taken_back {
            Ok(_) => self,
            Err(other) => self.besides(format!("{other}: {}", other.source.desc())),
        }
    }

    /// The same failure, with something else to be told.
    #[must_use]
    pub fn besides(mut self, what: String) -> Self {
        self.besides.push(what);
        self
    }

    /// What a launch returns for it: 127 where the command isn't there, 126 where it can't be run, 125 for the rest (env(1)).
    pub fn exit_code(&self) -> u8 {
        if self.is_command_absent() {
            127
        } else if self.is_command_unrunnable() {
            126
        } else {
            125
        }
    }

    /// Whether the command is not there.
    pub fn is_command_absent(&self) -> bool {
        matches!(self.step, Step::Execute { .. }) && matches!(self.source, Errno::ENOENT | Errno::ENOTDIR)
    }

    /// Whether the command is there and can't be run.
    pub fn is_command_unrunnable(&self) -> bool {
        matches!(self.step, Step::Execute { .. }) && !self.is_command_absent()
    }
}

/// A place between two steps, at which a test may have the process end, or fail.
pub(super) fn at(place: &str) -> Result<(), Failure> {
    crate::fault::at(place).map_err(|crate::fault::Injected| Step::of(format!("go on {place}")).failed()(Errno::EIO))
}

/// Adds the step to what nix and rustix answer.
pub(super) trait During<T> {
    /// Says which step a call was for.
    ///
    /// # Errors
    /// Those of the call.
    fn during(self, step: impl FnOnce() -> Step) -> Result<T, Failure>;
}

impl<T> During<T> for Result<T, Errno> {
    fn during(self, step: impl FnOnce() -> Step) -> Result<T, Failure> {
        self.map_err(|source| step().failed()(source))
    }
}

impl<T> During<T> for Result<T, rustix::io::Errno> {
    fn during(self, step: impl FnOnce() -> Step) -> Result<T, Failure> {
        self.map_err(|errno| step().failed()(Errno::from_raw(errno.raw_os_error())))
    }
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, step: impl FnOnce() -> Step) -> Result<T, Failure> {
        self.map_err(|error| {
            // Only what the kernel answers comes this way; the rest (an empty name, a NUL in it) is an invalid argument.
            let source = error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw);
            step().failed()(source)
        })
    }
}

/// An errno as its number.
mod errno {
    use nix::errno::Errno;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    pub(super) fn serialize<S: Serializer>(errno: &Errno, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i32(*errno as i32)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Errno, D::Error> {
        i32::deserialize(from).map(Errno::from_raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_the_same_after_its_way() {
        let failure = Step::Mount { what: "proc".into(), at: "/proc".into() }.failed()(Errno::EPERM);
        let text = serde_json::to_string(&failure).unwrap();
        assert_eq!(serde_json::from_str::<Failure>(&text).unwrap(), failure, "{text}");
        assert_eq!(failure.to_string(), "can't mount proc at /proc");
        let failure = failure.after::<()>(Err(Step::of("remove it").failed()(Errno::EBUSY))).after(Ok(()));
        let text = serde_json::to_string(&failure).unwrap();
        assert_eq!(serde_json::from_str::<Failure>(&text).unwrap(), failure, "{text}");
        let expected = "can't mount proc at /proc (besides, can't remove it: Device or resource busy)";
        assert_eq!((failure.to_string().as_str(), failure.source), (expected, Errno::EPERM));
    }

    #[test]
    fn a_name_does_nothing_to_a_terminal() {
        let failure = Step::Open { path: "/\u{1b}[2J".into() }.failed()(Errno::EPERM).besides("\u{7}".to_owned());
        assert_eq!(failure.to_string(), "can't open /\\u{1b}[2J (besides, \\u{7})");
    }

    #[test]
    fn a_command_that_is_not_there_is_told_from_one_that_can_not_be_run() {
        let run = |errno| Step::Execute { program: "x".into() }.failed()(errno);
        assert!(run(Errno::ENOENT).is_command_absent());
        assert!(run(Errno::EACCES).is_command_unrunnable());
        assert!(run(Errno::ENOEXEC).is_command_unrunnable());
        assert!(!Step::of("think").failed()(Errno::ENOENT).is_command_absent());
    }
}
