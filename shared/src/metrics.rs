//! Counters, gauges and histograms, and their text for Prometheus (exposition format 0.0.4).
//!
//! The `prometheus` crate counts and writes; this is the part of it that the services use. Every combination of labels is
//! registered before it counts, so labels are bounded by the code and never by what a client sends. Registering the same
//! name and labels again gives the same instrument.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::{Collector, Desc, Describer};
use prometheus::proto::MetricFamily;
use prometheus::{HistogramOpts, IntCounter, IntGauge, Opts, TextEncoder};

/// Upper bounds for the duration of a request.
pub const LATENCY_BUCKETS: &[Duration] = &[
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// A number that only grows.
#[derive(Clone, Debug)]
pub struct Counter(IntCounter);

impl Counter {
    pub fn increment(&self) {
        self.0.inc();
    }

    pub fn add(&self, count: u64) {
        self.0.inc_by(count);
    }

    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// A number that goes up and down.
#[derive(Clone, Debug)]
pub struct Gauge(IntGauge);

impl Gauge {
    pub fn set(&self, value: i64) {
        self.0.set(value);
    }

    pub fn add(&self, difference: i64) {
        self.0.add(difference);
    }

    pub fn get(&self) -> i64 {
        self.0.get()
    }
}

/// How long things take.
#[derive(Clone, Debug)]
pub struct Histogram(prometheus::Histogram);

impl Histogram {
    pub fn observe(&self, duration: Duration) {
        self.0.observe(duration.as_secs_f64());
    }
}

/// All instruments of a process. Clones share them.
#[derive(Clone, Default)]
pub struct Registry {
    registry: prometheus::Registry,
    known: Arc<Mutex<BTreeMap<Key, Box<dyn Any + Send>>>>,
}

/// Name and labels.
type Key = (&'static str, String);

type Labels<'a> = &'a [(&'a str, &'a str)];

/// A name that is known as another kind of instrument or with other names of labels is a mistake in the code: the methods
/// panic, at every start of the service.
impl Registry {
    /// A number that only grows; its name ends in `_total`.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Counter {
        let opts = opts(name, help, labels);
        Counter(self.find_or_register(name, labels, || IntCounter::with_opts(opts)))
    }

    pub fn gauge(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Gauge {
        let opts = opts(name, help, labels);
        Gauge(self.find_or_register(name, labels, || IntGauge::with_opts(opts)))
    }

    /// Durations; the name ends in `_seconds`.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        bounds: &'static [Duration],
    ) -> Histogram {
        let bounds = bounds.iter().map(Duration::as_secs_f64).collect();
        let opts = HistogramOpts::from(opts(name, help, labels)).buckets(bounds);
        Histogram(self.find_or_register(name, labels, || prometheus::Histogram::with_opts(opts)))
    }

    /// A gauge whose value is asked for when the metrics are read. Registered again, the new one counts.
    pub fn gauge_of(
        &self,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        value: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        let read = move |opts: &Opts| {
            let gauge = prometheus::Gauge::with_opts(opts.clone())?;
            gauge.set(value());
            Ok(gauge.collect())
        };
        self.register_computed(name, help, labels, Box::new(read));
    }

    /// A counter that is kept elsewhere; the name ends in `_total`. Registered again, the new one counts.
    pub fn counter_of(
        &self,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        value: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let read = move |opts: &Opts| {
            let counter = IntCounter::with_opts(opts.clone())?;
            counter.inc_by(value());
            Ok(counter.collect())
        };
        self.register_computed(name, help, labels, Box::new(read));
    }

    /// Everything, as Prometheus reads it; sorted by name.
    pub fn text(&self) -> String {
        let written = TextEncoder::new().encode_to_string(&self.registry.gather());
        written.unwrap_or_else(|error| {
            log::error!(error:%; "metrics cannot be written");
            String::new()
        })
    }

    fn find_or_register<C: Collector + Clone + 'static>(
        &self,
        name: &'static str,
        labels: Labels<'_>,
        make: impl FnOnce() -> prometheus::Result<C>,
    ) -> C {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name, format!("{labels:?}"));
        if let Some(instrument) = known.get(&key).and_then(|known| known.downcast_ref::<C>()) {
            return instrument.clone();
        }
        let instrument = valid(make());
        valid(self.registry.register(Box::new(instrument.clone())));
        known.insert(key, Box::new(instrument.clone()));
        instrument
    }

    fn register_computed(&self, name: &'static str, help: &'static str, labels: Labels<'_>, read: Read) {
        let opts = opts(name, help, labels);
        let computed = self.find_or_register(name, labels, || Computed::new(opts));
        *computed.read.lock().unwrap_or_else(PoisonError::into_inner) = read;
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registry")
    }
}

