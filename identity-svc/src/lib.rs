//! identity-svc: owns users, sessions, keys and one-time secrets. The only service with the database.

pub mod cli;
mod dates;
pub mod db;
pub mod domain;
pub mod encryption;
mod http;
mod janitor;
pub mod mail_draft;
pub mod observe;
mod openapi;
pub mod outbox;
mod pages;
pub mod passwords;
pub mod service;
mod settings;
pub mod tokens;

pub use service::{Queues, Running, StartError};
pub use settings::{EmailVerification, QueueUrl, Settings};
