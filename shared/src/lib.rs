//! What two services must agree on. Imports no other room of the workspace.

pub mod actor;
pub mod admin;
pub mod background;
pub mod backoff;
pub mod brand;
pub mod clock;
pub mod email_job;
pub mod env;
pub mod headers;
pub mod health;
pub mod html;
pub mod jwt;
pub mod logging;
pub mod mail_outcome;
#[cfg(feature = "texts")]
pub mod message_bundle;
pub mod metrics;
pub mod pool;
pub mod private_file;
pub mod queue;
pub mod random;
pub mod request_id;
pub mod secret;
pub mod shutdown;
#[cfg(feature = "texts")]
pub mod templates;
