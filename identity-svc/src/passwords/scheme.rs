//! Django's encodings of a hashed password, read and computed. Parameters have bounds, because an imported hash must
//! not be able to occupy a thread for minutes or all memory.
//!
//! Source: `django.contrib.auth.hashers` of Django 5.2, one type there for each variant here.

use std::num::NonZeroU32;

use argon2::Argon2;
use aws_lc_rs::{constant_time, digest, pbkdf2};
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{NO_PAD, STANDARD, STANDARD_NO_PAD};
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use md5::{Digest, Md5};

use crate::passwords::factors::Factors;

/// bcrypt itself goes from 4 to 31.
pub const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=16;
const MAX_PBKDF2_ITERATIONS: u32 = 10_000_000;
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_ARGON2_PASSES: u32 = 16;
const MAX_ARGON2_LANES: u32 = 16;
/// scrypt does `N·r·p` blocks of 128 bytes twice; this is 1 GiB of them.
const MAX_SCRYPT_WORK_KIB: u32 = 1024 * 1024;
const MAX_SALT_BYTES: usize = 128;

/// bcrypt takes no more of a password; what is longer is cut, as always in Django's plain `bcrypt`.
const BCRYPT_MAX_BYTES: usize = 72;
const BCRYPT_SALT_CHARS: usize = 22;

const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD);
/// Some libraries leave bits behind the end of the salt, which mean nothing.
const BCRYPT_SALT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Why an encoded password cannot be used. Says nothing of its contents, which may be a password by mistake.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    #[error("the hash is empty")]
    Empty,
    #[error(
        "the hash does not begin with a known algorithm; known are bcrypt_sha256, bcrypt, pbkdf2_sha256, \
         pbkdf2_sha1, argon2, scrypt, md5, and ! for an account without a password"
    )]
    UnknownAlgorithm,
    #[error("the {0} hash is damaged or cut short")]
    Unreadable(&'static str),
    #[error("the {algorithm} hash asks for too much: {limit}")]
    OutOfBounds {
        algorithm: &'static str,
        limit: &'static str,
    },
}

/// One hashed password with everything that is needed to compute it again.
pub enum Scheme<'a> {
    Bcrypt(Bcrypt),
    /// bcrypt of the password's SHA-256 in hexadecimal digits, so that long passwords count whole.
    BcryptSha256(Bcrypt),
    Pbkdf2 {
        algorithm: pbkdf2::Algorithm,
        iterations: NonZeroU32,
        salt: &'a str,
        hash: Vec<u8>,
    },
    Argon2 {
        argon2: Box<Argon2<'static>>,
        salt: Vec<u8>,
        hash: Vec<u8>,
    },
    Scrypt {
        params: scrypt::Params,
        salt: &'a str,
        hash: Vec<u8>,
    },
    Md5 {
        salt: &'a str,
        hash: &'a str,
    },
}

pub struct Bcrypt {
    pub cost: u32,
    pub salt: [u8; 16],
    pub hash: [u8; 23],
}

