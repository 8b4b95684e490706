//! Many requests, and how many of them are answered.

use crate::support::run::sh;

/// What ping(8) says of so many requests from a node's namespace to an address, sent as fast as they may.
pub(crate) struct Pinged {
    pub(crate) sent: u32,
    /// Answers, doubles not among them.
    pub(crate) received: u32,
    pub(crate) duplicates: u32,
    /// Milliseconds of the quickest and the slowest, and in the mean.
    pub(crate) min_ms: f64,
    pub(crate) mean_ms: f64,
    pub(crate) max_ms: f64,
}

/// Whose last answers don't come is stopped: the alarm by which ping(8) stops waiting for them may come the moment before it
/// begins to, and then it waits for ever.
pub(crate) fn pinged(netns: &str, address: &str, count: u32, options: &str) -> Pinged {
    let said = sh(&format!("ip netns exec {netns} timeout -s INT 120 ping -q -c{count} {options} {address} || true"));
    let number = |before: &str| {
        let at = said.find(before).map(|at| said[..at].trim_end());
        at.and_then(|head| head.rsplit([' ', '+', '\n']).next()?.parse::<u32>().ok()).unwrap_or(0)
    };
    // rtt min/avg/max/mdev = 40.1/40.3/41.0/0.2 ms
    let times = said.split_once("= ").map_or("", |(_, rest)| rest);
    let mut times = times.split(['/', ' ']).map(|time| time.parse().unwrap_or(f64::NAN));
    let mut next = || times.next().unwrap_or(f64::NAN);
    Pinged {
        sent: number(" packets transmitted"),
        received: number(" received"),
        duplicates: number(" duplicates"),
        min_ms: next(),
        mean_ms: next(),
        max_ms: next(),
    }
}
