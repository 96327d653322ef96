//! Headers that end with a connection.

/// Headers of one hop, or that the next hop's client sets by itself. Source: RFC 9110 section 7.6.1.
pub const HOP_BY_HOP: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
