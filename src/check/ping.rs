//! `ping SRC DST`: one request after the other, each answer told as it comes.

use super::CheckError;
use super::icmp::{self, Answer, NoAnswer};
use crate::host::Pool;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use surge_ping::PingIdentifier;

/// What came of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct PingReply {
    /// Its number, from 1.
    pub sequence: u16,
    /// The round trip in milliseconds and the answer's time to live, or why there was no answer.
    pub result: Result<(f64, Option<u8>), String>,
}

/// What came of all of them, as ping(8) sums it up; times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct PingSummary {
    /// Requests sent.
    pub sent: u16,
    /// Answers received.
    pub received: u16,
    /// The shortest round trip; 0 without an answer, as the others.
    pub min_ms: f64,
    /// The mean.
    pub avg_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// The standard deviation.
    pub mdev_ms: f64,
}

/// Sends `count` requests from a namespace, `interval` apart; `tell` hears of each answer.
///
/// # Errors
/// When the namespace can't be entered, or the socket not be opened.
///
/// # Cancel safety
/// Changes nothing.
pub async fn ping(
    pool: &Pool,
    netns: &Arc<OwnedFd>,
    address: IpAddr,
    count: u16,
    interval: Duration,
    timeout: Duration,
    mut tell: impl FnMut(&PingReply),
) -> Result<PingSummary, CheckError> {
    let client = icmp::client(pool, netns, address.is_ipv6()).await?;
    let mut pinger = client.pinger(address, PingIdentifier(1)).await;
    pinger.timeout(timeout);
    let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
    let mut times = Vec::new();
    for sequence in 1..=count {
        ticks.tick().await;
        let result = match icmp::request(&mut pinger, sequence).await {
            Ok(Answer { took_ms, time_to_live }) => {
                times.push(took_ms);
                Ok((took_ms, time_to_live))
            }
            Err(NoAnswer::Silence) => Err("no answer".to_owned()),
            Err(NoAnswer::Said(words)) => Err(words),
        };
        tell(&PingReply { sequence, result });
    }
    Ok(summary(count, &times))
}

fn summary(sent: u16, times: &[f64]) -> PingSummary {
    let received = u16::try_from(times.len()).unwrap_or(u16::MAX);
    if times.is_empty() {
        return PingSummary { sent, received, min_ms: 0.0, avg_ms: 0.0, max_ms: 0.0, mdev_ms: 0.0 };
    }
    let number = f64::from(received);
    let mean = times.iter().sum::<f64>() / number;
    let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / number;
    PingSummary {
        sent,
        received,
        min_ms: times.iter().copied().fold(f64::INFINITY, f64::min),
        avg_ms: mean,
        max_ms: times.iter().copied().fold(0.0, f64::max),
        mdev_ms: variance.sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums() {
        let sums = summary(4, &[1.0, 2.0, 3.0]);
        assert_eq!((sums.sent, sums.received), (4, 3));
        assert_eq!((sums.min_ms, sums.avg_ms, sums.max_ms), (1.0, 2.0, 3.0));
        assert!((sums.mdev_ms - 0.8165).abs() < 0.001);
        assert_eq!(summary(1, &[]).received, 0);
    }
}
