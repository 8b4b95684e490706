//! A TCP connection that somebody uses all the time, as an SSH session is.

use super::street::Street;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The pause between an answer and the next question.
const PAUSE: Duration = Duration::from_millis(2);

/// How long an answer may take.
const STUCK: Duration = Duration::from_mins(1);

/// The machine asks a number, the street says it back, and so on; a lost or wrong one is a failure.
pub(crate) struct Conversation {
    ends: Arc<AtomicBool>,
    asking: JoinHandle<Said>,
    answering: JoinHandle<()>,
}

/// What became of a conversation.
#[derive(Debug)]
pub(crate) struct Said {
    /// How many numbers were asked and answered.
    pub(crate) answers: u32,
    /// How long one answer took at the longest.
    pub(crate) longest: Duration,
}

impl Conversation {
    /// Begins one with an address of the street's.
    pub(crate) fn with(street: &Street, address: &str) -> Self {
        let address: IpAddr = address.parse().unwrap();
        let listener = street.inside(move || TcpListener::bind(SocketAddr::new(address, 0)).unwrap()).join().unwrap();
        let at = listener.local_addr().unwrap();
        let answering = street.inside(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut number = [0; 4];
            while connection.read_exact(&mut number).is_ok() {
                connection.write_all(&number).unwrap();
            }
        });
        let mut connection = TcpStream::connect(at).unwrap();
        connection.set_nodelay(true).unwrap();
        connection.set_read_timeout(Some(STUCK)).unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ends);
        let asking = std::thread::spawn(move || {
            let mut said = Said { answers: 0, longest: Duration::ZERO };
            // Some more after it is over: it goes on after whatever happened last.
            let mut more = 20;
            while more > 0 {
                more -= u32::from(is_over.load(Ordering::Relaxed));
                let (asked_at, number) = (Instant::now(), said.answers.to_be_bytes());
                connection.write_all(&number).unwrap();
                let mut answer = [0; 4];
                connection.read_exact(&mut answer).unwrap();
                assert_eq!(answer, number, "after {} answers", said.answers);
                said.answers += 1;
                said.longest = said.longest.max(asked_at.elapsed());
                std::thread::sleep(PAUSE);
            }
            said
        });
        Self { ends, asking, answering }
    }

    /// Ends it, and sees that nothing of it was lost.
    #[track_caller]
    pub(crate) fn end(self) -> Said {
        self.ends.store(true, Ordering::Relaxed);
        let said = self.asking.join().expect("the connection lives, and nothing of it is lost");
        self.answering.join().unwrap();
        said
    }
}
