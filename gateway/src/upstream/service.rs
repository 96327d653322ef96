//! One service at one address: how it is reached, and how much may be under way to it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use bytes::BytesMut;
use shared::headers::INTERNAL_SECRET;
use shared::internal_secret::InternalSecret;
use shared::metrics::{Counter, Registry};

use super::client_shares::{ClientShare, ClientShares};
use super::health::Health;
use super::tls::UpstreamTls;
use super::tls_connector::Connector;
use super::url::UpstreamUrl;
use crate::http1::write;

/// Of so few permits one client may have all: a page of one browser asks for several things at once.
const NOT_DIVIDED: usize = 16;
/// Permits for reading keys and ended sessions; each is read one page at a time.
const UPKEEP_PERMITS: usize = 8;
/// Permits for questions about tokens, which clients cause.
const QUESTION_PERMITS: usize = 64;

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// One service at one address. All routes that lead there share it, over reloads too.
#[derive(Debug)]
pub struct Upstream {
    /// Tells it from every other, also from one at the same address before a reload.
    pub(super) id: u64,
    pub url: UpstreamUrl,
    /// What its TLS is like, when its URL is `https://`.
    pub tls: Option<Arc<UpstreamTls>>,
    pub(super) connector: Connector,
    pub health: Health,
    /// What the monitor asks for; none: a connection is enough.
    pub probe_path: Option<String>,
    /// Of identity-svc: what shows it that the gateway asks.
    pub internal_secret: Option<InternalSecret>,
    max_in_flight: usize,
    in_flight: AtomicUsize,
    shares: ClientShares,
    upkeep: AtomicUsize,
    questions: AtomicUsize,
    pub counts: Counts,
}

/// What went wrong with it, for the metrics.
#[derive(Debug)]
pub struct Counts {
    pub unreachable: Counter,
    pub late: Counter,
    pub broken: Counter,
    /// A response that broke off after it had begun.
    pub torn: Counter,
    pub full: Counter,
    /// Refused, because one client had its whole share under way.
    pub share: Counter,
}

/// Whose request it is, and so which permits it is counted among.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester {
    Client(IpAddr),
    /// The gateway, for keys and ended sessions.
    Upkeep,
    /// The gateway, which asks about a client's token.
    Question,
}

/// The part of `max_in_flight` that one client may have under way.
fn share_of(max_in_flight: usize) -> usize {
    max_in_flight.min(NOT_DIVIDED).max(max_in_flight.div_ceil(2))
}

impl Upstream {
    pub fn new(
        url: UpstreamUrl,
        tls: Option<Arc<UpstreamTls>>,
        probe_path: Option<String>,
        max_in_flight: usize,
        metrics: &Registry,
    ) -> Arc<Self> {
        Self::with_secret(url, tls, probe_path, max_in_flight, None, metrics)
    }

