//! Connecting to a server.

use super::error::OvsdbError;
use super::target::Target;
use super::tls::{self, TlsFiles};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A byte stream to a server.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// A byte stream of any sort.
pub(super) type Connected = Box<dyn ByteStream>;

/// Connects, for at most `within`.
pub(super) async fn connect(
    target: &Target,
    tls: Option<&TlsFiles>,
    within: Duration,
) -> Result<Connected, OvsdbError> {
    tokio::time::timeout(within, open(target, tls)).await.unwrap_or_else(|_| {
        let source = io::Error::new(io::ErrorKind::TimedOut, format!("no connection in {} ms", within.as_millis()));
        Err(OvsdbError::Connect { target: target.clone(), source })
    })
}

async fn open(target: &Target, tls: Option<&TlsFiles>) -> Result<Connected, OvsdbError> {
    let failed = |source| OvsdbError::Connect { target: target.clone(), source };
    match target {
        Target::Unix(path) => Ok(Box::new(UnixStream::connect(path).await.map_err(failed)?)),
        Target::Tcp { host, port } => Ok(Box::new(tcp(host, *port).await.map_err(failed)?)),
        Target::Ssl { host, port } => {
            let files = tls.ok_or_else(|| OvsdbError::NoTlsFiles { target: target.clone() })?;
            let (connector, name) = (tls::connector(files)?, tls::server_name(host).map_err(failed)?);
            let stream = tcp(host, *port).await.map_err(failed)?;
            Ok(Box::new(connector.connect(name, stream).await.map_err(failed)?))
        }
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    crate::name_service::without_libraries();
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?; // requests are small, and each is waited for
    Ok(stream)
}
