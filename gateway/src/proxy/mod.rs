//! One request to an upstream, and the response back.

pub mod forward;
pub mod headers;
pub mod request_body;
pub mod websocket;