impl<'a> Scheme<'a> {
    /// Reads `<algorithm>$...`.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub fn parse(encoded: &'a str) -> Result<Self, ImportError> {
        if encoded.is_empty() {
            return Err(ImportError::Empty);
        }
        let (algorithm, rest) = encoded.split_once('$').ok_or(ImportError::UnknownAlgorithm)?;
        match algorithm {
            "bcrypt_sha256" => parse_bcrypt("bcrypt_sha256", rest).map(Self::BcryptSha256),
            "bcrypt" => parse_bcrypt("bcrypt", rest).map(Self::Bcrypt),
            "pbkdf2_sha256" => parse_pbkdf2("pbkdf2_sha256", pbkdf2::PBKDF2_HMAC_SHA256, 32, rest),
            "pbkdf2_sha1" => parse_pbkdf2("pbkdf2_sha1", pbkdf2::PBKDF2_HMAC_SHA1, 20, rest),
            "argon2" => parse_argon2(rest),
            "scrypt" => parse_scrypt(rest),
            "md5" => parse_md5(rest),
            _ => Err(ImportError::UnknownAlgorithm),
        }
    }

    /// How much work [`Scheme::matches`] is, in rounds of bcrypt. Exact for bcrypt; for the others by `factors`.
    pub fn rounds(&self, factors: &Factors) -> u64 {
        match self {
            Self::Bcrypt(bcrypt) | Self::BcryptSha256(bcrypt) => 1 << bcrypt.cost,
            Self::Pbkdf2 {
                algorithm,
                iterations,
                ..
            } => {
                let a_round = if *algorithm == pbkdf2::PBKDF2_HMAC_SHA1 {
                    factors.pbkdf2_sha1
                } else {
                    factors.pbkdf2_sha256
                };
                u64::from(iterations.get()) / a_round.max(1)
            }
            Self::Argon2 { argon2, .. } => {
                let params = argon2.params();
                u64::from(params.m_cost()).saturating_mul(u64::from(params.t_cost())) / factors.argon2.max(1)
            }
            Self::Scrypt { params, .. } => {
                let blocks = (1 << params.log_n()) * u64::from(params.r());
                blocks.saturating_mul(u64::from(params.p())) / factors.scrypt.max(1)
            }
            Self::Md5 { .. } => 0,
        }
    }

    /// Computes the hash of `password` and compares in constant time.
    pub fn matches(&self, password: &str) -> bool {
        match self {
            Self::Bcrypt(bcrypt) => bcrypt.matches(password.as_bytes()),
            Self::BcryptSha256(bcrypt) => bcrypt.matches(hex_sha256(password).as_bytes()),
            Self::Pbkdf2 {
                algorithm,
                iterations,
                salt,
                hash,
            } => pbkdf2::verify(
                *algorithm,
                *iterations,
                salt.as_bytes(),
                password.as_bytes(),
                hash,
            )
            .is_ok(),
            Self::Argon2 { argon2, salt, hash } => {
                let mut computed = vec![0; hash.len()];
                argon2
                    .hash_password_into(password.as_bytes(), salt, &mut computed)
                    .is_ok()
                    && is_same(hash, &computed)
            }
            Self::Scrypt { params, salt, hash } => {
                let mut computed = vec![0; hash.len()];
                scrypt::scrypt(password.as_bytes(), salt.as_bytes(), params, &mut computed).is_ok()
                    && is_same(hash, &computed)
            }
            Self::Md5 { salt, hash } => {
                let computed = Md5::new().chain_update(salt).chain_update(password).finalize();
                is_same(hash.as_bytes(), hex(&computed).as_bytes())
            }
        }
    }
}

impl Bcrypt {
    fn matches(&self, password: &[u8]) -> bool {
        is_same(&self.hash, &Self::compute(password, self.cost, self.salt))
    }

    /// `cost` must be one of [`BCRYPT_COSTS`].
    pub fn compute(password: &[u8], cost: u32, salt: [u8; 16]) -> [u8; 23] {
        // The password ends with a zero byte, as in C.
        let key: Vec<u8> = password
            .iter()
            .copied()
            .chain([0])
            .take(BCRYPT_MAX_BYTES)
            .collect();
        let [hash @ .., _] = bcrypt::bcrypt(cost, salt, &key);
        hash
    }
}

/// Writes a `bcrypt_sha256` encoding.
pub fn encode_bcrypt_sha256(bcrypt: &Bcrypt) -> String {
    let salt = BCRYPT_BASE64.encode(bcrypt.salt);
    let hash = BCRYPT_BASE64.encode(bcrypt.hash);
    format!("bcrypt_sha256$$2b${:02}${salt}{hash}", bcrypt.cost)
}

