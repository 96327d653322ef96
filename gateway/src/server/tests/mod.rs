//! The wire as clients see it: a toy application behind a real socket, raw bytes in and out.

mod http1;
mod http1_lifecycle;
mod support;
