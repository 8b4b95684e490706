//! jsonrpsee's transport over a byte stream to an OVSDB server.

use super::frame::{FrameError, JsonFrames};
use super::message::{self, Incoming};
use super::stream::Connected;
use futures_util::StreamExt;
use jsonrpsee_core::client::{ReceivedMessage, TransportReceiverT, TransportSenderT};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio_util::codec::FramedRead;

/// Why the connection is no longer of use.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    /// The server closed it.
    #[error("the server closed the connection")]
    Closed,
    /// What came is no message, or reading failed.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// What came is no JSON, or not of JSON-RPC.
    #[error("a message is not JSON-RPC")]
    Json(#[from] serde_json::Error),
}

/// What jsonrpsee hands its requests to.
pub(super) struct Sender {
    to_server: mpsc::UnboundedSender<String>,
}

/// What jsonrpsee is handed responses and notifications by.
pub(super) struct Receiver {
    frames: FramedRead<ReadHalf<Connected>, JsonFrames>,
    to_server: mpsc::UnboundedSender<String>,
}

/// Both ends. A task writes for both, so that reading, which has `echo` to answer, never waits for a server that in turn
/// waits for us to read. It ends, and closes the connection, when both ends are dropped.
pub(super) fn over(stream: Connected) -> (Sender, Receiver) {
    let (reader, writer) = tokio::io::split(stream);
    let (to_server, messages) = mpsc::unbounded_channel();
    tokio::spawn(write(writer, messages));
    let sender = Sender { to_server: to_server.clone() };
    (sender, Receiver { frames: FramedRead::new(reader, JsonFrames::default()), to_server })
}

async fn write(mut writer: WriteHalf<Connected>, mut messages: mpsc::UnboundedReceiver<String>) {
    while let Some(message) = messages.recv().await {
        // That it failed, the reading side sees too, and says.
        if writer.write_all(message.as_bytes()).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
    let _ = writer.shutdown().await; // a TLS peer wants to be told; whether it hears it, we need not know
}

impl TransportSenderT for Sender {
    type Error = TransportError;

    async fn send(&mut self, message: String) -> Result<(), TransportError> {
        self.to_server.send(message::outgoing(&message)?).map_err(|_| TransportError::Closed)
    }
}

impl TransportReceiverT for Receiver {
    type Error = TransportError;

    async fn receive(&mut self) -> Result<ReceivedMessage, TransportError> {
        loop {
            let frame = self.frames.next().await.ok_or(TransportError::Closed)??;
            match message::incoming(&frame)? {
                Incoming::ForClient(text) => return Ok(ReceivedMessage::Text(text)),
                Incoming::Reply(text) => self.to_server.send(text).map_err(|_| TransportError::Closed)?,
            }
        }
    }
}
