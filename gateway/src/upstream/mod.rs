//! Services behind the gateway: where they are, how they are, and the connections to them.

mod connect;
mod connection;
mod group;
mod health;
pub mod monitor;
mod pool;
mod response_body;
mod url;

pub use connect::{Reached, reach};
pub use connection::{ConnectionError, UpstreamConnection};
pub use group::{Group, InFlight, Upstream};
pub use health::Health;
pub use pool::Pool;
pub use response_body::AnswerBody;
pub use url::{BadUpstreamUrl, UpstreamUrl};
