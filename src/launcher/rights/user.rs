//! Who a container's command is: its user, its group, and no other groups.

use super::super::failure::{During as _, Failure, Step};
use crate::model::container::User;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, getgroups, setgroups, setresgid, setresuid};

/// Leaves all groups but the process's own one. It wants CAP_SETGID.
///
/// In a user namespace that somebody without root has made, the kernel may refuse it to everybody
/// (user_namespaces(7), /proc/PID/setgroups): a group can be what keeps its members away from something. There they stay.
pub(super) fn leave_groups(own_users: bool) -> Result<(), Failure> {
    let failed = || Step::of("leave the supplementary groups");
    match setgroups(&[]) {
        Ok(()) => Ok(()),
        Err(Errno::EPERM) if own_users || getgroups().is_ok_and(|groups| groups.is_empty()) => Ok(()),
        Err(errno) => Err(errno).during(failed),
    }
}

/// Becomes this user. The group comes first, since only root may change it; so do the other groups. Who is the caller, is so
/// already, and root in a user namespace of its own (`maps`).
pub(super) fn become_user(user: User) -> Result<(), Failure> {
    let User::Ids { uid, gid } = user else { return Ok(()) };
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let at_end = || Step::of("end with the parent");
    let signal = prctl::get_pdeathsig().during(at_end)?;
    // EINVAL is said of numbers that the map of its user namespace doesn't have.
    let unknown = |errno: &Errno| if *errno == Errno::EINVAL { ": its user namespace has none such" } else { "" };
    let group = setresgid(gid, gid, gid);
    group.map_err(|errno| Step::of(format!("be in group {gid}{}", unknown(&errno))).failed()(errno))?;
    let user = setresuid(uid, uid, uid);
    user.map_err(|errno| Step::of(format!("be user {uid}{}", unknown(&errno))).failed()(errno))?;
    // The kernel forgets it where the user changes.
    prctl::set_pdeathsig(signal).during(at_end)
}
