//! The arguments of the verbs about containers.

use clap::Args;
use nix::sys::signal::Signal;
use std::ffi::OsString;

/// Containers by their names.
#[derive(Debug, Args)]
pub(crate) struct Containers {
    /// The containers: NODE, LAB/NODE, or the name of one of no lab
    #[arg(value_name = "NAME", required = true)]
    pub(crate) containers: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArguments {
    /// Go on until the container has ended
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// The container: NODE, LAB/NODE, or the name of one of no lab
    #[arg(value_name = "NAME")]
    pub(crate) container: String,
}

#[derive(Debug, Args)]
pub(crate) struct CopyArguments {
    /// What is copied: a file or directory, or NAME:PATH in a container; - for an archive of tar(1) on standard input
    pub(crate) source: OsString,
    /// Where it is copied to; - for an archive on standard output
    pub(crate) target: OsString,
}

#[derive(Debug, Args)]
pub(crate) struct KillArguments {
    /// The signal, by name or number
    #[arg(short, long, default_value = "KILL", value_parser = signal)]
    pub(crate) signal: Signal,
    #[command(flatten)]
    pub(crate) containers: Containers,
}

/// `KILL`, `SIGKILL`, `kill` or 9.
fn signal(text: &str) -> Result<Signal, String> {
    let wrong = || format!("there is no signal `{text}`: signal(7) lists them, as in TERM or 15");
    if let Ok(number) = text.parse::<i32>() {
        return Signal::try_from(number).map_err(|_| wrong());
    }
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    name.parse().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_as_kill_reads_them() {
        for text in ["HUP", "sighup", "1"] {
            assert_eq!(signal(text), Ok(Signal::SIGHUP), "{text}");
        }
        for text in ["", "0", "999", "LOUD"] {
            assert!(signal(text).is_err(), "{text}");
        }
    }
}
