//! From the outbox table to the queue.

mod relay;

pub use relay::{OutboxRelay, RelaySettings};
