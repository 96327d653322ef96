//! What surrounds every request, whatever handles it. `app.rs` puts these parts in their order.

pub mod access_log;
pub mod address_rules;
pub mod cors;
pub mod edge_auth;
pub mod rate_limit;
pub mod request_context;
