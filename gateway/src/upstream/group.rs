//! The upstreams of a route: which one a request goes to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use shared::metrics::{Counter, Registry};

use super::health::Health;
use super::tls::UpstreamTls;
use super::url::UpstreamUrl;

/// One service at one address. All routes that lead there share it, over reloads too.
#[derive(Debug)]
pub struct Upstream {
    pub url: UpstreamUrl,
    /// What its TLS is like, when its URL is `https://`.
    pub tls: Option<Arc<UpstreamTls>>,
    pub health: Health,
    /// What the monitor asks for; none: a connection is enough.
    pub probe_path: Option<String>,
    max_in_flight: usize,
    in_flight: AtomicUsize,
    pub counts: Counts,
}

/// What went wrong with it, for the metrics.
#[derive(Debug)]
pub struct Counts {
    pub unreachable: Counter,
    pub late: Counter,
    pub broken: Counter,
    pub full: Counter,
}

impl Upstream {
    pub fn new(
        url: UpstreamUrl,
        tls: Option<Arc<UpstreamTls>>,
        probe_path: Option<String>,
        max_in_flight: usize,
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
            full: count("full"),
        };
        let upstream = Arc::new(Self {
            url,
            tls,
            health: Health::default(),
            probe_path,
            max_in_flight,
            in_flight: AtomicUsize::new(0),
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

    /// Whether it is reached, watched and bounded like this.
    pub fn is(&self, tls: Option<&Arc<UpstreamTls>>, probe_path: Option<&str>, max_in_flight: usize) -> bool {
        self.tls.as_ref() == tls
            && self.probe_path.as_deref() == probe_path
            && self.max_in_flight == max_in_flight
    }

    /// Takes one of its places, unless all are taken: a frozen upstream never holds more than its share.
    pub fn enter(self: &Arc<Self>) -> Option<InFlight> {
        let enters = |count: usize| (count < self.max_in_flight).then_some(count + 1);
        if self.in_flight.fetch_update(Relaxed, Relaxed, enters).is_ok() {
            return Some(InFlight(self.clone()));
        }
        self.counts.full.increment();
        None
    }
}

/// A request under way to an upstream; its place is given back when dropped.
#[derive(Debug)]
pub struct InFlight(Arc<Upstream>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// The upstreams that can answer the same requests.
#[derive(Debug)]
pub struct Group {
    members: Vec<Arc<Upstream>>,
    turn: AtomicUsize,
}

impl Group {
    pub fn new(members: Vec<Arc<Upstream>>) -> Self {
        Self {
            members,
            turn: AtomicUsize::new(0),
        }
    }

    pub fn members(&self) -> &[Arc<Upstream>] {
        &self.members
    }

    pub fn is_ready(&self) -> bool {
        self.members.iter().any(|member| member.health.is_ready())
    }

    /// The least loaded one that is ready and not among `tried`; of equals, each in turn. When none is ready, one that
    /// may be tried again.
    pub fn choose(&self, tried: &[Arc<Upstream>]) -> Option<&Arc<Upstream>> {
        let is_new = |member: &&Arc<Upstream>| !tried.iter().any(|other| Arc::ptr_eq(other, member));
        if let [only] = self.members.as_slice() {
            return Some(only)
                .filter(is_new)
                .filter(|it| it.health.is_ready() || it.health.try_again());
        }
        let count = self.members.len();
        let start = self.turn.fetch_add(1, Relaxed).checked_rem(count).unwrap_or(0);
        let in_turn = || self.members.iter().cycle().skip(start).take(count).filter(is_new);
        in_turn()
            .filter(|member| member.health.is_ready())
            .min_by_key(|member| member.in_flight.load(Relaxed))
            .or_else(|| in_turn().find(|member| member.health.try_again()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(ports: &[u16]) -> Group {
        let upstream = |port| {
            let url = format!("http://127.0.0.1:{port}").parse().unwrap();
            Upstream::new(url, None, None, 2, &Registry::default())
        };
        Group::new(ports.iter().map(upstream).collect())
    }

    #[test]
    fn the_least_loaded_one_that_is_ready_is_chosen() {
        let group = group(&[1, 2, 3]);
        let [a, b, c] = group.members() else { panic!() };
        let _places = [a.enter(), b.enter(), b.enter(), c.enter()];
        let held = c.enter();
        assert!(Arc::ptr_eq(group.choose(&[]).unwrap(), a));
        drop(held);
        a.health.unreachable(false);
        assert!(Arc::ptr_eq(group.choose(&[]).unwrap(), c));
        assert!(Arc::ptr_eq(group.choose(std::slice::from_ref(c)).unwrap(), b));
        assert!(group.choose(&[c.clone(), b.clone()]).is_none());
    }

    #[test]
    fn equals_are_chosen_in_turn() {
        let group = group(&[1, 2]);
        let mut ports: Vec<String> = (0..2)
            .map(|_| group.choose(&[]).unwrap().url.to_string())
            .collect();
        ports.sort();
        assert_eq!(ports, ["http://127.0.0.1:1", "http://127.0.0.1:2"]);
    }

    #[test]
    fn nobody_holds_more_than_its_share() {
        let group = group(&[1]);
        let [only] = group.members() else { panic!() };
        let places: Vec<_> = (0..2).map(|_| only.enter().unwrap()).collect();
        assert!(only.enter().is_none());
        drop(places);
        assert!(only.enter().is_some());
    }
}
