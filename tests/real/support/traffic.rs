//! Traffic between nodes, and how much of it arrives.

use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// How long a connection may make no progress at all.
const STUCK: Duration = Duration::from_mins(1);

/// Does something in a thread that is in a node's namespace.
fn inside<T: Send + 'static>(netns: &str, work: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    let netns = File::open(format!("/run/netns/{netns}")).unwrap();
    thread::spawn(move || {
        setns(netns, CloneFlags::CLONE_NEWNET).unwrap();
        work()
    })
}

/// Bits per second that TCP brings from one node's namespace to an address of another's, sending so many bytes. What one
/// connection takes to begin, and what a bucket or a queue lets through at once, does not count: the second half does.
pub(crate) fn tcp_rate(from: &str, to: &str, address: &str, bytes: usize) -> f64 {
    let address: IpAddr = address.parse().unwrap();
    let listener = inside(to, move || TcpListener::bind(SocketAddr::new(address, 0)).unwrap()).join().unwrap();
    let at = listener.local_addr().unwrap();
    let receiver = inside(to, move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection.set_read_timeout(Some(STUCK)).unwrap();
        let (mut buffer, mut arrived, mut half) = (vec![0; 64 * 1024], 0, None);
        loop {
            match connection.read(&mut buffer) {
                Ok(0) => break,
                Ok(more) => arrived += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("{arrived} of {bytes} bytes arrived: {error}"),
            }
            if half.is_none() && arrived >= bytes / 2 {
                half = Some((arrived, Instant::now()));
            }
        }
        let (before, since) = half.unwrap();
        let bits = u32::try_from((arrived - before) * 8).unwrap();
        f64::from(bits) / since.elapsed().as_secs_f64()
    });
    let sender = inside(from, move || {
        let mut connection = TcpStream::connect(at).unwrap();
        connection.set_write_timeout(Some(STUCK)).unwrap();
        connection.write_all(&vec![0x55; bytes]).unwrap();
    });
    sender.join().unwrap();
    receiver.join().unwrap()
}
