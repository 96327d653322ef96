//! The built program, over HTTP and its command line only: what a user of it sees.

mod http;
mod journey;
mod operator;
mod pages;
mod server;
mod startup;
