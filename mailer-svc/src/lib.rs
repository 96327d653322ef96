//! mailer-svc: owns mail. Takes jobs from a queue, fills templates, sends by SMTP or into a folder. Knows no user.

mod consumer;
#[cfg(feature = "rabbitmq")]
pub mod dead;
mod durations;
mod file_sender;
pub mod mailbox;
mod masking;
mod message;
mod metrics;
mod recent_jobs;
mod render;
mod retry;
mod sender;
pub mod service;
mod settings;
mod smtp_sender;
mod smtp_url;
mod templates;

pub use service::{Running, StartError};
pub use settings::{SenderSettings, Settings};
pub use smtp_url::{Security, SmtpSettings};
pub use templates::TemplateError;
