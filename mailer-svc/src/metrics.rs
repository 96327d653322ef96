//! What has become of mail jobs since the start, for the admin port.

use std::time::Duration;

use shared::metrics::{Counter, Histogram, Registry};

const BOUNDS: &[Duration] = &[
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
];

pub struct MailMetrics {
    pub sent: Counter,
    pub retried: Counter,
    pub dead: Counter,
    pub duration: Histogram,
}

impl MailMetrics {
    pub fn new(registry: &Registry) -> Self {
        let ended = |end| {
            registry.counter(
                "gatehouse_mail_jobs_total",
                "Mail jobs by how they ended",
                &[("end", end)],
            )
        };
        Self {
            sent: ended("sent"),
            retried: ended("retried"),
            dead: ended("dead"),
            duration: registry.histogram("gatehouse_mail_send_seconds", "Time to send a mail", &[], BOUNDS),
        }
    }
}
