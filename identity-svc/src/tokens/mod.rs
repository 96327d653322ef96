//! Tokens and one-time secrets. Pure but for the keys file: no actix, no diesel, the clock is passed in.

pub mod key_file;
pub mod key_ring;
pub mod one_time;
mod page_proof;
pub mod shared_secret;
mod signer;

pub use page_proof::PageProof;
pub use signer::{IssuedToken, SessionLimits, SessionRef, TokenPair, TokenSettings, Tokens};
