//! The name servers that the machine asks: resolv.conf(5).

use crate::observed::nat::HostResolver;
use std::net::IpAddr;

/// Where they stand. The second is where systemd-resolved writes those that it asks itself, when it has written its own
/// address into the first (systemd-resolved.service(8)).
const FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// Those of the first file that has any that others can ask. A file that can't be read has none.
pub(super) fn resolver() -> HostResolver {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| parse(&text)).unwrap_or_default();
    FILES.into_iter().map(read).find(|found| !found.servers.is_empty()).unwrap_or_default()
}

fn parse(text: &str) -> HostResolver {
    let mut found = HostResolver::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            // One with a scope (fe80::1%eth0) is of an interface that nodes don't have.
            Some("nameserver") => {
                let server = words.next().and_then(|word| word.parse().ok());
                found.servers.extend(server.filter(|server: &IpAddr| is_asked_from_afar(*server)));
            }
            // The last one counts.
            Some("search") => found.search = words.map(str::to_owned).collect(),
            Some("domain") if found.search.is_empty() => found.search = words.take(1).map(str::to_owned).collect(),
            _ => {}
        }
    }
    found
}

/// Whether an address means the same on another host.
fn is_asked_from_afar(server: IpAddr) -> bool {
    let is_link_local = match server {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !server.is_loopback() && !server.is_unspecified() && !is_link_local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_servers_that_others_can_ask_count() {
        let found = parse(
            "# nameserver 192.0.2.9\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\n\
             nameserver ::1\nnameserver 2001:db8::1\noptions edns0\ndomain a.example\nsearch b.example c.example\n",
        );
        let servers: Vec<String> = found.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(found.search, ["b.example", "c.example"]);
        assert_eq!(parse("nameserver 127.0.0.53\n").servers, Vec::<IpAddr>::new());
    }
}
