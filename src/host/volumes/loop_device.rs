//! Block devices in memory: a loop device (loop(4)) on a file that has no name and is nowhere.
//!
//! The kernel takes the device back with the last who has it open or mounted, and the memory with it: there is nothing to be left
//! behind, wherever nslab is stopped.

#![allow(unsafe_code, reason = "neither nix nor rustix has the calls of loop(4); nobody else here may")]

use nix::errno::Errno;
use nix::libc;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;

/// LOOP_CTL_GET_FREE and LOOP_CONFIGURE (linux/loop.h).
const GET_FREE: libc::c_ulong = 0x4C82;
const CONFIGURE: libc::c_ulong = 0x4C0A;

/// LO_FLAGS_AUTOCLEAR.
const AUTOCLEAR: u32 = 4;

/// How often another process may take the number that was free.
const TRIES: usize = 100;

/// `struct loop_config` with `struct loop_info64` in it.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    unused: [u64; 5],
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    unused_too: [u8; 64 + 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

/// The device's path, and the device: it is there as long as that is open, or mounted.
pub(super) fn on(memory: &File, name: &str) -> Result<(String, File), Errno> {
    let open = |path: &str| {
        OpenOptions::new().read(true).write(true).open(path).map_err(|error| super::namespace::errno(&error))
    };
    let control = open("/dev/loop-control")?;
    let mut file_name = [0; 64];
    for (to, from) in file_name.iter_mut().zip(name.bytes().take(63)) {
        *to = from;
    }
    for _ in 0..TRIES {
        // SAFETY: the call has no argument, and touches no memory.
        let number = Errno::result(unsafe { libc::ioctl(control.as_raw_fd(), GET_FREE as _) })?;
        let path = format!("/dev/loop{number}");
        let device = open(&path)?;
        let config = Config {
            fd: memory.as_raw_fd().cast_unsigned(),
            block_size: 0,
            unused: [0; 5],
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: AUTOCLEAR,
            file_name,
            unused_too: [0; 96],
            init: [0; 2],
            reserved: [0; 8],
        };
        // SAFETY: the structure is laid out as the kernel's, and outlives the call.
        match Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), CONFIGURE as _, &raw const config) }) {
            Err(Errno::EBUSY) => {}
            result => return result.map(|_| (path, device)),
        }
    }
    Err(Errno::EBUSY)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_structure_is_as_long_as_the_kernels() {
        assert_eq!(size_of::<super::Config>(), 304);
    }
}
