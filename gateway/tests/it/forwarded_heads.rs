//! A request means the same to an upstream as it did to the gateway, whichever protocol it came by.

use gateway::Running;
use gateway::routes::RouteSettings;

use crate::fault_upstream::{FaultUpstream, Request};
use crate::raw_http2::{END_HEADERS, END_STREAM, HEADERS, RawHttp2, frame, request};
use crate::support::{Client, Echo, start_gateway};
use crate::tls;

const ROUNDS: usize = 150;

/// Values that a service may get, with what readers of HTTP have stumbled over.
const VALUES: [&str; 14] = [
    "a",
    "",
    "a,b",
    "a, b",
    "two  spaces",
    "tab\there",
    "\"quoted; text\"",
    "é",
    "=?utf-8?q?x?=",
    "GET / HTTP/1.1",
    "Content-Length: 5",
    "%0d%0a",
    "{\"a\":[1]}",
    "0123456789012345678901234567890123456789012345678901234567890123456789",
];
const NAMES: [&str; 10] = [
    "x-a",
    "x-b",
    "x-_.~",
    "accept",
    "cookie",
    "range",
    "if-none-match",
    "user-agent",
    "accept-language",
    "x-0",
];
const TARGETS: [&str; 8] = [
    "",
    "a/b/c",
    "a%20b",
    "caf%C3%A9",
    "?",
    "?a=b&c=%2F..%2f",
    "a=b?c;d",
    "a:b@c!$&'()*+,=",
];
const METHODS: [&str; 6] = ["GET", "HEAD", "DELETE", "OPTIONS", "PUT", "PROPFIND"];

/// A head that is chosen by a number, always the same one.
struct Sample {
    method: &'static str,
    target: String,
    fields: Vec<(&'static str, &'static str)>,
}

impl Sample {
    fn new(number: usize) -> Self {
        // Steps that have no common divisor with the lengths go through all of them in another order.
        let fields = (0..number % 5)
            .map(|field| {
                let name = NAMES[(number * 7 + field * 3) % NAMES.len()];
                (name, VALUES[(number * 5 + field * 11) % VALUES.len()])
            })
            .collect();
        let end = TARGETS[number % TARGETS.len()];
        Self {
            method: METHODS[number % METHODS.len()],
            target: format!("/app/{number}x/{end}"),
            fields,
        }
    }

    /// What of it is for the upstream: values by name, in their order, as a list or joined.
    fn values(&self, name: &str) -> Vec<String> {
        let fields = self.fields.iter().filter(|field| field.0 == name);
        let values = fields.map(|field| field.1.to_owned()).collect();
        joined(name, values)
    }
}

/// Cookies are joined by HTTP/2's rule; others stay as they are.
fn joined(name: &str, values: Vec<String>) -> Vec<String> {
    match name {
        "cookie" if !values.is_empty() => vec![values.join("; ")],
        _ => values,
    }
}

fn values_seen(seen: &Request, name: &str) -> Vec<String> {
    let lines = seen.head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let values = lines
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim_matches(' ').to_owned());
    joined(name, values.collect())
}

async fn assert_forwarded(upstream: &FaultUpstream, sample: &Sample, number: usize) {
    let mark = format!("/app/{number}x/");
    let observed = upstream.until_whole(&mark).await;
    let seen: Vec<&Request> = observed.of(&mark).collect();
    assert_eq!(seen.len(), 1, "{mark}");
    assert_eq!(
        (seen[0].method.as_str(), &seen[0].target),
        (sample.method, &sample.target)
    );
    for name in NAMES {
        assert_eq!(
            values_seen(seen[0], name),
            sample.values(name),
            "{name}: {:?}",
            seen[0].head
        );
    }
    for name in ["content-length", "transfer-encoding"] {
        let values = values_seen(seen[0], name);
        assert!(values.is_empty() || values == ["0"], "{name}: {values:?}");
    }
}

async fn start(upstream: &FaultUpstream, change: impl FnOnce(&mut gateway::Settings)) -> Running {
    start_gateway(Echo::start().address, |settings| {
        let urls = vec![upstream.address.try_into().unwrap()];
        settings.routes.routes = vec![RouteSettings::new("/app/", urls)];
        change(settings);
    })
    .await
}

#[actix_web::test]
async fn a_head_of_http_1_reaches_the_upstream_with_its_meaning() {
    let upstream = FaultUpstream::start().await;
    let gateway = start(&upstream, |_| {}).await;
    let mut client = Client::connect(&gateway).await;
    for number in 0..ROUNDS {
        let sample = Sample::new(number);
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: gate.example\r\n",
            sample.method, sample.target
        );
        for (name, value) in &sample.fields {
            for part in [name, ": ", value, "\r\n"] {
                head.push_str(part);
            }
        }
        client.send(head + "\r\n").await;
        assert_eq!(client.answer_to(sample.method).await.unwrap().status, 200);
        assert_forwarded(&upstream, &sample, number).await;
    }
}

#[actix_web::test]
async fn a_head_of_http_2_reaches_the_upstream_with_the_same_meaning() {
    let folder = tempfile::tempdir().unwrap();
    let (files, trusted) = tls::certificate(folder.path());
    let upstream = FaultUpstream::start().await;
    let gateway = start(&upstream, |settings| settings.tls = Some(files)).await;
    let mut client = RawHttp2::connect(&gateway, &trusted).await;
    for number in 0..ROUNDS {
        let sample = Sample::new(number);
        let stream = u32::try_from(2 * number + 1).unwrap();
        let block = request(sample.method, &sample.target, &sample.fields);
        client
            .send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block))
            .await;
        assert_eq!(client.response(stream).await.status, 200, "{}", sample.target);
        assert_forwarded(&upstream, &sample, number).await;
    }
}