    /// As `new`; the gateway's own requests show `internal_secret`, and so do those of clients to identity-svc's routes.
    pub fn with_secret(
        url: UpstreamUrl,
        tls: Option<Arc<UpstreamTls>>,
        probe_path: Option<String>,
        max_in_flight: usize,
        internal_secret: Option<InternalSecret>,
        metrics: &Registry,
    ) -> Arc<Self> {
        let name = url.to_string();
        let count = |kind| {
            metrics.counter(
                "gatehouse_gateway_upstream_errors_total",
                "Requests that an upstream did not answer, by kind.",
                &[("upstream", &name), ("kind", kind)],
            )
        };
        let counts = Counts {
            unreachable: count("unreachable"),
            late: count("late"),
            broken: count("broken"),
            torn: count("torn"),
            full: count("full"),
            share: count("share"),
        };
        let upstream = Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            connector: Connector::new(&url, tls.as_deref()),
            url,
            tls,
            health: Health::default(),
            probe_path,
            internal_secret,
            max_in_flight,
            in_flight: AtomicUsize::new(0),
            shares: ClientShares::new(share_of(max_in_flight)),
            upkeep: AtomicUsize::new(0),
            questions: AtomicUsize::new(0),
            counts,
        });
        let weak = Arc::downgrade(&upstream);
        metrics.gauge_of(
            "gatehouse_gateway_upstream_ready",
            "Whether an upstream is sent requests.",
            &[("upstream", &name)],
            move || {
                weak.upgrade()
                    .map_or(0.0, |it| f64::from(u8::from(it.health.is_ready())))
            },
        );
        upstream
    }

    /// Writes the header that shows identity-svc who asks. Other services have no use for it, and must not know it.
    pub fn write_internal_secret(&self, out: &mut BytesMut) {
        if let Some(secret) = &self.internal_secret {
            secret.with_sent(|secret| write::line(out, INTERNAL_SECRET.as_bytes(), secret.as_bytes()));
        }
    }

    /// Whether it is reached, watched and bounded like this, with the same certificates.
    pub fn is(&self, tls: Option<&Arc<UpstreamTls>>, probe_path: Option<&str>, max_in_flight: usize) -> bool {
        self.tls.as_ref() == tls
            && self.probe_path.as_deref() == probe_path
            && self.max_in_flight == max_in_flight
            && self.connector.is_current(tls.map(AsRef::as_ref))
    }

    /// How many clients' requests are under way.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Takes a permit, unless all are taken, or all that one client may have. The gateway's own requests have permits
    /// of their own, which no client can take.
    pub fn enter(self: &Arc<Self>, requester: Requester) -> Option<Permit> {
        let (counter, max) = self.permits_of(requester);
        let enters = |count: usize| (count < max).then_some(count + 1);
        if counter.fetch_update(Relaxed, Relaxed, enters).is_err() {
            self.counts.full.increment();
            return None;
        }
        let mut permit = Permit {
            upstream: self.clone(),
            requester,
            share: None,
        };
        if let Requester::Client(address) = requester {
            let share = permit.share.insert(self.shares.of(address.into()));
            if !share.take(1) {
                self.counts.share.increment();
                return None;
            }
        }
        Some(permit)
    }

    fn permits_of(&self, requester: Requester) -> (&AtomicUsize, usize) {
        match requester {
            Requester::Client(_) => (&self.in_flight, self.max_in_flight),
            Requester::Upkeep => (&self.upkeep, UPKEEP_PERMITS),
            Requester::Question => (&self.questions, QUESTION_PERMITS),
        }
    }
}

/// The right to have one request under way to an upstream; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    upstream: Arc<Upstream>,
    requester: Requester,
    /// Of a client.
    share: Option<ClientShare>,
}

impl Permit {
    /// The upstream that it is for.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.upstream.permits_of(self.requester).0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(max_in_flight: usize) -> Arc<Upstream> {
        let url = "http://127.0.0.1:1".parse().unwrap();
        Upstream::new(url, None, None, max_in_flight, &Registry::default())
    }

    fn client(last: u8) -> Requester {
        Requester::Client(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn one_client_leaves_room_for_others_and_all_together_keep_to_the_maximum() {
        let only = upstream(100);
        let held: Vec<_> = (0..50).map(|_| only.enter(client(1)).unwrap()).collect();
        assert!(only.enter(client(1)).is_none());
        assert_eq!(only.counts.share.get(), 1);
        let others: Vec<_> = (0..50).map(|_| only.enter(client(2)).unwrap()).collect();
        assert!(only.enter(client(3)).is_none());
        assert_eq!(only.counts.full.get(), 1);
        drop((held, others));
        assert!(only.enter(client(1)).is_some());
        assert_eq!(only.in_flight(), 0);
    }

    #[test]
    fn the_gateways_own_requests_pass_when_clients_have_everything() {
        let only = upstream(1);
        let _held = only.enter(client(1)).unwrap();
        assert!(only.enter(client(2)).is_none());
        let questions: Vec<_> = (0..QUESTION_PERMITS)
            .map(|_| only.enter(Requester::Question).unwrap())
            .collect();
        assert!(only.enter(Requester::Question).is_none());
        assert!(only.enter(Requester::Upkeep).is_some());
        drop(questions);
        assert!(only.enter(Requester::Question).is_some());
    }

    #[test]
    fn few_permits_are_not_divided() {
        let shares: Vec<usize> = [1, 5, 16, 20, 60, 1024].map(share_of).to_vec();
        assert_eq!(shares, [1, 5, 16, 16, 30, 512]);
    }
}
