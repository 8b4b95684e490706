//! TCP, from sockets opened inside the nodes: connect, move 256 KiB, and be told that they came.

use super::CheckError;
use super::report::Found;
use crate::host::Pool;
use crate::model::Rate;
use crate::spec::Spec;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// How much is moved: many segments, more than a socket's first window.
const BYTES: usize = 256 * 1024;

/// A node's end that is asked: it takes what comes and says how much that was. Ends when it is dropped.
pub(super) struct Server {
    port: u16,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Listens in a namespace, at a port that the kernel chooses.
    pub(super) async fn start(pool: &Pool, netns: &Arc<OwnedFd>, ipv6: bool) -> Result<Self, CheckError> {
        let any: IpAddr = if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let failed = |source| CheckError::Socket { what: "TCP", source };
        let listener = pool
            .run_in(Arc::clone(netns), move || {
                let socket = if ipv6 { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
                socket.bind(SocketAddr::new(any, 0))?;
                socket.listen(1024)
            })
            .await?
            .map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Self { port, task: tokio::spawn(serve(listener)) })
    }
}

async fn serve(listener: TcpListener) {
    // A connection that can't be accepted is one that its other end reports.
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(count(stream));
    }
}

/// Reads to the end, and sends back how many bytes that were. What goes wrong, the other end reports.
async fn count(mut stream: TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    let mut received: u64 = 0;
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => break,
            Ok(bytes) => received += bytes as u64,
            Err(_) => return,
        }
    }
    let _ = stream.write_all(&received.to_be_bytes()).await;
}

/// How long a connection may take: to come about, and then to move the bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    pub(super) connect: Duration,
    pub(super) transfer: Duration,
}

impl Deadlines {
    /// Those of a lab: where links are slow because its topology says so, moving the bytes may take as long as they need
    /// when every node does it at once, and half as long again for the headers and the acknowledgements.
    pub(super) fn of(spec: &Spec, timeout: Duration) -> Self {
        let limits = spec.links.iter().flat_map(|link| [link.egress_qos, link.ingress_policing]).flatten();
        let conditions = spec.links.iter().flat_map(|link| link.current().conditions).filter_map(|way| way.rate);
        let slowest = limits.map(|limit| limit.rate).chain(conditions).map(Rate::bits_per_second).min();
        let needed = slowest.map_or(Duration::ZERO, |rate| {
            let bits = BYTES as u64 * 8 * 3 / 2 * spec.nodes.len() as u64;
            Duration::from_millis(bits * 1000 / rate)
        });
        Self { connect: timeout, transfer: timeout + needed }
    }
}

/// Connects from a namespace to a server and moves the bytes.
pub(super) async fn exchange(
    pool: &Pool,
    netns: &Arc<OwnedFd>,
    address: IpAddr,
    server: &Server,
    deadlines: Deadlines,
) -> Result<Found, CheckError> {
    let Deadlines { connect, transfer } = deadlines;
    let ipv6 = address.is_ipv6();
    let socket = pool
        .run_in(Arc::clone(netns), move || if ipv6 { TcpSocket::new_v6() } else { TcpSocket::new_v4() })
        .await?
        .map_err(|source| CheckError::Socket { what: "TCP", source })?;
    let started = Instant::now();
    let no_answer = |reason: String| Ok(Found::NoAnswer { reason });
    let connected = tokio::time::timeout(connect, socket.connect(SocketAddr::new(address, server.port))).await;
    let mut stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return no_answer(error.to_string()),
        Err(_) => return no_answer(format!("no connection in {} ms", connect.as_millis())),
    };
    let moved = async {
        stream.write_all(&vec![0x6e; BYTES]).await?;
        stream.shutdown().await?;
        let mut received = [0; 8];
        stream.read_exact(&mut received).await?;
        Ok::<u64, io::Error>(u64::from_be_bytes(received))
    };
    Ok(match tokio::time::timeout(transfer, moved).await {
        Ok(Ok(bytes)) if bytes == BYTES as u64 => Found::Answer { took_ms: started.elapsed().as_secs_f64() * 1000.0 },
        Ok(Ok(bytes)) => Found::NoAnswer { reason: format!("{bytes} of {BYTES} bytes came") },
        Ok(Err(error)) => Found::NoAnswer { reason: error.to_string() },
        Err(_) => Found::NoAnswer {
            reason: format!("connected, but {BYTES} bytes did not pass in {} ms", transfer.as_millis()),
        },
    })
}
