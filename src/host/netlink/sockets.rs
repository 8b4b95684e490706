//! TCP connections that outlive their processes (sock_diag(7)).
//!
//! A connection that was closed while nobody answers goes on by itself, for minutes (net.ipv4.tcp_orphan_retries), and
//! holds its network namespace with all that is in it, a veth pair into the host's namespace included.

use super::connection::{Connection, Request};
use super::errno::NetlinkError;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_packet_sock_diag::{SockDiagDestroy, SockDiagMessage};
use nix::errno::Errno;

/// What a kernel says that was built without CONFIG_INET_DIAG, or CONFIG_INET_DIAG_DESTROY.
const NOT_BUILT_IN: [Errno; 2] = [Errno::ENOENT, Errno::EOPNOTSUPP];

/// Ends every TCP connection of the calling thread's namespace, as `ss --kill` does. Where the kernel can't, they end
/// in their own time.
pub(crate) fn destroy_tcp() -> Result<(), NetlinkError> {
    // Listing reads the whole machine's table of connections, and most namespaces have none.
    if !has_tcp() {
        return Ok(());
    }
    let mut requests: Vec<Request<SockDiagDestroy>> = Vec::new();
    for (family, any) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
        let all = Connection::open_sock_diag()?.dump(&request(family, any));
        for message in all.or_else(|error| if error.is(&NOT_BUILT_IN) { Ok(Vec::new()) } else { Err(error) })? {
            if let SockDiagMessage::InetResponse(socket) = message {
                let one = request(socket.header.family, socket.header.socket_id);
                requests.push((SockDiagDestroy::new(one), 0));
            }
        }
    }
    for result in Connection::open_sock_diag()?.execute_all(requests)? {
        // ENOENT: it has ended meanwhile.
        result.or_else(|error| if error.is(&NOT_BUILT_IN) { Ok(()) } else { Err(error) })?;
    }
    Ok(())
}

/// One socket, or all of a family where the id names none. Those in TIME_WAIT hold no namespace.
fn request(family: u8, socket_id: SocketId) -> SockDiagMessage {
    SockDiagMessage::InetRequest(InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all().difference(StateFlags::TIME_WAIT),
        socket_id,
    })
}

/// Whether the calling thread's namespace has any TCP socket; where that can't be known, it may.
fn has_tcp() -> bool {
    let has = |file: &str, protocol| std::fs::read_to_string(file).map(|text| in_use(&text, protocol) != Some(0));
    has("/proc/thread-self/net/sockstat", "TCP:").unwrap_or(true)
        // A kernel without IPv6 does not have this one.
        || has("/proc/thread-self/net/sockstat6", "TCP6:").unwrap_or(false)
}

/// The sockets of a protocol that `sockstat` counts: `TCP: inuse 1 orphan 0 …`.
fn in_use(sockstat: &str, protocol: &str) -> Option<u32> {
    let counts = sockstat.lines().find_map(|line| line.strip_prefix(protocol))?;
    let mut words = counts.split_ascii_whitespace().skip_while(|word| *word != "inuse").skip(1);
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockstat_is_read() {
        let text = "sockets: used 5\nTCP: inuse 12 orphan 3 tw 0 alloc 2 mem 0\nUDP: inuse 0 mem 0\n";
        assert_eq!(in_use(text, "TCP:"), Some(12));
        assert_eq!(in_use(text, "UDP:"), Some(0));
        assert_eq!(in_use("TCP6: inuse 1\n", "TCP6:"), Some(1));
        assert_eq!(in_use(text, "TCP6:"), None);
    }
}