/// The SHA-256 of a password in lower-case hexadecimal digits.
pub fn hex_sha256(password: &str) -> String {
    hex(digest::digest(&digest::SHA256, password.as_bytes()).as_ref())
}

/// Reads `$2b$12$<22 characters of salt><31 characters of hash>`.
fn parse_bcrypt(algorithm: &'static str, rest: &str) -> Result<Bcrypt, ImportError> {
    let unreadable = ImportError::Unreadable(algorithm);
    let [empty, version, cost, data] = parts(rest).ok_or(unreadable)?;
    if !empty.is_empty() || !matches!(version, "2a" | "2b" | "2y") || cost.len() != 2 {
        return Err(unreadable);
    }
    let cost = number(cost.strip_prefix('0').unwrap_or(cost)).ok_or(unreadable)?;
    let (salt, hash) = data.split_at_checked(BCRYPT_SALT_CHARS).ok_or(unreadable)?;
    let salt = BCRYPT_SALT_BASE64.decode(salt).map_err(|_| unreadable)?;
    let hash = BCRYPT_BASE64.decode(hash).map_err(|_| unreadable)?;
    if !BCRYPT_COSTS.contains(&cost) {
        return Err(ImportError::OutOfBounds {
            algorithm,
            limit: "the cost must be from 4 to 16",
        });
    }
    Ok(Bcrypt {
        cost,
        salt: salt.try_into().map_err(|_| unreadable)?,
        hash: hash.try_into().map_err(|_| unreadable)?,
    })
}

/// Reads `<iterations>$<salt>$<base64>`.
fn parse_pbkdf2<'a>(
    name: &'static str,
    algorithm: pbkdf2::Algorithm,
    hash_bytes: usize,
    rest: &'a str,
) -> Result<Scheme<'a>, ImportError> {
    let unreadable = ImportError::Unreadable(name);
    let [iterations, salt, hash] = parts(rest).ok_or(unreadable)?;
    let iterations = number(iterations).and_then(NonZeroU32::new).ok_or(unreadable)?;
    let hash = STANDARD.decode(hash).map_err(|_| unreadable)?;
    if !is_salt(salt.as_bytes()) || hash.len() != hash_bytes {
        return Err(unreadable);
    }
    if iterations.get() > MAX_PBKDF2_ITERATIONS {
        return Err(ImportError::OutOfBounds {
            algorithm: name,
            limit: "at most 10,000,000 iterations",
        });
    }
    Ok(Scheme::Pbkdf2 {
        algorithm,
        iterations,
        salt,
        hash,
    })
}

/// Reads `argon2id$v=19$m=102400,t=2,p=8$<salt>$<hash>`. Without `v=` it is version 16, as in the reference code.
fn parse_argon2(rest: &str) -> Result<Scheme<'_>, ImportError> {
    let unreadable = ImportError::Unreadable("argon2");
    let (variety, rest) = rest.split_once('$').ok_or(unreadable)?;
    let variety = match variety {
        "argon2id" => argon2::Algorithm::Argon2id,
        "argon2i" => argon2::Algorithm::Argon2i,
        "argon2d" => argon2::Algorithm::Argon2d,
        _ => return Err(unreadable),
    };
    let (version, rest) = match rest.split_once('$') {
        Some(("v=19", rest)) => (argon2::Version::V0x13, rest),
        Some(("v=16", rest)) => (argon2::Version::V0x10, rest),
        Some((first, _)) if first.starts_with("m=") => (argon2::Version::V0x10, rest),
        _ => return Err(unreadable),
    };
    let [costs, salt, hash] = parts(rest).ok_or(unreadable)?;
    let [memory_kib, passes, lanes] = argon2_costs(costs).ok_or(unreadable)?;
    let salt = STANDARD_NO_PAD.decode(salt).map_err(|_| unreadable)?;
    let hash = STANDARD_NO_PAD.decode(hash).map_err(|_| unreadable)?;
    if salt.len() < 8 || !is_salt(&salt) || !(16..=64).contains(&hash.len()) {
        return Err(unreadable);
    }
    if memory_kib > MAX_MEMORY_KIB || passes > MAX_ARGON2_PASSES || lanes > MAX_ARGON2_LANES {
        let limit = "at most m=262144, t=16 and p=16";
        return Err(ImportError::OutOfBounds {
            algorithm: "argon2",
            limit,
        });
    }
    let params = argon2::Params::new(memory_kib, passes, lanes, Some(hash.len())).map_err(|_| unreadable)?;
    Ok(Scheme::Argon2 {
        argon2: Box::new(Argon2::new(variety, version, params)),
        salt,
        hash,
    })
}

