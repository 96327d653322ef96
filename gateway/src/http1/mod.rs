//! HTTP/1.1, both sides: stricter than a server may be with clients, and with upstreams as strict as it can afford.

pub mod chunked_body;
pub mod hop_by_hop;
pub mod request_head;
pub mod response_head;
pub mod write;
