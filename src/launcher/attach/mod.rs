//! Joining a container that nobody waits for: process 1 listens on a socket in its record, and who joins sees what is printed
//! from then on, and types, where it has a terminal.
//!
//! The socket keeps messages apart. It is made outside, and is its owner's alone.

mod client;
mod keys;
mod message;
mod server;

pub use client::{Left, join};
pub(super) use server::{Asked, Server, listen};

/// The socket's name in the record.
pub(super) const SOCKET: &str = "attach";
