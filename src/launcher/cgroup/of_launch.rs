//! The cgroup of a launch, as the process outside has it: from before the clone until nothing of the container is left.

use super::{Cgroup, Doors, OomCounter, OutOfMemory, WaysOut, launched};
use crate::launcher::failure::{During, at};
use crate::launcher::{Ended, Failure, Launch, Step};
use crate::model::container::MemorySize;
use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// How long what was killed may take to end.
const END: Duration = Duration::from_secs(10);

/// A container's cgroup.
#[derive(Debug)]
pub(in crate::launcher) struct OfLaunch {
    cgroup: Cgroup,
    counter: Option<OomCounter>,
    memory: Option<MemorySize>,
    /// Whether disks are written and read more slowly by it.
    limits_disks: bool,
    /// What the container is called.
    name: String,
    /// Who process 1 has said that were killed.
    noted: Cell<Option<OutOfMemory>>,
}

impl OfLaunch {
    /// Makes it, where it is asked for. Where nothing is limited, and the caller may not have cgroups, there is none.
    pub(in crate::launcher) fn make(launch: &Launch) -> Result<Option<Self>, Failure> {
        let Some(name) = &launch.cgroup else { return Ok(None) };
        let limits = &launch.container.limits;
        let cgroup = match Cgroup::create(name, limits) {
            Err(error) if limits.is_none() && error.is_unavailable() => return Ok(None),
            result => result?,
        };
        let made = Self {
            counter: None,
            memory: limits.memory,
            limits_disks: limits.io_read.or(limits.io_write).is_some(),
            name: launch.name.clone(),
            noted: Cell::new(None),
            cgroup,
        };
        match made.cgroup.oom_counter() {
            Ok(counter) => Ok(Some(Self { counter, ..made })),
            Err(error) => Err(Failure::from(error).after(made.cgroup.remove().map_err(Failure::from))),
        }
    }

    /// What to clone into (CLONE_INTO_CGROUP).
    pub(in crate::launcher) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.cgroup.fd()
    }

    /// Puts process 1 into it, as far as it neither is nor can do that itself.
    pub(in crate::launcher) fn add(&mut self, pid: nix::unistd::Pid) -> Result<(), Failure> {
        self.cgroup.add(pid.as_raw()).map_err(Failure::from)
    }

    /// How process 1 gets into what it is not cloned into.
    pub(in crate::launcher) fn doors(&self) -> Result<Doors, Failure> {
        self.cgroup.doors().map_err(Failure::from)
    }

    /// How process 1 gets out of it.
    pub(in crate::launcher) fn ways_out(&self) -> Result<WaysOut, Failure> {
        WaysOut::of(&self.cgroup).during(|| Step::of("open the container's cgroup"))
    }

    /// Ends and removes what launchers that were killed have left in the same hierarchies.
    pub(in crate::launcher) fn remove_left(&self) {
        // What can't be removed is no reason not to go on: it is not this one's.
        let _ = launched::remove_left(&self.cgroup);
    }

    /// Its directories, in words.
    pub(in crate::launcher) fn words(&self) -> String {
        let places: Vec<String> = self.cgroup.directories().iter().map(|place| place.display().to_string()).collect();
        places.join(", ")
    }

    /// What counts whom the kernel kills for want of memory; process 1 can read it, too.
    pub(in crate::launcher) fn counter(&self) -> Option<&OomCounter> {
        self.counter.as_ref()
    }

    /// Takes down what process 1 says: systemd may remove a cgroup before it can be looked at here.
    pub(in crate::launcher) fn note(&self, killed: OutOfMemory) {
        self.noted.set(Some(killed));
    }

    /// Ends whoever is in it of a container that could not be started, and removes it.
    pub(in crate::launcher) fn abandon(self) -> Result<(), Failure> {
        self.finish(Ended::Signal(nix::libc::SIGKILL)).map(drop)
    }

    /// Ends whoever is left of a container that has ended in this way, and removes it. Returns what there is to say of it.
    pub(in crate::launcher) fn finish(self, ended: Ended) -> Result<Option<String>, Failure> {
        let counted = self.counter.as_ref().and_then(OutOfMemory::told);
        let killed = counted.into_iter().chain(self.noted.get()).max_by_key(|killed| killed.kills);
        if self.limits_disks {
            self.cgroup.let_disks_go();
        }
        at("while the cgroup is removed")?;
        // Mostly nobody is left, and it can be removed at once.
        if self.cgroup.remove().is_err() {
            self.cgroup.end(END)?;
            self.cgroup.remove_within(END)?;
        }
        Ok(killed.map(|killed| words(&self.name, killed, ended, self.memory)))
    }
}

/// A command that ends otherwise than who is killed has started whom the kernel has killed.
fn words(name: &str, killed: OutOfMemory, ended: Ended, memory: Option<MemorySize>) -> String {
    let OutOfMemory { kills, is_for_others } = killed;
    let limit = match (is_for_others, memory) {
        (true, _) => " (not for a limit of its own)".to_owned(),
        (false, memory) => memory.map(|memory| format!(" (limit {memory})")).unwrap_or_default(),
    };
    let whom = match kills {
        1 if ended.code() == Ended::Signal(nix::libc::SIGKILL).code() => String::new(),
        1 => "a process of it was ".to_owned(),
        _ => format!("{kills} processes "),
    };
    format!("{name}: {whom}killed, out of memory{limit}")
}

/// Who is killed for want of memory in a container that runs, while another command runs in it.
#[derive(Debug)]
pub(in crate::launcher) struct Deaths {
    counter: OomCounter,
    before: u64,
    memory: Option<MemorySize>,
}

impl Deaths {
    /// From now on; `None` where nobody counts. To be called where the caller sees its own cgroups yet.
    pub(in crate::launcher) fn watch(launch: &Launch) -> Option<Self> {
        let counter = Cgroup::find(launch.cgroup.as_ref()?).ok()??.oom_counter().ok()??;
        let before = counter.kills().ok()?;
        Some(Self { counter, before, memory: launch.container.limits.memory })
    }

    /// What there is to say to who has waited for a command that was killed.
    pub(in crate::launcher) fn words(&self, command: &str, ended: Ended) -> Option<String> {
        let killed = OutOfMemory::told(&self.counter)?;
        let kills = killed.kills.saturating_sub(self.before);
        (kills > 0).then(|| words(command, OutOfMemory { kills, ..killed }, ended, self.memory))
    }
}
