//! Numbering the users and groups of a new user namespace (user_namespaces(7)).
//!
//! Who is root here writes any map. Anybody else may give himself a number, and what /etc/subuid and /etc/subgid allow him by
//! newuidmap(1), where that is installed.

use super::failure::{During, Failure, Step};
use crate::model::container::{IdMap, UserMaps};
use nix::errno::Errno;
use nix::unistd::{Pid, Uid, User, getegid, geteuid};
use std::fs;
use std::process::{Command, Stdio};

/// The two sorts of numbers.
#[derive(Debug, Clone, Copy)]
struct Sort {
    /// The map's file in /proc/PID.
    file: &'static str,
    /// Who may have which numbers besides his own.
    allowed: &'static str,
    /// The program that gives them to him.
    program: &'static str,
}

const USERS: Sort = Sort { file: "uid_map", allowed: "/etc/subuid", program: "newuidmap" };
const GROUPS: Sort = Sort { file: "gid_map", allowed: "/etc/subgid", program: "newgidmap" };

/// Gives the processes in the user namespace of `pid` their numbers.
///
/// # Errors
/// When the kernel refuses a map, which names the records.
pub(super) fn write(pid: Pid, maps: &UserMaps) -> Result<(), Failure> {
    match maps {
        UserMaps::Records { users, groups } => {
            if geteuid().is_root() {
                write_one(pid, GROUPS, groups)?;
                return write_one(pid, USERS, users);
            }
            if is_own(groups, getegid().as_raw()) {
                deny_groups(pid)?;
                write_one(pid, GROUPS, groups)?;
            } else {
                have_written(pid, GROUPS, groups)?;
            }
            if is_own(users, geteuid().as_raw()) {
                return write_one(pid, USERS, users);
            }
            have_written(pid, USERS, users)
        }
        UserMaps::CallerIsRoot => {
            let users = caller_is_root(USERS, geteuid().as_raw());
            let groups = caller_is_root(GROUPS, getegid().as_raw());
            if geteuid().is_root() {
                write_one(pid, GROUPS, &groups)?;
                return write_one(pid, USERS, &users);
            }
            // newgidmap sees to it itself that no group can be left by which somebody is kept out.
            if !(groups.len() > 1 && by_program(pid, GROUPS, &groups).is_ok()) {
                deny_groups(pid)?;
                write_one(pid, GROUPS, &groups[..1])?;
            }
            if users.len() > 1 && by_program(pid, USERS, &users).is_ok() {
                return Ok(());
            }
            write_one(pid, USERS, &users[..1])
        }
    }
}

/// Root inside is the caller, and the others follow as far as he is allowed.
fn caller_is_root(sort: Sort, own: u32) -> Vec<IdMap> {
    let mut map = vec![IdMap { inside: 0, outside: own, length: 1 }];
    let name = name_of(geteuid());
    let text = fs::read_to_string(sort.allowed).unwrap_or_default();
    let mut inside = 1_u32;
    for (outside, length) in allowed(&text, name.as_deref(), geteuid().as_raw()) {
        let Some(next) = inside.checked_add(length) else { break };
        map.push(IdMap { inside, outside, length });
        inside = next;
    }
    map
}

/// What a user is called. Whom /etc does not know, getent(1) may know from others: it loads the libraries for that, and this process
/// does not.
fn name_of(uid: Uid) -> Option<String> {
    crate::name_service::without_libraries();
    if let Ok(Some(user)) = User::from_uid(uid) {
        return Some(user.name);
    }
    let output = Command::new("getent").args(["passwd", &uid.to_string()]).stdin(Stdio::null()).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?;
    line.split_once(':').map(|(name, _)| name.to_owned())
}

/// The ranges of a user, by name or number, in the text of /etc/subuid or /etc/subgid (subuid(5)).
fn allowed<'a>(text: &'a str, name: Option<&'a str>, uid: u32) -> impl Iterator<Item = (u32, u32)> + 'a {
    let uid = uid.to_string();
    text.lines().filter_map(move |line| {
        let mut fields = line.trim().split(':');
        let who = fields.next()?;
        let range = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let is_his = (name == Some(who) || who == uid) && range.1 > 0 && !who.is_empty();
        is_his.then_some(range)
    })
}

