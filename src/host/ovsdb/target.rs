//! Where a database server is: the active connection methods of ovsdb(7).

use std::path::PathBuf;

/// The port of OVSDB (RFC 7047 section 7).
const PORT: u16 = 6640;

/// Where the server listens when nothing else is said, as Debian and others build it.
const DEFAULT_RUN_DIRECTORY: &str = "/run/openvswitch";

/// The server's socket in Open vSwitch's run directory.
const SOCKET: &str = "db.sock";

/// A database server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `tcp:HOST[:PORT]`; an IPv6 address is in brackets.
    Tcp {
        /// A name or an address.
        host: String,
        /// The port; 6640 where none is given.
        port: u16,
    },
    /// `ssl:HOST[:PORT]`.
    Ssl {
        /// A name or an address.
        host: String,
        /// The port; 6640 where none is given.
        port: u16,
    },
}

/// A text that names no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no OVSDB server: write unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT")]
pub struct TargetError {
    text: String,
}

impl Target {
    /// The server of the machine's own Open vSwitch: its socket in `run_directory`, which is what OVS_RUNDIR says, or in
    /// the directory that Open vSwitch is built with.
    pub fn local(run_directory: Option<PathBuf>) -> Self {
        Self::Unix(run_directory.unwrap_or_else(|| PathBuf::from(DEFAULT_RUN_DIRECTORY)).join(SOCKET))
    }
}

impl std::str::FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let wrong = || TargetError { text: text.to_owned() };
        let (method, rest) = text.split_once(':').ok_or_else(wrong)?;
        match method {
            "unix" if !rest.is_empty() => Ok(Self::Unix(PathBuf::from(rest))),
            "tcp" => host_and_port(rest).map(|(host, port)| Self::Tcp { host, port }).ok_or_else(wrong),
            "ssl" => host_and_port(rest).map(|(host, port)| Self::Ssl { host, port }).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        (host, rest.strip_prefix(':').or(rest.is_empty().then_some(""))?)
    } else {
        text.split_once(':').unwrap_or((text, ""))
    };
    let port = if port.is_empty() { PORT } else { port.parse().ok()? };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (method, host, port) = match self {
            Self::Unix(path) => return write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } => ("tcp", host, port),
            Self::Ssl { host, port } => ("ssl", host, port),
        };
        if host.contains(':') { write!(f, "{method}:[{host}]:{port}") } else { write!(f, "{method}:{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_ovs_writes_them() {
        for (text, shown) in [
            ("unix:/run/x.sock", "unix:/run/x.sock"),
            ("tcp:127.0.0.1:6641", "tcp:127.0.0.1:6641"),
            ("tcp:db.example", "tcp:db.example:6640"),
            ("ssl:[::1]:6640", "ssl:[::1]:6640"),
            ("ssl:[::1]", "ssl:[::1]:6640"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), shown, "{text}");
        }
        for wrong in ["", "unix:", "/run/x.sock", "tcp:", "tcp::6640", "tcp:[::1", "tcp:h:x", "pssl:6640"] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
        assert_eq!(Target::local(None).to_string(), "unix:/run/openvswitch/db.sock");
        assert_eq!(Target::local(Some("/x".into())).to_string(), "unix:/x/db.sock");
    }
}
