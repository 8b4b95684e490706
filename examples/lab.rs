//! A lab from a program: two nodes joined by a link, a command in one of them, a socket in each, a check, and gone.
//!
//! Run it as root: `cargo run --example lab`.

#![allow(clippy::print_stdout, reason = "an example shows what comes of it")]

use nslab::Lab;
use nslab::check::CheckOptions;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

const TOPOLOGY: &str = "
name: example
nodes:
  left:
  right:
links:
  - {endpoints: [left, right], subnets: [10.0.0.0/30]}
";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let lab = Lab::from_yaml(TOPOLOGY)?;
    let report = lab.up().await?;
    println!("{} is up after {} ms", report.lab, report.took_ms);

    // Whatever happens in between, the lab goes.
    let result = use_it(&lab).await;
    lab.down().await?;
    result
}

async fn use_it(lab: &Lab) -> Result<(), Box<dyn std::error::Error>> {
    let (left, right) = (lab.node("left")?, lab.node("right")?);

    let ping = left.run("ping", ["-c", "1", "-W", "1", "right"]).await?;
    println!("ping: {}", ping.status);

    // A socket belongs to the namespace it was opened in, wherever it is used afterwards.
    let listener = right.enter(|| TcpListener::bind("10.0.0.2:7000")).await??;
    let mut client = left.enter(|| TcpStream::connect("10.0.0.2:7000")).await??;
    let (mut server, peer) = listener.accept()?;
    client.write_all(b"hello")?;
    drop(client);
    let mut text = String::new();
    server.read_to_string(&mut text)?;
    println!("{peer} says {text}");

    let report = lab.check(&CheckOptions::default()).await?;
    println!("every node reaches every other one: {}", report.holds());
    Ok(())
}
