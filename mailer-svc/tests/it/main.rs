//! mailer-svc from its queue to an SMTP server or a folder.

#![cfg(test)]

#[cfg(feature = "rabbitmq")]
mod broker;
mod files;
mod harness;
mod logging;
mod mail_jobs;
mod mailbox;
mod smtp;
mod smtp_server;
mod templates;
