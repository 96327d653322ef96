//! Services behind the gateway: where they are, how they are, and the connections to them.

mod client_shares;
mod connect;
mod connection;
mod exchange;
mod group;
mod health;
pub mod monitor;
mod own_request;
mod pool;
mod request_sender;
mod response_reader;
mod service;
mod tls;
mod tls_connector;
mod url;

pub use client_shares::{ClientKey, ClientShare, ClientShares};
pub use connect::{Reached, connect, reach};
pub use connection::UpstreamConnection;
pub use exchange::{Exchange, ReusableConnection};
pub use group::Group;
pub use health::{Health, Probe};
pub use own_request::{OwnRequest, OwnRequestError};
pub use pool::Pool;
pub use request_sender::{Declared, RequestSender, WrongLength};
pub use response_reader::{ResponseError, ResponseReader};
pub use service::{Permit, Requester, Upstream};
pub use tls::{ClientCertificate, UpstreamTls};
pub use tls_connector::check_tls;
pub use url::{BadUpstreamUrl, UpstreamUrl};

#[cfg(test)]
mod tests;
