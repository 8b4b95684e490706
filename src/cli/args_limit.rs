//! The arguments of `limit`.

use crate::model::container::{Cpus, IoRate, LimitsChange, MemorySize};
use clap::Args;
use std::str::FromStr;

#[derive(Debug, Args)]
pub(crate) struct LimitArguments {
    /// The node or container: NODE, LAB/NODE, or the name of one of no lab
    #[arg(value_name = "NAME", required_unless_present = "whole")]
    pub(crate) name: Option<String>,
    /// The lab as a whole: what all of its nodes may use together; NAME is the lab's then
    #[arg(long)]
    pub(crate) whole: bool,
    /// Memory, as in 200M, or `none`
    #[arg(long, value_name = "SIZE", value_parser = or_none::<MemorySize>)]
    pub(crate) memory: Option<Wanted<MemorySize>>,
    /// Swap beside it, or `none`
    #[arg(long, value_name = "SIZE", value_parser = or_none::<MemorySize>)]
    pub(crate) swap: Option<Wanted<MemorySize>>,
    /// Processors, as in 0.5, or `none`
    #[arg(long, value_name = "NUMBER", value_parser = or_none::<Cpus>)]
    pub(crate) cpus: Option<Wanted<Cpus>>,
    /// Processes and threads, or `none`
    #[arg(long, value_name = "NUMBER", value_parser = pids)]
    pub(crate) pids: Option<Wanted<u32>>,
    /// What is read of each disk in a second, as in 10MB/s, or `none`
    #[arg(long, value_name = "RATE", value_parser = or_none::<IoRate>)]
    pub(crate) io_read: Option<Wanted<IoRate>>,
    /// What is written to each disk in a second, or `none`
    #[arg(long, value_name = "RATE", value_parser = or_none::<IoRate>)]
    pub(crate) io_write: Option<Wanted<IoRate>>,
}

/// A limit, or that there is to be none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted<T> {
    Limit(T),
    None,
}

impl<T> Wanted<T> {
    fn limit(self) -> Option<T> {
        match self {
            Self::Limit(limit) => Some(limit),
            Self::None => None,
        }
    }
}

impl LimitArguments {
    pub(crate) fn change(&self) -> LimitsChange {
        LimitsChange {
            memory: self.memory.map(Wanted::limit),
            swap: self.swap.map(Wanted::limit),
            cpus: self.cpus.map(Wanted::limit),
            pids: self.pids.map(Wanted::limit),
            io_read: self.io_read.map(Wanted::limit),
            io_write: self.io_write.map(Wanted::limit),
        }
    }
}

fn or_none<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<Wanted<T>, String> {
    if text == "none" {
        return Ok(Wanted::None);
    }
    text.parse().map(Wanted::Limit).map_err(|error: T::Err| format!("{error}; or `none`"))
}

fn pids(text: &str) -> Result<Wanted<u32>, String> {
    match or_none(text)? {
        Wanted::Limit(0) => Err("a container with 0 processes can run nothing: write at least 1, or `none`".to_owned()),
        wanted => Ok(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_can_be_lifted() {
        assert_eq!(or_none::<MemorySize>("none"), Ok(Wanted::None));
        assert_eq!(or_none("200M"), Ok(Wanted::Limit("200M".parse::<MemorySize>().unwrap())));
        assert!(or_none::<Cpus>("all").unwrap_err().ends_with("or `none`"));
        assert_eq!((pids("64"), pids("none")), (Ok(Wanted::Limit(64)), Ok(Wanted::None)));
        assert!(pids("0").is_err());
        assert_eq!(or_none("5MB/s"), Ok(Wanted::Limit("5M".parse::<IoRate>().unwrap())));
        assert!(or_none::<IoRate>("0").unwrap_err().ends_with("or `none`"));
    }
}
