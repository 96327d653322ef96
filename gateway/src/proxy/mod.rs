//! One request to an upstream, and the response back.

pub mod forward;
pub mod headers;
pub mod held;
pub mod old_forward;
pub mod old_headers;
pub mod old_request_body;
pub mod old_websocket;
pub mod request_body;
mod response_body;
mod timer;
mod transfer;
pub mod websocket;
