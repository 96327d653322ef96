//! The wire to clients: connections, TLS, PROXY protocol, HTTP/1.1 and HTTP/2, with their deadlines.

pub mod address_limit;
pub mod app_service;
pub mod connection;
mod date;
mod http1;
mod http1_body;
mod http1_exchange;
mod http1_response;
mod http2;
pub mod http2_exchange;
pub mod pace;
pub mod proxy_protocol;
mod response;
pub mod stream;
pub mod tls;

#[cfg(test)]
mod tests;