/// Reads `m=102400,t=2,p=8`.
fn argon2_costs(text: &str) -> Option<[u32; 3]> {
    let mut costs = text.split(',');
    let memory_kib = number(costs.next()?.strip_prefix("m=")?)?;
    let passes = number(costs.next()?.strip_prefix("t=")?)?;
    let lanes = number(costs.next()?.strip_prefix("p=")?)?;
    costs.next().is_none().then_some([memory_kib, passes, lanes])
}

/// Reads `<N>$<salt>$<r>$<p>$<base64>`.
fn parse_scrypt(rest: &str) -> Result<Scheme<'_>, ImportError> {
    let unreadable = ImportError::Unreadable("scrypt");
    let [n, salt, r, p, hash] = parts(rest).ok_or(unreadable)?;
    let n = number(n).ok_or(unreadable)?;
    let r = number(r).ok_or(unreadable)?;
    let p = number(p).ok_or(unreadable)?;
    let hash = STANDARD.decode(hash).map_err(|_| unreadable)?;
    if n < 2 || !n.is_power_of_two() || r == 0 || p == 0 || !is_salt(salt.as_bytes()) || hash.len() != 64 {
        return Err(unreadable);
    }
    let blocks = u64::from(n).saturating_mul(u64::from(r));
    let memory_kib = blocks / 8;
    let work_kib = blocks.saturating_mul(u64::from(p)) / 8;
    if memory_kib > u64::from(MAX_MEMORY_KIB) || work_kib > u64::from(MAX_SCRYPT_WORK_KIB) {
        let limit = "at most 256 MiB of memory (128·N·r) and four times that of work (128·N·r·p)";
        return Err(ImportError::OutOfBounds {
            algorithm: "scrypt",
            limit,
        });
    }
    let log_n = u8::try_from(n.ilog2()).map_err(|_| unreadable)?;
    let params = scrypt::Params::new(log_n, r, p, hash.len()).map_err(|_| unreadable)?;
    Ok(Scheme::Scrypt { params, salt, hash })
}

/// Reads `<salt>$<32 lower-case hexadecimal digits>`.
fn parse_md5(rest: &str) -> Result<Scheme<'_>, ImportError> {
    let unreadable = ImportError::Unreadable("md5");
    let [salt, hash] = parts(rest).ok_or(unreadable)?;
    let is_hash = hash.len() == 32 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_salt(salt.as_bytes()) || !is_hash {
        return Err(unreadable);
    }
    Ok(Scheme::Md5 { salt, hash })
}

/// Exactly `N` parts between `$`.
fn parts<const N: usize>(text: &str) -> Option<[&str; N]> {
    let parts: Vec<&str> = text.splitn(N + 1, '$').collect();
    parts.try_into().ok()
}

/// A number as Django writes it: no sign, no leading zero.
fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

fn is_salt(salt: &[u8]) -> bool {
    !salt.is_empty() && salt.len() <= MAX_SALT_BYTES
}

fn is_same(expected: &[u8], computed: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(expected, computed).is_ok()
}

fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        digits.extend(
            [byte >> 4, byte & 15]
                .into_iter()
                .filter_map(|half| char::from_digit(half.into(), 16)),
        );
    }
    digits
}
