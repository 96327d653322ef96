//! identity-svc over its own HTTP server, and its units of work on both databases.
#![cfg(test)]

mod addresses;
mod db;
mod encryption;
mod gateway_secret;
mod http;
mod logs;
mod operator;
mod outbox;
mod session_limits;
mod settings;
mod support;
mod token_names;
