//! One-time secrets of mails: the verification key, and the token beside the `uid` of a reset. Only digests are stored.

use aws_lc_rs::digest;
use shared::random;
use shared::secret::Secret;

/// What a secret is good for. A secret of one purpose is nothing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    VerifyEmail,
    ResetPassword,
}

impl Purpose {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
        }
    }
}

/// 256 random bits as base64url (43 characters).
pub fn generate() -> Secret<String> {
    Secret::new(random::base64url_256())
}

/// The stored form: SHA-256 as hexadecimal digits. No salt: the secret has 256 bits of its own.
pub fn digest(secret: &str) -> String {
    random::hex(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref())
}
