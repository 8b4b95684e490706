//! A program of two dozen instructions, whose only work is to execute another one.
//!
//! The kernel looks for a command, its interpreter (`#!`) and its dynamic linker as the process that is to become it. While that is
//! nslab, /proc/self/exe among them is nslab's own file, for whoever is root in there to run, keep open and overwrite
//! (CVE-2019-5736). A process that has become the springboard before shows them a file in memory instead, with nothing in it.
//! That takes a tenth of the time of the other way, which is to execute nslab anew out of a file that nobody can write to
//! ([`seal`](super::seal)).

mod code;
mod elf;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, FdFlag, fcntl};
use rustix::fs::{MemfdFlags, memfd_create};
use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The program, in memory.
#[derive(Debug)]
pub(super) struct Springboard(File);

impl AsFd for Springboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Springboard {
    /// Writes it; `None` where the machine has no program in memory executed (vm.memfd_noexec), or its processor is none that
    /// the program is there for.
    pub(super) fn new() -> Option<Self> {
        let code = code::bytes();
        if code.is_empty() || crate::fault::lacks("springboard") {
            return None;
        }
        let create = |flags| memfd_create("springboard", MemfdFlags::CLOEXEC | flags);
        // Before 6.3 the kernel does not know the flag, and always means it.
        let unknown = |errno| if errno == rustix::io::Errno::INVAL { create(MemfdFlags::empty()) } else { Err(errno) };
        let file = create(MemfdFlags::EXEC).or_else(unknown);
        let mut file = File::from(file.ok()?);
        file.write_all(&elf::image(code, code::START, code::MACHINE)).ok()?;
        Some(Self(file))
    }

    /// Becomes the program, and by that the one at this path. Where that can't be executed, its process says so by
    /// `report`, as [`errno_of`] reads it, and ends.
    ///
    /// # Errors
    /// When it does not even become the springboard.
    pub(super) fn execute(
        &self,
        path: &CStr,
        words: &[CString],
        environment: &[CString],
        report: BorrowedFd<'_>,
    ) -> Result<Infallible, Errno> {
        let number = report.as_raw_fd().to_ne_bytes();
        let offset = elf::offset_of(code::REPORT).cast_signed();
        nix::sys::uio::pwrite(&self.0, &number, offset)?;
        // Its own execution is not to close it. It sees to it that the other one does.
        fcntl(report, FcntlArg::F_SETFD(FdFlag::empty()))?;
        let arguments: Vec<&CStr> = std::iter::once(path).chain(words.iter().map(CString::as_c_str)).collect();
        nix::unistd::execveat(&self.0, c"", &arguments, environment, AtFlags::AT_EMPTY_PATH)
    }
}

/// Why the springboard could not execute the other program, where a message is its report.
pub(super) fn errno_of(message: &[u8]) -> Option<Errno> {
    let answer = i64::from_ne_bytes(message.try_into().ok()?);
    i32::try_from(-answer).ok().map(Errno::from_raw)
}
