//! The gateway over real sockets, in front of services that exist only for a test.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails there"
)]

mod agreed_with_identity;
mod bodies;
mod budget;
mod client_ends;
mod command_line;
mod cors;
mod early_responses;
mod edge_auth;
mod failures;
mod fake_identity;
mod fault_upstream;
mod forwarded_heads;
mod framing;
mod headers;
mod http2_lifecycle;
mod lifecycle;
mod lifecycle_clients;
mod paths;
mod raw_http2;
mod routes_file;
mod streaming;
mod support;
mod tls;
mod upstreams;
