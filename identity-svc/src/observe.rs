//! What the admin port of identity-svc tells: readiness, and metrics. A broker that is away delays nothing but mails, so
//! it is a metric and no reason not to be ready.

use std::time::Duration;

use shared::admin::{self, Listen};
use shared::clock::Clock;
use shared::health::Readiness;
use shared::metrics::{Gauge, Registry};
use shared::shutdown::{self, ShutdownTrigger};
use tokio::task::JoinHandle;

use crate::Running;
use crate::db::messages::FindOutboxDepth;

/// How often the outbox is counted and the broker looked at.
const EVERY: Duration = Duration::from_secs(5);

/// A running admin server, and what keeps it up to date.
pub struct Observed {
    readiness: Readiness,
    admin: admin::Running,
    trigger: ShutdownTrigger,
    watch: JoinHandle<()>,
}

impl Observed {
    /// `broker_status` is asked every few seconds; its error is one sentence.
    ///
    /// # Errors
    /// When the admin address cannot be listened on.
    pub fn start(
        listen: Listen,
        identity: &Running,
        clock: Clock,
        broker_status: impl Fn() -> Result<(), String> + 'static,
    ) -> Result<Self, admin::StartError> {
        let (readiness, registry) = (Readiness::default(), Registry::default());
        let database = readiness.part("database");
        register(&registry, identity);
        let depth = registry.gauge(
            "gatehouse_outbox_waiting",
            "Mail jobs that wait in the outbox",
            &[],
        );
        let age = registry.gauge(
            "gatehouse_outbox_oldest_seconds",
            "Age of the oldest waiting mail job",
            &[],
        );
        let connected = registry.gauge(
            "gatehouse_broker_connected",
            "1 while mail jobs can be published",
            &[],
        );
        let admin = admin::start(listen, readiness.clone(), registry)?;
        let (trigger, mut shutdown) = shutdown::channel();
        let (db, mut database_state) = (identity.db.clone(), identity.database_state.clone());
        let watch = actix_web::rt::spawn(async move {
            loop {
                match &*database_state.borrow_and_update() {
                    Ok(()) => database.set_ready(),
                    Err(reason) => database.set_unready(reason.clone()),
                }
                connected.set(i64::from(broker_status().is_ok()));
                if let Ok(found) = db.call(FindOutboxDepth).await {
                    depth.set(found.waiting_count);
                    set_age(&age, found.oldest_created_at_ms, clock.now_ms());
                }
                tokio::select! {
                    _ = database_state.changed() => {}
                    () = tokio::time::sleep(EVERY) => {}
                    () = shutdown.requested() => return,
                }
            }
        });
        Ok(Self {
            readiness,
            admin,
            trigger,
            watch,
        })
    }

    /// From now on not ready, so that nothing new is sent here.
    pub fn drain(&self) {
        self.readiness.drain();
    }

    pub async fn stop(self) {
        self.trigger.trigger();
        // It has ended; how makes no difference any more.
        let _ = self.watch.await;
        self.admin.stop().await;
    }
}

fn set_age(gauge: &Gauge, oldest_created_at_ms: Option<i64>, now_ms: i64) {
    let age_ms = oldest_created_at_ms.map_or(0, |created_at_ms| now_ms.saturating_sub(created_at_ms));
    gauge.set(age_ms.max(0) / 1000);
}

fn register(registry: &Registry, identity: &Running) {
    type Read = fn(&crate::outbox::RelayMetrics) -> u64;
    let relay: [(&'static str, &'static str, Read); 4] = [
        (
            "gatehouse_relay_published_total",
            "Mail jobs handed to the queue",
            |metrics| metrics.published(),
        ),
        (
            "gatehouse_relay_confirmed_total",
            "Mail jobs that the queue has taken",
            |metrics| metrics.confirmed(),
        ),
        (
            "gatehouse_relay_failed_total",
            "Mail jobs that the queue has not taken",
            |metrics| metrics.failed(),
        ),
        (
            "gatehouse_relay_unreadable_total",
            "Mail jobs that could not be decrypted, and are kept",
            |metrics| metrics.unreadable(),
        ),
    ];
    for (name, help, read) in relay {
        let metrics = identity.relay_metrics.clone();
        registry.counter_of(name, help, &[], move || read(&metrics));
    }
    let passwords = identity.passwords.clone();
    registry.gauge_of(
        "gatehouse_hash_queue_waiting",
        "Passwords that wait to be hashed",
        &[],
        move || to_f64(u64::try_from(passwords.waiting()).unwrap_or(u64::MAX)),
    );
}

/// Prometheus' numbers are floating-point; counts beyond 2^32 lose nothing that anybody looks at.
fn to_f64(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
