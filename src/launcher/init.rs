//! `nslab __init`: nslab's executable started anew, with one thread and nothing but the work that it was handed.

use super::failure::{During, Failure, Step};
use super::handshake::Ended;
use super::launch::{Launch, Output};
use super::outside::{self, Served};
use super::record::Running;
use super::{inside, seal, sys};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::process::ExitCode;

/// The hidden verb.
pub(super) const VERB: &str = "__init";

/// What is answered, as JSON on standard output, where a container is started that nobody waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Its command runs.
    Started(Running),
    /// It does not, and nothing is left of it but its record.
    Failed(Failure),
}

/// Becomes the launcher, where the process was started as one; returns the code to exit with.
pub fn become_init() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != VERB {
        return None;
    }
    let file = arguments.next().and_then(|number| number.to_str()?.parse().ok()).unwrap_or(libc::STDIN_FILENO);
    Some(ExitCode::from(match read(file) {
        Err(failure) => tell_failure("the launcher", &failure),
        Ok(launch) => serve(&launch),
    }))
}

fn read(number: i32) -> Result<Launch, Failure> {
    let listen = || Step::of("read what is to be launched");
    let close = || Step::of("close what was inherited");
    let mut text = Vec::new();
    let path = format!("/proc/self/fd/{number}");
    File::open(path).and_then(|mut file| file.read_to_end(&mut text)).during(listen)?;
    close_inherited().during(close)?;
    serde_json::from_slice(&text).map_err(|_| nix::errno::Errno::EBADMSG).during(listen)
}

/// Nothing is open yet but what the caller had: no container is to find it, not even in its process 1.
fn close_inherited() -> std::io::Result<()> {
    let first = libc::STDERR_FILENO + 1;
    match sys::close_from(first.cast_unsigned()) {
        Err(nix::errno::Errno::ENOSYS) => {} // before 5.9
        result => return Ok(result?),
    }
    let number = |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<i32>().ok();
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?.filter_map(number).filter(|fd| *fd >= first).collect();
    for file in open {
        let _ = nix::unistd::close(file); // the directory that was just read is closed already
    }
    Ok(())
}

fn serve(launch: &Launch) -> u8 {
    let served = outside::serve(launch);
    if let Output::Detached { .. } = launch.output {
        let answer = match served {
            Ok(Served::Started(running)) => Answer::Started(running),
            Ok(Served::Ended(_)) => return 0,
            Err(failure) => Answer::Failed(failure),
        };
        let text = serde_json::to_string(&answer).unwrap_or_default();
        let _ = write!(std::io::stdout(), "{text}"); // where nobody reads it, nobody waits
        return 0;
    }
    match served {
        Ok(Served::Ended(ended)) => ended.code(),
        Ok(Served::Started(_)) => Ended::Code(0).code(),
        Err(failure) => tell_failure(&launch.name, &failure),
    }
}

fn tell_failure(name: &str, failure: &Failure) -> u8 {
    let _ = writeln!(std::io::stderr(), "nslab: {name}: {failure}: {}", failure.source.desc());
    inside::code_of(failure)
}

/// Becomes a launcher of this in place of the calling process, which has one thread; returns only where that fails.
pub fn become_launcher(launch: &Launch) -> Failure {
    let hand_over = || Step::of("hand over what is to be launched");
    let written = serde_json::to_vec(launch).map_err(|_| nix::errno::Errno::EINVAL).during(hand_over);
    let file = written.and_then(|text| {
        // Not closed on execution: that is what it is for.
        let mut file = File::from(memfd_create("launch", MFdFlags::empty()).during(hand_over)?);
        file.write_all(&text).and_then(|()| file.rewind()).during(hand_over)?;
        Ok(file)
    });
    match file {
        Ok(file) => seal::execute(&[VERB.to_owned(), file.as_raw_fd().to_string()]),
        Err(failure) => failure,
    }
}
