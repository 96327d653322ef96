//! Tokens and one-time secrets. Pure but for the keys file: no actix, no diesel, the clock is passed in.

pub mod key_file;
pub mod key_ring;
pub mod one_time;
mod signer;

pub use signer::{IssuedToken, TokenPair, TokenSettings, Tokens};
