//! What a container may do: who it is, its capabilities, the system calls it may make, what it begins with.
//!
//! All is got ready outside, once; what is left to do inside are a few dozen system calls, in an order that matters. What it
//! *sees* is not decided here (`root`), nor how much it may use (`cgroup`).

mod capabilities;
mod rlimits;
mod seccomp;
mod user;

use super::failure::{During as _, Failure, Step};
use crate::model::container::{Capability, Container, Rights, User};
use nix::unistd::geteuid;
use rustix::thread::CapabilitySet;
use seccomp::Filter;

/// What a container may do, got ready for giving up the rest.
#[derive(Debug)]
pub(super) struct Prepared {
    user: User,
    /// Whether it has a user namespace of its own.
    own_users: bool,
    rights: Given,
}

/// [`Rights`], with all that they need.
#[derive(Debug)]
enum Given {
    Callers,
    Confined { capabilities: CapabilitySet, filter: Filter },
    Privileged,
}

impl Prepared {
    /// Gets ready. To be done outside, before any process of the container's: what can't be given is found out here.
    ///
    /// # Errors
    /// Where a capability was asked for that nslab hasn't got itself.
    pub(super) fn new(container: &Container) -> Result<Self, Failure> {
        let own_users = container.namespaces.user.is_some();
        let rights = match &container.rights {
            Rights::Callers => Given::Callers,
            Rights::Privileged => Given::Privileged,
            Rights::Confined { capabilities } => {
                let given = capabilities::to_give(capabilities, own_users)?;
                Given::Confined { capabilities: capabilities::set_of(&given), filter: Filter::of(&given) }
            }
        };
        Ok(Self { user: container.user, own_users, rights })
    }

    /// Makes of this process what the command is to be. To be called last before execve(2): what the filter refuses can't be
    /// done any more.
    ///
    /// # Errors
    /// When the kernel refuses; the command must not be executed then.
    pub(super) fn confine_payload(&self) -> Result<(), Failure> {
        match &self.rights {
            Given::Callers => self.become_user(),
            Given::Privileged => {
                rlimits::lower()?;
                self.become_user()?;
                capabilities::keep_all()
            }
            Given::Confined { capabilities, filter } => {
                // Until something else is executed this is nslab's own program with its memory, which others in the
                // container must not look into (CVE-2016-9962). execve(2) makes it as usual again.
                undumpable()?;
                rlimits::lower()?;
                // Before the user changes, since it wants CAP_SETPCAP.
                capabilities::bound(*capabilities)?;
                // Needs capabilities, and takes them all away where root becomes somebody else. Those of somebody else are
                // not wanted back (PR_SET_KEEPCAPS): it has none after execve(2), as in Docker.
                self.become_user()?;
                let kept = if geteuid().is_root() { *capabilities } else { CapabilitySet::empty() };
                capabilities::keep(kept)?;
                // Without capabilities the kernel takes a filter only from who can gain none.
                no_new_privileges()?;
                // Last: it refuses some of the calls above.
                filter.apply()
            }
        }
    }

    /// Makes of this process, the container's first, one that is of no use to whoever takes it over: it ends others, collects
    /// what they leave, and reads and writes files that are open. To be called when it has started the command, and does
    /// nothing else any more.
    ///
    /// It is [not to be looked into](undumpable) from before the command is started on.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn confine_init(&self) -> Result<(), Failure> {
        // The command, and what comes of it, may be of any user.
        let kept = capabilities::set_of(&[Capability::Kill].into());
        capabilities::bound(kept)?;
        capabilities::keep(kept)?;
        no_new_privileges()?;
        match &self.rights {
            Given::Callers | Given::Privileged => Ok(()),
            Given::Confined { filter, .. } => filter.apply(),
        }
    }

    fn become_user(&self) -> Result<(), Failure> {
        let callers = matches!((&self.rights, self.user), (Given::Callers, User::Callers));
        if !callers {
            user::leave_groups(self.own_users)?;
        }
        user::become_user(self.user)
    }
}

/// Has others not look into this process's memory, open files and executable (PR_SET_DUMPABLE), nor into those of the
/// processes that it starts until they execute something; but for who has CAP_SYS_PTRACE where nslab was started. Nor can it
/// open its own files in /proc/self afterwards, where it is not root of the machine.
pub(super) fn undumpable() -> Result<(), Failure> {
    nix::sys::prctl::set_dumpable(false).during(|| Step::of("keep others from looking into the process"))
}

/// From now on, nothing that is executed gains any right by it (no_new_privs).
fn no_new_privileges() -> Result<(), Failure> {
    nix::sys::prctl::set_no_new_privs().during(|| Step::of("have no program gain privileges"))
}
