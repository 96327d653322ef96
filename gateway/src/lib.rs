//! The gateway: all that clients see. It knows paths, never users, and holds no secret.

mod client_address;
mod edge_auth;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod http1;
mod message;
mod middleware;
mod pages;
mod proxy;
mod reload;
pub mod routes;
mod server;
pub mod service;
mod settings;
pub mod upstream;

pub use client_address::TrustedProxies;
pub use edge_auth::WhenStale;
pub use middleware::cors::Cors;
pub use server::tls::TlsFiles;
pub use service::{ExtraPages, Running, StartError};
pub use settings::Settings;
