//! The built program, over HTTP and its command line only: what a user of it sees.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

mod http;
mod journey;
mod operator;
mod own_service;
mod pages;
mod server;
mod sessions_page;
mod startup;
