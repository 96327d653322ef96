//! mailer-svc: owns mail. Takes jobs from a queue, fills templates, sends by SMTP or into a folder. Knows no user.

#[cfg(feature = "rabbitmq")]
pub mod dead_letters;
mod durations;
mod file_sender;
mod job_consumer;
mod mail_job;
pub mod mailbox;
mod masking;
mod metrics;
mod outgoing_mail;
mod queue_reader;
mod recent_jobs;
mod render;
mod retry;
mod send_error;
mod sender;
pub mod service;
mod settings;
mod smtp_sender;
mod smtp_url;
mod templates;

pub use service::{Running, StartError};
pub use settings::{SenderSettings, Settings};
pub use smtp_url::{Security, SmtpSettings};
