//! The arguments of process 1, which everybody in the container can read in /proc/1/cmdline: those of a launcher say what is
//! where outside, and what the command's environment is to be.

use super::failure::{During, Failure, Step};
use nix::errno::Errno;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

/// What there is to be read in place of them.
const NAME: &[u8] = b"nslab";

/// Overwrites those of the calling process, from the second on, and calls it by its name. What it has read of them before it
/// keeps. To be called while it can open its own files in /proc/self.
///
/// # Errors
/// When it can't.
pub(super) fn hide() -> Result<(), Failure> {
    let hide = || Step::of("hide the launcher's arguments from the container");
    // At once: it is made anew for each part that is read.
    let mut status = [0; 1024];
    let read = File::open("/proc/self/stat").and_then(|mut file| file.read(&mut status)).during(hide)?;
    let (start, length) = place(&String::from_utf8_lossy(&status[..read])).ok_or(Errno::EBADMSG).during(hide)?;
    let mut bytes = vec![0; length];
    let shown = NAME.len().min(length.saturating_sub(1)); // a last byte that is none would show the environment, too
    bytes[..shown].copy_from_slice(&NAME[..shown]);
    File::options()
        .write(true)
        .open("/proc/self/mem")
        .and_then(|memory| memory.write_all_at(&bytes, start))
        .during(hide)
}

/// Where they are in memory, and how many bytes they are: arg_start and arg_end (proc_pid_stat(5)).
fn place(status: &str) -> Option<(u64, usize)> {
    const ARG_START: usize = 48;
    const THIRD: usize = 3;
    // The second field is a name, with anything in it, in parentheses.
    let mut numbers = status.rsplit_once(')')?.1.split_ascii_whitespace().skip(ARG_START - THIRD);
    let mut number = || numbers.next()?.parse::<u64>().ok();
    let (start, end) = (number()?, number()?);
    Some((start, usize::try_from(end.checked_sub(start)?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_found_whatever_the_process_is_called() {
        let before = "S 1 ".to_owned() + &"0 ".repeat(43);
        assert_eq!(place(&format!("7 (a) b) {before}4096 4100 0 0\n")), Some((4096, 4)));
        assert_eq!(place("7 (short) S 1"), None);
    }
}
