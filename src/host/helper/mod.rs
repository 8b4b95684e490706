//! Helpers: nslab's own executable, started anew with a hidden verb in a node's namespace, to do there what takes a process.
//!
//! nslab works with nothing else installed, and leaves no daemon of somebody else's behind. A helper is known by its command
//! line, which says all that it does, so that there is no file that could be wrong. It has a session of its own, inherits
//! nothing but its arguments, gives up the capabilities that it does not need, and ends with its namespace's name and with
//! the interfaces that it is for, so that it keeps neither alive.

mod alone;
mod begin;
mod ending;

pub(super) use alone::{
    HelperError, hold_back_sessions_end, keep_capabilities, leave_what_was_inherited, outlive_sessions, said_ready,
};
pub(super) use begin::{arguments_of, exec, has_begun, is_helper, is_one, is_prepared, spawn};
pub(super) use ending::{Ending, LOOKING};

use super::{advertiser, leaseholder, uplink};
use std::error::Error;
use std::ffi::CStr;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// What processes of a kind are known by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// The second word of their command line. The third is their namespace's name.
    pub(super) verb: &'static str,
    /// What they are called (/proc/PID/comm, at most 15 bytes) once they do what they are for.
    pub(super) name: &'static CStr,
}

/// What a helper prints when it does what it is for.
const READY: &str = "ready";

/// A helper's work, from its arguments behind the verb on. It returns when it is to end.
pub type Work = fn(&[String]) -> Result<(), Box<dyn Error>>;

/// All kinds of helpers that there are.
const KINDS: [Kind; 4] = [advertiser::KIND, leaseholder::KIND, uplink::KEEPER, uplink::WATCHER];

/// Their work; a keeper's is that of whole labs, of which nothing is known here.
fn helpers(keep: Work) -> [(Kind, Work); 4] {
    [
        (advertiser::KIND, |arguments| Ok(advertiser::run(arguments)?)),
        (leaseholder::KIND, |arguments| Ok(leaseholder::run(arguments)?)),
        (uplink::KEEPER, keep),
        (uplink::WATCHER, uplink::watch_keeper),
    ]
}

/// Becomes a helper, where the process was started as one; `keep` is a keeper's work. Where it returns a code, the process is to
/// exit with that.
pub fn become_helper(keep: Work) -> Option<ExitCode> {
    begin::prepare();
    let mut arguments = std::env::args_os().skip(1);
    let verb = arguments.next()?;
    let (_, work) = helpers(keep).into_iter().find(|(kind, _)| verb == kind.verb)?;
    let arguments: Vec<String> = arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    match work(&arguments) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            // Whoever started it hears why. Nobody may listen any more, and then nobody wants to know.
            let _ = write!(io::stdout(), "{}", chain(error.as_ref()));
            Some(ExitCode::FAILURE)
        }
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
