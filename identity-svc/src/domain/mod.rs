//! Pure rules: what may be a username, an e-mail address, a password, and the texts that say so. No I/O, no clock.

pub mod characters;
pub mod common_passwords;
pub mod device;
pub mod email_address;
pub mod field_errors;
pub mod languages;
pub mod password_rules;
pub mod texts;
pub mod username;
