//! The gateway: all that clients see. It knows paths, never users, and holds no secret.

mod access_log;
mod client_address;
mod connection;
mod cors;
mod edge_auth;
mod error;
mod gate;
mod headers;
mod http1;
mod http2;
mod message;
mod pages;
mod proxy;
mod proxy_protocol;
mod rate_limit;
mod reload;
mod request_body;
pub mod routes;
pub mod service;
mod settings;
mod stream;
mod tls;
mod tunnel;
pub mod upstream;

pub use client_address::TrustedProxies;
pub use cors::Cors;
pub use edge_auth::WhenStale;
pub use service::{ExtraPages, Running, StartError};
pub use settings::Settings;
pub use tls::TlsFiles;
