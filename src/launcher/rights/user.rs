//! Who a container's command is: its user, its group, and no other groups.

use super::super::failure::{During as _, Failure, Step};
use crate::model::container::User;
use nix::errno::Errno;
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

/// Becomes this user. The group comes first, since only root may change it; so do the other groups.
pub(super) fn become_user(user: User, own_users: bool) -> Result<(), Failure> {
    match user {
        User::Ids { uid, gid } => {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            setresgid(gid, gid, gid).during(|| Step::of(format!("be in group {gid}")))?;
            setresuid(uid, uid, uid).during(|| Step::of(format!("be user {uid}")))
        }
        User::Callers if own_users => {
            // The caller may be nobody in there, as root is with the map `0 100000 65536`. Where root is nobody in there, it
            // stays at that.
            let root = |become_root: nix::Result<()>| if become_root == Err(Errno::EINVAL) { Ok(()) } else { become_root };
            let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
            root(setresgid(gid, gid, gid)).during(|| Step::of("be in root's group of the user namespace"))?;
            root(setresuid(uid, uid, uid)).during(|| Step::of("be root of the user namespace"))
        }
        User::Callers => Ok(()),
    }
}
