//! SQL, one file per table: plain functions over a connection.

pub mod legacy_tokens;
pub mod login_failures;
pub mod mail_requests;
pub mod one_time_secrets;
pub mod outbox;
pub mod outbox_payloads;
pub mod sessions;
#[cfg(feature = "postgres")]
mod statement;
pub mod users;
