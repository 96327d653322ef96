//! The gateway: all that clients see. It knows paths, never users, and holds no secret.

mod access_log;
mod chunked_body;
mod client_address;
mod connection;
mod envelope;
mod error;
mod headers;
mod proxy;
mod rate_limit;
mod request_body;
mod request_head;
pub mod routes;
pub mod service;
mod settings;
pub mod upstream;

pub use client_address::TrustedProxies;
pub use service::{ExtraPages, Running, StartError};
pub use settings::Settings;
