//! What other schemes cost in rounds of bcrypt. It depends on the processor (SHA instructions make PBKDF2 five times as
//! fast), so it is measured once, at the start.

use std::hint::black_box;
use std::time::Instant;

use crate::passwords::scheme::{Bcrypt, Scheme};

/// Of each measurement the fastest of so many counts: the others were disturbed.
const RUNS: usize = 3;
/// bcrypt at cost 6.
const BCRYPT_ROUNDS: u128 = 64;

const PBKDF2_SHA256: &str = "pbkdf2_sha256$20000$NaClNaClNaCl$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const PBKDF2_SHA1: &str = "pbkdf2_sha1$20000$NaClNaClNaCl$AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// Over a quarter of a megabyte, as scrypt below: what is allocated once stays with the process.
const ARGON2: &str =
    "argon2$argon2id$v=19$m=256,t=4,p=1$TmFDbE5hQ2xOYUNs$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const SCRYPT: &str = "scrypt$256$NaClNaClNaCl$8$4$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";

/// How much of a scheme's own unit takes as long as one round of bcrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factors {
    /// Iterations of PBKDF2 with HMAC-SHA256.
    pub pbkdf2_sha256: u64,
    /// Iterations of PBKDF2 with HMAC-SHA1.
    pub pbkdf2_sha1: u64,
    /// KiB that Argon2 passes over.
    pub argon2: u64,
    /// Blocks of scrypt: `N·r·p`.
    pub scrypt: u64,
}

impl Factors {
    /// Of one x86-64 processor: what counts until they are measured, and in tests.
    pub const TYPICAL: Self = Self {
        pbkdf2_sha256: 750,
        pbkdf2_sha1: 1000,
        argon2: 64,
        scrypt: 200,
    };

    /// Takes some fifty milliseconds of a core.
    pub fn measure() -> Self {
        let bcrypt =
            fastest_nanos(|| black_box(Bcrypt::compute(b"a password", 6, *b"no such account!")) != [0; 23]);
        let factor = |encoded: &str, units: u128, typical: u64| {
            let Ok(scheme) = Scheme::parse(encoded) else {
                return typical;
            };
            let nanos = fastest_nanos(|| scheme.matches("a password")).max(1);
            let units_a_round = units * bcrypt / (BCRYPT_ROUNDS * nanos);
            u64::try_from(units_a_round).unwrap_or(typical).max(1)
        };
        Self {
            pbkdf2_sha256: factor(PBKDF2_SHA256, 20_000, Self::TYPICAL.pbkdf2_sha256),
            pbkdf2_sha1: factor(PBKDF2_SHA1, 20_000, Self::TYPICAL.pbkdf2_sha1),
            argon2: factor(ARGON2, 256 * 4, Self::TYPICAL.argon2),
            scrypt: factor(SCRYPT, 256 * 8 * 4, Self::TYPICAL.scrypt),
        }
    }
}

fn fastest_nanos(run: impl Fn() -> bool) -> u128 {
    let time = |_| {
        let started = Instant::now();
        black_box(run());
        started.elapsed().as_nanos()
    };
    (0..RUNS).map(time).min().unwrap_or(u128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_that_is_measured_can_be_read() {
        for encoded in [PBKDF2_SHA256, PBKDF2_SHA1, ARGON2, SCRYPT] {
            assert!(Scheme::parse(encoded).is_ok(), "{encoded}");
        }
        let measured = Factors::measure();
        let all = [
            measured.pbkdf2_sha256,
            measured.pbkdf2_sha1,
            measured.argon2,
            measured.scrypt,
        ];
        assert!(all.iter().all(|factor| *factor > 0), "{measured:?}");
    }
}
