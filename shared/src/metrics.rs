//! Counters, gauges and histograms, and their text for Prometheus (exposition format 0.0.4).
//!
//! Every combination of labels is registered before it counts, so labels are bounded by the code and never by what a
//! client sends. Registering the same name and labels again gives the same instrument.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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

#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    pub fn increment(&self) {
        self.add(1);
    }

    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    pub fn add(&self, difference: i64) {
        self.0.fetch_add(difference, Relaxed);
    }

    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// How long things take.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    bounds: &'static [Duration],
    /// One for each bound, not cumulative, and one for what is beyond the last.
    counts: Vec<AtomicU64>,
    sum_micros: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [Duration]) -> Self {
        Self(Arc::new(Buckets {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_micros: AtomicU64::new(0),
        }))
    }

    pub fn observe(&self, duration: Duration) {
        let bucket = self.0.bounds.partition_point(|bound| *bound < duration);
        if let Some(count) = self.0.counts.get(bucket) {
            count.fetch_add(1, Relaxed);
        }
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.0.sum_micros.fetch_add(micros, Relaxed);
    }
}

#[derive(Clone)]
enum Instrument {
    Counter(Counter),
    Gauge(Gauge),
    Computed(Arc<dyn Fn() -> f64 + Send + Sync>),
    Histogram(Histogram),
}

struct Family {
    name: &'static str,
    help: &'static str,
    /// The labels as they are written (`method="GET"`), and what they count.
    series: Vec<(String, Instrument)>,
}

/// All instruments of a process. Clones share them.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<Vec<Family>>>);

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Registry {
    /// A number that only grows; its name ends in `_total`.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Counter {
        let made = Counter::default();
        match self.register(name, help, labels, Instrument::Counter(made.clone())) {
            Instrument::Counter(known) => known,
            _ => made,
        }
    }

    pub fn gauge(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Gauge {
        let made = Gauge::default();
        match self.register(name, help, labels, Instrument::Gauge(made.clone())) {
            Instrument::Gauge(known) => known,
            _ => made,
        }
    }

    /// A gauge whose value is asked for when the metrics are read. Registered again, the new one counts.
    pub fn gauge_of(
        &self,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        value: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        let computed = Instrument::Computed(Arc::new(value));
        self.register_over(name, help, labels, computed, true);
    }

    /// Durations; the name ends in `_seconds`.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        bounds: &'static [Duration],
    ) -> Histogram {
        let made = Histogram::new(bounds);
        match self.register(name, help, labels, Instrument::Histogram(made.clone())) {
            Instrument::Histogram(known) => known,
            _ => made,
        }
    }

    fn register(
        &self,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        made: Instrument,
    ) -> Instrument {
        self.register_over(name, help, labels, made, false)
    }

    fn register_over(
        &self,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        made: Instrument,
        replaces: bool,
    ) -> Instrument {
        let labels = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
            .collect::<Vec<_>>()
            .join(",");
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(family) = families.iter_mut().find(|family| family.name == name) else {
            let series = vec![(labels, made.clone())];
            families.push(Family { name, help, series });
            return made;
        };
        let known = family.series.iter_mut().find(|(others, _)| *others == labels);
        if let Some((_, instrument)) = known {
            if replaces {
                instrument.clone_from(&made);
            }
            return instrument.clone();
        }
        family.series.push((labels, made.clone()));
        made
    }

    /// Everything, as Prometheus reads it.
    pub fn text(&self) -> String {
        let families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for family in families.iter() {
            // Writing to a String cannot fail.
            let _ = family.write(&mut text);
        }
        text
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registry")
    }
}

impl Family {
    fn write(&self, text: &mut String) -> fmt::Result {
        let Self { name, help, series } = self;
        let kind = match series.first() {
            Some((_, Instrument::Counter(_))) => "counter",
            Some((_, Instrument::Histogram(_))) => "histogram",
            _ => "gauge",
        };
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
        for (labels, instrument) in series {
            let braced = if labels.is_empty() {
                String::new()
            } else {
                format!("{{{labels}}}")
            };
            match instrument {
                Instrument::Counter(counter) => writeln!(text, "{name}{braced} {}", counter.get())?,
                Instrument::Gauge(gauge) => writeln!(text, "{name}{braced} {}", gauge.get())?,
                Instrument::Computed(value) => writeln!(text, "{name}{braced} {}", value())?,
                Instrument::Histogram(histogram) => histogram.0.write(text, name, labels, &braced)?,
            }
        }
        Ok(())
    }
}

impl Buckets {
    fn write(&self, text: &mut String, name: &str, labels: &str, braced: &str) -> fmt::Result {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut total = 0;
        let bounds = self.bounds.iter().map(|bound| bound.as_secs_f64().to_string());
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&self.counts) {
            total += count.load(Relaxed);
            writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {total}")?;
        }
        let sum_micros = self.sum_micros.load(Relaxed);
        let (seconds, micros) = (sum_micros / 1_000_000, sum_micros % 1_000_000);
        writeln!(
            text,
            "{name}_sum{braced} {seconds}.{micros:06}\n{name}_count{braced} {total}"
        )
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
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
        registry.counter("requests_total", "Requests.", &[]).increment();
        registry.gauge("held_bytes", "Held.", &[]).set(-4);
        registry.gauge_of("lag_seconds", "Lag.", &[], || 0.5);
        let waits = registry.histogram("wait_seconds", "Waits.", &[("queue", "a")], BOUNDS);
        for millis in [5, 6, 2000] {
            waits.observe(Duration::from_millis(millis));
        }
        assert_eq!(
            registry.text(),
            "# HELP requests_total Requests.\n\
             # TYPE requests_total counter\n\
             requests_total{method=\"GET\",route=\"a\\\"b\"} 3\n\
             requests_total 1\n\
             # HELP held_bytes Held.\n\
             # TYPE held_bytes gauge\n\
             held_bytes -4\n\
             # HELP lag_seconds Lag.\n\
             # TYPE lag_seconds gauge\n\
             lag_seconds 0.5\n\
             # HELP wait_seconds Waits.\n\
             # TYPE wait_seconds histogram\n\
             wait_seconds_bucket{queue=\"a\",le=\"0.005\"} 1\n\
             wait_seconds_bucket{queue=\"a\",le=\"1\"} 2\n\
             wait_seconds_bucket{queue=\"a\",le=\"+Inf\"} 3\n\
             wait_seconds_sum{queue=\"a\"} 2.011000\n\
             wait_seconds_count{queue=\"a\"} 3\n"
        );
    }
}
