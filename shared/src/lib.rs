//! What two services must agree on. Imports no other room of the workspace.

pub mod admin;
pub mod brand;
pub mod clock;
pub mod email_job;
pub mod env;
pub mod headers;
pub mod health;
pub mod html;
pub mod internal_secret;
pub mod jwt;
pub mod logging;
pub mod mail_outcome;
pub mod metrics;
pub mod pool;
pub mod private_file;
pub mod queue;
pub mod random;
pub mod request_id;
pub mod secret;
pub mod shutdown;