type Read = Box<dyn Fn(&Opts) -> prometheus::Result<Vec<MetricFamily>> + Send>;

/// An instrument that is made anew whenever the metrics are read.
#[derive(Clone)]
struct Computed {
    opts: Opts,
    desc: Desc,
    read: Arc<Mutex<Read>>,
}

impl Computed {
    fn new(opts: Opts) -> prometheus::Result<Self> {
        Ok(Self {
            desc: opts.describe()?,
            opts,
            read: Arc::new(Mutex::new(Box::new(|_| Ok(Vec::new())))),
        })
    }
}

impl Collector for Computed {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        valid(read(&self.opts))
    }
}

fn opts(name: &str, help: &str, labels: Labels<'_>) -> Opts {
    labels.iter().fold(Opts::new(name, help), |opts, (label, value)| {
        opts.const_label(*label, *value)
    })
}

#[expect(
    clippy::expect_used,
    reason = "only names in the code can be wrong, and every start would show it"
)]
fn valid<T>(result: prometheus::Result<T>) -> T {
    result
        .expect("the name of a metric and of its labels is well-formed and stands for one kind of instrument")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        const BOUNDS: &[Duration] = &[Duration::from_millis(5), Duration::from_secs(1)];
        let registry = Registry::default();
        let labels = [("method", "GET"), ("route", "a\"b")];
        registry.counter("requests_total", "Requests.", &labels).add(2);
        registry
            .counter("requests_total", "Requests.", &labels)
            .increment();
        registry.gauge("held_bytes", "Held.", &[]).set(-4);
        registry.gauge_of("lag_seconds", "Lag.", &[], || 0.5);
        registry.counter_of("taken_total", "Taken.", &[], || 6_000_000_000);
        let waits = registry.histogram("wait_seconds", "Waits.", &[("queue", "a")], BOUNDS);
        for millis in [5, 6, 2000] {
            waits.observe(Duration::from_millis(millis));
        }
        assert_eq!(
            registry.text(),
            "# HELP held_bytes Held.\n\
             # TYPE held_bytes gauge\n\
             held_bytes -4\n\
             # HELP lag_seconds Lag.\n\
             # TYPE lag_seconds gauge\n\
             lag_seconds 0.5\n\
             # HELP requests_total Requests.\n\
             # TYPE requests_total counter\n\
             requests_total{method=\"GET\",route=\"a\\\"b\"} 3\n\
             # HELP taken_total Taken.\n\
             # TYPE taken_total counter\n\
             taken_total 6000000000\n\
             # HELP wait_seconds Waits.\n\
             # TYPE wait_seconds histogram\n\
             wait_seconds_bucket{queue=\"a\",le=\"0.005\"} 1\n\
             wait_seconds_bucket{queue=\"a\",le=\"1\"} 2\n\
             wait_seconds_bucket{queue=\"a\",le=\"+Inf\"} 3\n\
             wait_seconds_sum{queue=\"a\"} 2.011\n\
             wait_seconds_count{queue=\"a\"} 3\n"
        );
    }

    #[test]
    fn what_is_computed_may_be_registered_again_with_another_source() {
        let registry = Registry::default();
        for value in [1.0, 2.0] {
            registry.gauge_of("ready", "Ready.", &[("upstream", "a")], move || value);
        }
        registry.gauge_of("ready", "Ready.", &[("upstream", "b")], || 3.0);
        let text = registry.text();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines, ["ready{upstream=\"a\"} 2", "ready{upstream=\"b\"} 3"]);
    }
}
