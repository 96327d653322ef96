//! Passwords as they are stored: Django's own encodings, so that accounts can move both ways. Pure functions.
//!
//! New passwords become `bcrypt_sha256$$2b$12$...`. The others are read, and are to be replaced at the next login.

use crate::passwords::HashError;
use crate::passwords::scheme::{BCRYPT_COSTS, Bcrypt, Scheme, encode_bcrypt_sha256, hex_sha256};

pub use crate::passwords::scheme::ImportError;

/// Begins the stored form of an account that nobody can log in to.
const UNUSABLE_PREFIX: char = '!';

/// Encodes a password, with a new salt. Takes its time: 0.3 s at cost 12.
///
/// # Errors
/// When the cost is not from 4 to 16.
pub fn hash(password: &str, cost: u32) -> Result<String, HashError> {
    if !BCRYPT_COSTS.contains(&cost) {
        return Err(HashError::Failed("the bcrypt cost is not from 4 to 16"));
    }
    let salt = shared::random::bytes();
    let hash = Bcrypt::compute(hex_sha256(password).as_bytes(), cost, salt);
    Ok(encode_bcrypt_sha256(&Bcrypt { cost, salt, hash }))
}

/// Whether this is the password. What cannot be read or asks for too much matches nothing, at once.
pub fn verify(password: &str, encoded: &str) -> bool {
    Scheme::parse(encoded).is_ok_and(|scheme| scheme.matches(password))
}

/// Whether the stored form is another one than [`hash`] makes at this cost.
pub fn needs_rehash(encoded: &str, cost: u32) -> bool {
    !matches!(Scheme::parse(encoded), Ok(Scheme::BcryptSha256(bcrypt)) if bcrypt.cost == cost)
}

/// Whether [`verify`] can come to `true` for some password. Where it cannot, it answers without the work, which
/// would show.
pub fn is_usable(encoded: &str) -> bool {
    Scheme::parse(encoded).is_ok()
}

/// Whether an operator may store this for an account: a readable hash within bounds, or `!...` for no password.
///
/// # Errors
/// A sentence for the operator. It does not repeat the hash.
pub fn check_importable(encoded: &str) -> Result<(), ImportError> {
    if encoded.starts_with(UNUSABLE_PREFIX) {
        return Ok(());
    }
    Scheme::parse(encoded).map(drop)
}

/// A stored form that takes as long to verify as a real one at this cost and matches no password: nobody knows what
/// hashes to zeros. A cost beyond the bounds counts as the nearest one within.
pub fn unknown_user_hash(cost: u32) -> String {
    let cost = cost.clamp(*BCRYPT_COSTS.start(), *BCRYPT_COSTS.end());
    encode_bcrypt_sha256(&Bcrypt {
        cost,
        salt: *b"no such account!",
        hash: [0; 23],
    })
}
