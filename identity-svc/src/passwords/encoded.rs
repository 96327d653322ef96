//! Passwords as they are stored: Django's own encodings, so that accounts can move both ways. Pure functions.
//!
//! New passwords become `bcrypt_sha256$$2b$12$...`. The others are read, and are to be replaced at the next login.

use crate::passwords::HashError;
use crate::passwords::factors::Factors;
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

/// How much work [`verify`] is, in rounds of bcrypt. `None`: it can come to `true` for no password, and answers without
/// any work, which would show.
pub fn rounds(encoded: &str, factors: &Factors) -> Option<u64> {
    Scheme::parse(encoded).ok().map(|scheme| scheme.rounds(factors))
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

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "Brine-lantern-42";
    const CYRILLIC: &str = "Ключ-от-сарая-Ё7";

    /// Made by Django 5.2.19.
    const BY_DJANGO: [(&str, &str); 18] = [
        (
            PLAIN,
            "pbkdf2_sha256$1200$NaClNaClNaCl$I2Nmy5LvAhuc9jKJLC6Ye+S6zrwi1EdRk6V5xaM4ZD0=",
        ),
        (
            CYRILLIC,
            "pbkdf2_sha256$1$NaClNaClNaCl$OVk1d0jeT06gBvIXPpMengZnpIkLhOIRYrABx/ZK3K0=",
        ),
        (
            "Brine-lantern-42 ",
            "pbkdf2_sha256$20$Qq7$HjVQPzE0XHDU5miYhdZyCaUsHa76dfjXWMfCVTg+YLE=",
        ),
        (
            PLAIN,
            "pbkdf2_sha1$1200$NaClNaClNaCl$bL7VLyz3YNLL7wt3Jlruh+KCxjQ=",
        ),
        (
            PLAIN,
            "argon2$argon2id$v=19$m=64,t=2,p=2$TmFDbE5hQ2xOYUNs$+zNR5+CUK4gKIEXSH+2gIAAESZXdWXyLZoCYks9wO1o",
        ),
        (
            PLAIN,
            "argon2$argon2i$v=19$m=64,t=2,p=2$TmFDbE5hQ2xOYUNs$u4Zo5wwCRGkT7OAWwXB/mg",
        ),
        (
            PLAIN,
            "argon2$argon2d$v=19$m=64,t=2,p=2$TmFDbE5hQ2xOYUNs$tNr1bIw/gG+qO+kfEnd9fA",
        ),
        (
            PLAIN,
            "argon2$argon2i$v=16$m=64,t=1,p=1$TmFDbE5hQ2xOYUNs$8wx/45wCHiGf871b/ASW83FJyeHsCOOoqeTYVK3wGew",
        ),
        (
            CYRILLIC,
            "argon2$argon2id$v=19$m=64,t=1,p=1$TmFDbE5hQ2xOYUNs$NZZO/jHidvn2eEtzUf3fkXPXADLViicyZL07zoo8+aQ",
        ),
        (
            PLAIN,
            "bcrypt_sha256$$2b$04$CrFE1yQ1AEJojRyjW.ZTC.c939W0r1ndhVh92AU0..zEVp3heOVmm",
        ),
        (
            CYRILLIC,
            "bcrypt_sha256$$2b$04$L4mW45W96Mw/ObXezLI2rOegNOFEOuWPbX5XGD5S71PIRpxEHHc7y",
        ),
        (
            PLAIN,
            "bcrypt$$2a$04$ZXLmoyyO8x8ApxMc5IURGeqhUKtgcviQUaFPWueIMjhozgSVYfC1y",
        ),
        (
            PLAIN,
            "bcrypt$$2b$04$VLYfq7GRSFtTG0JkeLt7gu29qayDAp8asT9y7zwjkAU90LApRTwU2",
        ),
        (
            PLAIN,
            "bcrypt$$2y$04$zslo.CFCEsFim2mVZr6ma.qbSfd1Vn4ZZDAxufQOZUfV.w9p4IC8.",
        ),
        (
            PLAIN,
            "scrypt$16$NaClNaClNaCl$8$2$VkUosajqFPYWuL5qujE/Huba42Db5B6D4Y0fCSQeN5laIBpwYOPRUjfveXBiihTi8XOab4IPqQ8RKQ7qaosTpA==",
        ),
        (
            CYRILLIC,
            "scrypt$64$NaClNaClNaCl$1$1$hwU1Pa3YWvo4HNBfseh17er0x0Z4QJglkGdgbhSR78/7HyRP55DaKhLwy0veDfoad2B2wOGJ3SXF2vEt+2BrNA==",
        ),
        (PLAIN, "md5$NaClNaClNaCl$0f9f0d8b2087bad9c8d35dc5372ec4ce"),
        (CYRILLIC, "md5$NaCl$bd6dc69a3d86eea6abe3c994608087cc"),
    ];

    #[test]
    fn the_passwords_of_a_django_site_are_verified() {
        for (password, encoded) in BY_DJANGO {
            assert!(verify(password, encoded), "{encoded}");
            assert!(!verify(&format!("{password}x"), encoded), "{encoded}");
            assert!(!verify("", encoded), "{encoded}");
            assert_eq!(check_importable(encoded), Ok(()));
            assert!(rounds(encoded, &Factors::TYPICAL).is_some());
        }
    }

    #[test]
    fn only_bcrypt_sha256_at_the_right_cost_may_stay() {
        for (_, encoded) in BY_DJANGO {
            assert_eq!(
                needs_rehash(encoded, 4),
                !encoded.starts_with("bcrypt_sha256$"),
                "{encoded}"
            );
            assert!(needs_rehash(encoded, 5), "{encoded}");
        }
        assert!(needs_rehash("", 4));
    }

    #[test]
    fn what_is_hashed_here_is_verified_here() {
        let encoded = hash(CYRILLIC, 4).unwrap();
        assert!(encoded.starts_with("bcrypt_sha256$$2b$04$") && encoded.len() == 74);
        assert!(verify(CYRILLIC, &encoded) && !verify(PLAIN, &encoded));
        assert!(!needs_rehash(&encoded, 4));
        assert_ne!(encoded, hash(CYRILLIC, 4).unwrap(), "each has a salt of its own");
    }

    #[test]
    fn passwords_beyond_72_bytes_count_whole() {
        let long = "Tidal-9!".repeat(12) + "end";
        assert!(verify(
            &long,
            "bcrypt_sha256$$2b$04$6mXEQkj2P7PA44HAtcSqcu7p22mcfH2x96ERZ81eIwm6b87Dh5FOG"
        ));
        let encoded = hash(&long, 4).unwrap();
        assert!(!verify(&"Tidal-9!".repeat(12), &encoded));
    }

    #[test]
    fn plain_bcrypt_cuts_at_72_bytes() {
        let encoded = "bcrypt$$2b$04$NpwH5Why7bwVFQN6LNZNpOXBLQzEgqWpPr1ItXWMyc2C0F.ptv0lm";
        assert!(verify(&"x".repeat(72), encoded) && verify(&"x".repeat(200), encoded));
        assert!(!verify(&"x".repeat(71), encoded));
    }

    #[test]
    fn a_cost_out_of_bounds_is_refused() {
        assert!(hash(PLAIN, 3).is_err() && hash(PLAIN, 17).is_err());
    }

    #[test]
    fn the_work_of_a_comparison_is_told_in_rounds_of_bcrypt() {
        let rounds = |encoded: &str| rounds(encoded, &Factors::TYPICAL);
        assert_eq!(rounds(&hash(PLAIN, 4).unwrap()), Some(16));
        assert_eq!(
            rounds("bcrypt$$2b$12$aaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            Some(4096)
        );
        assert_eq!(
            rounds("md5$NaClNaClNaCl$0f9f0d8b2087bad9c8d35dc5372ec4ce"),
            Some(0)
        );
        let django = "pbkdf2_sha256$1000000$NaClNaClNaCl$I2Nmy5LvAhuc9jKJLC6Ye+S6zrwi1EdRk6V5xaM4ZD0=";
        assert_eq!(rounds(django), Some(1333));
        assert_eq!((rounds("!"), rounds("")), (None, None));
    }

    #[test]
    fn unusable_and_damaged_hashes_match_nothing() {
        let damaged = [
            "",
            "!",
            "!Zk29ab",
            "$",
            "$$",
            "x",
            "plaintext",
            "unknown$1$salt$hash",
            "md5",
            "md5$",
            "md5$$",
            "md5$NaCl$",
            "md5$$d41d8cd98f00b204e9800998ecf8427e",
            "md5$NaCl$BD6DC69A3D86EEA6ABE3C994608087CC",
            "pbkdf2_sha256$600000$salt",
            "pbkdf2_sha256$600000$salt$",
            "pbkdf2_sha256$0$salt$AAAA",
            "pbkdf2_sha256$-1$NaClNaClNaCl$I2Nmy5LvAhuc9jKJLC6Ye+S6zrwi1EdRk6V5xaM4ZD0=",
            "pbkdf2_sha256$01200$NaClNaClNaCl$I2Nmy5LvAhuc9jKJLC6Ye+S6zrwi1EdRk6V5xaM4ZD0=",
            "pbkdf2_sha256$+1200$NaClNaClNaCl$I2Nmy5LvAhuc9jKJLC6Ye+S6zrwi1EdRk6V5xaM4ZD0=",
            "pbkdf2_sha256$1200$$I2Nmy5LvAhuc9jKJLC6Ye+S6zrwi1EdRk6V5xaM4ZD0=",
            "pbkdf2_sha256$1200$NaClNaClNaCl$I2Nmy5LvAhuc9jKJLC6Ye+S6zrwi1EdRk6V5xaM4ZD0",
            "pbkdf2_sha256$1200$NaClNaClNaCl$I2Nm",
            "pbkdf2_sha1$1200$NaClNaClNaCl$",
            "bcrypt",
            "bcrypt$",
            "bcrypt$$",
            "bcrypt$$2b$04$",
            "bcrypt$$2b$4$VLYfq7GRSFtTG0JkeLt7gu29qayDAp8asT9y7zwjkAU90LApRTwU2",
            "bcrypt$$2x$04$VLYfq7GRSFtTG0JkeLt7gu29qayDAp8asT9y7zwjkAU90LApRTwU2",
            "bcrypt$$2b$04$VLYfq7GRSFtTG0JkeLt7gu29qayDAp8asT9y7zwjkAU90LApRTwU",
            "bcrypt$$2b$04$VLYfq7GRSFtTG0JkeLt7gж29qayDAp8asT9y7zwjkAU90LApRTwU2",
            "bcrypt$$2b$00$VLYfq7GRSFtTG0JkeLt7gu29qayDAp8asT9y7zwjkAU90LApRTwU2",
            "argon2",
            "argon2$",
            "argon2$argon2id",
            "argon2$argon2id$v=19$m=64,t=2,p=2$TmFDbE5hQ2xOYUNs",
            "argon2$argon2id$v=19$m=64,t=2,p=2$TmFDbE5hQ2xOYUNs$",
            "argon2$argon2id$v=19$m=64,t=2,p=2$$AAAA",
            "argon2$argon2id$v=18$m=64,t=2,p=2$TmFDbE5hQ2xOYUNs$u4Zo5wwCRGkT7OAWwXB/mg",
            "argon2$argon2id$v=19$t=2,m=64,p=2$TmFDbE5hQ2xOYUNs$u4Zo5wwCRGkT7OAWwXB/mg",
            "argon2$argon2id$v=19$m=1,t=2,p=2$TmFDbE5hQ2xOYUNs$u4Zo5wwCRGkT7OAWwXB/mg",
            "argon2$argon2id$v=19$m=64,t=0,p=2$TmFDbE5hQ2xOYUNs$u4Zo5wwCRGkT7OAWwXB/mg",
            "argon2$argon2id$v=19$m=64,t=2,p=0$TmFDbE5hQ2xOYUNs$u4Zo5wwCRGkT7OAWwXB/mg",
            "argon2$argon2x$v=19$m=64,t=2,p=2$TmFDbE5hQ2xOYUNs$u4Zo5wwCRGkT7OAWwXB/mg",
            "scrypt",
            "scrypt$16$salt$8$2",
            "scrypt$15$salt$8$2$AAAA",
            "scrypt$16$salt$0$2$AAAA",
            "scrypt$1$salt$8$1$AAAA",
        ];
        for encoded in damaged {
            assert!(
                !verify("", encoded) && !verify(PLAIN, encoded) && !verify(encoded, encoded),
                "{encoded}"
            );
            assert!(rounds(encoded, &Factors::TYPICAL).is_none(), "{encoded}");
            assert_eq!(
                check_importable(encoded).is_ok(),
                encoded.starts_with('!'),
                "{encoded}"
            );
        }
    }

    #[test]
    fn a_hash_cut_anywhere_matches_nothing() {
        for (password, encoded) in BY_DJANGO {
            for (end, _) in encoded.char_indices() {
                assert!(
                    rounds(&encoded[..end], &Factors::TYPICAL).is_none()
                        || !verify(password, &encoded[..end]),
                    "{encoded} {end}"
                );
            }
        }
    }

    #[test]
    fn parameters_out_of_bounds_are_refused_at_once() {
        let scrypt_hash = format!("{}==", "A".repeat(86));
        let greedy = [
            "pbkdf2_sha256$10000001$salt$I2Nmy5LvAhuc9jKJLC6Ye+S6zrwi1EdRk6V5xaM4ZD0=".to_owned(),
            "pbkdf2_sha1$4294967295$salt$bL7VLyz3YNLL7wt3Jlruh+KCxjQ=".to_owned(),
            "bcrypt_sha256$$2b$17$CrFE1yQ1AEJojRyjW.ZTC.c939W0r1ndhVh92AU0..zEVp3heOVmm".to_owned(),
            "bcrypt$$2b$31$VLYfq7GRSFtTG0JkeLt7gu29qayDAp8asT9y7zwjkAU90LApRTwU2".to_owned(),
            "argon2$argon2id$v=19$m=262145,t=2,p=2$TmFDbE5hQ2xOYUNs$u4Zo5wwCRGkT7OAWwXB/mg".to_owned(),
            "argon2$argon2id$v=19$m=4294967295,t=2,p=2$TmFDbE5hQ2xOYUNs$u4Zo5wwCRGkT7OAWwXB/mg".to_owned(),
            "argon2$argon2id$v=19$m=64,t=17,p=2$TmFDbE5hQ2xOYUNs$u4Zo5wwCRGkT7OAWwXB/mg".to_owned(),
            "argon2$argon2id$v=19$m=1024,t=1,p=17$TmFDbE5hQ2xOYUNs$u4Zo5wwCRGkT7OAWwXB/mg".to_owned(),
            format!("scrypt$524288$salt$8$1${scrypt_hash}"),
            format!("scrypt$2147483648$salt$4294967295$4294967295${scrypt_hash}"),
            format!("scrypt$262144$salt$8$5${scrypt_hash}"),
            format!("scrypt$16$salt$8$1000000000${scrypt_hash}"),
        ];
        for encoded in &greedy {
            assert!(!verify(PLAIN, encoded), "{encoded}");
            assert!(
                matches!(check_importable(encoded), Err(ImportError::OutOfBounds { .. })),
                "{encoded}"
            );
        }
    }

    #[test]
    fn what_is_refused_is_not_repeated() {
        let error = check_importable("my-secret$password").unwrap_err().to_string();
        assert!(
            error.contains("bcrypt_sha256") && !error.contains("secret"),
            "{error}"
        );
    }

    #[test]
    fn a_password_with_a_zero_byte_is_a_password() {
        let encoded = hash("a\0b", 4).unwrap();
        assert!(verify("a\0b", &encoded) && !verify("a", &encoded));
        assert!(!verify("a\0b", BY_DJANGO[11].1));
    }
}
