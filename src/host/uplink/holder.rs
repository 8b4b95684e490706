//! Ending the command that holds a lab, when it is too late to wait for it.

use super::keeper::own_inode;
use crate::host::HostError;
use crate::host::error::FileContext;
use crate::host::facade::Host;
use crate::host::processes::{self, Held};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

impl Host {
    /// Ends the other nslab in the calling thread's network namespace that holds this lock, if one does: SIGTERM, upon which
    /// it undoes what it does, and SIGKILL after two seconds.
    ///
    /// # Errors
    /// When it can't be looked for, or ended.
    ///
    /// # Cancel safety
    /// Signals that were sent stay sent.
    pub async fn end_holder(&self, lock: &Path) -> Result<(), HostError> {
        let path = lock.to_owned();
        let (pids, inode) = self.job(move || Ok((holders(&path)?, own_inode()?))).await?;
        for pid in pids {
            let Some(held) = Held::of(pid).on_file("find who holds", lock)? else { continue };
            // Whose number it is now is seen after it is held on to.
            if is_nslab(pid) && processes::is_in_netns(pid, inode) && holders(lock)?.contains(&pid) {
                held.end().await.on_file("end who holds", lock)?;
            }
        }
        Ok(())
    }
}

/// The processes that hold a lock of flock(2) on a file, but for the calling one (proc_locks(5)).
fn holders(lock: &Path) -> Result<Vec<i32>, HostError> {
    let inode = lock.metadata().on_file("look at", lock)?.ino();
    let locks = Path::new("/proc/locks");
    let text = std::fs::read_to_string(locks).on_file("read", locks)?;
    let own = std::process::id().cast_signed();
    Ok(text
        .lines()
        .filter_map(|line| holder_of(line, inode))
        .filter(|pid| *pid != own && has_open(*pid, lock))
        .collect())
}

/// Who holds what a line of /proc/locks is about, where that is a lock of flock(2) on a file with this inode. Who waits for
/// one has an arrow there.
fn holder_of(line: &str, inode: u64) -> Option<i32> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, "FLOCK", _, _, pid, file, ..] = words.as_slice() else { return None };
    let is_it = file.rsplit(':').next()?.parse() == Ok(inode);
    is_it.then(|| pid.parse().ok()).flatten()
}

/// Whether a process has a file open: there may be another one with its inode, in another file system.
fn has_open(pid: i32, path: &Path) -> bool {
    let (Ok(wanted), Ok(open)) = (path.metadata(), std::fs::read_dir(format!("/proc/{pid}/fd"))) else { return false };
    open.flatten().any(|entry| {
        std::fs::metadata(entry.path()).is_ok_and(|there| (there.dev(), there.ino()) == (wanted.dev(), wanted.ino()))
    })
}

/// Whether a process is the program that the calling one is, or another version of it.
fn is_nslab(pid: i32) -> bool {
    let exe = format!("/proc/{pid}/exe");
    let id = |path: &str| std::fs::metadata(path).ok().map(|there| (there.dev(), there.ino()));
    let name = std::fs::read_link(&exe).ok().and_then(|path| path.file_name()?.to_str().map(str::to_owned));
    let is_called_so = name.is_some_and(|name| name.trim_end_matches(" (deleted)") == "nslab");
    is_called_so || id(&exe).is_some_and(|exe| Some(exe) == id("/proc/self/exe"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_who_holds_what() {
        let held = "3: FLOCK  ADVISORY  WRITE 4711 00:1c:5678 0 EOF";
        assert_eq!(holder_of(held, 5678), Some(4711));
        assert_eq!(holder_of(held, 678), None);
        assert_eq!(holder_of("3: -> FLOCK  ADVISORY  WRITE 4711 00:1c:5678 0 EOF", 5678), None);
        assert_eq!(holder_of("3: POSIX  ADVISORY  WRITE 4711 00:1c:5678 0 EOF", 5678), None);
    }
}
