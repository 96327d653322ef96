//! identity-svc: owns users, sessions, keys and one-time secrets. The only service with the database.

pub mod domain;
pub mod passwords;
