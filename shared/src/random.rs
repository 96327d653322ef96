//! Random bytes of the operating system, and their two text forms.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// `N` bytes of the operating system's generator.
///
/// # Panics
/// When the operating system has no random source: nothing of a security service may run then.
#[expect(
    clippy::expect_used,
    reason = "a security service without randomness must stop"
)]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// 128 random bits as 32 hexadecimal digits, the form of a `jti`, a `sid` and a job id.
pub fn hex_128() -> String {
    let digits = u128::from_be_bytes(bytes());
    format!("{digits:032x}")
}

/// 128 random bits as 22 characters of base64url, the form of a reset `uid`.
pub fn base64url_128() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<16>())
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            digits.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
    digits
}

/// 256 random bits as 43 characters of base64url, the form of a one-time secret.
pub fn base64url_256() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<32>())
}

/// A random number below `bound` (0 when `bound` is 0). For jitter, not for secrets: slightly biased.
pub fn below(bound: u64) -> u64 {
    u64::from_be_bytes(bytes()).checked_rem(bound).unwrap_or(0)
}
