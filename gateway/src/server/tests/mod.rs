//! The wire as clients see it: a toy application behind a real socket, raw bytes in and out.

mod connections;
mod frames;
mod http1;
mod http1_lifecycle;
mod http2;
mod http2_lifecycle;
mod support;
