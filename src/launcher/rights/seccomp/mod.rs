//! The system calls that a confined container may make (seccomp(2)): equal in effect to Docker's default.
//!
//! `profile` and `always` have the facts, `program` makes a filter of them.

mod always;
mod profile;
mod program;
#[cfg(test)]
mod tests;

use super::super::failure::{Failure, Step};
use crate::model::container::Capability;
use nix::errno::Errno;
use profile::Abi;
use seccompiler::BpfProgram;
use std::collections::BTreeSet;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the filter of system calls knows the numbers of x86-64 and 64-bit ARM alone");

/// The sorts of programs that the kernel runs on this machine.
const ABIS: &[Abi] = if cfg!(target_arch = "aarch64") { &[Abi::Aarch64, Abi::Arm] } else { &[Abi::X86_64, Abi::I386] };

/// A filter, ready to be set.
#[derive(Debug)]
pub(super) struct Filter(BpfProgram);

impl Filter {
    /// The filter of a container with these capabilities.
    pub(super) fn of(capabilities: &BTreeSet<Capability>) -> Self {
        Self(program::compile(ABIS, |capability| capabilities.contains(&capability)))
    }

    /// Sets it, for this thread and all that comes of it, for good. It wants no_new_privs, or CAP_SYS_ADMIN.
    pub(super) fn apply(&self) -> Result<(), Failure> {
        use seccompiler::Error;
        seccompiler::apply_filter(&self.0).map_err(|error| {
            let source = match error {
                Error::Prctl(error) | Error::Seccomp(error) => error.raw_os_error().map(Errno::from_raw),
                _ => None,
            };
            Step::of("set the filter of system calls").failed()(source.unwrap_or(Errno::EINVAL))
        })
    }
}
