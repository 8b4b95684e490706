//! What /proc says of processes (proc_pid_stat(5)).
//!
//! A number may pass to another process. With the time of its start it is that of one alone, also for who looks from another time
//! namespace.

use std::collections::BTreeSet;
use std::fs;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How long a process may take to become another program, on a machine that has much else to do.
const BECOMING: Duration = Duration::from_secs(1);

/// What /proc/PID/stat says of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Its name, which may be anything.
    pub(crate) name: String,
    /// Whether it runs, sleeps, is stopped and so on, by a letter.
    pub(crate) state: char,
    /// The process that has started it, or inherited it.
    pub(crate) parent: i32,
    /// When it was started, in clock ticks after the machine was.
    pub(crate) started_ticks: u64,
}

impl Stat {
    /// Of the process of this number; `None` where there is none.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
        Some(Self { started_ticks: stat.started_ticks.checked_add_signed(-own_offset_ticks())?, ..stat })
    }

    /// The same of one that has not ended; one that nobody has waited for yet has.
    pub(crate) fn of_living(pid: i32) -> Option<Self> {
        Self::of(pid).filter(|stat| !matches!(stat.state, 'Z' | 'X'))
    }

    /// The second field is a name in parentheses that may hold anything; the third is the first after it.
    fn parse(text: &str) -> Option<Self> {
        let (head, rest) = text.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        Some(Self {
            name: name.to_owned(),
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            started_ticks: fields.get(19)?.parse().ok()?,
        })
    }
}

/// When a process was started that has not ended.
pub(crate) fn started_ticks(pid: i32) -> Option<u64> {
    Stat::of_living(pid).map(|stat| stat.started_ticks)
}

/// The command line of a process; empty where it is none, or has ended.
pub(crate) fn words_of(pid: i32) -> Vec<String> {
    let text = started_with(pid, "cmdline");
    let words = text.strip_suffix(b"\0").unwrap_or(&text).split(|byte| *byte == 0);
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Whether a process was started with this `NAME=value` in its environment.
pub(crate) fn has_environment(pid: i32, entry: &str) -> bool {
    started_with(pid, "environ").split(|byte| *byte == 0).any(|there| there == entry.as_bytes())
}

/// A file of /proc/PID on what a program was started with. A process that becomes another program has nothing there for a
/// moment, and is there all the same (get_mm_cmdline() and environ_read() in fs/proc/base.c).
fn started_with(pid: i32, file: &str) -> Vec<u8> {
    let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    // The kernel's own run no program, and those that have ended do no more.
    let has_program = || fs::read_link(format!("/proc/{pid}/exe")).is_ok();
    let (mut text, begun) = (read(file), Instant::now());
    while text.is_empty() && has_program() && begun.elapsed() < BECOMING {
        // Looked at before the file is read again: who has words by then has all the rest, of which there may be none.
        let is_becoming = read("cmdline").is_empty();
        text = read(file);
        if !is_becoming {
            break;
        }
        std::thread::yield_now();
    }
    text
}

/// The calling process and its ancestors.
pub(crate) fn own_line() -> BTreeSet<i32> {
    let mut line = BTreeSet::new();
    let mut pid = std::process::id().cast_signed();
    while pid > 0 && line.insert(pid) {
        pid = Stat::of(pid).map_or(0, |stat| stat.parent);
    }
    line
}

/// Whether /proc shows the processes of another PID namespace than the caller's: a number that is read there is that of another process
/// for kill(2) and pidfd_open(2). Where there is no /proc, nothing is shown.
pub(crate) fn shows_others() -> bool {
    let own = std::process::id().to_string();
    fs::read_link("/proc/self").is_ok_and(|shown| shown.to_str() != Some(&own))
}

/// By how much the boot time of the calling process's time namespace is ahead of the machine's: /proc/PID/stat adds it.
fn own_offset_ticks() -> i64 {
    static OFFSET: LazyLock<i64> = LazyLock::new(|| {
        let ticks_per_s = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        let text = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        boot_offset_s(&text).unwrap_or(0).saturating_mul(ticks_per_s)
    });
    *OFFSET
}

/// The whole seconds of the boot time's offset (time_namespaces(7)).
fn boot_offset_s(offsets: &str) -> Option<i64> {
    offsets.lines().find_map(|line| line.strip_prefix("boottime")?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_kernels_line_is_read() {
        let line = "113 (a) b (c) S 1 113 113 0 -1 4194560 90 0 0 0 0 0 0 0 20 0 1 0 424242 2441216 128";
        let stat = Stat { name: "a) b (c".into(), state: 'S', parent: 1, started_ticks: 424_242 };
        assert_eq!(Stat::parse(line), Some(stat));
        let own = Stat::of_living(std::process::id().cast_signed()).unwrap();
        assert_eq!(own.parent, std::os::unix::process::parent_id().cast_signed());
        assert!(!shows_others());
    }

    /// A child is there when it has its memory, and has what it was started with a moment later.
    #[test]
    fn a_process_has_its_words_from_its_first_moment_on() {
        for round in 0..200 {
            let mut child = Command::new("sleep").arg("1000").env("OF", "TEST").spawn().unwrap();
            let pid = child.id().cast_signed();
            let there =
                if round % 2 == 0 { words_of(pid) == ["sleep", "1000"] } else { has_environment(pid, "OF=TEST") };
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(there, "round {round}");
        }
    }

    #[test]
    fn who_has_ended_has_no_words_and_is_not_waited_for() {
        use nix::sys::wait::{Id, WaitPidFlag, waitid};
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id().cast_signed();
        let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        waitid(Id::Pid(nix::unistd::Pid::from_raw(pid)), ended).unwrap();
        let begun = Instant::now();
        assert_eq!(words_of(pid), [""]);
        assert!(begun.elapsed() < BECOMING / 2);
        child.wait().unwrap();
    }

    #[test]
    fn the_caller_is_known_to_itself() {
        let line = own_line();
        assert!(line.contains(&std::process::id().cast_signed()));
        assert!(line.contains(&std::os::unix::process::parent_id().cast_signed()));
    }

    #[test]
    fn the_offset_of_a_time_namespace_is_read() {
        assert_eq!(boot_offset_s("monotonic           0         0\nboottime        86400         0\n"), Some(86400));
        assert_eq!(boot_offset_s("monotonic -5 0\nboottime -7 0\n"), Some(-7));
        assert_eq!(boot_offset_s(""), None);
    }
}
