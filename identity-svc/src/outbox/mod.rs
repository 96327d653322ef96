//! From the outbox table to the queue, and back: what became of each mail.

mod bookkeeping;
mod metrics;
mod outcomes;
mod relay;

pub use metrics::RelayMetrics;
pub use outcomes::OutcomeRecorder;
pub use relay::{OutboxRelay, RelaySettings};
