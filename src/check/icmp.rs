//! ICMP echo, from sockets opened inside the nodes.

use super::CheckError;
use super::icmp_message::Message;
use super::report::Found;
use crate::host::Pool;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use surge_ping::{Client, Config, ICMP, PingIdentifier, PingSequence, Pinger, SurgeError};

/// What a request carries besides its header: as much as ping(8) sends.
const PAYLOAD: [u8; 56] = [0x6e; 56];

/// A client whose socket belongs to the namespace.
pub(super) async fn client(pool: &Pool, netns: &Arc<OwnedFd>, ipv6: bool) -> Result<Client, CheckError> {
    let kind = if ipv6 { ICMP::V6 } else { ICMP::V4 };
    pool.run_in(Arc::clone(netns), move || Client::new(&Config::builder().kind(kind).build()))
        .await?
        .map_err(|source| CheckError::Socket { what: "ICMP", source })
}

/// Sends a request, and a second one where the first stays without an answer: a node that has just come up may miss
/// it while the other's address is being resolved. `identifier` tells concurrent requests of one client apart.
pub(super) async fn echo(client: &Client, address: IpAddr, identifier: u16, attempts: u16, timeout: Duration) -> Found {
    let mut pinger = client.pinger(address, PingIdentifier(identifier)).await;
    pinger.timeout(timeout);
    let mut said = None;
    for attempt in 0..attempts {
        match request(&mut pinger, attempt).await {
            Ok(Answer { took_ms, .. }) => return Found::Answer { took_ms },
            // A router does not say it as often as it is asked (net.ipv4.icmp_ratelimit): so what was said once holds.
            Err(NoAnswer::Silence) => {}
            Err(NoAnswer::Said(words)) => said = Some(words),
        }
    }
    Found::NoAnswer { reason: said.unwrap_or_else(|| format!("no answer in {} ms", timeout.as_millis())) }
}

/// What an echo request was answered with.
pub(super) struct Answer {
    /// The round trip in milliseconds.
    pub took_ms: f64,
    /// What was left of its time to live; the kernel hands that on for IPv4 alone.
    pub time_to_live: Option<u8>,
}

/// Why an echo request has no answer.
pub(super) enum NoAnswer {
    /// Nothing came.
    Silence,
    /// What the kernel said, or somebody on the way.
    Said(String),
}

/// Sends one request and waits for what comes of it.
///
/// To the library, whatever ICMP message speaks of the request is an answer to it. A router's redirect says only that
/// there is a shorter way, and the echo reply that follows has nobody who waits for it any more: so it is asked again.
pub(super) async fn request(pinger: &mut Pinger, sequence: u16) -> Result<Answer, NoAnswer> {
    const MOST_REDIRECTS: usize = 3;
    for _ in 0..=MOST_REDIRECTS {
        // The library's own time begins after the request was sent: in one machine the answer may be there by then.
        let sent = Instant::now();
        let packet = match pinger.ping(PingSequence(sequence), &PAYLOAD).await {
            Ok((packet, _)) => packet,
            Err(SurgeError::Timeout { .. }) => return Err(NoAnswer::Silence),
            Err(SurgeError::IOError(error)) => return Err(NoAnswer::Said(error.to_string())),
            Err(error) => return Err(NoAnswer::Said(error.to_string())),
        };
        let took_ms = sent.elapsed().as_secs_f64() * 1000.0;
        match Message::of(&packet) {
            Message::EchoReply { time_to_live } => return Ok(Answer { took_ms, time_to_live }),
            Message::Redirect => {}
            Message::Error(words) => return Err(NoAnswer::Said(words)),
        }
    }
    Err(NoAnswer::Said("the routers send it in circles".to_owned()))
}
