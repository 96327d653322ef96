//! Secrets that are shared with other programs, and which of them are none: too short, or known to everybody.

/// HS256 secrets have at least as many bytes as the hash (RFC 7518 section 3.2).
pub const MIN_BYTES: usize = 32;

/// What generators, documentation and examples put there. All in lower case.
const KNOWN_PREFIXES: [&str; 1] = ["django-insecure-"];
const KNOWN_PARTS: [&str; 12] = [
    "changeme",
    "change-me",
    "change_me",
    "change me",
    "change-this",
    "change_this",
    "your-256-bit-secret",
    "your-secret",
    "your_secret",
    "secret-at-least-256-bits",
    "secretsecret",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
];
const MIN_DIFFERENT_BYTES: usize = 8;

/// Why a secret cannot be used, to follow the setting's name. Says nothing of the secret itself.
pub fn weakness(secret: &str) -> Option<&'static str> {
    let lower = secret.to_lowercase();
    if KNOWN_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
        return Some(
            "is a key that Django made for development only (django-insecure-): give the site a new one first",
        );
    }
    if KNOWN_PARTS.iter().any(|part| lower.contains(part)) {
        return Some("is a value from examples, which everybody knows: use 32 random bytes or more");
    }
    if secret.len() < MIN_BYTES {
        return Some("is too short: it must have at least 32 bytes (RFC 7518 section 3.2)");
    }
    let different: std::collections::BTreeSet<u8> = secret.bytes().collect();
    if different.len() < MIN_DIFFERENT_BYTES {
        return Some("repeats a few characters: use 32 random bytes or more");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_known_secrets_are_none() {
        for secret in [
            "",
            "secret",
            "changeme",
            "abc",
            "0123456789abcdef0123456789abcde",
            "django-insecure-8q$k2#v9x!r4m7w1z5t3y6u8i0o2p4a6s8d0f2g4",
            "Please-CHANGE-ME-before-you-go-to-production",
            "a-string-secret-at-least-256-bits-long",
            "your-256-bit-secret-your-256-bit-secret",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "12341234123412341234123412341234",
        ] {
            assert!(weakness(secret).is_some(), "{secret}");
        }
    }

    #[test]
    fn random_ones_are_fine() {
        for _ in 0..100 {
            assert_eq!(weakness(&shared::random::base64url_256()), None);
            assert_eq!(weakness(&shared::random::hex_128()), None);
        }
        assert_eq!(weakness("the-signing-key-of-a-former-django-site"), None);
    }
}
