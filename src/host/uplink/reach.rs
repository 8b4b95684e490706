//! Whether a router is there: it answers an echo request, or at least says its MAC address.

use crate::host::HostError;
use crate::host::error::NetlinkContext;
use crate::host::facade::Host;
use crate::host::netlink;
use crate::model::{Answer, Gateway, IfName, NetnsName};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, Pinger};

/// How long one request waits for its answer.
const ANSWER: Duration = Duration::from_millis(300);

/// What a request carries: as much as ping(8) sends.
const PAYLOAD: [u8; 56] = [0x6e; 56];

/// How often a router is asked that is to show whether it is there at all: the first time its MAC address may be unknown.
const ATTEMPTS: usize = 4;

/// What a router answers to that was just seen for the first time; `None` where it does not answer.
pub(super) async fn first_answer(host: &Host, router: IpAddr, by: &IfName) -> Option<Answer> {
    for _ in 0..ATTEMPTS {
        if echo(router, by, ANSWER).await {
            return Some(Answer::Echo);
        }
    }
    is_neighbour(host, router, by).await.then_some(Answer::Neighbour)
}

impl Host {
    /// Whether a gateway answers now, by way of an interface, to what it answered before.
    pub async fn gateway_answers(&self, gateway: &Gateway, by: &IfName) -> bool {
        let Some(to) = gateway.answers else { return false };
        answers_within(self, gateway.address, to, by, ANSWER * 2).await
    }
}

/// Waits until a router answers, to what it answered before.
pub(super) async fn answers_within(host: &Host, router: IpAddr, to: Answer, by: &IfName, patience: Duration) -> bool {
    let started = Instant::now();
    while started.elapsed() < patience {
        // Also where it answers only to the question for its address: this makes the kernel ask it.
        if echo(router, by, ANSWER).await || (to == Answer::Neighbour && is_neighbour(host, router, by).await) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

/// Whether a router answers one echo request that leaves by an interface.
pub(super) async fn echo(router: IpAddr, by: &IfName, timeout: Duration) -> bool {
    match Asker::new(router, Some(by), timeout).await {
        Some(mut asker) => asker.ask(0).await,
        None => false,
    }
}

/// Something that asks a router over and over.
pub(super) struct Asker {
    pinger: Pinger,
    // Whose socket the answers come in at.
    _client: Client,
}

impl Asker {
    /// Asks by way of one interface, or by whichever the routes say; `None` where that can't be.
    pub(super) async fn new(router: IpAddr, by: Option<&IfName>, timeout: Duration) -> Option<Self> {
        let kind = if router.is_ipv4() { ICMP::V4 } else { ICMP::V6 };
        let mut config = Config::builder().kind(kind);
        if let Some(by) = by {
            config = config.interface(by.as_str());
        }
        let client = Client::new(&config.build()).ok()?;
        // What tells the answers to one process's requests from those to another's.
        let identifier = crate::host::random_bytes().map_or(0, u16::from_ne_bytes);
        let mut pinger = client.pinger(router, PingIdentifier(identifier)).await;
        pinger.timeout(timeout);
        if let (IpAddr::V6(address), Some(by)) = (router, by)
            && address.is_unicast_link_local()
        {
            pinger.scope_id(nix::net::if_::if_nametoindex(by.as_str()).ok()?);
        }
        Some(Self { pinger, _client: client })
    }

    /// Whether an echo request is answered.
    pub(super) async fn ask(&mut self, sequence: u16) -> bool {
        const ECHO_REPLY: u8 = 0; // RFC 792
        const ECHO_REPLY_V6: u8 = 129; // RFC 4443 section 4.2
        match self.pinger.ping(PingSequence(sequence), &PAYLOAD).await {
            Ok((IcmpPacket::V4(packet), _)) => packet.get_icmp_type().0 == ECHO_REPLY,
            Ok((IcmpPacket::V6(packet), _)) => packet.get_icmpv6_type().0 == ECHO_REPLY_V6,
            Err(_) => false,
        }
    }
}

async fn is_neighbour(host: &Host, router: IpAddr, by: &IfName) -> bool {
    let by = by.clone();
    let known = host.connected(&NetnsName::Host, move |connection| {
        netlink::is_reached_neighbour(connection, by.as_str(), router).when("read the neighbours of", &by)
    });
    let known: Result<bool, HostError> = known.await;
    known.unwrap_or_default()
}
