//! Answering whoever asks a keeper.

use super::Keeper;
use crate::host::{LEASE, LINE};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

/// Answers whoever asks.
pub(super) async fn serve(listener: &UnixListener, keeper: &Keeper) {
    let mut answers = tokio::task::JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (sight, lease) = (std::sync::Arc::clone(&keeper.sight), keeper.lease.clone());
                answers.spawn(async move {
                    let (reader, mut writer) = stream.into_split();
                    let mut line = String::new();
                    BufReader::new(reader.take(LINE)).read_line(&mut line).await?;
                    if line.trim_end() == LEASE {
                        lease.wanted().await;
                    }
                    let seen = serde_json::to_string(&*sight.lock().await)?;
                    writer.write_all(format!("{seen}\n").as_bytes()).await
                });
            }
            // No file to be had: whoever asks will ask again.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        while answers.try_join_next().is_some() {}
    }
}
