//! The gateway over real sockets, in front of services that exist only for a test.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails there"
)]

mod bodies;
mod budget;
mod command_line;
mod cors;
mod edge_auth;
mod failures;
mod fake_identity;
mod framing;
mod headers;
mod lifecycle;
mod paths;
mod routes_file;
mod streaming;
mod support;
mod tls;
mod upstreams;
