//! What a DHCP client's command line says: which client it is, and which NICs it manages. Pure.

use crate::model::{ClientKind, IfName, Reach};

/// Options of dhclient(8) whose value is the next word.
const DHCLIENT: &[&str] = &[
    "-p",
    "-D",
    "-e",
    "-s",
    "-g",
    "-cf",
    "-df",
    "-lf",
    "-pf",
    "-sf",
    "-C",
    "-F",
    "-H",
    "-R",
    "-timeout",
    "--dad-wait-time",
    "--prefix-len-hint",
    "--decline-wait-time",
    "--address-prefix-len",
];

/// Options of dhcpcd(8) whose value is the next word.
const DHCPCD: &[&str] = &[
    "-C",
    "-c",
    "-e",
    "-f",
    "-h",
    "-I",
    "-i",
    "-j",
    "-l",
    "-m",
    "-O",
    "-o",
    "-Q",
    "-r",
    "-S",
    "-s",
    "-t",
    "-u",
    "-v",
    "-W",
    "-X",
    "-y",
    "-z",
    "-Z",
    "--nohook",
    "--script",
    "--env",
    "--config",
    "--logfile",
    "--metric",
    "--option",
    "--nooption",
    "--require",
    "--static",
    "--timeout",
    "--userclass",
    "--vendor",
    "--whitelist",
    "--blacklist",
    "--reboot",
    "--allowinterfaces",
    "--denyinterfaces",
    "--leasetime",
    "--vendorclassid",
];

/// What dhcpcd 9 and later write over their command line begins with (setproctitle).
const TITLE: &str = "dhcpcd: ";

/// What udhcpc manages where it is not told.
const UDHCPC_DEFAULT: &str = "eth0";

/// The client that a process is, by its name (/proc/PID/comm) and command line.
pub(super) fn kind(name: &str, words: &[String]) -> Option<ClientKind> {
    match name {
        "dhclient" => Some(ClientKind::Dhclient),
        "dhcpcd" => Some(ClientKind::Dhcpcd),
        "udhcpc" => Some(ClientKind::Udhcpc),
        "busybox" if words.get(1).is_some_and(|word| word == "udhcpc") => Some(ClientKind::Udhcpc),
        _ => None,
    }
}

/// Whether a client with this command line manages a NIC, and others besides.
pub(super) fn reach(kind: ClientKind, words: &[String], nic: &IfName) -> Option<Reach> {
    let arguments = words.get(1..).unwrap_or_default();
    let names: Vec<&str> = match kind {
        ClientKind::Dhclient => operands(arguments, DHCLIENT),
        ClientKind::Udhcpc => vec![of_udhcpc(arguments)],
        ClientKind::Dhcpcd => match words.first().and_then(|word| word.strip_prefix(TITLE)) {
            Some(title) => of_title(title)?,
            None => operands(arguments, DHCPCD),
        },
    };
    match names.as_slice() {
        [] => Some(Reach::OtherNics), // every NIC there is
        [one] => (*one == nic.as_str()).then_some(Reach::ThisNic),
        many => many.contains(&nic.as_str()).then_some(Reach::OtherNics),
    }
}

/// The words that are neither options nor their values.
fn operands<'a>(arguments: &'a [String], with_value: &[&str]) -> Vec<&'a str> {
    let mut words = arguments.iter().map(String::as_str);
    let mut operands = Vec::new();
    while let Some(word) = words.next() {
        if with_value.contains(&word) {
            words.next();
        } else if !word.starts_with('-') {
            operands.push(word);
        }
    }
    operands
}

/// What is managed by dhcpcd's title: `eth0 [ip4]`, or every NIC in `[manager] [ip4]` (`[master]` before version 9.4).
/// `None` of its helpers, `[privileged proxy] eth0 [ip4]`: they do nothing by themselves.
fn of_title(title: &str) -> Option<Vec<&str>> {
    match title.split_whitespace().next()? {
        "[manager]" | "[master]" => Some(Vec::new()),
        word if word.starts_with('[') => None,
        name => Some(vec![name]),
    }
}

/// The NIC of `-i eth0`, `-ieth0`, `--interface eth0` or `--interface=eth0`; the last one counts.
fn of_udhcpc(arguments: &[String]) -> &str {
    let mut nic = UDHCPC_DEFAULT;
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word.strip_prefix("--interface=").or_else(|| word.strip_prefix("-i")) {
            Some("") => nic = words.next().unwrap_or(nic),
            Some(joined) => nic = joined,
            None if word == "--interface" => nic = words.next().unwrap_or(nic),
            None => {}
        }
    }
    nic
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a command line, its words between blanks or, with `|` in it, between those, says of eth0.
    fn said(line: &str) -> Option<Reach> {
        let by = if line.contains('|') { '|' } else { ' ' };
        let words: Vec<String> = line.split(by).map(str::to_owned).collect();
        let name = line.split([' ', '|', ':']).next().unwrap();
        reach(kind(name, &words).unwrap(), &words, &IfName::try_from("eth0").unwrap())
    }

    #[test]
    fn of_dhclient() {
        let ifupdown = "dhclient -4 -v -i -pf /run/dhclient.eth0.pid -lf /var/lib/dhcp/l -I -df /var/lib/d eth0";
        assert_eq!(said(ifupdown), Some(Reach::ThisNic));
        assert_eq!(said("dhclient -6 eth1"), None);
        assert_eq!(said("dhclient eth1 eth0"), Some(Reach::OtherNics));
        assert_eq!(said("dhclient -lf eth0 eth1"), None);
        assert_eq!(said("dhclient -v"), Some(Reach::OtherNics));
    }

    #[test]
    fn of_dhcpcd() {
        assert_eq!(said("dhcpcd: eth0 [ip4]|"), Some(Reach::ThisNic));
        assert_eq!(said("dhcpcd: eth1 [ip4]|"), None);
        assert_eq!(said("dhcpcd: [manager] [ip4] [ip6]|"), Some(Reach::OtherNics));
        assert_eq!(said("dhcpcd: [privileged proxy] eth0 [ip4]|"), None);
        assert_eq!(said("dhcpcd: [BPF ARP] eth0 192.0.2.103|"), None);
        assert_eq!(said("dhcpcd -q -f /etc/x eth0"), Some(Reach::ThisNic));
        assert_eq!(said("dhcpcd -q"), Some(Reach::OtherNics));
    }

    #[test]
    fn of_udhcpc() {
        for line in [
            "udhcpc",
            "udhcpc -b -i eth0 -s /bin/true",
            "udhcpc -ieth0",
            "udhcpc --interface=eth0",
            "busybox udhcpc --interface eth0",
        ] {
            assert_eq!(said(line), Some(Reach::ThisNic), "{line}");
        }
        assert_eq!(said("udhcpc -i eth1"), None);
    }

    #[test]
    fn others_are_none() {
        assert_eq!(kind("busybox", &["busybox".into(), "sh".into()]), None);
        assert_eq!(kind("dnsmasq", &["dnsmasq".into(), "eth0".into()]), None);
    }
}
