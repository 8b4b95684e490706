//! The arguments of `top`.

use crate::model::LabName;
use clap::{Args, ValueEnum};
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct TopArguments {
    /// The lab; all of them without, and the containers of none
    #[arg(id = "which", value_name = "LAB")]
    pub(crate) lab: Option<LabName>,
    /// The time between two readings
    #[arg(short, long, default_value = "1s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// Print one table, after two readings, and end; with --json for programs
    #[arg(long)]
    pub(crate) once: bool,
    /// What comes first: `cpu` without this; with --once, `name`
    #[arg(long, value_enum)]
    pub(crate) sort: Option<Sort>,
}

/// By what nodes are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// Their names
    Name,
    /// Time of processors
    Cpu,
    /// Memory
    Memory,
    /// Processes and threads
    Pids,
    /// What is read from block devices, and written to them
    Io,
    /// Bits in and out
    Traffic,
}

/// Processes' time is counted in hundredths of a second where no cgroup counts it.
const SHORTEST: Duration = Duration::from_millis(100);

const LONGEST: Duration = Duration::from_hours(24);

fn interval(text: &str) -> Result<Duration, String> {
    let interval = super::args::duration(text)?;
    if (SHORTEST..=LONGEST).contains(&interval) {
        return Ok(interval);
    }
    Err("write a time from 0.1s to 86400s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_one_in_which_something_can_be_counted() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "50ms", "2000m", "1e300", "-1", "soon"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
