//! The wire to clients: connections, TLS, PROXY protocol, HTTP/1.1 and HTTP/2, with their deadlines.

pub mod app_service;
pub mod connection;
pub mod http1;
mod http1_body;
mod http2;
pub mod proxy_protocol;
pub mod stream;
pub mod tls;
