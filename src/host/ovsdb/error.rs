//! What can go wrong between us and a database server.

use super::{RowError, SchemaError, Target, TargetError};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Why a database could not be reached, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum OvsdbError {
    /// The target can't be read.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There is no connection to the server.
    #[error("can't reach the OVSDB server at {target}")]
    Connect {
        /// Where it should be.
        target: Target,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// `ssl:` without certificates.
    #[error("{target} wants certificates: give the authority's, our own, and its private key")]
    NoTlsFiles {
        /// The server.
        target: Target,
    },
    /// A certificate or key can't be used.
    #[error("can't use {} for TLS", path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection is gone: what was asked may or may not have been done.
    #[error("the connection to the OVSDB server was lost during `{method}`")]
    Disconnected {
        /// What was being asked.
        method: String,
        /// Why.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The server is there and does not answer.
    #[error("the OVSDB server did not answer `{method}` in {} ms", after.as_millis())]
    Silent {
        /// What was asked.
        method: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The server refused a request as a whole.
    #[error("the OVSDB server refused `{method}`: {error}")]
    Refused {
        /// What was asked.
        method: String,
        /// What it says.
        error: String,
    },
    /// An operation of a transaction failed; nothing of the transaction was done.
    #[error("can't {label}: {error}{}{}", in_parentheses(details), advice(error))]
    Operation {
        /// What the operation was for.
        label: String,
        /// Its place in the transaction, from 0.
        index: usize,
        /// RFC 7047's name of the error.
        error: String,
        /// The server's explanation.
        details: String,
    },
    /// Every operation went well, but not all of them together; nothing of the transaction was done.
    #[error("can't commit the transaction ({labels}): {error}{}{}", in_parentheses(details), advice(error))]
    Commit {
        /// What its operations were for.
        labels: String,
        /// RFC 7047's name of the error.
        error: String,
        /// The server's explanation.
        details: String,
    },
    /// The server answered with something else than what was asked for.
    #[error("the OVSDB server's answer to `{method}` makes no sense")]
    Answer {
        /// What was asked.
        method: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A request can't be written as JSON.
    #[error("`{method}` can't be written as JSON")]
    Request {
        /// What was to be asked.
        method: String,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The database is not what is needed.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A row does not hold what it should.
    #[error(transparent)]
    Row(#[from] RowError),
}

fn in_parentheses(details: &str) -> String {
    if details.is_empty() { String::new() } else { format!(" ({details})") }
}

/// The server says only that it can't write; why, is in its log.
fn advice(error: &str) -> &'static str {
    if error == DISK_ERROR { "; its disk may be full: make room, or see the log of ovsdb-server" } else { "" }
}

/// What the server says when it can't write to its disk (RFC 7047 section 4.1.3).
const DISK_ERROR: &str = "I/O error";

impl OvsdbError {
    /// What jsonrpsee says of a request.
    pub(super) fn of_request(method: &str, after: Duration, error: jsonrpsee_core::ClientError) -> Self {
        use jsonrpsee_core::ClientError;
        let method = method.to_owned();
        match error {
            ClientError::RequestTimeout => Self::Silent { method, after },
            ClientError::Call(object) => Self::Refused { method, error: refusal(object.data()) },
            ClientError::ParseError(source) => Self::Answer { method, source },
            ClientError::RestartNeeded(source) => Self::Disconnected { method, source },
            other => Self::Disconnected { method, source: Arc::new(other) },
        }
    }

    /// Whether there is no connection, or no longer one: a new client may have more luck.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Disconnected { .. } | Self::Silent { .. })
    }

    /// Whether nothing listens where the server should be.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Connect { source, .. }
            if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused))
    }

    /// Whether the caller may not speak to the server.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Connect { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Whether the database refused what would break its rules (RFC 7047 sections 3.1 and 4.1.3).
    pub fn is_constraint_violation(&self) -> bool {
        matches!(self.code(), Some("constraint violation" | "referential integrity violation"))
    }

    /// Whether a `wait` operation's time was up (RFC 7047 section 5.2.6).
    pub fn is_timed_out(&self) -> bool {
        self.code() == Some("timed out")
    }

    /// Whether the server could not write to its disk (RFC 7047 section 4.1.3).
    pub fn is_disk_full(&self) -> bool {
        self.code() == Some(DISK_ERROR)
    }

    fn code(&self) -> Option<&str> {
        match self {
            Self::Operation { error, .. } | Self::Commit { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// What a server's error says, which is a text or has one in it.
fn refusal(data: Option<&serde_json::value::RawValue>) -> String {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Said {
        Text(String),
        Error { error: String, details: Option<String> },
    }
    match data.map(|data| serde_json::from_str(data.get())) {
        Some(Ok(Said::Text(text))) => text,
        Some(Ok(Said::Error { error, details })) => format!("{error}{}", in_parentheses(&details.unwrap_or_default())),
        Some(Err(_)) => data.map(|data| data.get().to_owned()).unwrap_or_default(),
        None => "it says no more".to_owned(),
    }
}
