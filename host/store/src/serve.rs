//! Sockets, and the connection without one for clients in this process.
//!
//! Nothing that arrives on a connection affects more than that connection. These files must never accept
//! another machine, nor interpret a request.

mod authority;
mod connection;
mod connection_slots;
mod descriptors;
mod greeting;
mod in_process;
mod limits;
mod listen;
mod metrics;
mod pages;
mod server;
mod socket;
mod tcp;
#[cfg(test)]
pub(crate) mod tests;

pub use in_process::InProcessConnector;
#[cfg(test)]
pub(crate) use limits::ServerLimits;
pub use listen::{ListenAddress, ListenError};
pub(crate) use server::Server;