/// The maps of a process's user namespace, for people.
pub(super) fn words(pid: Pid) -> String {
    let read = |sort: Sort| {
        let text = fs::read_to_string(format!("/proc/{pid}/{}", sort.file)).unwrap_or_default();
        let records = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        records.collect::<Vec<_>>().join(", ")
    };
    format!("users {}; groups {}", read(USERS), read(GROUPS))
}

fn records(map: &[IdMap]) -> String {
    map.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The kernel takes a map in a single write.
fn write_one(pid: Pid, sort: Sort, map: &[IdMap]) -> Result<(), Failure> {
    if map.is_empty() {
        return Ok(()); // nobody has a number, as the kernel has it
    }
    let text = records(map);
    let step = || Step::Map { file: sort.file.to_owned(), records: text.replace('\n', ", ") };
    let written = fs::write(format!("/proc/{pid}/{}", sort.file), &text);
    if written.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return written
            .during(|| Step::of(format!("{}: /proc does not show the processes of this PID namespace", step())));
    }
    written.during(step)
}

/// Who may give himself a group must not be able to leave another one (CVE-2014-8989).
fn deny_groups(pid: Pid) -> Result<(), Failure> {
    fs::write(format!("/proc/{pid}/setgroups"), "deny").during(|| Step::of("forbid changes of supplementary groups"))
}

/// Whether an ordinary user may write this map himself.
fn is_own(map: &[IdMap], own: u32) -> bool {
    matches!(map, [IdMap { inside: _, outside, length: 1 }] if *outside == own)
}

/// Has a map written that an ordinary user may not write himself.
fn have_written(pid: Pid, sort: Sort, map: &[IdMap]) -> Result<(), Failure> {
    if map.is_empty() {
        return Ok(());
    }
    by_program(pid, sort, map).map_err(|answer| {
        let records = records(map).replace('\n', ", ");
        let Sort { file, allowed, program } = sort;
        let why = format!("root may, and others as {allowed} allows them, by {program} (package uidmap): {answer}");
        Step::of(format!("write the map `{records}` ({file}) of the user namespace: {why}")).failed()(Errno::EPERM)
    })
}

/// Has the program write a map that may write longer ones; what it says where it does not.
fn by_program(pid: Pid, sort: Sort, map: &[IdMap]) -> Result<(), String> {
    let numbers = map.iter().flat_map(|record| [record.inside, record.outside, record.length]);
    let mut command = Command::new(sort.program);
    command.arg(pid.to_string()).args(numbers.map(|number| number.to_string()));
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{}: {error}", sort.program))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// Becomes root of the calling process's own new user namespace, whose maps are written. Where nobody is root there, the
/// process stays who it is: it has all capabilities until it executes something.
pub(super) fn become_root() -> Result<(), Failure> {
    let switch = || Step::of("become root of the user namespace");
    let (root, group) = (Uid::from_raw(0), nix::unistd::Gid::from_raw(0));
    match nix::unistd::setresgid(group, group, group) {
        Ok(()) | Err(Errno::EINVAL) => {}
        Err(errno) => return Err(switch().failed()(errno)),
    }
    match nix::unistd::setresuid(root, root, root) {
        Ok(()) | Err(Errno::EINVAL) => Ok(()),
        Err(errno) => Err(switch().failed()(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        let text = "root:100000:65536\n# note\nalice:165536:65536\n1000:300000:10\nbob:1\nalice:900000:0\n";
        let found = |name, uid| allowed(text, name, uid).collect::<Vec<_>>();
        assert_eq!(found(Some("alice"), 1000), [(165_536, 65_536), (300_000, 10)]);
        assert_eq!(found(Some("bob"), 1001), []);
        assert_eq!(found(None, 0), []);
    }
}
