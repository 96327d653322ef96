//! The gateway: all that clients see. It knows paths, never users, and has no key that signs.

mod app;
mod client_address;
mod edge_auth;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod http1;
mod middleware;
mod proxy;
mod reload;
mod request_budget;
pub mod routes;
mod server;
pub mod service;
mod settings;
pub mod upstream;

pub use app::ExtraPages;
pub use client_address::TrustedProxies;
pub use edge_auth::WhenStale;
pub use middleware::cors::Cors;
pub use server::tls::TlsFiles;
pub use service::{Running, StartError};
pub use settings::Settings;
