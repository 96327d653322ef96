//! What surrounds every request, whatever handles it.

pub mod access_log;
pub mod cors;
pub mod rate_limit;
pub mod request_context;
